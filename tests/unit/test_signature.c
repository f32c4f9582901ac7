/* test_signature.c - both schemes, and what is refused */
#include "unit.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vector_is_good),
        cmocka_unit_test(anything_else_is_not),
        cmocka_unit_test(the_window_is_as_wide_as_it_says),
        cmocka_unit_test(the_plain_scheme_covers_time_and_body),
        cmocka_unit_test(a_secret_that_says_base64_must_be_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
