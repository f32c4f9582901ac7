/* test_verdict.c - every answer has one meaning */
#include "unit.h"
#include "verdict.h"

static struct http_result answer(long status)
{
    return (struct http_result){.status = status, .end = HTTP_COMPLETE, .error = ""};
}

static void statuses(void **state)
{
    (void)state;
    static const struct {
        long from, to;
        enum verdict verdict;
    } table[] = {
        {200, 299, VERDICT_DELIVERED}, {300, 399, VERDICT_REFUSED}, {400, 400, VERDICT_DEAD},
        {401, 401, VERDICT_REFUSED},   {402, 402, VERDICT_DEAD},    {403, 403, VERDICT_REFUSED},
        {404, 406, VERDICT_DEAD},      {407, 407, VERDICT_REFUSED}, {408, 408, VERDICT_RETRY},
        {409, 409, VERDICT_DELIVERED}, {410, 424, VERDICT_DEAD},    {425, 425, VERDICT_RETRY},
        {426, 428, VERDICT_DEAD},      {429, 429, VERDICT_RETRY},   {430, 499, VERDICT_DEAD},
        {500, 599, VERDICT_RETRY},
    };
    long next = 200;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(table[i].from, next); /* no status is left out */
        for (long status = table[i].from; status <= table[i].to; status++) {
            struct http_result result = answer(status);
            assert_int_equal(verdict_of(&result, false), table[i].verdict);
        }
        next = table[i].to + 1;
    }
    assert_int_equal(next, 600);
}

static void a_status_counts_even_if_the_body_was_cut_off(void **state)
{
    (void)state;
    struct http_result result = {.status = 201, .end = HTTP_BROKEN, .error = "cut"};
    assert_int_equal(verdict_of(&result, false), VERDICT_DELIVERED);
    result.end = HTTP_TIMED_OUT;
    assert_int_equal(verdict_of(&result, false), VERDICT_DELIVERED);
}

static void only_a_reused_connection_that_died_silently_is_repeated_for_free(void **state)
{
    (void)state;
    struct http_result result = {
        .end = HTTP_BROKEN, .reused = true, .nothing_read = true, .error = "x"};
    assert_int_equal(verdict_of(&result, false), VERDICT_REPEAT);
    assert_int_equal(verdict_of(&result, true), VERDICT_RETRY);
    result.reused = false;
    assert_int_equal(verdict_of(&result, false), VERDICT_RETRY);
    result.reused = true;
    result.nothing_read = false;
    assert_int_equal(verdict_of(&result, false), VERDICT_RETRY);
    result.nothing_read = true;
    result.end = HTTP_TIMED_OUT;
    assert_int_equal(verdict_of(&result, false), VERDICT_RETRY);
}

static void evidence(void **state)
{
    (void)state;
    struct http_result result = answer(201);
    assert_int_equal(evidence_of(&result), EVIDENCE_ALIVE);
    result = answer(422);
    assert_int_equal(evidence_of(&result), EVIDENCE_ALIVE);
    result = answer(429);
    assert_int_equal(evidence_of(&result), EVIDENCE_ALIVE);
    result = answer(503);
    assert_int_equal(evidence_of(&result), EVIDENCE_TROUBLE);
    result = answer(401);
    assert_int_equal(evidence_of(&result), EVIDENCE_REFUSED);
    result = (struct http_result){.end = HTTP_NO_CONNECTION, .error = "x"};
    assert_int_equal(evidence_of(&result), EVIDENCE_UNREACHABLE);
    result.end = HTTP_TIMED_OUT;
    assert_int_equal(evidence_of(&result), EVIDENCE_TROUBLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(a_status_counts_even_if_the_body_was_cut_off),
        cmocka_unit_test(only_a_reused_connection_that_died_silently_is_repeated_for_free),
        cmocka_unit_test(evidence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
