/* test_receiver.c - signatures, and what a web-hook's body may be */
#include "unit.h"
#include "hook_body.h"
#include "signature.h"

#include <string.h>

/* Published by the authors of the scheme with their libraries:
 * https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries */
#define VECTOR_SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define VECTOR_ID        "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define VECTOR_TIME      1614265330
#define VECTOR_BODY      "{\"test\": 2432232314}"
#define VECTOR_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static enum signature_verdict check_vector(const char *secret, const char *signature,
                                           const char *time, const char *body, int64_t now)
{
    struct signature_secret secrets[SIGNATURE_SECRETS] = {0};
    struct signature_headers headers = {.id = VECTOR_ID, .timestamp = time, .standard = signature};
    assert_true(signature_secret_set(&secrets[1], secret)); /* the second is as good as the first */
    enum signature_verdict verdict = signature_check(secrets, &headers, body, strlen(body), now,
                                                     300);
    signature_secret_clear(&secrets[1]);
    return verdict;
}

static void the_published_vector_is_good(void **state)
{
    (void)state;
    assert_int_equal(
        check_vector(VECTOR_SECRET, VECTOR_SIGNATURE, "1614265330", VECTOR_BODY, VECTOR_TIME),
        SIGNATURE_GOOD);
    assert_int_equal(check_vector(VECTOR_SECRET, "v1,AAAA v2,whatever " VECTOR_SIGNATURE,
                                  "1614265330", VECTOR_BODY, VECTOR_TIME),
                     SIGNATURE_GOOD);
}

static void anything_else_is_not(void **state)
{
    (void)state;
    assert_int_equal(check_vector(VECTOR_SECRET, VECTOR_SIGNATURE, "1614265330",
                                  "{\"test\": 2432232315}", VECTOR_TIME),
                     SIGNATURE_WRONG);
    assert_int_equal(check_vector("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", VECTOR_SIGNATURE,
                                  "1614265330", VECTOR_BODY, VECTOR_TIME),
                     SIGNATURE_WRONG);
    assert_int_equal(
        check_vector(VECTOR_SECRET, VECTOR_SIGNATURE, "1614265331", VECTOR_BODY, VECTOR_TIME),
        SIGNATURE_WRONG);
    assert_int_equal(check_vector(VECTOR_SECRET, "v1,", "1614265330", VECTOR_BODY, VECTOR_TIME),
                     SIGNATURE_WRONG);
    assert_int_equal(check_vector(VECTOR_SECRET, "", "1614265330", VECTOR_BODY, VECTOR_TIME),
                     SIGNATURE_WRONG);
    assert_int_equal(check_vector(VECTOR_SECRET, "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
                                  "1614265330", VECTOR_BODY, VECTOR_TIME),
                     SIGNATURE_WRONG);
    static const char *const times[] = {
        "", "soon", "-1614265330", "1614265330.5", "16142653300000000", " 1614265330"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        assert_int_equal(
            check_vector(VECTOR_SECRET, VECTOR_SIGNATURE, times[i], VECTOR_BODY, VECTOR_TIME),
            SIGNATURE_MALFORMED);
    assert_int_equal(check_vector(VECTOR_SECRET, VECTOR_SIGNATURE, NULL, VECTOR_BODY, VECTOR_TIME),
                     SIGNATURE_MALFORMED);
}

static void the_window_is_as_wide_as_it_says(void **state)
{
    (void)state;
    static const struct {
        int off;
        enum signature_verdict verdict;
    } table[] = {{300, SIGNATURE_GOOD},
                 {-300, SIGNATURE_GOOD},
                 {301, SIGNATURE_STALE},
                 {-301, SIGNATURE_STALE}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(check_vector(VECTOR_SECRET, VECTOR_SIGNATURE, "1614265330", VECTOR_BODY,
                                      VECTOR_TIME + table[i].off),
                         table[i].verdict);
}

static void the_plain_scheme_covers_time_and_body(void **state)
{
    (void)state;
    /* printf '1700000000.{}' | openssl dgst -sha256 -hmac secret */
    static const char good[] =
        "sha256=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
    struct signature_secret secrets[SIGNATURE_SECRETS] = {0};
    assert_true(signature_secret_set(&secrets[0], "secret"));
    struct signature_headers headers = {.plain = good, .plain_timestamp = "1700000000"};
    assert_int_equal(signature_check(secrets, &headers, "{}", 2, 1700000000, 10), SIGNATURE_GOOD);
    assert_int_equal(signature_check(secrets, &headers, "{ }", 3, 1700000000, 10), SIGNATURE_WRONG);
    headers.plain_timestamp = "1700000001";
    assert_int_equal(signature_check(secrets, &headers, "{}", 2, 1700000000, 10), SIGNATURE_WRONG);
    headers.plain_timestamp = NULL;
    assert_int_equal(signature_check(secrets, &headers, "{}", 2, 1700000000, 10),
                     SIGNATURE_MALFORMED);
    headers.plain = "sha1=00";
    headers.plain_timestamp = "1700000000";
    assert_int_equal(signature_check(secrets, &headers, "{}", 2, 1700000000, 10),
                     SIGNATURE_MALFORMED);
    headers.plain = "sha256=zz";
    assert_int_equal(signature_check(secrets, &headers, "{}", 2, 1700000000, 10), SIGNATURE_WRONG);
    headers.plain = NULL;
    assert_int_equal(signature_check(secrets, &headers, "{}", 2, 1700000000, 10),
                     SIGNATURE_MISSING);
    signature_secret_clear(&secrets[0]);
}

static void a_secret_that_says_base64_must_be_it(void **state)
{
    (void)state;
    struct signature_secret secret = {0};
    assert_false(signature_secret_set(&secret, "whsec_not base64!"));
    assert_false(signature_secret_set(&secret, "whsec_"));
    assert_true(signature_secret_set(&secret, "whsec_aGVsbG8="));
    assert_int_equal(secret.len, 5);
    assert_memory_equal(secret.bytes, "hello", 5);
    signature_secret_clear(&secret);
}

static bool read_body(const char *text, struct hook_body *body, struct problem *problem)
{
    struct hook_rules rules = {.now_us = INT64_C(1766923953000000),
                               .future_max_s = 300,
                               .cycle_time_max_s = 86400}; /* 2025-12-28T12:12:33Z */
    return hook_body_read(text, strlen(text), &rules, body, problem);
}

static void good_bodies_are_read(void **state)
{
    (void)state;
    struct hook_body body;
    struct problem problem;
    assert_true(read_body("{\"machine_id\": 12, \"cycle_time\": 298.2}", &body, &problem));
    assert_int_equal(body.machine_id, 12);
    assert_true(body.cycle_time_s > 298.19 && body.cycle_time_s < 298.21);
    assert_int_equal(body.observed_us, 0);
    assert_true(read_body(
        "{\"cycle_time\":1,\"observed_at\":\"2025-12-28T15:12:33+03:00\",\"machine_id\":\"SR-26\"}",
        &body, &problem));
    assert_int_equal(body.machine_id, 0);
    assert_string_equal(body.machine, "SR-26");
    assert_int_equal(body.observed_us, INT64_C(1766923953000000));
    assert_true(read_body("{\"machine_id\":\"\\u0422-1\",\"cycle_time\":86400}", &body, &problem));
    assert_string_equal(body.machine, "\xd0\xa2-1");
}

static void keys_are_visible_and_not_long(void **state)
{
    (void)state;
    struct problem problem = {0};
    char longest[130];
    memset(longest, 'k', sizeof longest);
    longest[128] = '\0';
    assert_true(hook_key_is_good("0193f6a2-7c11-7d41-8f3b-2c5e9d7a1b44", &problem));
    assert_true(hook_key_is_good(longest, &problem));
    static const char *const bad[] = {NULL, "", "two words", "tab\there", "\xd0\xba\xd0\xbb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(hook_key_is_good(bad[i], &problem));
        assert_int_equal(problem.status, 400);
        assert_string_equal(problem.field, "X-Idempotency-Key");
    }
    memcpy(longest + 128, "k", 2);
    assert_false(hook_key_is_good(longest, &problem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vector_is_good),
        cmocka_unit_test(anything_else_is_not),
        cmocka_unit_test(the_window_is_as_wide_as_it_says),
        cmocka_unit_test(the_plain_scheme_covers_time_and_body),
        cmocka_unit_test(a_secret_that_says_base64_must_be_it),
        cmocka_unit_test(good_bodies_are_read),
        cmocka_unit_test(keys_are_visible_and_not_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
