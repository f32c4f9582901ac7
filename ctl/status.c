/* status.c - mtcctl status and mtcctl top: one screen of how things stand */
#include "status.h"
#include "output.h"
#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

static bool is_well(const json_t *status)
{
    return !status_error(json_object_get(status, "postgres")) &&
           !status_error(json_object_get(status, "events")) &&
           !status_error(json_object_get(status, "rabbitmq"));
}

int status_main(const struct config *config, int argc, char **argv)
{
    static const char help[] = "usage: mtcctl status [--json]\n"
                               "  How things stand: events, queues, programs, the last pull. "
                               "Exit status 1 if PostgreSQL or\n"
                               "  RabbitMQ can't be asked.\n";
    struct ctl ctl = {.config = config};
    int done = ctl_options(argc, argv, help, &ctl.json);
    if (done >= 0)
        return done;
    if (optind < argc)
        return ctl_usage(help, stderr);
    json_t *status = status_collect(&ctl);
    ctl_close(&ctl);
    bool well = is_well(status);
    if (ctl.json) {
        output_json(status);
    } else {
        status_print(status);
        json_decref(status);
    }
    return well ? 0 : 1;
}

/* Whether the screen was written: a reader that has gone ends mtcctl top. */
static bool print_screen(const struct ctl *ctl, json_t *status)
{
    if (ctl->json) {
        json_dumpf(status, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        if (isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout);
        status_print(status);
    }
    return fflush(stdout) == 0;
}

static const char top_help[] =
    "usage: mtcctl top [--interval S] [--count N] [--json]\n"
    "  mtcctl status again and again, every 2 s unless told otherwise, until Ctrl-C (or N times).\n"
    "  With --json one object a line.\n";

/* -1 to go on, or the exit status. */
static int parse_top_options(int argc, char **argv, long *interval_s, long *count, bool *json)
{
    static const struct option options[] = {{"interval", required_argument, NULL, 'i'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'j')
            *json = true;
        else if (option != 'i' && option != 'n')
            return ctl_usage(top_help, option == 'h' ? stdout : stderr);
        else if (!(option == 'i' ? ctl_number("--interval", optarg, 1, interval_s)
                                 : ctl_number("--count", optarg, 1, count)))
            return 2;
    }
    return optind < argc ? ctl_usage(top_help, stderr) : -1;
}

int top_main(const struct config *config, int argc, char **argv)
{
    struct ctl ctl = {.config = config};
    long interval_s = 2, count = 0;
    int done = parse_top_options(argc, argv, &interval_s, &count, &ctl.json);
    if (done >= 0)
        return done;
    bool told = true;
    for (long n = 0; told && (count == 0 || n < count); n++) {
        if (n > 0)
            clock_sleep_ms((int64_t)(unsigned)interval_s * 1000);
        json_t *status = status_collect(&ctl);
        told = print_screen(&ctl, status);
        if (!is_well(status))
            ctl_close(&ctl); /* made again the next time */
        json_decref(status);
    }
    ctl_close(&ctl);
    return told ? 0 : 1;
}
