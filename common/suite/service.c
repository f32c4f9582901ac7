/*
 * service.c - the one skeleton of all programs; see service.h
 *
 * Diagnostics: a configuration that is wrong, or an address that can't be listened on, ends the
 * program before it starts, with one line. Nothing that happens later does.
 */
#include "suite/service.h"
#include "version.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "net/http_client.h"
#include "suite/admin.h"

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DRAIN_LIMIT_MS  30000
#define SWITCHES_MAX    8
#define DESCRIPTORS_MAX 65536

struct running {
    struct service service; /* first: service_drained() goes back from it */
    const struct service_description *description;
    struct config config;
    const char *config_path; /* NULL: none */
    void *state;
    bool draining, failed;
    int status; /* of a program that was told to finish */
    struct event *signals[3];
    struct timer *drain_limit;
    struct admin *admin;
    char worker_name[128], connection_name[192];
};

static void usage(const struct service_description *description, FILE *out)
{
    fprintf(
        out,
        "usage: %s [options]\n%s\n\n"
        "  -c, --config FILE    configuration (default: $MTC_CONFIG, or %s if it exists)\n"
        "      --check-config   check the configuration and exit\n"
        "      --print-config   print the configuration in force, passwords left out, and exit\n",
        description->name, description->summary, CONFIG_DEFAULT_PATH);
    for (const struct service_switch *sw = description->switches; sw && sw->name; sw++) {
        char name[64];
        snprintf(name, sizeof name, "--%s%s%s", sw->name, sw->argument ? " " : "",
                 sw->argument ? sw->argument : "");
        fprintf(out, "      %-16s %s\n", name, sw->help);
    }
    fprintf(out, "      --version        print the version and exit\n"
                 "  -h, --help           print this and exit\n");
}

enum { OPT_CHECK = 256, OPT_PRINT, OPT_VERSION, OPT_SWITCH };

struct arguments {
    const char *config_path;
    bool check, print;
    int exit_status; /* -1: go on */
};

static struct arguments parse_arguments(int argc, char **argv,
                                        const struct service_description *description)
{
    struct arguments arguments = {.exit_status = -1};
    struct option options[5 + SWITCHES_MAX + 1] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, OPT_CHECK},
        {"print-config", no_argument, NULL, OPT_PRINT},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, 'h'},
    };
    for (int i = 0; description->switches && description->switches[i].name && i < SWITCHES_MAX; i++)
        options[5 + i] = (struct option){description->switches[i].name,
                                         description->switches[i].argument ? required_argument
                                                                           : no_argument,
                                         NULL, OPT_SWITCH + i};
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1 &&
           arguments.exit_status < 0) {
        if (option == 'c') {
            arguments.config_path = optarg;
        } else if (option == OPT_CHECK) {
            arguments.check = true;
        } else if (option == OPT_PRINT) {
            arguments.print = true;
        } else if (option == OPT_VERSION) {
            printf("%s %s\n", description->name, MTC_VERSION);
            arguments.exit_status = 0;
        } else if (option == 'h') {
            usage(description, stdout);
            arguments.exit_status = 0;
        } else if (option >= OPT_SWITCH && description->switches) {
            if (!description->on_switch(description->switches[option - OPT_SWITCH].name, optarg,
                                        description->choices))
                arguments.exit_status = 2;
        } else {
            fprintf(stderr, "try '%s --help'\n", description->name);
            arguments.exit_status = 2;
        }
    }
    if (arguments.exit_status < 0 && optind < argc) {
        fprintf(stderr, "%s: unexpected argument \"%s\"; try '%s --help'\n", description->name,
                argv[optind], description->name);
        arguments.exit_status = 2;
    }
    return arguments;
}

static void name_worker(struct running *running)
{
    if (*running->config.worker_name) {
        snprintf(running->worker_name, sizeof running->worker_name, "%s",
                 running->config.worker_name);
    } else {
        char host[64] = "host";
        gethostname(host, sizeof host - 1);
        snprintf(running->worker_name, sizeof running->worker_name, "%s:%ld", host, (long)getpid());
    }
    snprintf(running->connection_name, sizeof running->connection_name, "%s %s",
             running->description->name, running->worker_name);
}

static void on_drain_limit(void *arg)
{
    struct running *running = arg;
    log_error("not drained in time; ending anyway, the broker keeps what is open");
    running->failed = true;
    loop_break(running->service.loop);
}

static void on_terminate(evutil_socket_t signal_number, short what, void *arg)
{
    (void)what;
    struct running *running = arg;
    if (running->draining) {
        log_warn("second signal; ending at once", LF_I("signal", signal_number));
        running->failed = true;
        loop_break(running->service.loop);
        return;
    }
    log_info("draining", LF_I("signal", signal_number));
    running->draining = true;
    timer_in(running->drain_limit, DRAIN_LIMIT_MS);
    running->description->drain(running->state);
}

static void on_hangup(evutil_socket_t signal_number, short what, void *arg)
{
    (void)signal_number;
    (void)what;
    struct running *running = arg;
    struct config fresh;
    char error[512];
    if (config_load(&fresh, running->config_path, error, sizeof error)) {
        enum log_level level;
        if (log_level_parse(fresh.log_level, &level))
            log_set_level(level);
        log_info("reloaded: log level and secrets; other options need a restart",
                 LF_S("level", fresh.log_level));
    } else {
        log_error("not reloaded; going on as before", LF_S("reason", error));
    }
    config_free(&fresh);
    if (running->description->reload)
        running->description->reload(running->state);
}

static bool is_ready(const void *arg, const char **why)
{
    const struct running *running = arg;
    if (running->draining) {
        *why = "draining";
        return false;
    }
    return running->description->ready(running->state, why);
}

void service_drained(struct service *service)
{
    log_info("drained");
    loop_stop(service->loop);
}

void service_finish(struct service *service, int status)
{
    ((struct running *)service)->status = status;
    loop_stop(service->loop);
}

/* Connections are descriptors, and the usual soft limit of 1,024 is there for programs that use
 * select(). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t wanted = limit.rlim_max > DESCRIPTORS_MAX ? DESCRIPTORS_MAX : limit.rlim_max;
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("the limit of open files stays as it is", LF_S("reason", strerror(errno)));
}

static void watch_signals(struct running *running)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        running->signals[i] = evsignal_new(loop_events(running->service.loop), numbers[i],
                                           numbers[i] == SIGHUP ? on_hangup : on_terminate,
                                           running);
        if (!running->signals[i])
            out_of_memory(0);
        event_add(running->signals[i], NULL);
    }
    running->drain_limit = timer_new(running->service.loop, on_drain_limit, running);
}

static char *remarks(void *arg)
{
    const struct running *running = arg;
    const struct service_description *description = running->description;
    return description->remarks ? description->remarks(running->state) : NULL;
}

static char *on_order(const char *order, void *arg)
{
    const struct running *running = arg;
    const struct service_description *description = running->description;
    return description->on_order ? description->on_order(running->state, order) : NULL;
}

static void announce(struct running *running, const char *address)
{
    struct presence_settings settings = {.program = running->description->name,
                                         .worker = running->worker_name,
                                         .listen = address,
                                         .metrics = running->service.metrics,
                                         .ready = is_ready,
                                         .remarks = remarks,
                                         .on_order = on_order,
                                         .arg = running};
    running->service.presence = presence_new(&settings);
}

static bool start(struct running *running)
{
    struct service *service = &running->service;
    service->loop = loop_new();
    service->resolver = resolver_new(service->loop);
    service->config = &running->config;
    service->metrics = metrics_new();
    service->worker_name = running->worker_name;
    service->connection_name = running->connection_name;
    service->choices = running->description->choices;
    watch_signals(running);

    const char *address = *(char *const *)((char *)&running->config +
                                           running->description->listen_option);
    bool brief = running->description->is_brief && running->description->is_brief(service->choices);
    if (!brief)
        announce(running, address);
    if (*address && !brief) {
        char error[256];
        running->admin = admin_new(service->loop, address, service->metrics, is_ready, running,
                                   error, sizeof error);
        if (!running->admin) {
            log_error("cannot start", LF_S("reason", error));
            return false;
        }
    }
    running->state = running->description->start(service);
    return running->state != NULL;
}

static void stop(struct running *running)
{
    admin_free(running->admin); /* first: it asks the program whether it is ready */
    if (running->state)
        running->description->stop(running->state);
    presence_free(running->service.presence);
    for (int i = 0; i < 3; i++) {
        if (running->signals[i])
            event_free(running->signals[i]);
    }
    if (running->drain_limit)
        timer_free(running->drain_limit);
    resolver_free(running->service.resolver);
    metrics_free(running->service.metrics);
    loop_free(running->service.loop);
}

static int serve(struct running *running)
{
    name_worker(running);
    raise_descriptor_limit();
    http_client_global_init();
    int status = 1;
    if (start(running)) {
        log_info("started", LF_S("version", MTC_VERSION), LF_S("worker", running->worker_name),
                 LF_I("metrics_port", running->admin ? admin_port(running->admin) : 0));
        loop_run(running->service.loop);
        status = running->failed ? 1 : running->status;
        log_info("ended", LF_I("status", status));
    }
    stop(running);
    http_client_global_cleanup();
    libevent_global_shutdown();
    return status;
}

int service_main(int argc, char **argv, const struct service_description *description)
{
    struct running running = {.description = description};
    char error[512];
    log_init(description->name);
    struct arguments arguments = parse_arguments(argc, argv, description);
    if (arguments.exit_status >= 0)
        return arguments.exit_status;
    running.config_path = arguments.config_path ? arguments.config_path : config_default_path();
    int status;
    if (!config_load(&running.config, running.config_path, error, sizeof error)) {
        fprintf(stderr, "%s: %s\n", description->name, error);
        status = 1;
    } else if (arguments.check) {
        printf("%s: configuration is good\n",
               running.config_path ? running.config_path : "(defaults)");
        status = 0;
    } else if (arguments.print) {
        config_print(&running.config, stdout);
        status = 0;
    } else {
        enum log_level level;
        if (log_level_parse(running.config.log_level, &level))
            log_set_level(level);
        status = description->run_instead
                     ? description->run_instead(&running.config, description->choices)
                     : -1;
        if (status < 0)
            status = serve(&running);
    }
    config_free(&running.config);
    return status;
}
