"""What each answer leads to."""
import time

import pytest

from lib.flow import check_all_arrived, wait_emptied
from lib.processes import wait_for
from lib.stack import QUICK_RETRIES


def deliver(stack, *faults, machine="SR-26"):
    """One event under these faults; its row in the ledger when its fate is known."""
    stack.sim.faults(*faults)
    stack.producer()
    stack.sender().wait_ready()
    key = stack.emit(machine)
    stack.wait_settled(60)
    with stack.connect() as pg:
        row = pg.execute(
            "SELECT state, attempts, status, reason FROM mtc.event WHERE event_id = %s",
            (key,)).fetchone()
    return key, row


def posts(stack, key):
    return [row for row in stack.sim.record() if row["key"] == key]


def test_201_delivers(stack):
    key, row = deliver(stack)
    assert row == ("delivered", 1, 201, None)
    assert len(posts(stack, key)) == 1


def test_409_means_applied_before(stack):
    _, row = deliver(stack, {"action": "status", "status": 409})
    assert row[:3] == ("delivered", 1, 409)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_refused_event_is_dead_at_the_fifth_answer(make_stack, status):
    """Alone, as it is, nobody can say whether MTConnect refuses others too."""
    stack = make_stack(**QUICK_RETRIES)
    key, row = deliver(stack,
                       {"action": "status", "status": status, "body": "what is this?\n\u0001"})
    reason = f"5 attempts failed, the last: HTTP {status}"
    assert row == ("dead", 5, status, f"{reason}: what is this???")
    assert len(posts(stack, key)) == 5
    letter, = stack.dead_letters()
    headers = letter["properties"]["headers"]
    assert headers["reason"] == reason
    assert headers["attempts"] == 5
    assert headers["last_status"] == status
    assert headers["response"] == "what is this???" and headers["machine"] == "SR-26"
    assert letter["properties"]["message_id"] == key
    assert letter["properties"]["type"] == "setup.started"
    assert '"machineId":"SR-26"' in letter["payload"]
    wait_emptied(stack)


def test_429_waits_as_long_as_asked(stack):
    key, row = deliver(stack, {"action": "status", "status": 429, "retry_after": 3, "count": 1})
    assert row[:2] == ("delivered", 1)  # too much at once is no fault of the event
    first, second = posts(stack, key)
    assert second["at"] - first["at"] >= 2.9


def test_retry_after_is_capped(make_stack):
    stack = make_stack(sender__retry_after_max_s=1)
    for status in (503, 429):
        key, row = deliver(stack, {"action": "status", "status": status, "retry_after": 3600,
                                   "count": 1})
        assert row[:2] == ("delivered", 1)
        assert len(posts(stack, key)) == 2


@pytest.mark.parametrize("fault",
                         [{"action": "status", "status": 500}, {"action": "status", "status": 408},
                          {"action": "hang"}, {"action": "close"}, {"action": "garbage"},
                          {"action": "drip", "ms": 50}])
def test_transient_failure_is_retried(make_stack, fault):
    stack = make_stack(**QUICK_RETRIES, mtconnect__timeout_ms=300)
    key, row = deliver(stack, dict(fault, count=2))
    assert row[:2] == ("delivered", 1)  # alone, there is no proof against it: nothing counts
    # libcurl, and we, repeat once for free what died on a reused connection.
    assert len(posts(stack, key)) == 3


@pytest.mark.parametrize("action", ["lose", "truncate"])
def test_answer_lost_after_it_was_applied(make_stack, action):
    stack = make_stack(**QUICK_RETRIES)
    key, row = deliver(stack, {"action": action, "count": 1})
    assert row[0] == "delivered"
    # A truncated answer had its status line: that is enough. A lost one is asked again, and
    # answered 409.
    assert [p["status"] for p in posts(stack, key)] == ([201] if action == "truncate"
                                                        else [201, 409])


def test_poison_event_dies_alone_at_the_right_attempt_and_time(stack):
    """The delays of the plan: 1, 4, 10, 10 s; five attempts that count, from the moment on that
    others are seen to be taken; those behind it then go on."""
    stack.sim.faults({"action": "status", "status": 500, "type": "setup.poison"})
    stack.producer()
    sender = stack.sender().wait_ready()
    key = stack.emit("SR-26", "setup.poison")
    behind = stack.emit("SR-26")
    wait_for(lambda: posts(stack, key), 20, "it has failed")
    beside = stack.emit("SR-25")
    wait_for(lambda: posts(stack, beside), 10, "the neighbour is served")
    assert not posts(stack, behind)
    states = stack.wait_settled(90)
    assert states == {"delivered": 2, "dead": 1}
    at = [row["at"] for row in posts(stack, key)]
    first_counted = len(at) - 5
    assert first_counted in (1, 2)  # probes until the neighbour's success was known
    counted = at[first_counted:]
    for pause, want in zip([b - a for a, b in zip(counted, counted[1:])], [1, 4, 10, 10]):
        assert want - 0.05 <= pause <= want + 8  # never early; a busy machine may be late
    letter, = stack.dead_letters()
    assert letter["properties"]["headers"]["attempts"] == 5
    assert letter["properties"]["headers"]["reason"] == "5 attempts failed, the last: HTTP 500"
    assert posts(stack, behind)[0]["at"] >= at[-1]
    assert sender.metrics()["mtc_sender_breaker_opened_total"] == 0


@pytest.mark.parametrize("status", [401, 403, 302])
def test_refusal_of_us_kills_nothing(make_stack, status):
    stack = make_stack(sender__breaker_pause_min_ms=50, sender__breaker_pause_max_ms=100,
                       **QUICK_RETRIES)
    stack.sim.faults({"action": "status", "status": status})
    stack.producer()
    sender = stack.sender().wait_ready()
    for _ in range(10):
        stack.emit("SR-26")
    wait_for(lambda: sender.metrics()["mtc_sender_breaker_opened_total"] == 1, 20,
             "the breaker opens")
    wait_for(lambda: len(stack.sim.record()) > 8, 20, "more probes than an event has attempts")
    stack.sim.faults()
    assert stack.wait_settled() == {"delivered": 10}
    check_all_arrived(stack)


def test_wrong_api_key_put_right(make_stack):
    stack = make_stack(sender__breaker_pause_min_ms=50, sender__breaker_pause_max_ms=100,
                       **QUICK_RETRIES)
    right = stack.api_key_path.read_text()
    stack.api_key_path.write_text("an old key\n")
    stack.producer()
    sender = stack.sender().wait_ready()
    stack.emit("SR-26")
    wait_for(lambda: sender.metrics()["mtc_sender_breaker_open"] == 1, 20, "the breaker opens")
    stack.api_key_path.write_text(right)
    assert stack.wait_settled() == {"delivered": 1}


def test_connection_closed_while_idle_costs_nothing(make_stack):
    """The server closes after 1 s; the sender, told otherwise, uses the connection again."""
    stack = make_stack(sim_options=("--idle", "1"), mtconnect__idle_s=60)
    stack.producer()
    sender = stack.sender().wait_ready()
    for _ in range(3):
        stack.emit("SR-26")
        stack.wait_settled()
        at = stack.sim.record()[-1]["at"]
        wait_for(lambda: time.time() - at > 1.5, 10, "the connection has gone idle")
    with stack.connect() as pg:
        assert pg.execute("SELECT max(attempts), count(*) FROM mtc.event").fetchone() == (1, 3)
    assert sender.metrics()["mtc_sender_retries_total"] == 0
    check_all_arrived(stack)


def test_headers_of_a_request(stack):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    stack.producer()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("SELECT set_config('mtc.traceparent', %s, false)", (trace,))
        pg.execute("UPDATE setup_jobs SET status = 'completed' WHERE machine_id = 1")
        assert pg.execute("SELECT traceparent FROM mtc.outbox").fetchone() == (trace,)
    stack.wait_settled()
    # the simulator checks key, API key, content type and the shape of traceparent
    check_all_arrived(stack)
    assert stack.sim.record()[0]["note"] == ""
