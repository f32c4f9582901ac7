/* dead_show.c - a dead letter, as JSON for programs or as text for people; see dead.h */
#include "dead.h"
#include "output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    return value ? value : json_string("(no UTF-8)");
}

json_t *letter_json(const struct letter *letter, bool whole)
{
    const struct dead_letter_told *told = &letter->told;
    json_t *json = json_object();
    json_object_set_new(json, "id", text_json(told->id));
    json_object_set_new(json, "machine", text_json(told->machine));
    json_object_set_new(json, "kind", text_json(told->kind));
    json_object_set_new(json, "type", text_json(told->type));
    json_object_set_new(json, "reason", text_json(told->reason));
    json_object_set_new(json, "attempts", json_integer(told->attempts));
    json_object_set_new(json, "status", json_integer(told->status));
    json_object_set_new(json, "seq", json_integer(told->seq));
    if (whole) {
        amqp_bytes_t body = letter->message.content.body;
        json_t *text = json_stringn(body.bytes, body.len);
        json_object_set_new(json, "path", text_json(told->path));
        json_object_set_new(json, "response", text_json(told->response));
        json_object_set_new(json, "body", text ? text : json_string("(no UTF-8)"));
    }
    return json;
}

void letter_print(const struct letter *letter, bool whole)
{
    const struct dead_letter_told *told = &letter->told;
    bool says_attempts = told->attempts <= 1 || strstr(told->reason, "attempts");
    printf("%-36s  %-12s  %-20s  %s%s\n", *told->id ? told->id : "-",
           *told->machine ? told->machine : "-", *told->type ? told->type : told->kind,
           told->reason, says_attempts ? "" : " (after several attempts)");
    if (!whole)
        return;
    char *body = output_clean(letter->message.content.body.bytes, letter->message.content.body.len);
    printf("  path      %s\n", told->path);
    printf("  row       %" PRId64 "\n", told->seq);
    printf("  attempts  %" PRId64 "\n", told->attempts);
    printf("  status    %" PRId64 "\n", told->status);
    printf("  response  %s\n", told->response);
    printf("  body      %s\n", body);
    free(body);
}
