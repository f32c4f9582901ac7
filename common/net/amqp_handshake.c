/*
 * amqp_handshake.c - what is said between connection.start and connection.open; see amqp_internal.h
 *
 * Source: AMQP 0-9-1, section 2.2.4 and class connection; RabbitMQ's client capabilities,
 * https://www.rabbitmq.com/docs/connections#capabilities
 */
#include "net/amqp_internal.h"
#include "net/amqp_introduce.h"

#include <string.h>

static int parse_major(const amqp_table_t *properties)
{
    for (int i = 0; i < properties->num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->entries[i];
        if (amqp_bytes_equal_text(entry->key, "version") &&
            entry->value.kind == AMQP_FIELD_KIND_UTF8 && entry->value.value.bytes.len > 0)
            return ((const char *)entry->value.value.bytes.bytes)[0] - '0';
    }
    return 0;
}

void amqp_handshake_on_start(struct amqp_conn *conn, const amqp_connection_start_t *start)
{
    conn->server_major = parse_major(&start->server_properties);
    amqp_table_entry_t abilities[] = {
        {.key = amqp_text("publisher_confirms"),
         .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}},
        {.key = amqp_text("consumer_cancel_notify"),
         .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}},
        {.key = amqp_text("connection.blocked"),
         .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}},
        {.key = amqp_text("authentication_failure_close"),
         .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}},
    };
    amqp_table_entry_t properties[AMQP_INTRODUCTION + 1] = {
        [AMQP_INTRODUCTION] = {.key = amqp_text("capabilities"),
                               .value = {.kind = AMQP_FIELD_KIND_TABLE,
                                         .value.table = {.num_entries = 4, .entries = abilities}}},
    };
    amqp_introduce(&conn->settings, properties);
    char response[1024]; /* SASL PLAIN, RFC 4616: NUL user NUL password */
    size_t user = strlen(conn->url.user), password = strlen(conn->url.password);
    if (user + password + 2 > sizeof response) {
        amqp_conn_fail(conn, "user name and password are longer than 1022 bytes");
        return;
    }
    response[0] = '\0';
    memcpy(response + 1, conn->url.user, user + 1);
    memcpy(response + user + 2, conn->url.password, password);
    amqp_connection_start_ok_t ok = {
        .client_properties = {.num_entries = AMQP_INTRODUCTION + 1, .entries = properties},
        .mechanism = amqp_text("PLAIN"),
        .response = {.bytes = response, .len = user + password + 2},
        .locale = amqp_text("en_US"),
    };
    amqp_conn_send(conn, AMQP_CONNECTION_START_OK_METHOD, &ok);
    conn->state = AMQP_TUNING;
}

void amqp_handshake_on_tune(struct amqp_conn *conn, const amqp_connection_tune_t *tune)
{
    conn->frame_max = AMQP_FRAME_BYTES;
    if (tune->frame_max && tune->frame_max < conn->frame_max)
        conn->frame_max = tune->frame_max;
    conn->channel_max = AMQP_CHANNELS_MAX;
    if (tune->channel_max && tune->channel_max < conn->channel_max)
        conn->channel_max = tune->channel_max;
    int64_t heartbeat = conn->settings.heartbeat_s;
    if (tune->heartbeat && tune->heartbeat < heartbeat)
        heartbeat = tune->heartbeat;
    conn->heartbeat_ms = heartbeat * 1000;
    if (amqp_tune_connection(conn->codec, conn->channel_max, (int)conn->frame_max, 0) !=
        AMQP_STATUS_OK) {
        amqp_conn_fail(conn, "librabbitmq refuses the broker's limits");
        return;
    }
    amqp_connection_tune_ok_t ok = {.channel_max = conn->channel_max,
                                    .frame_max = conn->frame_max,
                                    .heartbeat = (uint16_t)heartbeat};
    amqp_conn_send(conn, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
    amqp_connection_open_t open = {.virtual_host = amqp_text(conn->url.vhost)};
    amqp_conn_send(conn, AMQP_CONNECTION_OPEN_METHOD, &open);
    conn->state = AMQP_OPENING;
}
