/* ready.c - mtcctl ready; see ready.h */
#include "ready.h"

#include <curl/curl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 3000L

struct answer {
    char text[256];
    size_t len;
};

static size_t keep(char *data, size_t size, size_t count, void *arg)
{
    struct answer *answer = arg;
    size_t len = size * count, room = sizeof answer->text - 1 - answer->len;
    memcpy(answer->text + answer->len, data, len < room ? len : room);
    answer->len += len < room ? len : room;
    return len;
}

static const char *address_of(const struct config *config, const char *program)
{
    const struct {
        const char *name, *listen;
    } programs[] = {{"producer", config->producer_listen},
                    {"sender", config->sender_listen},
                    {"scheduler", config->scheduler_listen},
                    {"receiver", config->receiver_listen}};
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        if (strcmp(programs[i].name, program) == 0)
            return programs[i].listen;
    }
    return NULL;
}

/* A program that listens everywhere is asked here. */
static void url_of(const char *address, char *out, size_t size)
{
    const char *port = strrchr(address, ':');
    if (strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0)
        snprintf(out, size, "http://127.0.0.1%s/readyz", port);
    else
        snprintf(out, size, "http://%s/readyz", address);
}

static int ask(const char *url)
{
    struct answer answer = {.len = 0};
    CURL *easy = curl_easy_init();
    if (!easy) {
        fprintf(stderr, "mtcctl: out of memory\n");
        return 1;
    }
    long status = 0;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    answer.text[strcspn(answer.text, "\n")] = '\0';
    if (code != CURLE_OK)
        printf("not running: %s: %s\n", url, curl_easy_strerror(code));
    else
        printf("%s\n", answer.text);
    return code == CURLE_OK && status == 200 ? 0 : 1;
}

int ready_main(const struct config *config, int argc, char **argv)
{
    const char *address = argc == 2 ? address_of(config, argv[1]) : NULL;
    char url[256];
    if (!address) {
        fprintf(stderr, "usage: mtcctl ready producer|sender|scheduler|receiver\n");
        return 2;
    }
    if (!*address) {
        fprintf(stderr, "mtcctl: %s.listen is empty: there is nobody to ask\n", argv[1]);
        return 1;
    }
    url_of(address, url, sizeof url);
    return ask(url);
}
