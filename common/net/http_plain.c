/* http_plain.c - one blocking GET, for people's commands; see http_plain.h */
#include "net/http_plain.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BODY_MAX 8388608

static size_t keep(char *data, size_t size, size_t count, void *arg)
{
    struct http_plain *answer = arg;
    size_t len = size * count;
    if (answer->len + len > BODY_MAX)
        return 0;
    answer->body = xrealloc(answer->body, answer->len + len + 1);
    memcpy(answer->body + answer->len, data, len);
    answer->len += len;
    answer->body[answer->len] = '\0';
    return len;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct http_plain *answer = arg;
    size_t len = size * count;
    char line[128];
    if (len > 5 && len < sizeof line && strncasecmp(data, "date:", 5) == 0) {
        memcpy(line, data + 5, len - 5);
        line[len - 5] = '\0';
        time_t then = curl_getdate(line, NULL);
        int64_t ahead_s = then - utc_us() / 1000000;
        if (then > 0)
            answer->clock_ahead_s = (double)ahead_s;
    }
    return len;
}

struct http_plain http_plain_get(const char *url, const char *user, const char *header,
                                 long timeout_ms)
{
    struct http_plain answer = {.status = 0};
    CURL *easy = curl_easy_init();
    answer.body = xstrdup("");
    if (!easy)
        out_of_memory(0);
    struct curl_slist *headers = header ? curl_slist_append(NULL, header) : NULL;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &answer);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    if (user)
        curl_easy_setopt(easy, CURLOPT_USERPWD, user);
    CURLcode code = curl_easy_perform(easy);
    if (code == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
    else
        snprintf(answer.error, sizeof answer.error, "%s", curl_easy_strerror(code));
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    return answer;
}

void http_plain_free(struct http_plain *answer)
{
    free(answer->body);
    answer->body = NULL;
}
