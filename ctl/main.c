/* main.c - mtcctl: the tool for people */
#include "ctl.h"
#include "migrate.h"
#include "ready.h"
#include "version.h"
#include "suite/config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct verb {
    const char *name, *help;
    int (*run)(const struct config *config, int argc, char **argv);
};

static const struct verb verbs[] = {
    {"status", "how things stand: events, queues, programs, the last pull", status_main},
    {"top", "the same, again and again", top_main},
    {"events", "the ledger: what became of each event", events_main},
    {"dead", "list, show, put back or drop dead letters", dead_main},
    {"replay", "send events again", replay_main},
    {"audit", "is every event accounted for?", audit_main},
    {"doctor", "look at every dependency, and say what to do", doctor_main},
    {"pause", "senders stop sending; events wait", pause_main},
    {"resume", "senders go on", resume_main},
    {"skip", "an event that is not taken becomes a dead letter by hand", skip_main},
    {"restored", "PostgreSQL was restored from a backup: no number is given twice", restored_main},
    {"migrate", "bring schema mtc in PostgreSQL to this program's version", migrate_main},
    {"ready", "ask a program on this machine whether it is ready", ready_main},
    {"options", "all configuration options, as Markdown", options_main},
    {"metrics", "all metrics of all programs, as Markdown", metrics_main},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

static int usage(FILE *out)
{
    fprintf(out, "usage: mtcctl [-c FILE] VERB [options]\n\n");
    for (size_t i = 0; i < VERBS; i++)
        fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].help);
    fprintf(out,
            "\n  -c, --config FILE  configuration (default: $MTC_CONFIG, or %s if it exists)\n"
            "      --version      print the version and exit\n",
            CONFIG_DEFAULT_PATH);
    return out == stdout ? 0 : 2;
}

static int run_verb(const struct verb *verb, const char *config_path, int argc, char **argv)
{
    struct config config;
    char error[512];
    int status = 1;
    if (config_load(&config, config_path ? config_path : config_default_path(), error,
                    sizeof error))
        status = verb->run(&config, argc, argv);
    else
        fprintf(stderr, "mtcctl: %s\n", error);
    config_free(&config);
    return status;
}

/* What was to be printed and could not be, on a full disk for one, is not "done". */
static int status_of_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "mtcctl: standard output could not be written\n");
    return status ? status : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *config_path = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "+c:h", options, NULL)) != -1) {
        if (option == 'c')
            config_path = optarg;
        else if (option == 'v')
            return printf("mtcctl %s\n", MTC_VERSION) < 0;
        else
            return usage(option == 'h' ? stdout : stderr);
    }
    if (optind == argc)
        return usage(stderr);
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, argv[optind]) == 0)
            return status_of_output(run_verb(&verbs[i], config_path, argc - optind, argv + optind));
    }
    fprintf(stderr, "mtcctl: there is no verb \"%s\"; try 'mtcctl --help'\n", argv[optind]);
    return 2;
}
