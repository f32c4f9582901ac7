/* main.c - mtc-receiver: web-hooks from MTConnect onto the broker */
#include "receiver.h"
#include "suite/service.h"

int main(int argc, char **argv)
{
    static const struct service_description description = {
        .name = "mtc-receiver",
        .summary = "Takes MTConnect's web-hooks: checks them, "
                   "and hands them to RabbitMQ before it says so.",
        .listen_option = offsetof(struct config, receiver_listen),
        .start = receiver_start,
        .ready = receiver_ready,
        .drain = receiver_drain,
        .reload = receiver_reload,
        .stop = receiver_stop,
    };
    return service_main(argc, argv, &description);
}
