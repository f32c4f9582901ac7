/*
 * answer.h - what MTConnect says of a machine's cycle time, in either of its two shapes
 *
 *   the plan's      {"last_cycle_time": 298.2}
 *                   with or without machine_id and observed_at
 *   the deployed's  {"machineId": "SR-26", "totalRecords": 2,
 *                    "data": [{"timestamp": "...", "cycleTime": 298.2}, ...]}
 *                   newest first; totalRecords 0 means that nothing is known yet
 *
 * Anything else is a breach of contract and said to be one; see contract/mtconnect.yaml.
 */
#ifndef MTC_ANSWER_H
#define MTC_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_BODY_MAX     262144
#define ANSWER_SECONDS_MIN  0.001 /* what PostgreSQL keeps is milliseconds */
#define ANSWER_SECONDS_MAX  999999.0
#define ANSWER_FUTURE_MAX_S 300 /* how far MTConnect's clock may be ahead of ours */

enum answer_kind { ANSWER_VALUE, ANSWER_NOTHING_YET, ANSWER_BROKEN };

struct answer {
    enum answer_kind kind;
    double seconds;
    int64_t observed_us; /* 0: the answer does not say; it then holds for the time of asking */
    char error[192];     /* ANSWER_BROKEN */
};

/* machine and machine_id are who was asked; now_us is the time. */
void answer_read(const char *body, size_t len, const char *machine, int machine_id, int64_t now_us,
                 struct answer *out);

#endif
