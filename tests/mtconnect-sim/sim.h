/*
 * sim.h - mtconnect-sim: stands in for the MTConnect service, checks the contract strictly, breaks
 * on demand
 *
 *   main.c      options, start, stop
 *   contract.c  is this request what MTConnect takes?
 *   service.c   the endpoints: /api/ext/setup, /event, /machines/{name}/cycle-time,
 *               /api/v1/webhooks
 *   faults.c    rules that break answers
 *   record.c    what arrived, in what order
 *   webhook.c   registrations, and sending signed web-hooks
 *   control.c   the port tests steer it by
 */
#ifndef SIM_H
#define SIM_H

#include "base/timer.h"
#include "net/http_client.h"
#include "net/http_server.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum sim_mode { SIM_PLAN, SIM_DEPLOYED };

struct faults;
struct record;
struct webhooks;
struct cycles;

struct sim {
    struct loop *loop;
    enum sim_mode mode;
    bool check_keys;     /* answer 409 for a key seen before */
    bool deployed_cycle; /* shape of the cycle-time answer */
    char *api_key;       /* NULL: none is asked for */
    char *webhook_secret;
    char address[64]; /* where the service listens; the port is filled in once known */
    struct http_limits limits;
    struct http_server *server; /* NULL: down */
    struct http_server *control;
    struct faults *faults;
    struct record *record;
    struct webhooks *webhooks;
    struct cycles *cycles;
    char **gateways; /* ids that have registered */
    int gateway_count;
};

/* service.c */
void service_on_request(struct http_exchange *exchange, void *arg);
enum answer_end { ANSWER_WHOLE, ANSWER_LOST, ANSWER_TRUNCATED };
void service_process(struct sim *sim, struct http_exchange *exchange, enum answer_end end);
bool service_set_cycle(struct sim *sim, json_t *told); /* false: not understood */
/* From a file that holds an array of what POST /cycle takes; see control.c. */
bool service_load_cycles(struct sim *sim, const char *path, char *error, size_t error_size);
struct cycles *cycles_new(void);
void cycles_free(struct cycles *cycles);
bool service_up(struct sim *sim, char *error, size_t error_size);
void service_down(struct sim *sim);

/* contract.c: NULL, or what is wrong */
struct contract_answer {
    unsigned status; /* 0: fine */
    char message[256];
};
struct contract_event { /* borrowed from the parsed body */
    const char *machine, *type, *key;
};
/* Checks headers and parses the body; NULL with answer->status set if it breaks the contract. */
json_t *contract_read(const struct sim *sim, struct http_exchange *exchange,
                      struct contract_answer *answer);
bool contract_event(const json_t *body, bool on_setup_path, enum sim_mode mode,
                    struct contract_event *out, struct contract_answer *answer);
bool contract_gateway(const json_t *body, struct contract_answer *answer);
bool contract_key(struct http_exchange *exchange, const char **key, struct contract_answer *answer);
bool contract_api_key(const struct sim *sim, struct http_exchange *exchange,
                      struct contract_answer *answer);
bool contract_is_time(const char *text);

/* faults.c */
struct fault_request {
    const char *path, *machine, *type; /* NULL where not known */
};
struct faults *faults_new(struct sim *sim, unsigned seed);
void faults_free(struct faults *faults);
bool faults_set(struct faults *faults, json_t *rules, char *error, size_t error_size);
/* True if a rule took the exchange over. */
bool faults_apply(struct faults *faults, struct http_exchange *exchange,
                  const struct fault_request *request);
bool faults_any(const struct faults *faults);
void faults_drop_waiting(
    struct faults *faults); /* the server is about to go, and its exchanges with it */
void faults_count(const struct faults *faults, FILE *out);

/* record.c */
struct record *record_new(size_t most);
void record_free(struct record *record);
void record_clear(struct record *record);
/* True if this key was applied before. */
bool record_is_applied(const struct record *record, const char *key);
void record_add(struct record *record, const char *machine, const char *type, const char *key,
                unsigned status, bool applied, const char *note);
void record_violation(struct record *record, const char *path, const char *what);
void record_print(const struct record *record, size_t since, FILE *out);
void record_stats(const struct record *record, FILE *out); /* JSON object */

/* webhook.c */
struct webhooks *webhooks_new(struct sim *sim);
void webhooks_free(struct webhooks *webhooks);
/* True if it is new. */
bool webhooks_register(struct webhooks *webhooks, const char *url);
bool webhooks_send(struct webhooks *webhooks, json_t *told, char *error, size_t error_size);
void webhooks_stats(const struct webhooks *webhooks, FILE *out);

/* control.c */
void control_on_request(struct http_exchange *exchange, void *arg);

#endif
