"""Blame by evidence: ordinary troubles of MTConnect kill no event, and an event that is poison dies
alone. See docs/verdicts.md."""
import time

import pytest

from lib.flow import Writers, add_machines, check_all_arrived
from lib.hooks import keys
from lib.processes import wait_for
from lib.stack import QUICK_RETRIES

QUICK = {"sender__breaker_pause_min_ms": 50, "sender__breaker_pause_max_ms": 200}


def run_programs(stack, **options):
    stack.producer().wait_ready()
    return stack.sender(**options).wait_ready()


def requests(stack):
    return stack.sim.stats()["record"]["requests"]


def outlast(stack, seconds, least):
    """The trouble goes on for so long and until MTConnect was asked so often."""
    end = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= end and requests(stack) >= least, seconds + 60,
             f"{least} requests in {seconds} s at least")


def recovers(stack, events):
    stack.sim.faults()
    assert stack.wait_settled(120) == {"delivered": events}
    return check_all_arrived(stack)


@pytest.mark.parametrize("status", [500, 502])
def test_one_machine_alone(make_stack, status):
    """The only one with something to send, for ten times as long as five attempts take."""
    stack = make_stack(sender__probe_pause_max_ms=500, **QUICK_RETRIES, **QUICK)
    stack.sim.faults({"action": "status", "status": status})
    run_programs(stack)
    for _ in range(20):
        stack.emit("SR-26")
    outlast(stack, 5, 12)
    recovers(stack, 20)


def test_a_wrong_address(make_stack):
    """404 to everything, as an ingress' default backend answers."""
    stack = make_stack(**QUICK)
    stack.sim.faults({"action": "status", "status": 404})
    sender = run_programs(stack)
    Writers(stack, add_machines(stack, 40), 400).start().join()
    outlast(stack, 12, 60)
    assert sender.metrics()["mtc_sender_breaker_open"] == 1
    recovers(stack, 400)


def test_one_route_is_ill_the_other_well(make_stack):
    """Successes of /event are no alibi of /setup, and wait for nothing. It is ill for twenty times
    as long as five attempts take."""
    stack = make_stack(**QUICK_RETRIES, **QUICK)
    stack.sim.faults({"action": "status", "status": 500, "path": "/api/ext/setup"})
    sender = run_programs(stack)
    machines = add_machines(stack, 20)
    others = Writers(stack, machines[:10], 100).start()
    others.join()
    for n in range(100):
        stack.emit(machines[10 + n % 10], "machine.note")
    wait_for(lambda: stack.states().get("delivered") == 100, 30, "the other route's are delivered")
    outlast(stack, 10, 50)
    assert sender.metrics()["mtc_sender_breaker_open"] == 1
    recovers(stack, 200)


def test_more_than_half_of_all_answers_are_failures(make_stack):
    stack = make_stack(**QUICK)
    stack.sim.faults({"action": "status", "status": 500, "rate": 0.6})
    sender = run_programs(stack)
    # The pauses are the real ones: within half a second a few successes can come in a row, and are
    # proof then. It is ill for longer than five attempts take.
    writers = Writers(stack, add_machines(stack, 60), 1800, rate=60).start()
    outlast(stack, 30, 600)
    stack.sim.faults()
    writers.join()
    assert stack.wait_settled(120) == {"delivered": 1800}
    check_all_arrived(stack)
    assert sender.metrics()["mtc_sender_probes_total"] > 100


def test_more_than_mtconnect_takes(make_stack):
    """It allows so many a second, and says 429 to the rest: all go through, at its pace."""
    stack = make_stack(**QUICK)
    stack.sim.faults({"action": "limit", "per_second": 40, "status": 429, "retry_after": 1})
    sender = run_programs(stack)
    Writers(stack, add_machines(stack, 200), 1000).start().join()
    assert stack.wait_settled(180) == {"delivered": 1000}
    stats = check_all_arrived(stack)
    with stack.connect() as pg:
        assert pg.execute("SELECT max(attempts) FROM mtc.event").fetchone() == (1,)
    assert stats["statuses"]["429"] < 1000  # Retry-After binds all: hardly more than one a success
    assert sender.metrics()["mtc_sender_dead_total"] == 0


def test_a_429_that_one_machine_gets(make_stack):
    """For ever, with a Retry-After, while the others are taken: after three of them they wait no
    more with it. It is seen, costs nothing, and goes when it may."""
    stack = make_stack(**QUICK)
    machines = add_machines(stack, 20)
    stack.sim.faults({"action": "status", "status": 429, "retry_after": 4,
                      "machine": machines[0]})
    run_programs(stack)
    for _ in range(20):
        for machine in machines:
            stack.emit(machine)
    wait_for(lambda: stack.states() == {"delivered": 380, "published": 20}, 60, "the others'")
    refused = [row for row in stack.sim.record() if row["status"] == 429]
    assert len(refused) <= 10
    line = wait_for(lambda: [line for line in stack.ctl("status").splitlines()
                             if line.endswith("HTTP 429")], 60, "status names it")[0]
    assert line.split()[0] == machines[0]
    recovers(stack, 400)


def test_a_403_that_one_event_gets(make_stack):
    """For ever, while the others are taken: it is its own, and its machine goes on."""
    stack = make_stack(**QUICK)
    stack.sim.faults({"action": "status", "status": 403, "type": "setup.poison"})
    run_programs(stack)
    machines = add_machines(stack, 5)
    others = Writers(stack, machines[1:], 100000, rate=20).start()
    poison = stack.emit(machines[0], "setup.poison")
    behind = stack.emit(machines[0])
    wait_for(lambda: stack.states().get("dead") == 1, 60, "it is dead")
    others.stop()
    others.join()
    stack.wait_settled()
    check_all_arrived(stack, dead=1)
    tries = [row for row in stack.sim.record() if row["key"] == poison]
    assert 6 <= len(tries) <= 7 and tries[-1]["at"] - tries[0]["at"] > 25
    assert [row["key"] for row in stack.sim.record() if row["machine"] == machines[0]][-1] == behind


def evidence_of(stack):
    """What senders have told each other of /api/ext/setup: (worker, seen) each."""
    return [(fields["worker"], fields["seen"])
            for _, fields in keys(stack).xrange("mtc:evidence:/api/ext/setup")]


def test_senders_share_their_evidence(make_stack):
    """A machine that is alone at its sender: what another sender has seen convicts its event, if
    that is later than the event's first failure and speaks of another machine."""
    stack = make_stack(sender__retry_delays_s='"0.5,0.5,0.5,0.5"', sender__probe_pause_max_ms=500,
                       **QUICK)
    stack.sim.faults({"action": "status", "status": 500, "type": "setup.poison"})
    sender = run_programs(stack)
    stack.emit("SR-26")
    (worker, seen), = wait_for(lambda: evidence_of(stack), 10, "its success is told")
    machine, began, ended, taken = seen.split(":")
    assert worker == sender.name and taken == "1" and int(began) >= int(ended) >= 0
    stack.emit("SR-26", "setup.poison")
    wait_for(lambda: sender.metrics()["mtc_sender_doubted"] == 1, 10, "it is doubted")

    def tell(seen, worker="another"):
        probes = sender.metrics()["mtc_sender_probes_total"]
        keys(stack).xadd("mtc:evidence:/api/ext/setup", {"worker": worker, "seen": seen})
        wait_for(lambda: sender.metrics()["mtc_sender_probes_total"] >= probes + 2, 30,
                 "two more failures")
        assert sender.metrics()["mtc_sender_retries_total"] == 0

    tell(f"{machine}:0:0:1")  # its own machine's
    tell("1f:45000:44990:1")  # from before it failed
    tell("1f:0:0:0")  # a failure
    tell("1f:0:0:1", worker=sender.name)  # its own word
    tell("no such thing, -1:-1:-1:7, 1f:9999999999999999999999:0:1")
    for n in range(10):  # hardly any failed
        keys(stack).xadd("mtc:evidence:/api/ext/setup", {"worker": "another",
                                                         "seen": f"{n}a:0:0:1"})
    assert stack.wait_settled() == {"delivered": 1, "dead": 1}


def test_anothers_success_does_not_prove_our_key(make_stack):
    """This sender alone is refused, all others are taken: it is its key, or its network."""
    stack = make_stack(**QUICK_RETRIES, **QUICK)
    sender = run_programs(stack)
    stack.emit("SR-26")
    stack.wait_settled()
    stack.sim.faults({"action": "status", "status": 401})
    stack.emit("SR-26")
    wait_for(lambda: sender.metrics()["mtc_sender_probes_total"] >= 1, 30, "it is refused")
    for n in range(30):
        keys(stack).xadd("mtc:evidence:/api/ext/setup", {"worker": "another",
                                                         "seen": f"{n}a:0:0:1"})
    before = requests(stack)
    wait_for(lambda: requests(stack) >= before + 10, 60, "many probes")
    stack.sim.faults()
    assert stack.wait_settled() == {"delivered": 2}


def test_without_redis_evidence_is_each_senders_own(make_stack):
    stack = make_stack(redis__url='""', sender__retry_delays_s='"0.5,0.5,0.5,0.5"', **QUICK)
    stack.sim.faults({"action": "status", "status": 500, "type": "setup.poison"})
    sender = run_programs(stack)
    stack.emit("SR-26", "setup.poison")
    wait_for(lambda: sender.metrics()["mtc_sender_probes_total"] >= 3, 30, "it is doubted")
    stack.emit("SR-25")
    assert stack.wait_settled() == {"delivered": 1, "dead": 1}


def test_attempts_outlive_a_killed_sender(make_stack):
    """Whoever has the event next goes on counting: five answers, not three and five."""
    stack = make_stack(sender__retry_delays_s='"0.5,0.5,0.5,0.5"', **QUICK)
    stack.sim.faults({"action": "status", "status": 422, "type": "setup.poison"})
    sender = run_programs(stack)
    poison = stack.emit("SR-26", "setup.poison")
    wait_for(lambda: sender.metrics()["mtc_sender_retries_total"] >= 3, 30, "three attempts count")
    sender.kill()
    stack.sender().wait_ready()
    assert stack.wait_settled() == {"dead": 1}
    assert 5 <= len([row for row in stack.sim.record() if row["key"] == poison]) <= 6
    letter, = stack.dead_letters()
    assert letter["properties"]["headers"]["attempts"] == 5


def test_the_referee_acquits(make_stack):
    """What MTConnect says of itself holds while its events fail, whatever others get."""
    stack = make_stack(sender__retry_delays_s='"0.2,0.2,0.2,0.2"', sender__probe_pause_max_ms=500,
                       mtconnect__health_path='"/api/ext/health"', **QUICK)
    poisonous = {"action": "status", "status": 422, "type": "setup.poison"}
    stack.sim.faults(poisonous, {"action": "status", "status": 200, "path": "/api/ext/health",
                                 "body": '{"status":"error","database":"disconnected"}'})
    run_programs(stack)
    machines = add_machines(stack, 5)
    others = Writers(stack, machines[1:], 100000, rate=20).start()
    poison = stack.emit(machines[0], "setup.poison")
    wait_for(lambda: len([row for row in stack.sim.record() if row["key"] == poison]) >= 8, 60,
             "more answers than it has attempts")
    assert "dead" not in stack.states()
    stack.sim.faults(poisonous)
    wait_for(lambda: stack.states().get("dead") == 1, 60, "it is dead")
    others.stop()
    others.join()
    stack.wait_settled()
    check_all_arrived(stack, dead=1)


def test_a_quiet_shop_with_a_referee(make_stack):
    """When another's success comes, the referee's last word is old: it is asked, and the event is
    tried again while the proof is fresh."""
    stack = make_stack(sender__retry_delays_s='"0.5,0.5,0.5,0.5"',
                       mtconnect__health_path='"/api/ext/health"', **QUICK)
    stack.sim.faults({"action": "status", "status": 500, "type": "setup.poison"})
    run_programs(stack)
    poison = stack.emit("SR-26", "setup.poison")
    wait_for(lambda: [row for row in stack.sim.record() if row["key"] == poison], 30, "it fails")
    wait_for(lambda: time.time() - stack.sim.record()[-1]["at"] > 16, 120, "a long pause")
    stack.emit("SR-25")
    wait_for(lambda: stack.states() == {"delivered": 1, "dead": 1}, 45, "it is dead")


def test_the_referee_shares_the_only_connection(make_stack):
    """Its answer frees it for an event that found none; nothing else would wake that one."""
    stack = make_stack(mtconnect__connections=1, mtconnect__health_path='"/api/ext/health"',
                       sender__retry_delays_s='"600"', **QUICK)
    stack.sim.faults({"action": "status", "status": 422, "type": "setup.poison"},
                     {"action": "delay", "ms": 2500, "path": "/api/ext/health"})
    run_programs(stack)
    stack.emit("SR-26", "setup.poison")
    wait_for(stack.sim.record, 20, "it has failed, and the referee is asked")
    stack.emit("SR-25")
    wait_for(lambda: stack.states().get("delivered") == 1, 30, "the other's is delivered")


def test_what_waits_is_seen_and_can_be_let_go(make_stack):
    """status and doctor name the machine, its event, since when and the last answer; skip makes a
    dead letter of it, and those behind it go on."""
    stack = make_stack(sender__probe_pause_max_ms=500, **QUICK)
    stack.sim.faults({"action": "status", "status": 403, "type": "setup.poison"})
    run_programs(stack)
    poison = stack.emit("SR-26", "setup.poison")
    behind = stack.emit("SR-26")
    wait_for(lambda: poison in stack.ctl("status"), 30, "status names it")
    line, = [line for line in stack.ctl("status").splitlines() if poison in line]
    assert line.split()[0] == "SR-26" and line.endswith("HTTP 403")
    assert f"SR-26 waits for event {poison}, failing for" in stack.ctl("doctor", status=None)
    assert "no sender has event" in stack.ctl("skip", behind, status=1)  # it is second in line
    assert "usage:" in stack.ctl("skip", status=2)
    stack.ctl("skip", "no UUID", status=2)

    def skipped():
        return "is a dead letter" in stack.ctl("skip", poison, status=None)
    wait_for(skipped, 30, "a moment without a request under way")
    assert stack.wait_settled() == {"delivered": 1, "dead": 1}
    letter, = stack.dead_letters()
    assert letter["properties"]["headers"]["reason"] == "let go by an operator"
    assert "SR-26" not in stack.ctl("status").split("programs")[1]


@pytest.mark.parametrize("status", [422, 500])
def test_a_machine_stops_where_order_matters_more(make_stack, status):
    """on_dead = stop: nothing overtakes the event that would be dead, also over a restart, until an
    operator says so."""
    stack = make_stack(sender__on_dead='"stop"', **QUICK_RETRIES, **QUICK)
    stack.sim.faults({"action": "status", "status": status, "type": "setup.poison"})
    sender = run_programs(stack)
    poison = stack.emit("SR-26", "setup.poison")
    behind = stack.emit("SR-26")
    wait_for(stack.sim.record, 30, "it has failed")
    stack.emit("SR-25")
    wait_for(lambda: "STOPPED" in stack.ctl("status"), 60, "it has stopped")
    sender.kill()
    tries = len([row for row in stack.sim.record() if row["key"] == poison])
    stack.sender().wait_ready()
    wait_for(lambda: "STOPPED" in stack.ctl("status"), 30, "it has stopped again")
    assert len([row for row in stack.sim.record() if row["key"] == poison]) == tries
    assert stack.states() == {"delivered": 1, "published": 2}
    assert "no sender has stopped" in stack.ctl("resume", "--machine", "SR-25", status=1)
    assert "is a dead letter" in stack.ctl("resume", "--machine", "SR-26")
    assert stack.wait_settled() == {"delivered": 2, "dead": 1}
    assert [row["key"] for row in stack.sim.record() if row["machine"] == "SR-26"][-1] == behind


def test_unproven_for_long_is_counted_over_hand_backs(make_stack):
    """Its age is that of its first failure, whoever has had it since."""
    stack = make_stack(sender__hold_max_s=2, sender__unproven_max_s=8,
                       sender__probe_pause_max_ms=300, **QUICK_RETRIES, **QUICK)
    stack.sim.faults({"action": "status", "status": 500})
    run_programs(stack)
    stack.emit("SR-26")
    assert stack.wait_settled(60) == {"dead": 1}


def test_a_good_event_does_not_wait_behind_all_the_bad_ones(make_stack):
    """With the breaker open one probe goes at a time: a machine's event that has not failed goes
    before those that have, and its success is the others' proof."""
    stack = make_stack(sender__breaker_pause_min_ms=2000, sender__breaker_pause_max_ms=2000)
    stack.sim.faults({"action": "status", "status": 500, "type": "setup.poison"})
    sender = run_programs(stack)
    machines = add_machines(stack, 41)
    for machine in machines[1:]:
        stack.emit(machine, "setup.poison")
    wait_for(lambda: sender.metrics()["mtc_sender_breaker_open"] == 1, 30, "it opens")
    before = requests(stack)
    stack.emit(machines[0])
    wait_for(lambda: stack.states().get("delivered") == 1, 60, "the good one is delivered")
    # of the heads that failed none but a few went before it
    mine = [n for n, row in enumerate(stack.sim.record()) if row["machine"] == machines[0]]
    assert mine[0] - before <= 5
