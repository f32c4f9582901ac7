/* test_mtconnect.c - suite/mtconnect: what answers mean, URLs, pauses */
#include "unit.h"
#include "suite/mtconnect.h"

#include <stdlib.h>
#include <string.h>

static enum mtconnect_class class_of(long status)
{
    return mtconnect_class_of(&(struct http_result){.status = status});
}

static void every_status_has_a_class(void **state)
{
    (void)state;
    for (long status = 200; status < 300; status++)
        assert_int_equal(class_of(status), MTCONNECT_TAKEN);
    for (long status = 300; status < 400; status++)
        assert_int_equal(class_of(status), MTCONNECT_REFUSED);
    for (long status = 400; status < 500; status++) {
        enum mtconnect_class wanted = MTCONNECT_NEVER;
        if (status == 409)
            wanted = MTCONNECT_TAKEN;
        else if (status == 401 || status == 403 || status == 407)
            wanted = MTCONNECT_REFUSED;
        else if (status == 408 || status == 425 || status == 429)
            wanted = MTCONNECT_LATER;
        assert_int_equal(class_of(status), wanted);
    }
    for (long status = 500; status < 600; status++)
        assert_int_equal(class_of(status), MTCONNECT_LATER);
    assert_int_equal(class_of(0), MTCONNECT_LATER); /* no answer */
}

static void only_an_idle_death_is_repeated_for_nothing(void **state)
{
    (void)state;
    struct http_result result = {.end = HTTP_BROKEN, .reused = true, .nothing_read = true};
    assert_true(mtconnect_died_idle(&result));
    result.end = HTTP_TIMED_OUT;
    assert_false(mtconnect_died_idle(&result));
    result.end = HTTP_BROKEN;
    result.reused = false;
    assert_false(mtconnect_died_idle(&result));
    result.reused = true;
    result.nothing_read = false;
    assert_false(mtconnect_died_idle(&result));
    result.nothing_read = true;
    result.status = 503;
    assert_false(mtconnect_died_idle(&result));
}

static void retry_after_binds_up_to_its_bound(void **state)
{
    (void)state;
    char error[100];
    struct loop *loop = loop_new();
    struct mtconnect_settings settings = {.base_url = "http://x",
                                          .api_key_file = "",
                                          .timeout_ms = 1000,
                                          .connections = 1,
                                          .idle_s = 1,
                                          .retry_after_max_ms = 60000,
                                          .user_agent = "test"};
    http_client_global_init();
    struct mtconnect *mtconnect = mtconnect_new(loop, &settings, error, sizeof error);
    assert_non_null(mtconnect);
    struct http_result result = {.status = 503, .retry_after_s = 7};
    assert_int_equal(mtconnect_pause_ms(mtconnect, &result, 1000), 7000);
    assert_int_equal(mtconnect_pause_ms(mtconnect, &result, 10000), 10000);
    result.retry_after_s = 86400;
    assert_int_equal(mtconnect_pause_ms(mtconnect, &result, 1000), 60000);
    result.retry_after_s = 0;
    assert_int_equal(mtconnect_pause_ms(mtconnect, &result, 1000), 1000);
    mtconnect_free(mtconnect);
    http_client_global_cleanup();
    loop_free(loop);
}

static void an_api_key_that_cannot_be_read_refuses_to_start(void **state)
{
    (void)state;
    char error[200];
    struct loop *loop = loop_new();
    struct mtconnect_settings settings = {.base_url = "http://x",
                                          .api_key_file = "/nowhere/key",
                                          .connections = 1,
                                          .user_agent = "test"};
    assert_null(mtconnect_new(loop, &settings, error, sizeof error));
    assert_non_null(strstr(error, "/nowhere/key"));
    loop_free(loop);
}

static void urls_have_one_slash_and_no_surprise(void **state)
{
    (void)state;
    static const char *const bases[] = {"http://m:3000", "http://m:3000/", "http://m:3000///"};
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        char *url = mtconnect_cycle_time_url(bases[i], "K-16");
        assert_string_equal(url, "http://m:3000/api/ext/machines/K-16/cycle-time");
        free(url);
    }
    char *url = mtconnect_cycle_time_url("http://m/", "SR 26/\xd0\x96?");
    assert_string_equal(url, "http://m/api/ext/machines/SR%2026%2F%D0%96%3F/cycle-time");
    free(url);
}

static void an_answer_in_words(void **state)
{
    (void)state;
    char text[64];
    mtconnect_describe(&(struct http_result){.status = 503}, text, sizeof text);
    assert_string_equal(text, "HTTP 503");
    mtconnect_describe(&(struct http_result){.error = "refused"}, text, sizeof text);
    assert_string_equal(text, "no answer: refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_class),
        cmocka_unit_test(only_an_idle_death_is_repeated_for_nothing),
        cmocka_unit_test(retry_after_binds_up_to_its_bound),
        cmocka_unit_test(an_api_key_that_cannot_be_read_refuses_to_start),
        cmocka_unit_test(urls_have_one_slash_and_no_surprise),
        cmocka_unit_test(an_answer_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
