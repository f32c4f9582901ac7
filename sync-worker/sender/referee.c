/* referee.c - MTConnect's own word on its health, which only acquits; see referee.h */
#include "referee.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"

#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#define ASK_EVERY_MS 1000

struct referee {
    struct mtconnect *mtconnect;
    const char *path;
    void (*on_answered)(void *arg);
    void *arg;
    bool asking, answered, complained;
    int64_t asked_ms, answered_ms;
    enum referee_word word;
};

static bool is_well(const char *status)
{
    static const char *const words[] = {"ok", "up", "pass", "healthy"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(status, words[i]) == 0)
            return true;
    }
    return false;
}

static bool body_is_ill(const struct http_result *result)
{
    json_t *body = json_loadb(result->body, result->body_len, 0, NULL);
    const char *status = json_string_value(json_object_get(body, "status"));
    bool ill = status && !is_well(status);
    json_decref(body);
    return ill;
}

enum referee_word referee_word_of(const struct http_result *result)
{
    if (result->status == 0 || result->status >= 500)
        return REFEREE_ILL;
    if (result->status / 100 != 2)
        return REFEREE_SILENT;
    return body_is_ill(result) ? REFEREE_ILL : REFEREE_WELL;
}

static void on_answer(const struct http_result *result, void *arg)
{
    struct referee *referee = arg;
    referee->asking = false;
    referee->answered = true;
    referee->answered_ms = mono_ms();
    referee->word = referee_word_of(result);
    if (referee->word == REFEREE_SILENT && !referee->complained) {
        log_warn("mtconnect.health_path does not say how MTConnect is; it acquits no event",
                 LF_S("path", referee->path), LF_I("status", result->status));
        referee->complained = true;
    }
    referee->on_answered(referee->arg);
}

void referee_ask(struct referee *referee, int64_t now_ms)
{
    if (referee->asking || (referee->asked_ms && now_ms - referee->asked_ms < ASK_EVERY_MS))
        return;
    if (!mtconnect_get_health(referee->mtconnect, referee->path, on_answer, referee))
        return; /* no connection is free: the next failure asks */
    referee->asking = true;
    referee->asked_ms = now_ms;
}

enum referee_word referee_says(const struct referee *referee, int64_t now_ms)
{
    bool fresh = referee->answered && now_ms - referee->answered_ms <= REFEREE_FRESH_MS;
    return fresh ? referee->word : REFEREE_UNASKED;
}

struct referee *referee_new(struct mtconnect *mtconnect, const char *path,
                            void (*on_answered)(void *arg), void *arg)
{
    struct referee *referee = xcalloc(1, sizeof *referee);
    referee->mtconnect = mtconnect;
    referee->path = path;
    referee->on_answered = on_answered;
    referee->arg = arg;
    return referee;
}

void referee_free(struct referee *referee)
{
    free(referee);
}
