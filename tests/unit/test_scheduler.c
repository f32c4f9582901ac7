/* test_scheduler.c - both shapes of the answer, RFC 3339, what is newest, batches */
#include "unit.h"
#include "answer.h"
#include "batch.h"
#include "newest.h"
#include "base/rfc3339.h"

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
    answer = read_text(
        "{\"machine_id\": 12, \"last_cycle_time\": 7, \"observed_at\": \"2025-12-28T12:12:33.5Z\"}");
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
        {"{\"machineId\":\"SR-26\",\"totalRecords\":1,\"data\":[{\"timestamp\":\"2025-12-28T12:00:00Z\"}]}",
         "cycleTime"},
        {"{\"machineId\":\"SR-26\",\"totalRecords\":1,\"data\":[{\"cycleTime\":5}]}", "timestamp"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct answer answer = read_text(table[i].text);
        assert_int_equal(answer.kind, ANSWER_BROKEN);
        assert_non_null(strstr(answer.error, table[i].names));
    }
}

static void times_are_read_as_rfc_3339_has_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2025-12-28T12:12:33Z", NOW_US},
        {"2025-12-28t15:12:33.000001+03:00", NOW_US + 1},
        {"2025-12-28T07:42:33.1234567-04:30", NOW_US + 123456},
        {"2024-02-29T00:00:00z", INT64_C(1709164800000000)},
        {"2000-02-29T23:59:60Z", INT64_C(951868799999999)},
        {"1969-12-31T23:59:59Z", -1000000},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
        {"0000-01-01T00:00:00Z", INT64_C(-62167219200000000)},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799000000)},
    };
    static const char *const bad[] = {"",
                                      "2025-12-28",
                                      "2025-12-28 12:12:33Z",
                                      "2025-12-28T12:12:33",
                                      "2025-12-28T12:12Z",
                                      "2025-13-01T00:00:00Z",
                                      "2025-00-01T00:00:00Z",
                                      "2025-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2025-12-32T00:00:00Z",
                                      "2025-12-28T24:00:00Z",
                                      "2025-12-28T12:60:00Z",
                                      "2025-12-28T12:12:61Z",
                                      "2025-12-28T12:12:33.Z",
                                      "2025-12-28T12:12:33+3:00",
                                      "2025-12-28T12:12:33+24:00",
                                      "2025-12-28T12:12:33+03:60",
                                      "2025-12-28T12:12:33+0300",
                                      "2025-12-28T12:12:33Zz",
                                      "+025-12-28T12:12:33Z",
                                      "25-12-28T12:12:33Z"};
    int64_t us;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(rfc3339_parse(good[i].text, &us));
        assert_true(us == good[i].us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(rfc3339_parse(bad[i], &us));
}

static void what_is_late_is_known(void **state)
{
    (void)state;
    struct newest newest = {0};
    assert_false(newest_is_stale(&newest, 1, 5));
    newest_note(&newest, 1, 10);
    newest_note(&newest, 1, 7);
    newest_note(&newest, 2, 3);
    assert_true(newest_is_stale(&newest, 1, 9));
    assert_false(newest_is_stale(&newest, 1, 10));
    assert_false(newest_is_stale(&newest, 2, 9));
    newest_clear(&newest);
    assert_false(newest_is_stale(&newest, 1, 1));
}

static void batches_are_json(void **state)
{
    (void)state;
    struct batch batch = {0};
    assert_string_equal(batch_close(&batch), "[]");
    batch_add(&batch, 12, 298.2, NOW_US + 7);
    assert_string_equal(batch_close(&batch),
                        "[{\"machine\":12,\"cycle_time\":298.200,\"observed_at\":"
                        "\"2025-12-28T12:12:33.000007Z\",\"source\":\"pull\"}]");
    batch_add_text(&batch, "{}", 2); /* what was closed can go on */
    const char *text = batch_close(&batch);
    assert_string_equal(text + strlen(text) - 5, "},{}]");
    assert_int_equal(batch.count, 2);
    batch_clear(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_shapes_are_read),
        cmocka_unit_test(everything_else_is_a_breach_with_a_name),
        cmocka_unit_test(times_are_read_as_rfc_3339_has_them),
        cmocka_unit_test(what_is_late_is_known),
        cmocka_unit_test(batches_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
