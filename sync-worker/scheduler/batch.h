/*
 * batch.h - observations on their way into mtc.apply_cycle_times(), as its JSON
 */
#ifndef MTC_BATCH_H
#define MTC_BATCH_H

#include <stddef.h>
#include <stdint.h>

/* Most of web-hooks' in a batch; a pull's batch has one of each machine at most. */
#define BATCH_HOOKS_MAX 500

struct batch { /* zeroed is empty; text is NULL or an open array, see batch_close() */
    char *text;
    size_t len, room;
    int count;
};

struct finding { /* of a pull */
    int machine_id;
    double seconds;
    int64_t observed_us; /* by MTConnect's clock; 0: it does not say */
    int64_t asked_us;    /* by ours */
};

void batch_add(struct batch *batch, const struct finding *finding);

/* One that is JSON already. */
void batch_add_text(struct batch *batch, const char *text, size_t len);

/* The whole array; valid until the batch is changed. */
const char *batch_close(struct batch *batch);

void batch_clear(struct batch *batch);

#endif
