"""Servers go away and come back in mid-flow."""
import pytest

from lib.flow import Writers, add_machines, check_all_arrived, duplicates
from lib.processes import wait_for


def start_flow(stack, events=4000):
    machines = add_machines(stack, 16)
    services = [stack.producer(), stack.sender(), stack.sender()]
    for service in services:
        service.wait_ready()
    return services, Writers(stack, machines, events, rate=1000).start()


def in_mid_flow(stack, events=500):
    wait_for(lambda: stack.sim.stats()["record"]["applied"] >= events, 240, "the flow has begun")


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_rabbitmq_restarted(stack, servers, how):
    # RabbitMQ writes down which quorum queues it has some time after it has made them (seen on
    # 3.10.8: a queue made within the second before a crash is never there again), so the flow runs
    # for seconds before the blow.
    services, writers = start_flow(stack, events=6000)
    in_mid_flow(stack, 4000)
    getattr(servers.rabbit, how)()
    writers.join()  # the application does not notice
    servers.rabbit.start()
    stack.wait_settled(90)
    check_all_arrived(stack)
    assert all(service.is_running() for service in services)


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_postgresql_restarted(stack, servers, how):
    services, _ = start_flow(stack, events=2000)
    in_mid_flow(stack)
    getattr(servers.postgres, how)()  # ends the writers' sessions too
    servers.postgres.start()
    Writers(stack, [f"M-{n:03}" for n in range(1, 17)], 1000).start().join()
    stack.wait_settled(90)
    check_all_arrived(stack)
    assert all(service.is_running() for service in services)


def test_redis_restarted(stack, servers):
    services, writers = start_flow(stack)
    in_mid_flow(stack)
    servers.redis.stop()
    wait_for(lambda: "lost Redis" in services[1].text(), 20, "a warning")
    servers.redis.start()
    writers.join()
    stack.wait_settled()
    assert duplicates(check_all_arrived(stack)) == 0
    assert all(service.is_running() for service in services)


def test_everything_unreachable_at_start(make_stack, servers):
    stack = make_stack()
    stack.emit("SR-26")
    servers.rabbit.stop()
    servers.redis.stop()
    producer, sender = stack.producer(), stack.sender()
    wait_for(lambda: "cannot reach RabbitMQ" in producer.text()
             and "cannot reach RabbitMQ" in sender.text(), 20, "it is said")
    assert not producer.ready() and not sender.ready()
    servers.redis.start()
    servers.rabbit.start()
    stack.wait_settled()
    check_all_arrived(stack)


def test_mtconnect_down_burns_no_attempt(make_stack):
    stack = make_stack(sender__retry_delays_s='"0.1,0.1"', sender__breaker_pause_min_ms=50,
                       sender__breaker_pause_max_ms=200)
    machines = add_machines(stack, 8)
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    stack.sim.call("POST", "/down")
    Writers(stack, machines, 200).start().join()
    wait_for(lambda: sender.metrics()["mtc_sender_breaker_open"] == 1, 20, "the breaker opens")
    # Ten times as many probes as an event has attempts.
    wait_for(lambda: sender.metrics()['mtc_sender_answers_total{class="none"}'] > 30, 60,
             "it goes on knocking")
    stack.sim.call("POST", "/up")
    assert stack.wait_settled() == {"delivered": 200}
    check_all_arrived(stack)
    assert sender.metrics()["mtc_sender_dead_total"] == 0
