/* test_answer.c - both shapes of the answer */
#include "unit.h"
#include "answer.h"

#include <string.h>

#define NOW_US INT64_C(1766923953000000) /* 2025-12-28T12:12:33Z */

static struct answer read_text(const char *text)
{
    struct answer answer;
    answer_read(text, strlen(text), "SR-26", 12, NOW_US, &answer);
    return answer;
}

static void both_shapes_are_read(void **state)
{
    (void)state;
    struct answer answer = read_text("{\"last_cycle_time\": 298.2}");
    assert_int_equal(answer.kind, ANSWER_VALUE);
    assert_true(answer.seconds > 298.19 && answer.seconds < 298.21);
    assert_int_equal(answer.observed_us, 0);
    answer = read_text("{\"machine_id\": 12, \"last_cycle_time\": 7,"
                       " \"observed_at\": \"2025-12-28T12:12:33.5Z\"}");
    assert_int_equal(answer.kind, ANSWER_VALUE);
    assert_int_equal(answer.observed_us, NOW_US + 500000);
    answer = read_text(
        "{\"machineId\":\"SR-26\",\"totalRecords\":2,\"averageCycleTime\":297.9,\"data\":["
        "{\"timestamp\":\"2025-12-28T12:00:00Z\",\"cycleTime\":298.2,\"partCount\":41},"
        "{\"timestamp\":\"2025-12-28T11:00:00Z\",\"cycleTime\":297.6,\"partCount\":40}]}");
    assert_int_equal(answer.kind, ANSWER_VALUE);
    assert_true(answer.seconds > 298.19 &&
                answer.seconds < 298.21); /* the newest, not the average */
    answer = read_text(
        "{\"machineId\":\"SR-26\",\"totalRecords\":0,\"averageCycleTime\":0,\"data\":[]}");
    assert_int_equal(answer.kind, ANSWER_NOTHING_YET);
}

static void everything_else_is_a_breach_with_a_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *names;
    } table[] = {
        {"", "no JSON object"},
        {"<html>", "no JSON object"},
        {"[]", "no JSON object"},
        {"{}", "neither"},
        {"{\"last_cycle_time\":1,\"last_cycle_time\":2}", "no JSON object"},
        {"{\"last_cycle_time\":null}", "last_cycle_time"},
        {"{\"last_cycle_time\":\"298.2\"}", "last_cycle_time"},
        {"{\"last_cycle_time\":0}", "last_cycle_time"},
        {"{\"last_cycle_time\":-1}", "last_cycle_time"},
        {"{\"last_cycle_time\":1e300}", "last_cycle_time"},
        {"{\"last_cycle_time\":NaN}", "no JSON object"},
        {"{\"last_cycle_time\":5,\"machine_id\":\"SR-27\"}", "machine_id"},
        {"{\"last_cycle_time\":5,\"machine_id\":13}", "machine_id"},
        {"{\"last_cycle_time\":5,\"observed_at\":\"yesterday\"}", "observed_at"},
        {"{\"last_cycle_time\":5,\"observed_at\":1766923953}", "observed_at"},
        {"{\"last_cycle_time\":5,\"observed_at\":\"2099-01-01T00:00:00Z\"}", "future"},
        {"{\"totalRecords\":0,\"data\":[]}", "machineId"},
        {"{\"machineId\":\"B-38\",\"totalRecords\":0,\"data\":[]}", "machineId"},
        {"{\"machineId\":\"SR-26\",\"totalRecords\":-1,\"data\":[]}", "totalRecords"},
        {"{\"machineId\":\"SR-26\",\"totalRecords\":\"0\",\"data\":[]}", "totalRecords"},
        {"{\"machineId\":\"SR-26\",\"totalRecords\":1,\"data\":[]}", "data[0]"},
        {"{\"machineId\":\"SR-26\",\"totalRecords\":1,\"data\":"
         "[{\"timestamp\":\"2025-12-28T12:00:00Z\"}]}",
         "cycleTime"},
        {"{\"machineId\":\"SR-26\",\"totalRecords\":1,\"data\":[{\"cycleTime\":5}]}", "timestamp"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct answer answer = read_text(table[i].text);
        assert_int_equal(answer.kind, ANSWER_BROKEN);
        assert_non_null(strstr(answer.error, table[i].names));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_shapes_are_read),
        cmocka_unit_test(everything_else_is_a_breach_with_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
