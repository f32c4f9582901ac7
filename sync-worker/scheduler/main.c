/* main.c - mtc-scheduler: cycle times from MTConnect into PostgreSQL */
#include "scheduler.h"
#include "suite/service.h"

static bool on_switch(const char *name, const char *argument)
{
    (void)name; /* there is one */
    (void)argument;
    scheduler_once();
    return true;
}

int main(int argc, char **argv)
{
    static const struct service_switch switches[] = {
        {"once", NULL,
         "make one pull now, whenever the last was, and exit: 0 if any machine answered"},
        {0},
    };
    static const struct service_description description = {
        .name = "mtc-scheduler",
        .summary =
            "Pulls the machines' cycle times from MTConnect, and applies what web-hooks brought.",
        .listen_option = offsetof(struct config, scheduler_listen),
        .switches = switches,
        .on_switch = on_switch,
        .is_brief = scheduler_is_once,
        .start = scheduler_start,
        .ready = scheduler_ready,
        .drain = scheduler_drain,
        .reload = scheduler_reload,
        .stop = scheduler_stop,
    };
    return service_main(argc, argv, &description);
}
