/* test_one_process.c - the four programs, twice each, in one process on one loop */
#include "unit.h"
#include "producer.h"
#include "receiver.h"
#include "scheduler.h"
#include "sender.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

struct program {
    void *(*start)(struct service *service);
    void (*stop)(void *state);
};

struct instance {
    struct service service;
    void *state;
};

/* One for all: only the scheduler has choices. */
static const struct scheduler_choices choices = {.once = false};

static void set_up(struct service *service, struct loop *loop, const struct config *config)
{
    memset(service, 0, sizeof *service);
    service->loop = loop;
    service->resolver = resolver_new(loop);
    service->config = config;
    service->metrics = metrics_new();
    service->worker_name = "one";
    service->connection_name = "test one";
    service->choices = &choices;
}

static void they_start_and_stop_side_by_side(void **state)
{
    (void)state;
    static const struct program programs[] = {{producer_start, producer_stop},
                                              {sender_start, sender_stop},
                                              {scheduler_start, scheduler_stop},
                                              {receiver_start, receiver_stop}};
    struct instance instances[8];
    struct config config;
    char error[256], port[] = "127.0.0.1:0";
    log_init("test");
    assert_true(config_load(&config, NULL, error, sizeof error));
    free(config.receiver_hook_listen);
    config.receiver_hook_listen = port;
    struct loop *loop = loop_new();
    for (int i = 0; i < 8; i++) {
        set_up(&instances[i].service, loop, &config);
        instances[i].state = programs[i % 4].start(&instances[i].service);
        assert_non_null(instances[i].state);
    }
    for (int i = 7; i >= 0; i--) {
        programs[i % 4].stop(instances[i].state);
        resolver_free(instances[i].service.resolver);
        metrics_free(instances[i].service.metrics);
    }
    loop_free(loop);
    config.receiver_hook_listen = NULL;
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(they_start_and_stop_side_by_side)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
