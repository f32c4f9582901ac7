/*
 * log.h - structured logs, one line a fact
 *
 * Lines are logfmt on standard error: ts, level, prog, pid, msg, then the fields given. Values are
 * quoted when they need to be and control characters are escaped, so nothing a peer sends can forge
 * a line. The logger is the one piece of global state in the suite.
 *
 *     log_warn("event will be retried", LF_S("event", id), LF_I("attempt", 2));
 */
#ifndef MTC_LOG_H
#define MTC_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_field {
    const char *key; /* NULL ends the list */
    const char *text;
    int64_t number;
    bool is_number;
};

#define LF_S(key_, text_) ((struct log_field){.key = (key_), .text = (text_)})
#define LF_I(key_, num_)  ((struct log_field){.key = (key_), .number = (num_), .is_number = true})
#define LF_END            ((struct log_field){.key = 0})

void log_init(const char *prog);
void log_set_level(enum log_level level);
bool log_level_parse(const char *name, enum log_level *out);

/* msg, then struct log_field values, then LF_END; use the macros below, which add the end. */
void log_write(enum log_level level, const char *msg, ...);

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__, LF_END)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__, LF_END)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__, LF_END)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__, LF_END)

/*
 * Says yes at most once per period_ms; otherwise counts. For warnings that a broken dependency
 * would repeat for every event. `suppressed` holds how many were swallowed since the last yes.
 */
struct log_limit {
    int64_t next_ms;
    int64_t suppressed;
    int64_t last_suppressed;
};
bool log_limit_ok(struct log_limit *limit, int64_t period_ms);

#endif
