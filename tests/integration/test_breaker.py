"""The breaker: trouble of the destination holds events, trouble of an event is its own. See
Verdicts in docs/architecture.md."""
import time

import pytest

from lib.flow import Writers, add_machines, check_all_arrived
from lib.processes import wait_for
from lib.stack import QUICK_RETRIES

QUICK = {"sender__breaker_pause_min_ms": 50, "sender__breaker_pause_max_ms": 200}
DELIVERY_TIMEOUT_S = 30


def run_programs(stack):
    stack.producer().wait_ready()
    return stack.sender().wait_ready()


def opened(sender):
    return sender.metrics()["mtc_sender_breaker_opened_total"]


@pytest.fixture
def impatient_rabbit(servers):
    """A broker that takes back what is not acknowledged within half a minute; 30 minutes is the
    default. Channels read both numbers when they are opened."""
    servers.rabbit.control("eval", "application:set_env(rabbit, consumer_timeout, "
                           f"{DELIVERY_TIMEOUT_S * 1000}),"
                           " application:set_env(rabbit, channel_tick_interval, 2000).")
    yield servers.rabbit
    servers.rabbit.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000),"
                           " application:set_env(rabbit, channel_tick_interval, 60000).")


def test_down_for_longer_than_the_broker_lets_events_be_held(make_stack, impatient_rabbit):
    """One sender hands its events back in time. Another, which is told to hold them for longer,
    shows that the broker means it, and that even this costs nothing."""
    patient = make_stack(sender__hold_max_s=DELIVERY_TIMEOUT_S * 2 // 3, **QUICK)
    stubborn = make_stack(sender__hold_max_s=1500, **QUICK)
    senders = []
    for stack in (patient, stubborn):
        stack.sim.call("POST", "/down")
        senders.append(run_programs(stack))
        Writers(stack, add_machines(stack, 8), 200).start().join()
    down_since = time.monotonic()
    wait_for(lambda: all(sender.metrics()["mtc_sender_breaker_open"] for sender in senders), 20,
             "the breakers open")
    wait_for(lambda: "timed out" in senders[1].text(), DELIVERY_TIMEOUT_S * 2,
             "the broker loses patience")
    wait_for(lambda: senders[0].text().count("held for long") >= 2, DELIVERY_TIMEOUT_S * 2,
             "handed back twice")
    assert time.monotonic() - down_since > DELIVERY_TIMEOUT_S
    assert "timed out" not in senders[0].text()
    for stack, sender in zip((patient, stubborn), senders):
        stack.sim.call("POST", "/up")
        assert stack.wait_settled(60) == {"delivered": 200}
        check_all_arrived(stack)
        assert sender.metrics()["mtc_sender_dead_total"] == 0


@pytest.mark.parametrize("fault",
                         [{"action": "status", "status": 500}, {"action": "hang"},
                          {"action": "close"}, {"action": "status", "status": 403},
                          {"action": "status", "status": 422}])
def test_poison_never_opens_it(make_stack, fault):
    """While other machines show that MTConnect lives; it dies, and costs its machine alone."""
    stack = make_stack(mtconnect__timeout_ms=300, **QUICK_RETRIES, **QUICK)
    stack.sim.faults(dict(fault, type="setup.poison"))
    sender = run_programs(stack)
    machines = add_machines(stack, 7)
    others = Writers(stack, machines[1:], 100000, rate=50).start()
    for _ in range(2):
        stack.emit(machines[0], "setup.poison")
        stack.emit(machines[0])
    wait_for(lambda: stack.states().get("dead") == 2, 60, "both are dead")
    others.stop()
    others.join()
    stack.wait_settled()
    check_all_arrived(stack, dead=2)
    assert opened(sender) == 0


def test_flapping_destination(make_stack):
    """Up for a moment, down for a moment: it opens and closes, no event is dead, order is kept."""
    stack = make_stack(**QUICK)
    sender = run_programs(stack)
    writers = Writers(stack, add_machines(stack, 8), 2000, rate=200).start()
    while writers.is_alive() or opened(sender) < 3:
        before = opened(sender)
        stack.sim.call("POST", "/down")
        wait_for(lambda: opened(sender) > before or not writers.is_alive(), 30, "it opens")
        stack.sim.call("POST", "/up")
        wait_for(lambda: sender.metrics()["mtc_sender_breaker_open"] == 0, 30, "it closes")
    writers.join()
    assert stack.wait_settled() == {"delivered": 2000}
    check_all_arrived(stack)


def test_slow_destination(stack):
    """Answers after 2.9 s, of the 3 that are allowed, are answers: machines don't wait for one
    another, nothing is repeated."""
    stack.sim.faults({"action": "delay", "ms": 2900})
    sender = run_programs(stack)
    machines = add_machines(stack, 16)
    for _ in range(3):
        for machine in machines:
            stack.emit(machine)
    assert stack.wait_settled() == {"delivered": 48}
    check_all_arrived(stack)
    at = [row["at"] for row in stack.sim.record()]
    assert max(at) - min(at) < 16 * 2.9  # one after the other it would be three times that
    retries = sender.metrics()["mtc_sender_retries_total"]
    # A busy machine may make 2.9 s of more; one that is none of its own opens nothing.
    assert retries <= 5 and opened(sender) == 0


@pytest.mark.parametrize("status", [401, 403])
def test_refused_destination_is_knocked_at_by_one(make_stack, status):
    """Open soon, however many machines wait; one probe at a time; no attempt counts."""
    stack = make_stack(**QUICK)
    stack.sim.faults({"action": "status", "status": status})
    sender = run_programs(stack)
    machines = add_machines(stack, 8)
    for machine in machines:
        stack.emit(machine)
    wait_for(lambda: len(stack.sim.record()) >= 40, 60, "far more probes than attempts")
    assert opened(sender) == 1 and stack.states() == {"published": 8}
    stack.sim.faults()
    assert stack.wait_settled() == {"delivered": 8}
    check_all_arrived(stack)
    with stack.connect() as pg:
        assert pg.execute("SELECT max(attempts) FROM mtc.event").fetchone() == (1,)


def test_unavailable_destination_that_names_a_time(make_stack):
    """503 with Retry-After to everybody: it is the destination, nothing dies, however many answers
    there are."""
    stack = make_stack(**QUICK_RETRIES, **QUICK)
    stack.sim.faults({"action": "status", "status": 503, "retry_after": 1})
    sender = run_programs(stack)
    machines = add_machines(stack, 8)
    for _ in range(2):
        for machine in machines:
            stack.emit(machine)
    wait_for(lambda: opened(sender) >= 1, 30, "the breaker opens")
    wait_for(lambda: len(stack.sim.record()) >= 8 * 5 + 5, 60,
             "more answers than all heads have attempts")
    stack.sim.faults()
    assert stack.wait_settled() == {"delivered": 16}
    check_all_arrived(stack)
    assert sender.metrics()["mtc_sender_dead_total"] == 0


def test_recovery_is_no_stampede(make_stack):
    """After the first success one request more is let in for each one that comes back; in the end
    all go."""
    answer_s = 0.3
    stack = make_stack(**QUICK)
    sender = run_programs(stack)
    machines = add_machines(stack, 40)
    stack.sim.call("POST", "/down")
    Writers(stack, machines, 1200).start().join()
    wait_for(lambda: sender.metrics()["mtc_sender_breaker_open"] == 1, 20, "the breaker opens")
    wait_for(lambda: sender.metrics()["mtc_sender_held"] == 1200, 20, "the backlog is there")
    stack.sim.faults({"action": "delay", "ms": answer_s * 1000})
    stack.sim.call("POST", "/up")
    assert stack.wait_settled() == {"delivered": 1200}
    check_all_arrived(stack)
    ends = sorted(row["at"] for row in stack.sim.record())
    crowd = []
    for end in ends:
        begin = end - answer_s * 0.8  # by then it was surely there
        crowd.append((sum(1 for other in ends if other - answer_s * 0.8 <= begin < other),
                      sum(1 for other in ends if other <= begin)))
    for under_way, come_back in crowd:
        assert under_way <= come_back + 3, (under_way, come_back)
    assert max(under_way for under_way, _ in crowd) >= 30
