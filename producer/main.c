/* main.c - mtc-producer: from the outbox in PostgreSQL to RabbitMQ, and the outcomes back */
#include "import.h"
#include "producer.h"
#include "suite/service.h"

#include <string.h>

struct choices {
    const char *import_path; /* NULL: relay */
    bool import_strict;
};

static bool on_switch(const char *name, const char *argument, void *arg)
{
    struct choices *choices = arg;
    if (strcmp(name, "import") == 0)
        choices->import_path = argument;
    else
        choices->import_strict = true;
    return true;
}

static int run_instead(const struct config *config, const void *arg)
{
    const struct choices *choices = arg;
    return choices->import_path ? import_run(config, choices->import_path, choices->import_strict)
                                : -1;
}

int main(int argc, char **argv)
{
    static const struct service_switch switches[] = {
        {"import", "FILE",
         "emit the events in FILE (- is standard input), one JSON object a line, and exit"},
        {"strict", NULL, "with --import: all lines or none"},
        {0},
    };
    struct choices choices = {0};
    const struct service_description description = {
        .name = "mtc-producer",
        .summary =
            "Relays the outbox in PostgreSQL to RabbitMQ, and the outcomes back into the ledger.",
        .listen_option = offsetof(struct config, producer_listen),
        .switches = switches,
        .choices = &choices,
        .on_switch = on_switch,
        .run_instead = run_instead,
        .start = producer_start,
        .ready = producer_ready,
        .drain = producer_drain,
        .stop = producer_stop,
    };
    return service_main(argc, argv, &description);
}
