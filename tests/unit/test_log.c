/* test_log.c - one line a message, whatever a peer says */
#include "unit.h"
#include "base/log.h"

#include <string.h>
#include <unistd.h>

/* What log_write() puts on standard error. */
static void captured(char *out, size_t size, const char *value)
{
    int pipes[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipes), 0);
    dup2(pipes[1], STDERR_FILENO);
    log_warn("a message", LF_S("field", value), LF_I("n", -7));
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipes[1]);
    ssize_t len = read(pipes[0], out, size - 1);
    assert_true(len > 0);
    out[len] = '\0';
    close(pipes[0]);
}

static void a_log_line_is_one_line_whatever_a_peer_says(void **state)
{
    (void)state;
    char line[8192];
    captured(line, sizeof line, "plain");
    assert_non_null(strstr(line, " level=warn "));
    assert_non_null(strstr(line, " msg=\"a message\" field=plain n=-7\n"));
    captured(line, sizeof line, "x\nlevel=error msg=\"forged\"\x1b[2J");
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_non_null(strstr(line, "field=\"x\\nlevel=error msg=\\\"forged\\\"\\x1b[2J\""));
    captured(line, sizeof line, NULL);
    assert_non_null(strstr(line, "field=\"\""));
    char large[10000];
    memset(large, 'y', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    captured(line, sizeof line, large);
    assert_int_equal(strlen(line), 4096);
    assert_int_equal(line[4095], '\n');
}

static void limited_warnings_are_counted(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    assert_true(log_limit_ok(&limit, 60000));
    for (int i = 0; i < 10; i++)
        assert_false(log_limit_ok(&limit, 60000));
    assert_int_equal(limit.suppressed, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_line_is_one_line_whatever_a_peer_says),
        cmocka_unit_test(limited_warnings_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
