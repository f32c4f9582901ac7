/* test_secret.c - the first line of a file */
#include "unit.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void secrets_are_first_lines(void **state)
{
    (void)state;
    char path[] = "/tmp/mtc-unit-XXXXXX", error[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_null(secret_read(path, error, sizeof error));
    assert_non_null(strstr(error, "is empty"));
    assert_int_equal(write(fd, "key with space \r\nsecond\n", 24), 24);
    char *secret = secret_read(path, error, sizeof error);
    assert_string_equal(secret, "key with space ");
    free(secret);
    close(fd);
    unlink(path);
    assert_null(secret_read(path, error, sizeof error));
    assert_non_null(strstr(error, "No such file"));
}

static void passwords_are_redacted(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"amqp://user:secret@host:5672/v", "amqp://user:***@host:5672/v"},
        {"amqp://user:se@cret@host/", "amqp://user:***@host/"},
        {"amqp://host/", "amqp://host/"},
        {"redis://:secret@host/1", "redis://:***@host/1"},
        {"postgresql://u@h/db?password=secret&x=1", "postgresql://u@h/db?password=***&x=1"},
        {"host=h password=secret dbname=d", "host=h password=*** dbname=d"},
        {"host=h password = secret dbname=d", "host=h password = *** dbname=d"},
        {"host=h password='sec\\' ret' dbname=d", "host=h password=*** dbname=d"},
        {"sslpassword=one password=two", "sslpassword=*** password=***"},
        {"http://h/a:b@c", "http://h/a:b@c"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *safe = secret_redact(table[i][0]);
        assert_string_equal(safe, table[i][1]);
        free(safe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_redacted),
        cmocka_unit_test(secrets_are_first_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
