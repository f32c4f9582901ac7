/*
 * dead.h - what the parts of mtcctl dead share: a dead letter in hand
 *
 * dead.c holds letters unacked, chooses, and calls these: dead_show.c shows one, dead_requeue.c
 * puts one back or drops it.
 */
#ifndef MTC_DEAD_H
#define MTC_DEAD_H

#include "ctl.h"
#include "suite/dead_letter.h"

#include <jansson.h>

struct letter {
    struct amqp_plain_message message;
    struct dead_letter_told told;
};

/* whole: with its path, the last answer and the body. */
json_t *letter_json(const struct letter *letter, bool whole);
void letter_print(const struct letter *letter, bool whole);

enum letter_fate {
    LETTER_FAILED, /* ctl->error says why; the letter stays */
    LETTER_LEFT,   /* it can't be sent as it is, which has been said; it stays */
    LETTER_DONE,
};

/*
 * Sends the message again as it was before it died, with its own key and a note that it was dead,
 * takes "dead" back in the ledger, and lets go of the letter. Needs ctl->broker and ctl->pg.
 */
enum letter_fate letter_requeue(struct ctl *ctl, const struct letter *letter);

/* Notes in the ledger that it was dropped, and lets go of it. Needs the same. */
enum letter_fate letter_drop(struct ctl *ctl, const struct letter *letter);

#endif
