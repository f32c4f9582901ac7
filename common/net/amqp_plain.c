/* amqp_plain.c - a blocking connection to RabbitMQ, for people's commands; see amqp_plain.h */
#include "net/amqp_plain.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/xalloc.h"
#include "net/amqp_introduce.h"
#include "net/amqp_url.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<rabbitmq-c/tcp_socket.h>)
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp_tcp_socket.h>
#endif

enum { CHANNEL_GET = 1, CHANNEL_PUBLISH = 2, CHANNEL_LOOK = 3, CHANNEL_ASK = 4 };

#define REPLY_TO "amq.rabbitmq.reply-to"

struct amqp_plain {
    amqp_connection_state_t conn;
    int64_t timeout_ms;
    bool publishing, looking, asking; /* the channel is open */
    unsigned questions;               /* asked so far: what an answer is told by */
    char error[320], version[32];
};

/* Says what the last reply was; true if it was good. */
static bool is_good(struct amqp_plain *plain, amqp_rpc_reply_t reply, const char *doing)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return true;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        snprintf(plain->error, sizeof plain->error, "%s: %s", doing,
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
    snprintf(plain->error, sizeof plain->error, "%s: %d %.*s", doing, code,
             (int)(text.len < 200 ? text.len : 200), (const char *)text.bytes);
    return false;
}

static bool last_is_good(struct amqp_plain *plain, const char *doing)
{
    return is_good(plain, amqp_get_rpc_reply(plain->conn), doing);
}

static bool read_url(struct amqp_plain *plain, const struct amqp_conn_settings *settings,
                     struct amqp_url *url)
{
    if (!amqp_url_parse(settings->url, url, plain->error, sizeof plain->error))
        return false;
    if (!*settings->password_file)
        return true;
    char *password = secret_read(settings->password_file, plain->error, sizeof plain->error);
    free(url->password);
    url->password = password;
    if (!password)
        amqp_url_free(url);
    return password != NULL;
}

static bool log_in(struct amqp_plain *plain, const struct amqp_url *url,
                   const struct amqp_conn_settings *settings)
{
    struct timeval limit = ms_to_timeval(plain->timeout_ms);
    amqp_table_entry_t introduction[AMQP_INTRODUCTION];
    amqp_introduce(settings, introduction);
    amqp_table_t properties = {.num_entries = AMQP_INTRODUCTION, .entries = introduction};
    amqp_socket_t *socket = amqp_tcp_socket_new(plain->conn);
    if (!socket)
        out_of_memory(0);
    int status = amqp_socket_open_noblock(socket, url->host, url->port, &limit);
    if (status != AMQP_STATUS_OK) {
        snprintf(plain->error, sizeof plain->error, "cannot reach RabbitMQ at %s:%d: %s", url->host,
                 url->port, amqp_error_string2(status));
        return false;
    }
    return is_good(plain,
                   amqp_login_with_properties(plain->conn, url->vhost, 0, AMQP_FRAME_BYTES, 0,
                                              &properties, AMQP_SASL_METHOD_PLAIN, url->user,
                                              url->password),
                   "RabbitMQ refuses the login");
}

static void read_version(struct amqp_plain *plain)
{
    const amqp_table_t *table = amqp_get_server_properties(plain->conn);
    for (int i = 0; table && i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        if (amqp_bytes_equal_text(entry->key, "version") &&
            entry->value.kind == AMQP_FIELD_KIND_UTF8)
            snprintf(plain->version, sizeof plain->version, "%.*s",
                     (int)entry->value.value.bytes.len,
                     (const char *)entry->value.value.bytes.bytes);
    }
}

struct amqp_plain *amqp_plain_connect(const struct amqp_conn_settings *settings, char *error,
                                      size_t error_size)
{
    struct amqp_plain *plain = xcalloc(1, sizeof *plain);
    struct amqp_url url = {0};
    plain->conn = amqp_new_connection();
    plain->timeout_ms = settings->rpc_timeout_ms;
    if (!plain->conn)
        out_of_memory(0);
    struct timeval limit = ms_to_timeval(plain->timeout_ms);
    amqp_set_rpc_timeout(plain->conn, &limit);
    bool ok = read_url(plain, settings, &url) && log_in(plain, &url, settings);
    amqp_url_free(&url);
    if (ok) {
        read_version(plain);
        amqp_channel_open(plain->conn, CHANNEL_GET);
        ok = last_is_good(plain, "cannot open a channel");
    }
    if (!ok) {
        snprintf(error, error_size, "%s", plain->error);
        amqp_destroy_connection(plain->conn);
        free(plain);
        return NULL;
    }
    return plain;
}

void amqp_plain_close(struct amqp_plain *plain)
{
    if (!plain)
        return;
    /* It may fail: a broker that is gone has everything back anyway. */
    amqp_connection_close(plain->conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(plain->conn);
    free(plain);
}

const char *amqp_plain_error(const struct amqp_plain *plain)
{
    return plain->error;
}

const char *amqp_plain_version(const struct amqp_plain *plain)
{
    return plain->version;
}

static bool open_channel(struct amqp_plain *plain, int channel, bool *is_open)
{
    if (*is_open)
        return true;
    amqp_channel_open(plain->conn, (amqp_channel_t)channel);
    *is_open = last_is_good(plain, "cannot open a channel");
    return *is_open;
}

/* The broker has closed the channel: it is opened again when it is needed. */
static void close_ok(struct amqp_plain *plain, int channel, bool *is_open)
{
    amqp_channel_close_ok_t ok = {0};
    amqp_send_method(plain->conn, (amqp_channel_t)channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    *is_open = false;
}

/* A passive declare that finds nothing closes the channel: 404. */
static bool is_missing(struct amqp_plain *plain, amqp_rpc_reply_t reply)
{
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION ||
        reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return false;
    int code = ((const amqp_channel_close_t *)reply.reply.decoded)->reply_code;
    close_ok(plain, CHANNEL_LOOK, &plain->looking);
    return code == AMQP_NOT_FOUND;
}

bool amqp_plain_count(struct amqp_plain *plain, const char *queue, struct amqp_plain_count *out)
{
    *out = (struct amqp_plain_count){.exists = false};
    if (!open_channel(plain, CHANNEL_LOOK, &plain->looking))
        return false;
    const amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        plain->conn, CHANNEL_LOOK, amqp_text(queue), 1, 0, 0, 0, amqp_empty_table);
    if (ok) {
        *out = (struct amqp_plain_count){
            .exists = true, .ready = ok->message_count, .consumers = ok->consumer_count};
        return true;
    }
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(plain->conn);
    return is_missing(plain, reply) || is_good(plain, reply, queue);
}

bool amqp_plain_exchange_exists(struct amqp_plain *plain, const char *exchange, bool *exists)
{
    *exists = false;
    if (!open_channel(plain, CHANNEL_LOOK, &plain->looking))
        return false;
    *exists = amqp_exchange_declare(plain->conn, CHANNEL_LOOK, amqp_text(exchange),
                                    amqp_text("fanout"), 1, 0, 0, 0, amqp_empty_table) != NULL;
    if (*exists)
        return true;
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(plain->conn);
    return is_missing(plain, reply) || is_good(plain, reply, exchange);
}

int amqp_plain_get(struct amqp_plain *plain, const char *queue, struct amqp_plain_message *message)
{
    amqp_maybe_release_buffers(plain->conn);
    amqp_rpc_reply_t reply = amqp_basic_get(plain->conn, CHANNEL_GET, amqp_text(queue), 0);
    if (!is_good(plain, reply, queue))
        return -1;
    if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD)
        return 0;
    message->tag = ((const amqp_basic_get_ok_t *)reply.reply.decoded)->delivery_tag;
    return is_good(plain, amqp_read_message(plain->conn, CHANNEL_GET, &message->content, 0), queue)
               ? 1
               : -1;
}

void amqp_plain_message_free(struct amqp_plain_message *message)
{
    amqp_destroy_message(&message->content);
}

bool amqp_plain_ack(struct amqp_plain *plain, uint64_t tag)
{
    int status = amqp_basic_ack(plain->conn, CHANNEL_GET, tag, 0);
    if (status == AMQP_STATUS_OK)
        return true;
    snprintf(plain->error, sizeof plain->error, "ack: %s", amqp_error_string2(status));
    return false;
}

enum fate { FATE_UNKNOWN, FATE_RETURNED, FATE_CONFIRMED };

/*
 * The next frame of the publishing channel decides: ack, nack, or the message comes back (and is
 * acked after that).
 */
static enum fate wait_confirm(struct amqp_plain *plain)
{
    int64_t until = mono_ms() + plain->timeout_ms;
    bool returned = false;
    while (mono_ms() < until) {
        amqp_frame_t frame;
        struct timeval wait = ms_to_timeval(until - mono_ms());
        int status = amqp_simple_wait_frame_noblock(plain->conn, &frame, &wait);
        if (status != AMQP_STATUS_OK) {
            snprintf(plain->error, sizeof plain->error, "waiting for the broker's confirm: %s",
                     amqp_error_string2(status));
            return FATE_UNKNOWN;
        }
        if (frame.frame_type != AMQP_FRAME_METHOD || frame.channel != CHANNEL_PUBLISH)
            continue;
        if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD && !returned)
            return FATE_CONFIRMED;
        if (frame.payload.method.id == AMQP_BASIC_RETURN_METHOD) {
            amqp_message_t content;
            amqp_rpc_reply_t reply = amqp_read_message(plain->conn, CHANNEL_PUBLISH, &content, 0);
            returned = true;
            if (is_good(plain, reply, "returned message"))
                amqp_destroy_message(&content);
            snprintf(plain->error, sizeof plain->error, "no queue took the message");
        } else if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            return FATE_RETURNED;
        } else {
            snprintf(plain->error, sizeof plain->error, "the broker refused the message");
            return FATE_UNKNOWN;
        }
    }
    snprintf(plain->error, sizeof plain->error, "the broker did not confirm in time");
    return FATE_UNKNOWN;
}

static enum fate publish(struct amqp_plain *plain, const char *exchange, const char *key,
                         const amqp_basic_properties_t *properties, amqp_bytes_t body)
{
    if (!plain->publishing) {
        if (!open_channel(plain, CHANNEL_PUBLISH, &plain->publishing))
            return FATE_UNKNOWN;
        amqp_confirm_select(plain->conn, CHANNEL_PUBLISH);
        if (!last_is_good(plain, "confirm.select"))
            return FATE_UNKNOWN;
    }
    int status = amqp_basic_publish(plain->conn, CHANNEL_PUBLISH, amqp_text(exchange),
                                    amqp_text(key), 1, 0, properties, body);
    if (status != AMQP_STATUS_OK) {
        snprintf(plain->error, sizeof plain->error, "publish: %s", amqp_error_string2(status));
        return FATE_UNKNOWN;
    }
    return wait_confirm(plain);
}

bool amqp_plain_publish(struct amqp_plain *plain, const char *exchange, const char *key,
                        const amqp_basic_properties_t *properties, amqp_bytes_t body)
{
    return publish(plain, exchange, key, properties, body) == FATE_CONFIRMED;
}

bool amqp_plain_is_taken(struct amqp_plain *plain, const char *exchange, const char *key,
                         bool *taken)
{
    const amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                                .delivery_mode = 1};
    enum fate fate = publish(plain, exchange, key, &properties, amqp_empty_bytes);
    *taken = fate == FATE_CONFIRMED;
    return fate != FATE_UNKNOWN;
}

bool amqp_plain_bind(struct amqp_plain *plain, const char *queue, const char *exchange)
{
    if (!open_channel(plain, CHANNEL_LOOK, &plain->looking))
        return false;
    amqp_queue_bind(plain->conn, CHANNEL_LOOK, amqp_text(queue), amqp_text(exchange),
                    amqp_empty_bytes, amqp_empty_table);
    return last_is_good(plain, "binding");
}

bool amqp_plain_unbind(struct amqp_plain *plain, const char *queue, const char *exchange)
{
    if (!open_channel(plain, CHANNEL_LOOK, &plain->looking))
        return false;
    amqp_queue_unbind(plain->conn, CHANNEL_LOOK, amqp_text(queue), amqp_text(exchange),
                      amqp_empty_bytes, amqp_empty_table);
    return last_is_good(plain, "unbinding");
}

/* --- scatter and gather --- */

static bool open_for_answers(struct amqp_plain *plain)
{
    if (plain->asking)
        return true;
    if (!open_channel(plain, CHANNEL_ASK, &plain->asking))
        return false;
    amqp_basic_consume(plain->conn, CHANNEL_ASK, amqp_text(REPLY_TO), amqp_empty_bytes, 0, 1, 0,
                       amqp_empty_table);
    plain->asking = last_is_good(plain, "listening for answers");
    return plain->asking;
}

/* An answer to an earlier question may come late. */
static void take_answer(const struct amqp_plain *plain, const amqp_message_t *answer,
                        amqp_plain_answer on_answer, void *arg)
{
    char number[16];
    snprintf(number, sizeof number, "%u", plain->questions);
    if (answer->properties._flags & AMQP_BASIC_CORRELATION_ID_FLAG &&
        amqp_bytes_equal_text(answer->properties.correlation_id, number))
        on_answer(answer, arg);
}

/* 1: go on, 0: no more will come, -1: failed. */
static int take_frame(struct amqp_plain *plain, const amqp_frame_t *frame,
                      amqp_plain_answer on_answer, void *arg)
{
    if (frame->frame_type != AMQP_FRAME_METHOD || frame->channel != CHANNEL_ASK)
        return 1;
    amqp_method_number_t method = frame->payload.method.id;
    if (method != AMQP_BASIC_DELIVER_METHOD && method != AMQP_BASIC_RETURN_METHOD) {
        is_good(plain,
                (amqp_rpc_reply_t){.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION,
                                   .reply = frame->payload.method},
                "asking the programs");
        close_ok(plain, CHANNEL_ASK, &plain->asking);
        return -1;
    }
    amqp_message_t content;
    if (!is_good(plain, amqp_read_message(plain->conn, CHANNEL_ASK, &content, 0), "an answer"))
        return -1;
    if (method == AMQP_BASIC_DELIVER_METHOD)
        take_answer(plain, &content, on_answer, arg);
    amqp_destroy_message(&content);
    return method == AMQP_BASIC_DELIVER_METHOD; /* a question that comes back has no listener */
}

static bool gather(struct amqp_plain *plain, const struct amqp_plain_question *question,
                   amqp_plain_answer on_answer, void *arg)
{
    int64_t limit = mono_ms() + question->limit_ms, quiet = mono_ms() + question->quiet_ms;
    for (;;) {
        amqp_frame_t frame;
        int64_t left = (quiet < limit ? quiet : limit) - mono_ms();
        struct timeval wait = ms_to_timeval(left > 0 ? left : 0);
        amqp_maybe_release_buffers_on_channel(plain->conn, CHANNEL_ASK);
        int status = left > 0 ? amqp_simple_wait_frame_noblock(plain->conn, &frame, &wait)
                              : AMQP_STATUS_TIMEOUT;
        if (status == AMQP_STATUS_TIMEOUT)
            return true;
        if (status != AMQP_STATUS_OK) {
            snprintf(plain->error, sizeof plain->error, "waiting for answers: %s",
                     amqp_error_string2(status));
            return false;
        }
        int more = take_frame(plain, &frame, on_answer, arg);
        if (more <= 0)
            return more == 0;
        quiet = mono_ms() + question->quiet_ms;
    }
}

bool amqp_plain_ask(struct amqp_plain *plain, const struct amqp_plain_question *question,
                    amqp_plain_answer on_answer, void *arg)
{
    bool exists;
    if (!amqp_plain_exchange_exists(plain, question->exchange, &exists))
        return false;
    if (!exists)
        return true;
    if (!open_for_answers(plain))
        return false;
    char number[16], life[24]; /* whoever gets it later would answer nobody */
    snprintf(number, sizeof number, "%u", ++plain->questions);
    snprintf(life, sizeof life, "%" PRId64, question->limit_ms);
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_REPLY_TO_FLAG |
                                                    AMQP_BASIC_CORRELATION_ID_FLAG |
                                                    AMQP_BASIC_EXPIRATION_FLAG,
                                          .expiration = amqp_text(life),
                                          .reply_to = amqp_text(REPLY_TO),
                                          .correlation_id = amqp_text(number)};
    int status = amqp_basic_publish(plain->conn, CHANNEL_ASK, amqp_text(question->exchange),
                                    amqp_empty_bytes, 1, 0, &properties, amqp_text(question->body));
    if (status != AMQP_STATUS_OK) {
        snprintf(plain->error, sizeof plain->error, "asking: %s", amqp_error_string2(status));
        return false;
    }
    return gather(plain, question, on_answer, arg);
}

bool amqp_plain_purge(struct amqp_plain *plain, const char *queue)
{
    amqp_queue_purge(plain->conn, CHANNEL_GET, amqp_text(queue));
    return last_is_good(plain, queue);
}
