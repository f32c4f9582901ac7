/* log.c - structured logs, one line a fact; see log.h */
#include "base/log.h"
#include "base/clock.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static struct {
    char prog[32];
    enum log_level level;
} logger = {.prog = "mtc", .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(const char *prog)
{
    snprintf(logger.prog, sizeof logger.prog, "%s", prog);
}

void log_set_level(enum log_level level)
{
    logger.level = level;
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

static void put(struct line *line, char c)
{
    if (line->len < sizeof line->text - 1) /* one byte is kept for the newline */
        line->text[line->len++] = c;
}

static void put_plain(struct line *line, const char *text)
{
    while (*text)
        put(line, *text++);
}

static bool needs_quotes(const char *text)
{
    if (*text == '\0')
        return true;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return true;
    }
    return false;
}

static void put_value(struct line *line, const char *text)
{
    if (!text)
        text = "";
    if (!needs_quotes(text)) {
        put_plain(line, text);
        return;
    }
    put(line, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        char escaped[8];
        if (c == '"' || c == '\\') {
            put(line, '\\');
            put(line, (char)c);
        } else if (c == '\n') {
            put_plain(line, "\\n");
        } else if (iscntrl(c)) {
            snprintf(escaped, sizeof escaped, "\\x%02x", c);
            put_plain(line, escaped);
        } else {
            put(line, (char)c);
        }
    }
    put(line, '"');
}

void log_write(enum log_level level, const char *msg, ...)
{
    if (level < logger.level)
        return;
    struct line line = {.len = 0};
    char stamp[UTC_TEXT];
    int head = snprintf(line.text, sizeof line.text,
                        "ts=%s level=%s prog=%s pid=%ld msg=", utc_format(utc_us(), stamp),
                        level_names[level], logger.prog, (long)getpid());
    line.len = (size_t)head;
    put_value(&line, msg);

    va_list args;
    va_start(args, msg);
    for (;;) {
        struct log_field field = va_arg(args, struct log_field);
        if (!field.key)
            break;
        put(&line, ' ');
        put_plain(&line, field.key);
        put(&line, '=');
        if (field.is_number) {
            char number[24];
            snprintf(number, sizeof number, "%lld", (long long)field.number);
            put_plain(&line, number);
        } else {
            put_value(&line, field.text);
        }
    }
    va_end(args);
    line.text[line.len++] = '\n';
    /* One write(2) a line keeps lines of several processes apart. A log that cannot be written has
     * nowhere to be reported, so the result is deliberately not looked at. */
    ssize_t written = write(STDERR_FILENO, line.text, line.len);
    (void)written;
}

bool log_limit_ok(struct log_limit *limit, int64_t period_ms)
{
    int64_t now = mono_ms();
    if (now < limit->next_ms) {
        limit->suppressed++;
        return false;
    }
    limit->next_ms = now + period_ms;
    limit->last_suppressed = limit->suppressed;
    limit->suppressed = 0;
    return true;
}
