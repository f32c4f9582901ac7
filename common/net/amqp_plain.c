/* broker.c - a blocking connection to RabbitMQ, for people's commands; see broker.h */
#include "net/amqp_plain.h"
#include "base/secret.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<rabbitmq-c/tcp_socket.h>)
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp_tcp_socket.h>
#endif

enum { CHANNEL_GET = 1, CHANNEL_PUBLISH = 2, CHANNEL_LOOK = 3 };

struct broker {
    amqp_connection_state_t conn;
    int64_t timeout_ms;
    bool publishing, looking; /* the channel is open */
    char error[320], version[32];
};

/* Says what the last reply was; true if it was good. */
static bool is_good(struct broker *broker, amqp_rpc_reply_t reply, const char *doing)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return true;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        snprintf(broker->error, sizeof broker->error, "%s: %s", doing,
                 amqp_error_string2(reply.library_error));
        return false;
    }
    const amqp_method_t *method = &reply.reply;
    int code = 0;
    amqp_bytes_t text = amqp_empty_bytes;
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        code = ((const amqp_channel_close_t *)method->decoded)->reply_code;
        text = ((const amqp_channel_close_t *)method->decoded)->reply_text;
    } else if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        code = ((const amqp_connection_close_t *)method->decoded)->reply_code;
        text = ((const amqp_connection_close_t *)method->decoded)->reply_text;
    }
    snprintf(broker->error, sizeof broker->error, "%s: %d %.*s", doing, code,
             (int)(text.len < 200 ? text.len : 200), (const char *)text.bytes);
    return false;
}

static bool last_is_good(struct broker *broker, const char *doing)
{
    return is_good(broker, amqp_get_rpc_reply(broker->conn), doing);
}

static bool log_in(struct broker *broker, const struct config *config, const char *name)
{
    struct amqp_connection_info info;
    char *url = xstrdup(config->amqp_url), *password = NULL;
    struct timeval limit = ms_to_timeval(broker->timeout_ms);
    bool ok = false;
    amqp_socket_t *socket = amqp_tcp_socket_new(broker->conn);
    amqp_table_entry_t entry = {
        .key = amqp_text("connection_name"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_text(name)}};
    amqp_table_t properties = {.num_entries = 1, .entries = &entry};
    if (!socket)
        out_of_memory(0);
    if (amqp_parse_url(url, &info) != AMQP_STATUS_OK || info.ssl) {
        snprintf(broker->error, sizeof broker->error,
                 "amqp.url is no amqp://user:password@host:port/vhost");
    } else if (*config->amqp_password_file &&
               !(password = secret_read(config->amqp_password_file, broker->error,
                                        sizeof broker->error))) {
        /* it has said why */
    } else {
        int status = amqp_socket_open_noblock(socket, info.host, info.port, &limit);
        if (status != AMQP_STATUS_OK)
            snprintf(broker->error, sizeof broker->error, "cannot reach RabbitMQ at %s:%d: %s",
                     info.host, info.port, amqp_error_string2(status));
        else
            ok = is_good(broker,
                         amqp_login_with_properties(broker->conn, *info.vhost ? info.vhost : "/", 0,
                                                    AMQP_FRAME_BYTES, 0, &properties,
                                                    AMQP_SASL_METHOD_PLAIN, info.user,
                                                    password ? password : info.password),
                         "RabbitMQ refuses the login");
    }
    free(url);
    free(password);
    return ok;
}

static void read_version(struct broker *broker)
{
    const amqp_table_t *table = amqp_get_server_properties(broker->conn);
    for (int i = 0; table && i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        if (amqp_bytes_equal_text(entry->key, "version") &&
            entry->value.kind == AMQP_FIELD_KIND_UTF8)
            snprintf(broker->version, sizeof broker->version, "%.*s",
                     (int)entry->value.value.bytes.len,
                     (const char *)entry->value.value.bytes.bytes);
    }
}

struct broker *broker_connect(const struct config *config, const char *name, char *error,
                              size_t error_size)
{
    struct broker *broker = xcalloc(1, sizeof *broker);
    broker->conn = amqp_new_connection();
    broker->timeout_ms = config->amqp_rpc_timeout_ms;
    if (!broker->conn)
        out_of_memory(0);
    struct timeval limit = ms_to_timeval(broker->timeout_ms);
    amqp_set_rpc_timeout(broker->conn, &limit);
    bool ok = log_in(broker, config, name);
    if (ok) {
        read_version(broker);
        amqp_channel_open(broker->conn, CHANNEL_GET);
        ok = last_is_good(broker, "cannot open a channel");
    }
    if (!ok) {
        snprintf(error, error_size, "%s", broker->error);
        amqp_destroy_connection(broker->conn);
        free(broker);
        return NULL;
    }
    return broker;
}

void broker_close(struct broker *broker)
{
    if (!broker)
        return;
    amqp_connection_close(
        broker->conn, AMQP_REPLY_SUCCESS); /* a broker that is gone has everything back anyway */
    amqp_destroy_connection(broker->conn);
    free(broker);
}

const char *broker_error(const struct broker *broker)
{
    return broker->error;
}

const char *broker_version(const struct broker *broker)
{
    return broker->version;
}

static bool open_channel(struct broker *broker, int channel, bool *is_open)
{
    if (*is_open)
        return true;
    amqp_channel_open(broker->conn, (amqp_channel_t)channel);
    *is_open = last_is_good(broker, "cannot open a channel");
    return *is_open;
}

/* A passive declare that finds nothing closes the channel: 404. */
static bool is_missing(struct broker *broker, amqp_rpc_reply_t reply)
{
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION ||
        reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return false;
    int code = ((const amqp_channel_close_t *)reply.reply.decoded)->reply_code;
    amqp_channel_close_ok_t ok = {0};
    amqp_send_method(broker->conn, CHANNEL_LOOK, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    broker->looking = false;
    return code == AMQP_NOT_FOUND;
}

bool broker_count(struct broker *broker, const char *queue, struct broker_count *out)
{
    *out = (struct broker_count){.exists = false};
    if (!open_channel(broker, CHANNEL_LOOK, &broker->looking))
        return false;
    const amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        broker->conn, CHANNEL_LOOK, amqp_text(queue), 1, 0, 0, 0, amqp_empty_table);
    if (ok) {
        *out = (struct broker_count){
            .exists = true, .ready = ok->message_count, .consumers = ok->consumer_count};
        return true;
    }
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(broker->conn);
    return is_missing(broker, reply) || is_good(broker, reply, queue);
}

bool broker_exchange_exists(struct broker *broker, const char *exchange, bool *exists)
{
    *exists = false;
    if (!open_channel(broker, CHANNEL_LOOK, &broker->looking))
        return false;
    *exists = amqp_exchange_declare(broker->conn, CHANNEL_LOOK, amqp_text(exchange),
                                    amqp_text("fanout"), 1, 0, 0, 0, amqp_empty_table) != NULL;
    if (*exists)
        return true;
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(broker->conn);
    return is_missing(broker, reply) || is_good(broker, reply, exchange);
}

int broker_get(struct broker *broker, const char *queue, struct broker_message *message)
{
    amqp_maybe_release_buffers(broker->conn);
    amqp_rpc_reply_t reply = amqp_basic_get(broker->conn, CHANNEL_GET, amqp_text(queue), 0);
    if (!is_good(broker, reply, queue))
        return -1;
    if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD)
        return 0;
    message->tag = ((const amqp_basic_get_ok_t *)reply.reply.decoded)->delivery_tag;
    return is_good(broker, amqp_read_message(broker->conn, CHANNEL_GET, &message->content, 0),
                   queue)
               ? 1
               : -1;
}

void broker_message_free(struct broker_message *message)
{
    amqp_destroy_message(&message->content);
}

bool broker_ack(struct broker *broker, uint64_t tag)
{
    int status = amqp_basic_ack(broker->conn, CHANNEL_GET, tag, 0);
    if (status == AMQP_STATUS_OK)
        return true;
    snprintf(broker->error, sizeof broker->error, "ack: %s", amqp_error_string2(status));
    return false;
}

/* The next frame of the publishing channel decides: ack, nack, or the message comes back (and is
 * acked after that). */
static bool wait_confirm(struct broker *broker)
{
    int64_t until = mono_ms() + broker->timeout_ms;
    bool returned = false;
    while (mono_ms() < until) {
        amqp_frame_t frame;
        struct timeval wait = ms_to_timeval(until - mono_ms());
        int status = amqp_simple_wait_frame_noblock(broker->conn, &frame, &wait);
        if (status != AMQP_STATUS_OK) {
            snprintf(broker->error, sizeof broker->error, "waiting for the broker's confirm: %s",
                     amqp_error_string2(status));
            return false;
        }
        if (frame.frame_type != AMQP_FRAME_METHOD || frame.channel != CHANNEL_PUBLISH)
            continue;
        if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD && !returned)
            return true;
        if (frame.payload.method.id == AMQP_BASIC_RETURN_METHOD) {
            amqp_message_t content;
            amqp_rpc_reply_t reply = amqp_read_message(broker->conn, CHANNEL_PUBLISH, &content, 0);
            returned = true;
            if (is_good(broker, reply, "returned message"))
                amqp_destroy_message(&content);
            snprintf(broker->error, sizeof broker->error, "no queue took the message");
        } else if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            return false;
        } else {
            snprintf(broker->error, sizeof broker->error, "the broker refused the message");
            return false;
        }
    }
    snprintf(broker->error, sizeof broker->error, "the broker did not confirm in time");
    return false;
}

bool broker_publish(struct broker *broker, const char *exchange, const char *key,
                    const amqp_basic_properties_t *properties, amqp_bytes_t body)
{
    if (!broker->publishing) {
        if (!open_channel(broker, CHANNEL_PUBLISH, &broker->publishing))
            return false;
        amqp_confirm_select(broker->conn, CHANNEL_PUBLISH);
        if (!last_is_good(broker, "confirm.select"))
            return false;
    }
    int status = amqp_basic_publish(broker->conn, CHANNEL_PUBLISH, amqp_text(exchange),
                                    amqp_text(key), 1, 0, properties, body);
    if (status != AMQP_STATUS_OK) {
        snprintf(broker->error, sizeof broker->error, "publish: %s", amqp_error_string2(status));
        return false;
    }
    return wait_confirm(broker);
}

bool broker_purge(struct broker *broker, const char *queue)
{
    amqp_queue_purge(broker->conn, CHANNEL_GET, amqp_text(queue));
    return last_is_good(broker, queue);
}
