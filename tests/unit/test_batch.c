/* test_batch.c - batches are JSON */
#include "unit.h"
#include "batch.h"

#include <string.h>

#define NOW_US INT64_C(1766923953000000) /* 2025-12-28T12:12:33Z */

static void batches_are_json(void **state)
{
    (void)state;
    struct batch batch = {0};
    assert_string_equal(batch_close(&batch), "[]");
    struct finding finding = {.machine_id = 12, .seconds = 298.2, .asked_us = NOW_US + 7};
    batch_add(&batch, &finding);
    assert_string_equal(batch_close(&batch),
                        "[{\"machine\":12,\"cycle_time\":298.200,"
                        "\"observed_at\":\"2025-12-28T12:12:33.000007Z\",\"dated\":false,"
                        "\"arrived_at\":\"2025-12-28T12:12:33.000007Z\",\"source\":\"pull\"}]");
    batch_clear(&batch);
    finding.observed_us = NOW_US;
    batch_add(&batch, &finding);
    assert_string_equal(batch_close(&batch),
                        "[{\"machine\":12,\"cycle_time\":298.200,"
                        "\"observed_at\":\"2025-12-28T12:12:33.000000Z\",\"dated\":true,"
                        "\"arrived_at\":\"2025-12-28T12:12:33.000007Z\",\"source\":\"pull\"}]");
    batch_add_text(&batch, "{}", 2); /* what was closed can go on */
    const char *text = batch_close(&batch);
    assert_string_equal(text + strlen(text) - 5, "},{}]");
    assert_int_equal(batch.count, 2);
    batch_clear(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
