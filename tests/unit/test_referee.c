/* test_referee.c - MTConnect's own word on its health */
#include "unit.h"
#include "referee.h"

#include <string.h>

static enum referee_word word(long status, const char *body)
{
    struct http_result result = {.status = status,
                                 .end = status ? HTTP_COMPLETE : HTTP_NO_CONNECTION,
                                 .error = "",
                                 .body = body,
                                 .body_len = strlen(body)};
    return referee_word_of(&result);
}

static void words(void **state)
{
    (void)state;
    static const struct {
        long status;
        const char *body;
        enum referee_word word;
    } table[] = {
        {200, "", REFEREE_WELL},
        {204, "", REFEREE_WELL},
        {200, "OK", REFEREE_WELL},
        {200, "{\"status\":\"ok\"}", REFEREE_WELL},
        {200, "{\"status\":\"UP\"}", REFEREE_WELL},
        {200, "{\"status\":1}", REFEREE_WELL},
        {200, "[\"error\"]", REFEREE_WELL},
        {200, "{\"status\":\"error\",\"database\":\"disconnected\"}", REFEREE_ILL},
        {200, "{\"status\":\"shutting_down\"}", REFEREE_ILL},
        {500, "", REFEREE_ILL},
        {503, "{\"status\":\"ok\"}", REFEREE_ILL},
        {0, "", REFEREE_ILL},
        {401, "", REFEREE_SILENT},
        {404, "{\"status\":\"error\"}", REFEREE_SILENT},
        {302, "", REFEREE_SILENT},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(word(table[i].status, table[i].body), table[i].word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
