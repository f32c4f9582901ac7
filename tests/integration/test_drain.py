"""SIGTERM under load."""
import time

import pytest

from lib.flow import Writers, add_machines, check_all_arrived, duplicates
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


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_full_windows_come_back_in_order(make_stack, how):
    """A backlog much larger than the window, and senders that go one after the other with all of it
    held."""
    stack = make_stack(sender__prefetch=100)
    machines = add_machines(stack, 16)
    stack.sim.faults({"action": "delay", "ms": 5})
    stack.producer().wait_ready()
    with stack.connect() as pg:
        pg.execute("SELECT count(mtc.emit('setup', 'M-' || lpad((1 + n % 16)::text, 3, '0'), "
                   "'setup.started', '{}'))"
                   " FROM generate_series(1, 6000) n")
    wait_for(lambda: stack.states() == {"published": 6000}, 30, "the backlog stands in the broker")
    for n in range(4):
        goal = stack.sim.stats()["record"]["applied"] + 500
        sender = stack.sender(f"sender-{n}").wait_ready()
        wait_for(lambda: stack.sim.stats()["record"]["applied"] > goal, 30, "it works")
        getattr(sender, how)()
    stack.sender().wait_ready()
    stack.wait_settled()
    stats = check_all_arrived(stack)
    # A killed sender costs a machine at most its request in flight and one whose sent key was not
    # yet on its way.
    assert duplicates(stats) <= (4 * 2 * len(machines) if how == "kill" else 0)


def test_events_held_too_long_go_back_in_order(make_stack):
    """As when MTConnect asks for a longer pause than the broker lets us hold a delivery."""
    stack = make_stack(sender__hold_max_s=1)
    stack.sim.faults({"action": "status", "status": 503, "retry_after": 5, "machine": "SR-26",
                      "count": 3})
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    for _ in range(20):
        stack.emit("SR-26")
        stack.emit("SR-25")
    assert stack.wait_settled() == {"delivered": 40}
    assert duplicates(check_all_arrived(stack)) == 0
    assert sender.text().count("held for long") >= 2
