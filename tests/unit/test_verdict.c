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
    enum { TAKEN = -1 };
    static const struct {
        long from, to;
        int accused;
    } table[] = {
        {200, 299, TAKEN},           {300, 399, ACCUSED_DESTINATION},
        {400, 400, ACCUSED_EVENT},   {401, 401, ACCUSED_DESTINATION},
        {402, 402, ACCUSED_UNCLEAR}, {403, 403, ACCUSED_DESTINATION},
        {404, 406, ACCUSED_UNCLEAR}, {407, 407, ACCUSED_DESTINATION},
        {408, 408, ACCUSED_UNCLEAR}, {409, 409, TAKEN},
        {410, 412, ACCUSED_UNCLEAR}, {413, 413, ACCUSED_EVENT},
        {414, 414, ACCUSED_UNCLEAR}, {415, 415, ACCUSED_EVENT},
        {416, 421, ACCUSED_UNCLEAR}, {422, 422, ACCUSED_EVENT},
        {423, 428, ACCUSED_UNCLEAR}, {429, 429, ACCUSED_NOBODY},
        {430, 501, ACCUSED_UNCLEAR}, {502, 504, ACCUSED_DESTINATION},
        {505, 599, ACCUSED_UNCLEAR},
    };
    long next = 200;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(table[i].from, next); /* no status is left out */
        for (long status = table[i].from; status <= table[i].to; status++) {
            struct http_result result = answer(status);
            bool taken = table[i].accused == TAKEN;
            assert_int_equal(verdict_of(&result, false),
                             taken ? VERDICT_DELIVERED : VERDICT_FAILED);
            if (!taken)
                assert_int_equal(accused_by(&result), table[i].accused);
        }
        next = table[i].to + 1;
    }
    assert_int_equal(next, 600);
}

static void silence_accuses_by_where_it_began(void **state)
{
    (void)state;
    static const struct {
        enum http_end end;
        enum accused accused;
    } table[] = {{HTTP_NO_NAME, ACCUSED_DESTINATION},
                 {HTTP_NO_CONNECTION, ACCUSED_DESTINATION},
                 {HTTP_NO_TLS, ACCUSED_DESTINATION},
                 {HTTP_TIMED_OUT, ACCUSED_UNCLEAR},
                 {HTTP_BROKEN, ACCUSED_UNCLEAR}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct http_result result = {.end = table[i].end, .error = "x"};
        assert_int_equal(accused_by(&result), table[i].accused);
    }
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
    assert_int_equal(verdict_of(&result, true), VERDICT_FAILED);
    result.reused = false;
    assert_int_equal(verdict_of(&result, false), VERDICT_FAILED);
    result.reused = true;
    result.nothing_read = false;
    assert_int_equal(verdict_of(&result, false), VERDICT_FAILED);
    result.nothing_read = true;
    result.end = HTTP_TIMED_OUT;
    assert_int_equal(verdict_of(&result, false), VERDICT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(a_status_counts_even_if_the_body_was_cut_off),
        cmocka_unit_test(only_a_reused_connection_that_died_silently_is_repeated_for_free),
        cmocka_unit_test(silence_accuses_by_where_it_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
