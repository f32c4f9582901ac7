/*
 * referee.h - MTConnect's own word on its health, which only acquits
 *
 * While events fail, `mtconnect.health_path` is asked. Where it says ill, no failure counts
 * (blame.h); that it says well convicts nobody. The newest answer holds for REFEREE_FRESH_MS. A
 * failure that finds none asks, does not count, and is tried again soon.
 *
 *   ill    no answer; 5xx; 2xx with a JSON object whose "status" is a text other than ok, up, pass
 *          or healthy (the deployed service answers 200 with "error" when its database is gone)
 *   well   any other 2xx
 *
 * Any other status says nothing of health: the path is wrong, or not for us. It is logged once, and
 * acquits nobody.
 */
#ifndef MTC_REFEREE_H
#define MTC_REFEREE_H

#include "suite/mtconnect.h"

#include <stdbool.h>
#include <stdint.h>

#define REFEREE_FRESH_MS 15000

enum referee_word { REFEREE_UNASKED, REFEREE_ILL, REFEREE_WELL, REFEREE_SILENT };

struct referee;

/* Borrowed. on_answered: a connection is free again. */
struct referee *referee_new(struct mtconnect *mtconnect, const char *path,
                            void (*on_answered)(void *arg), void *arg);
/* After mtconnect, whose answers come here. NULL is fine. */
void referee_free(struct referee *referee);

/* What it says now; REFEREE_UNASKED: there is no fresh answer. */
enum referee_word referee_says(const struct referee *referee, int64_t now_ms);

/* A failure has been judged: asks, for the next one, unless it was asked just now. */
void referee_ask(struct referee *referee, int64_t now_ms);

/* What an answer says. */
enum referee_word referee_word_of(const struct http_result *result);

#endif
