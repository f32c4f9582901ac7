/* secret.c - secrets come from files and leave no program; see config.h */
#include "config.h"
#include "xalloc.h"

#include <errno.h>
#include <string.h>

char *secret_read(const char *path, char *error, size_t error_size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char line[4098];
    char *got = fgets(line, sizeof line, file);
    bool broken = ferror(file) != 0;
    fclose(file);
    if (broken || !got) {
        snprintf(error, error_size, "%s: %s", path, broken ? "cannot be read" : "is empty");
        return NULL;
    }
    size_t len = strcspn(line, "\r\n");
    if (len == 0 || len > 4096) {
        snprintf(error, error_size, "%s: first line is %s", path, len ? "longer than 4096 bytes" : "empty");
        return NULL;
    }
    return xstrndup(line, len);
}

/* Length of the password that starts at `at` in a "key=value key='value'" string. */
static size_t keyword_value_len(const char *at)
{
    if (*at != '\'')
        return strcspn(at, " \t\n&");
    size_t len = 1;
    while (at[len] && at[len] != '\'')
        len += at[len] == '\\' && at[len + 1] ? 2 : 1;
    return at[len] ? len + 1 : len;
}

/* Where the password stands in text, or NULL; its length in *len. */
static const char *find_password(const char *text, size_t *len)
{
    const char *scheme = strstr(text, "://");
    if (scheme) {
        const char *authority = scheme + 3;
        size_t end = strcspn(authority, "/?#");
        const char *colon = memchr(authority, ':', end);
        const char *at = NULL;
        for (size_t i = 0; i < end; i++) /* the last @ ends the user part */
            at = authority[i] == '@' ? authority + i : at;
        if (at && colon && colon < at) {
            *len = (size_t)(at - colon - 1);
            return colon + 1;
        }
    }
    const char *key = strstr(text, "password=");
    if (!key)
        return NULL;
    *len = keyword_value_len(key + strlen("password="));
    return key + strlen("password=");
}

char *config_redact(const char *text)
{
    size_t len;
    const char *password = find_password(text, &len);
    if (!password)
        return xstrdup(text);
    return xasprintf("%.*s***%s", (int)(password - text), text, password + len);
}
