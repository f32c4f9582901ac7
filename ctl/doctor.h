/*
 * doctor.h - what the parts of mtcctl doctor share: a list of findings
 *
 * A part a dependency. Each looks at its own with the connections of struct ctl, adds what it
 * finds by doctor_find(), and asks no further when it can't: the reason is then among the
 * findings. The order of the calls is that of the report; doctor_mtconnect() uses the PostgreSQL
 * session, if there is one.
 */
#ifndef MTC_DOCTOR_H
#define MTC_DOCTOR_H

#include "ctl.h"

#include <jansson.h>

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_ILL };

struct doctor {
    struct ctl ctl;
    json_t *findings; /* in order; verdict, what, detail and, unless it is well, advice */
    int ill;          /* how many of them are FINDING_ILL */
};

/* A clock that is further from ours than this, in seconds, is worth a warning. */
#define DOCTOR_SKEW_MAX_S 5.0

/* what: a word or two. advice: what to do; NULL when it is well. format: what was seen. */
__attribute__((format(printf, 5, 6))) void doctor_find(struct doctor *doctor,
                                                       enum finding_level level, const char *what,
                                                       const char *advice, const char *format, ...);

void doctor_postgres(struct doctor *doctor);
void doctor_rabbitmq(struct doctor *doctor);
void doctor_queues(struct doctor *doctor);     /* after doctor_rabbitmq() */
void doctor_partitions(struct doctor *doctor); /* after that and doctor_postgres() */
void doctor_pause(struct doctor *doctor);      /* last of what asks the broker without a message */
void doctor_redis(struct doctor *doctor);
void doctor_mtconnect(struct doctor *doctor);
void doctor_programs(struct doctor *doctor);

#endif
