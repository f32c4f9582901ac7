/* secret.c - secrets come from files and leave no program; see secret.h */
#include "base/secret.h"
#include "base/xalloc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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
        snprintf(error, error_size, "%s: first line is %s", path,
                 len ? "longer than 4096 bytes" : "empty");
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

/* The user part of a URL: from behind the colon to the last @ before the path. */
static const char *password_in_authority(const char *text, size_t *len)
{
    const char *scheme = strstr(text, "://");
    if (!scheme)
        return NULL;
    const char *authority = scheme + 3, *at = NULL;
    size_t end = strcspn(authority, "/?#");
    const char *colon = memchr(authority, ':', end);
    for (size_t i = 0; i < end; i++)
        at = authority[i] == '@' ? authority + i : at;
    if (!at || !colon || colon > at)
        return NULL;
    *len = (size_t)(at - colon - 1);
    return colon + 1;
}

/* "password=...", with or without blanks around the equals sign, in text from `from` on. */
static const char *password_by_keyword(const char *from, size_t *len)
{
    const char *key = strstr(from, "password");
    while (key) {
        const char *value = key + strlen("password");
        value += strspn(value, " \t");
        if (*value == '=') {
            value++;
            value += strspn(value, " \t");
            *len = keyword_value_len(value);
            return value;
        }
        key = strstr(value, "password");
    }
    return NULL;
}

char *secret_redact(const char *text)
{
    size_t len;
    char *safe = xstrdup(text);
    const char *password = password_in_authority(safe, &len);
    if (!password)
        password = password_by_keyword(safe, &len);
    while (password) {
        size_t head = (size_t)(password - safe);
        char *next = xasprintf("%.*s***%s", (int)head, safe, password + len);
        free(safe);
        safe = next;
        password = password_by_keyword(safe + head + 3, &len);
    }
    return safe;
}
