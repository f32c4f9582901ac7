/*
 * mtconnect.h - the MTConnect service, as its clients call it (plan, section 4; S9)
 *
 *   post_setup(event, key), post_event(event, key)   mtconnect_post(): the path, which the host's
 *                                                    adapter has decided, says which of the two
 *   get_cycle_time(machine)                          mtconnect_get_cycle_time()
 *   registration of web-hooks (S11)                  mtconnect_register()
 *   its own word on its health                       mtconnect_get_health()
 *
 * Knows what all of them share: joining URLs, the API key, what a status means, Retry-After, and
 * the one repeat that is no attempt. It does not retry: when to try again is its caller's decision.
 * Requests run side by side, at most `connections` at once; the contract is
 * contract/mtconnect.yaml.
 */
#ifndef MTC_MTCONNECT_H
#define MTC_MTCONNECT_H

#include "net/http_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mtconnect;

/* 2000-01-01, microseconds of UTC, before any machine told anything: an observation from before it
 * is somebody's "never", such as 0001-01-01. */
#define MTCONNECT_OBSERVED_FROM_US INT64_C(946684800000000)

struct mtconnect_settings { /* strings are borrowed */
    const char *base_url;
    const char *api_key_file;   /* "" for none */
    int64_t timeout_ms;         /* for a whole request, connecting included */
    int64_t connect_timeout_ms; /* for the connection alone */
    int64_t connections;        /* most requests at once */
    int64_t idle_s;             /* a connection idle for longer is not used again */
    int64_t retry_after_max_ms;
    const char *user_agent;
};

/* NULL with a message if the API key can't be read. */
struct mtconnect *mtconnect_new(struct loop *loop, const struct mtconnect_settings *settings,
                                char *error, size_t error_size);
/* Requests under way are dropped without their callback. NULL is fine. */
void mtconnect_free(struct mtconnect *mtconnect);

/* Reads the API key again; one that can't be read is an error in the log, and the old one stays. */
void mtconnect_read_api_key(struct mtconnect *mtconnect);

/* Drops the requests under way, without their callbacks; the next ones use new connections. */
void mtconnect_abort(struct mtconnect *mtconnect);

bool mtconnect_has_room(const struct mtconnect *mtconnect);
int mtconnect_under_way(const struct mtconnect *mtconnect);
size_t mtconnect_held(const struct mtconnect *mtconnect); /* bytes of answers under way */

/* --- the calls; each calls done once, never from inside the call; false: no room --- */

struct mtconnect_event {     /* borrowed until done */
    const char *path;        /* e.g. /api/ext/setup, /api/ext/event */
    const char *key;         /* idempotency key */
    const char *traceparent; /* or NULL */
    const void *body;
    size_t len;
    bool fresh; /* on a new connection */
};

bool mtconnect_post(struct mtconnect *mtconnect, const struct mtconnect_event *event,
                    http_done done, void *arg);

/* etag: of the last answer, which then need not be sent again (304); or NULL. */
bool mtconnect_get_cycle_time(struct mtconnect *mtconnect, const char *machine, const char *etag,
                              bool fresh, size_t keep_body, http_done done, void *arg);

/* body: JSON, borrowed until done. */
bool mtconnect_register(struct mtconnect *mtconnect, const char *body, http_done done, void *arg);

/* path: e.g. /api/ext/health. Keeps MTCONNECT_HEALTH_BYTES of the answer's body. */
#define MTCONNECT_HEALTH_BYTES 16384
bool mtconnect_get_health(struct mtconnect *mtconnect, const char *path, http_done done, void *arg);

/* --- what an answer means --- */

enum mtconnect_class {
    MTCONNECT_TAKEN,   /* 2xx, and 409: this key was applied before */
    MTCONNECT_REFUSED, /* 3xx, 401, 403, 407: it does not want us, whatever we ask */
    MTCONNECT_LATER,   /* no final answer, 408, 425, 429, 5xx: the same may work later */
    MTCONNECT_NEVER,   /* every other status: the same will never work */
};

enum mtconnect_class mtconnect_class_of(const struct http_result *result);

/*
 * A reused connection died before a byte of an answer came: its server closes idle connections, so
 * this says nothing of the request, which is repeated at once on a new one. That is no attempt; the
 * key makes it safe (RFC 9110, section 9.2.2). A timeout is another matter.
 */
bool mtconnect_died_idle(const struct http_result *result);

/* The pause before the next attempt: ours, or Retry-After if that is longer, up to its bound. */
int64_t mtconnect_pause_ms(const struct mtconnect *mtconnect, const struct http_result *result,
                           int64_t ours_ms);

/* "HTTP 503", or "no answer: " and why. */
void mtconnect_describe(const struct http_result *result, char *out, size_t size);

/* --- for who asks outside the loop --- */

/*
 * The header with the API key of this file, as of now; caller frees. NULL if path is "" (error then
 * is "" too), or with a message if it can't be read.
 */
char *mtconnect_api_key_header(const char *path, char *error, size_t error_size);

/* Caller frees. */
char *mtconnect_cycle_time_url(const char *base_url, const char *machine);

#endif
