/* http_client.c - many HTTP requests at once, in the program's own event loop; see http_client.h */
#include "net/http_client.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BODY_ENOUGH (1u << 20) /* past this an answer is cut off: nobody reads it */
#define TOO_LARGE   "the answer is larger than 1 MiB"

struct transfer {
    struct http_client *client;
    CURL *easy;
    struct curl_slist
        headers[HTTP_HEADERS_MAX]; /* libcurl reads a list, it need not have made it */
    char *body;
    size_t body_len, body_room, keep;
    size_t received;
    char etag[128];
    bool status_read;
    http_done done;
    void *arg;
    struct transfer *next; /* free or busy list */
    struct transfer *previous;
};

struct http_client {
    struct loop *loop;
    struct http_client_settings settings;
    CURLM *multi;
    struct timer *timer;
    struct transfer *spare, *busy;
    int under_way;
};

static void collect(struct http_client *client);

static void drive(struct http_client *client, curl_socket_t fd, int mask)
{
    int running;
    CURLMcode code = curl_multi_socket_action(client->multi, fd, mask, &running);
    if (code != CURLM_OK)
        log_error("libcurl", LF_S("reason", curl_multi_strerror(code)));
    collect(client);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    drive(arg, fd,
          ((what & EV_READ) ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0));
}

static void on_timer(void *arg)
{
    drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct http_client *client = arg;
    if (ms < 0) {
        timer_cancel(client->timer);
    } else {
        timer_in(client->timer, ms);
    }
    return 0;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_state)
{
    (void)easy;
    struct http_client *client = arg;
    struct event *event = socket_state;
    if (what == CURL_POLL_REMOVE) {
        if (event)
            event_free(event);
        return 0;
    }
    short wanted = EV_PERSIST;
    if (what & CURL_POLL_IN)
        wanted |= EV_READ;
    if (what & CURL_POLL_OUT)
        wanted |= EV_WRITE;
    if (event && event_get_events(event) == wanted)
        return 0;
    if (event)
        event_free(event);
    event = event_new(loop_events(client->loop), fd, wanted, on_socket, client);
    if (!event)
        out_of_memory(0);
    event_add(event, NULL);
    curl_multi_assign(client->multi, fd, event);
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t len = size * count;
    transfer->received += len;
    if (transfer->received > BODY_ENOUGH)
        return 0; /* ends the transfer */
    size_t room = transfer->keep - transfer->body_len;
    size_t part = len < room ? len : room;
    if (transfer->body_len + part + 1 > transfer->body_room) {
        transfer->body_room = transfer->body_len + part + 1;
        transfer->body = xrealloc(transfer->body, transfer->body_room);
    }
    memcpy(transfer->body + transfer->body_len, data, part);
    transfer->body_len += part;
    transfer->body[transfer->body_len] = '\0';
    return len;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t len = size * count;
    if (len >= 5 && strncasecmp(data, "HTTP/", 5) == 0) {
        transfer->status_read = true; /* a whole line is in, or libcurl would not have called */
    } else if (len > 6 && strncasecmp(data, "etag:", 5) == 0) {
        size_t start = 5;
        while (start < len && (data[start] == ' ' || data[start] == '\t'))
            start++;
        size_t end = len;
        while (end > start &&
               (data[end - 1] == '\r' || data[end - 1] == '\n' || data[end - 1] == ' '))
            end--;
        if (end - start < sizeof transfer->etag) {
            memcpy(transfer->etag, data + start, end - start);
            transfer->etag[end - start] = '\0';
        }
    }
    return len;
}

static void set_up_easy(struct transfer *transfer)
{
    const struct http_client_settings *settings = &transfer->client->settings;
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)settings->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)settings->idle_s);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, settings->user_agent);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
}

static struct transfer *take_transfer(struct http_client *client)
{
    struct transfer *transfer = client->spare;
    if (transfer) {
        client->spare = transfer->next;
    } else {
        transfer = xcalloc(1, sizeof *transfer);
        transfer->client = client;
        transfer->easy = curl_easy_init();
        if (!transfer->easy)
            out_of_memory(0);
        set_up_easy(transfer);
    }
    transfer->next = client->busy;
    transfer->previous = NULL;
    if (client->busy)
        client->busy->previous = transfer;
    client->busy = transfer;
    client->under_way++;
    return transfer;
}

static void spare_transfer(struct transfer *transfer)
{
    struct http_client *client = transfer->client;
    if (transfer->previous)
        transfer->previous->next = transfer->next;
    else
        client->busy = transfer->next;
    if (transfer->next)
        transfer->next->previous = transfer->previous;
    transfer->next = client->spare;
    client->spare = transfer;
}

static void set_request(struct transfer *transfer, const struct http_request *request)
{
    CURL *easy = transfer->easy;
    int count = 0;
    while (count < HTTP_HEADERS_MAX && request->headers[count]) {
        transfer->headers[count].data = xstrdup(request->headers[count]);
        transfer->headers[count].next = NULL;
        if (count)
            transfer->headers[count - 1].next = &transfer->headers[count];
        count++;
    }
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, count ? transfer->headers : NULL);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh ? 1L : 0L);
    if (strcmp(request->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
}

static void forget_request(struct transfer *transfer)
{
    for (int i = 0; i < HTTP_HEADERS_MAX && transfer->headers[i].data; i++) {
        free(transfer->headers[i].data);
        transfer->headers[i].data = NULL;
    }
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, (struct curl_slist *)NULL);
}

bool http_client_start(struct http_client *client, const struct http_request *request,
                       http_done done, void *arg)
{
    if (!http_client_has_room(client))
        return false;
    struct transfer *transfer = take_transfer(client);
    transfer->done = done;
    transfer->arg = arg;
    transfer->body_len = transfer->received = 0;
    transfer->keep = request->keep_body > HTTP_HEAD_BYTES ? request->keep_body : HTTP_HEAD_BYTES;
    transfer->etag[0] = '\0';
    transfer->status_read = false;
    set_request(transfer, request);
    CURLMcode code = curl_multi_add_handle(client->multi, transfer->easy);
    if (code != CURLM_OK) { /* a handle of ours in a multi of ours: our bug, or no memory */
        log_error("libcurl", LF_S("reason", curl_multi_strerror(code)));
        abort();
    }
    return true;
}

/* Past `ready_us` the request could go, 0 meaning never. */
static enum http_end end_of(CURLcode code, curl_off_t ready_us)
{
    switch (code) {
    case CURLE_OK:
        return HTTP_COMPLETE;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_NO_NAME;
    case CURLE_COULDNT_CONNECT:
        return HTTP_NO_CONNECTION;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return HTTP_NO_TLS;
    case CURLE_OPERATION_TIMEDOUT:
        return ready_us ? HTTP_TIMED_OUT : HTTP_NO_CONNECTION;
    default:
        return HTTP_BROKEN;
    }
}

static const char *error_of(const struct transfer *transfer, CURLcode code)
{
    if (code == CURLE_OK)
        return "";
    return transfer->received > BODY_ENOUGH ? TOO_LARGE : curl_easy_strerror(code);
}

static void finish(struct transfer *transfer, CURLcode code)
{
    long connects = 0, status = 0, header_bytes = 0;
    curl_off_t retry_after = 0, total_us = 0, ready_us = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(transfer->easy, CURLINFO_HEADER_SIZE, &header_bytes);
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
    curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &total_us);
    curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
    curl_multi_remove_handle(transfer->client->multi, transfer->easy);
    struct http_result result = {
        .status = transfer->status_read ? status : 0,
        .end = end_of(code, ready_us),
        .error = error_of(transfer, code),
        .reused = connects == 0,
        .nothing_read = header_bytes == 0 && transfer->received == 0,
        .retry_after_s = retry_after,
        .body = transfer->body_len ? transfer->body : "",
        .body_len = transfer->body_len,
        .etag = transfer->etag,
        .seconds = (double)total_us / 1e6,
    };
    forget_request(transfer);
    transfer->client->under_way--; /* its place is free, for a repeat from inside the callback */
    transfer->done(&result, transfer->arg);
    if (transfer->body_room > 16384) { /* one large answer is no reason to keep its room for ever */
        free(transfer->body);
        transfer->body = NULL;
        transfer->body_room = 0;
    }
    spare_transfer(transfer);
}

static void collect(struct http_client *client)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        struct transfer *transfer = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        finish(transfer, code);
    }
}

struct http_client *http_client_new(struct loop *loop, const struct http_client_settings *settings)
{
    struct http_client *client = xcalloc(1, sizeof *client);
    client->loop = loop;
    client->settings = *settings;
    client->timer = timer_new(loop, on_timer, client);
    client->multi = curl_multi_init();
    if (!client->multi)
        out_of_memory(0);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    /* Without this libcurl keeps a cache sized by the handles of the moment and closes the rest. */
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)settings->connections);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    while (client->busy) {
        struct transfer *transfer = client->busy;
        curl_multi_remove_handle(client->multi, transfer->easy);
        forget_request(transfer);
        spare_transfer(transfer);
    }
    while (client->spare) {
        struct transfer *transfer = client->spare;
        client->spare = transfer->next;
        curl_easy_cleanup(transfer->easy);
        free(transfer->body);
        free(transfer);
    }
    curl_multi_cleanup(client->multi); /* closes the connections, which takes their events along */
    timer_free(client->timer);
    free(client);
}

bool http_client_has_room(const struct http_client *client)
{
    return client->under_way < client->settings.connections;
}

int http_client_under_way(const struct http_client *client)
{
    return client->under_way;
}

size_t http_client_held(const struct http_client *client)
{
    size_t bytes = 0;
    for (const struct transfer *transfer = client->busy; transfer; transfer = transfer->next)
        bytes += transfer->body_room;
    return bytes;
}

char *http_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    if (!escaped)
        out_of_memory(0);
    char *copy = xstrdup(escaped);
    curl_free(escaped);
    return copy;
}

void http_client_global_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        out_of_memory(0); /* nothing else makes it fail */
}

void http_client_global_cleanup(void)
{
    curl_global_cleanup();
}
