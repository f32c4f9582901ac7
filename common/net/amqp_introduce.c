/* amqp_introduce.c - who a client says it is; see amqp_introduce.h */
#include "net/amqp_introduce.h"

static amqp_table_entry_t entry(const char *key, const char *text)
{
    return (amqp_table_entry_t){
        .key = amqp_text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_text(text)}};
}

void amqp_introduce(const struct amqp_conn_settings *settings,
                    amqp_table_entry_t out[AMQP_INTRODUCTION])
{
    out[0] = entry("connection_name", settings->name);
    out[1] = entry("product", settings->product);
    out[2] = entry("version", settings->version);
    out[3] = entry("platform", "C, librabbitmq " AMQP_VERSION_STRING);
}
