"""SIGTERM under load."""
import time

import pytest

from flow import Writers, add_machines, check_all_arrived, duplicates
from lib.processes import wait_for


@pytest.mark.parametrize("latency_ms", [5, 1500])
def test_sigterm_under_load_loses_nothing(make_stack, latency_ms):
    stack = make_stack()
    machines = add_machines(stack, 32)
    stack.sim.faults({"action": "delay", "ms": latency_ms})
    producer, sender = stack.producer().wait_ready(), stack.sender().wait_ready()
    writers = Writers(stack, machines, 3000).start()
    wait_for(lambda: stack.sim.stats()["record"]["applied"] > 20, 30, "the flow has begun")
    for service in (sender, producer):
        begun = time.monotonic()
        assert service.stop() == 0, service.text()[-2000:]
        assert time.monotonic() - begun < 30
    writers.join()
    stack.sim.faults()
    stack.producer()
    stack.sender().wait_ready()
    stack.wait_settled()
    assert duplicates(check_all_arrived(stack)) == 0, "what was under way was finished and told"


def test_sigterm_with_everything_down(make_stack, servers):
    stack = make_stack()
    producer, sender = stack.producer().wait_ready(), stack.sender().wait_ready()
    servers.rabbit.stop()
    try:
        wait_for(lambda: not producer.ready() and not sender.ready(), 20, "they noticed")
        assert producer.stop(seconds=10) == 0 and sender.stop(seconds=10) == 0
    finally:
        servers.rabbit.start()


@pytest.mark.campaign
def test_rolling_restart_keeps_order(make_stack):
    stack = make_stack()
    machines = add_machines(stack, 16)
    stack.producer().wait_ready()
    senders = [stack.sender(f"sender-{n}").wait_ready() for n in range(3)]
    writers = Writers(stack, machines, 6000, rate=1500).start()
    rounds = 0
    while writers.is_alive():
        for sender in senders:
            assert sender.stop() == 0
            sender.start().wait_ready()
        rounds += 1
    writers.join()
    stack.wait_settled()
    assert duplicates(check_all_arrived(stack)) == 0 and rounds >= 1
