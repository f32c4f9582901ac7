/* main.c - mtc-scheduler: cycle times from MTConnect into PostgreSQL */
#include "scheduler.h"
#include "suite/service.h"

static bool on_switch(const char *name, const char *argument, void *choices)
{
    (void)name; /* there is one */
    (void)argument;
    ((struct scheduler_choices *)choices)->once = true;
    return true;
}

static bool is_once(const void *choices)
{
    return ((const struct scheduler_choices *)choices)->once;
}

int main(int argc, char **argv)
{
    static const struct service_switch switches[] = {
        {"once", NULL,
         "make one pull now, whenever the last was, and exit: 0 if any machine answered"},
        {0},
    };
    struct scheduler_choices choices = {.once = false};
    const struct service_description description = {
        .name = "mtc-scheduler",
        .summary =
            "Pulls the machines' cycle times from MTConnect, and applies what web-hooks brought.",
        .listen_option = offsetof(struct config, scheduler_listen),
        .switches = switches,
        .choices = &choices,
        .on_switch = on_switch,
        .is_brief = is_once,
        .start = scheduler_start,
        .ready = scheduler_ready,
        .drain = scheduler_drain,
        .reload = scheduler_reload,
        .stop = scheduler_stop,
    };
    return service_main(argc, argv, &description);
}
