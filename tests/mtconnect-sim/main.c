/* main.c - mtconnect-sim: options, start, stop; see sim.h */
#include "sim.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/xalloc.h"
#include "suite/config.h"

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int usage(FILE *out)
{
    fprintf(
        out,
        "usage: mtconnect-sim [options]\n"
        "  --listen HOST:PORT      where MTConnect is (default 127.0.0.1:3000)\n"
        "  --control HOST:PORT     where tests steer it; see control.c (default 127.0.0.1:3001)\n"
        "  --mode plan|deployed    what /api/ext/setup takes (default plan)\n"
        "  --cycle plan|deployed   shape of the cycle-time answer (default plan)\n"
        "  --api-key-file FILE     ask for this X-API-Key\n"
        "  --webhook-secret-file FILE  sign web-hooks with this\n"
        "  --cycle-times FILE      known from the start: a JSON array of what POST /cycle takes\n"
        "  --no-key-check          record an event again under a key seen before, instead of\n"
        "                          answering 409\n"
        "  --body-limit BYTES      larger bodies are answered 413 (default 102400)\n"
        "  --idle S                close a connection idle for this long (default 5)\n"
        "  --record-max N          arrivals kept (default 1000000)\n"
        "  --seed N                of the fault rules' dice (default 1)\n");
    return out == stdout ? 0 : 2;
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    loop_stop(arg);
}

struct settings {
    const char *control, *api_key_file, *webhook_secret_file, *cycle_times;
    size_t record_max;
    unsigned seed;
};

static bool parse_mode(const char *text, bool *deployed)
{
    *deployed = strcmp(text, "deployed") == 0;
    return *deployed || strcmp(text, "plan") == 0;
}

/* Exit status, or -1 to go on. */
static int parse(int argc, char **argv, struct sim *sim, struct settings *settings)
{
    enum {
        LISTEN = 256,
        CONTROL,
        MODE,
        CYCLE,
        API_KEY,
        SECRET,
        CYCLE_TIMES,
        NO_CHECK,
        BODY,
        IDLE,
        RECORD,
        SEED
    };
    static const struct option options[] = {{"listen", 1, NULL, LISTEN},
                                            {"control", 1, NULL, CONTROL},
                                            {"mode", 1, NULL, MODE},
                                            {"cycle", 1, NULL, CYCLE},
                                            {"api-key-file", 1, NULL, API_KEY},
                                            {"webhook-secret-file", 1, NULL, SECRET},
                                            {"cycle-times", 1, NULL, CYCLE_TIMES},
                                            {"no-key-check", 0, NULL, NO_CHECK},
                                            {"body-limit", 1, NULL, BODY},
                                            {"idle", 1, NULL, IDLE},
                                            {"record-max", 1, NULL, RECORD},
                                            {"seed", 1, NULL, SEED},
                                            {"help", 0, NULL, 'h'},
                                            {0}};
    int option;
    bool deployed = false, ok = true;
    while (ok && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case LISTEN:
            snprintf(sim->address, sizeof sim->address, "%s", optarg);
            break;
        case CONTROL:
            settings->control = optarg;
            break;
        case MODE:
            ok = parse_mode(optarg, &deployed);
            sim->mode = deployed ? SIM_DEPLOYED : SIM_PLAN;
            break;
        case CYCLE:
            ok = parse_mode(optarg, &sim->deployed_cycle);
            break;
        case API_KEY:
            settings->api_key_file = optarg;
            break;
        case SECRET:
            settings->webhook_secret_file = optarg;
            break;
        case CYCLE_TIMES:
            settings->cycle_times = optarg;
            break;
        case NO_CHECK:
            sim->check_keys = false;
            break;
        case BODY:
            sim->limits.body_max = strtoul(optarg, NULL, 10);
            break;
        case IDLE:
            sim->limits.idle_s = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case RECORD:
            settings->record_max = strtoul(optarg, NULL, 10);
            break;
        case SEED:
            settings->seed = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'h':
            return usage(stdout);
        default:
            ok = false;
        }
    }
    return ok && optind == argc ? -1 : usage(stderr);
}

static bool start(struct sim *sim, const struct settings *settings, char *error, size_t error_size)
{
    struct http_limits control_limits = {.body_max = 1 << 20, .connections_max = 64, .idle_s = 0};
    if (settings->api_key_file &&
        !(sim->api_key = secret_read(settings->api_key_file, error, error_size)))
        return false;
    if (settings->webhook_secret_file &&
        !(sim->webhook_secret = secret_read(settings->webhook_secret_file, error, error_size)))
        return false;
    if (settings->cycle_times &&
        !service_load_cycles(sim, settings->cycle_times, error, error_size))
        return false;
    sim->control = http_server_new(sim->loop, settings->control, &control_limits,
                                   control_on_request, sim, error, error_size);
    if (!sim->control || !service_up(sim, error, error_size))
        return false;
    /* A free port that was picked stays the same through down and up. */
    char *colon = strrchr(sim->address, ':');
    snprintf(colon + 1, sizeof sim->address - (size_t)(colon + 1 - sim->address), "%u",
             http_server_port(sim->server));
    printf("mtconnect-sim: serving on %s, control on port %u\n", sim->address,
           http_server_port(sim->control));
    fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    struct sim sim = {.address = "127.0.0.1:3000",
                      .check_keys = true,
                      .limits = {.body_max = 102400, .connections_max = 20000, .idle_s = 5}};
    struct settings settings = {.control = "127.0.0.1:3001", .record_max = 1000000, .seed = 1};
    char error[256] = "";
    int status = parse(argc, argv, &sim, &settings);
    if (status >= 0)
        return status;
    log_init("mtconnect-sim");
    signal(SIGPIPE, SIG_IGN);
    http_client_global_init();
    sim.loop = loop_new();
    sim.faults = faults_new(&sim, settings.seed);
    sim.record = record_new(settings.record_max);
    sim.webhooks = webhooks_new(&sim);
    sim.cycles = cycles_new();
    struct event *term = evsignal_new(loop_events(sim.loop), SIGTERM, on_signal, sim.loop);
    struct event *interrupt = evsignal_new(loop_events(sim.loop), SIGINT, on_signal, sim.loop);
    if (!term || !interrupt)
        out_of_memory(0);
    event_add(term, NULL);
    event_add(interrupt, NULL);
    bool started = start(&sim, &settings, error, sizeof error);
    if (started)
        loop_run(sim.loop);
    else
        fprintf(stderr, "mtconnect-sim: %s\n", error);
    service_down(&sim);
    http_server_free(sim.control);
    webhooks_free(sim.webhooks);
    faults_free(sim.faults);
    record_free(sim.record);
    cycles_free(sim.cycles);
    for (int i = 0; i < sim.gateway_count; i++)
        free(sim.gateways[i]);
    free(sim.gateways);
    free(sim.api_key);
    free(sim.webhook_secret);
    event_free(term);
    event_free(interrupt);
    loop_free(sim.loop);
    http_client_global_cleanup();
    return started ? 0 : 1;
}
