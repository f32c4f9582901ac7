/* main.c - mtc-sender: from RabbitMQ to MTConnect, in order per machine */
#include "sender.h"
#include "suite/service.h"

int main(int argc, char **argv)
{
    static const struct service_description description = {
        .name = "mtc-sender",
        .summary =
            "Delivers the events in RabbitMQ to MTConnect, in order per machine, with retries.",
        .listen_option = offsetof(struct config, sender_listen),
        .start = sender_start,
        .ready = sender_ready,
        .drain = sender_drain,
        .reload = sender_reload,
        .stop = sender_stop,
        .remarks = sender_remarks,
        .on_order = sender_on_order,
    };
    return service_main(argc, argv, &description);
}
