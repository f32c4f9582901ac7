"""Which of two observations of a machine counts: pulled or by web-hook, with a time of MTConnect's
or without one, late, and by clocks that don't agree."""
import json
import time
import uuid

import pika
import pytest

from faults.plant import faketime_library
from lib.hooks import status_of, waiting
from lib.processes import wait_for
from lib.stack import BUILD

MACHINE = "SR-26"
PATH = f"/api/ext/machines/{MACHINE}/cycle-time"


def moment(ago_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago_s))


def knows(stack, seconds, ago_s=3600, machine=MACHINE):
    """MTConnect's present state of a machine."""
    stack.sim.call("POST", "/cycle", {"machine": machine, "cycle_time": seconds,
                                      "observed_at": moment(ago_s)})


def undated(seconds, path=PATH, **more):
    """A rule of the simulator's: answers that tell no time."""
    return {"path": path, "action": "status", "status": 200,
            "body": json.dumps({"last_cycle_time": seconds}), **more}


def hook(stack, seconds, ago_s=None, machine=MACHINE):
    """Repeated until it is taken, as MTConnect does: on a busy machine 503 comes now and then."""
    body, key = {"machine_id": machine, "cycle_time": seconds}, str(uuid.uuid4())
    if ago_s is not None:
        body["observed_at"] = moment(ago_s)
    answers = set()
    wait_for(lambda: answers.add(status_of(stack, body, key)) or answers & {200, 202}, 30, "taken")
    assert answers <= {200, 202, 503}


def put(stack, **message):
    """What a receiver might have put onto mtc.cycle-times."""
    connection = pika.BlockingConnection(pika.URLParameters(stack.servers.rabbit.url(stack.name)))
    connection.channel().basic_publish("", "mtc.cycle-times",
                                       json.dumps({"source": "webhook", **message}).encode())
    connection.close()


def known_plant(stack, seconds=100, ago_s=3600):
    """MTConnect knows the same of every machine."""
    with stack.connect() as pg:
        for name, in pg.execute("SELECT machine FROM mtc.active_machine").fetchall():
            knows(stack, seconds, ago_s, name)


def value(stack, machine=MACHINE):
    return stack.cycle_times().get(machine)


def runs_made(scheduler):
    return scheduler.metrics()['mtc_scheduler_runs_total{result="done"}']


def observe(make_stack, sim_options=("--cycle", "deployed"), **options):
    """A plant that was pulled once, its scheduler and a receiver."""
    stack = make_stack(sim_options=list(sim_options), **{"scheduler__period_s": 3600, **options})
    known_plant(stack)
    scheduler = stack.scheduler().wait_ready()
    stack.receiver().wait_ready()
    wait_for(lambda: runs_made(scheduler) >= 1, 30, "the first pull")
    return stack, scheduler


def taken(scheduler, count):
    wait_for(lambda: scheduler.metrics()["mtc_scheduler_hooks_total"] >= count, 30, "taken")


def confirmed(scheduler):
    wait_for(lambda: scheduler.metrics()["mtc_scheduler_unconfirmed_machines"] == 0, 30, "settled")


@pytest.mark.parametrize("shape", ["deployed", "plan"])
def test_a_late_web_hook_without_a_time_does_not_stand(make_stack, shape):
    """Delayed an hour on its way: it counts when it comes, and MTConnect is asked within
    seconds."""
    stack, scheduler = observe(make_stack, ["--cycle", shape])
    hook(stack, 55)
    taken(scheduler, 1)
    wait_for(lambda: waiting(stack) == 0, 30, "applied")
    wait_for(lambda: value(stack) == 100, 20, "what MTConnect says")
    assert scheduler.metrics()['mtc_scheduler_confirmations_total{result="answered"}'] == 1


def test_a_web_hook_without_a_time_counts_when_it_is_the_newest(make_stack):
    stack, scheduler = observe(make_stack)
    knows(stack, 77, 5)
    hook(stack, 77)
    wait_for(lambda: value(stack) == 77, 20, "applied")
    confirmed(scheduler)
    assert value(stack) == 77


def test_a_pull_wins_over_what_our_clock_dated(make_stack):
    """What counted at its arrival is no newer than what MTConnect observed an hour ago."""
    stack = make_stack(scheduler__period_s=2, sim_options=["--cycle", "deployed"])
    stack.sim.faults({"path": PATH, "action": "status", "status": 503})  # nobody confirms
    known_plant(stack)
    stack.scheduler().wait_ready()
    stack.receiver().wait_ready()
    hook(stack, 55)
    wait_for(lambda: value(stack) == 55, 20, "applied")
    stack.sim.faults()
    wait_for(lambda: value(stack) == 100, 20, "pulled")


def test_what_mtconnect_dated_later_stands_against_a_pull(make_stack):
    """Its web-hook comes before its answers know of it: its own times say which is newer."""
    stack, scheduler = observe(make_stack, scheduler__period_s=1)
    hook(stack, 55, 60)
    wait_for(lambda: value(stack) == 55, 20, "applied")
    made = runs_made(scheduler)
    wait_for(lambda: runs_made(scheduler) >= made + 3, 30, "pulls that say the older")
    assert value(stack) == 55
    knows(stack, 66, 30)
    wait_for(lambda: value(stack) == 66, 20, "pulled, and newer")
    hook(stack, 55, 50)
    taken(scheduler, 2)
    made = runs_made(scheduler)
    wait_for(lambda: runs_made(scheduler) >= made + 2, 30, "more pulls")
    assert value(stack) == 66


def test_a_dated_web_hook_is_not_measured_by_our_clock(make_stack):
    """MTConnect's clock is an hour behind, and its answers tell no time: what it dates is older
    than our asking, and new all the same."""
    stack = make_stack(scheduler__period_s=3600)
    known_plant(stack)
    stack.sim.faults(undated(100))
    scheduler = stack.scheduler().wait_ready()
    stack.receiver().wait_ready()
    wait_for(lambda: runs_made(scheduler) >= 1, 30, "the first pull")
    stack.sim.faults(undated(60))
    hook(stack, 60, 3600)
    wait_for(lambda: value(stack) == 60, 20, "applied")
    confirmed(scheduler)
    with stack.connect() as pg:
        assert pg.execute("SELECT count(*) FROM mtc.cycle_time WHERE dated").fetchone()[0] == 16
    stack.sim.faults(undated(70))
    hook(stack, 65, 3500)  # it was overtaken by a change whose web-hook was lost
    wait_for(lambda: value(stack) == 70, 20, "what MTConnect says by now")


def test_a_pull_without_a_time_wins_over_a_dated_web_hook(make_stack):
    stack, _ = observe(make_stack, scheduler__period_s=1)
    hook(stack, 55, -60)  # its clock is a minute ahead
    wait_for(lambda: value(stack) == 55, 20, "applied")
    stack.sim.faults(undated(44))
    wait_for(lambda: value(stack) == 44, 20, "pulled")


def test_dated_web_hooks_in_order_cost_no_question(make_stack):
    """They can be told by their times, so MTConnect is asked about the first at most."""
    stack, scheduler = observe(make_stack)
    hook(stack, 50, 500)
    wait_for(lambda: value(stack) == 50, 20, "applied")
    for n in range(20):
        hook(stack, 51 + n, 400 - n)
    wait_for(lambda: value(stack) == 70, 20, "applied")
    hook(stack, 1, 450)  # late
    taken(scheduler, 22)
    wait_for(lambda: waiting(stack) == 0, 20, "all applied")
    confirmed(scheduler)
    assert value(stack) == 70
    assert scheduler.metrics()['mtc_scheduler_confirmations_total{result="answered"}'] == 0


def questions(stack, machine=MACHINE):
    """Counts them from now on: a rule of the simulator's that changes nothing."""
    path = f"/api/ext/machines/{machine}/cycle-time"
    stack.sim.faults({"path": path, "action": "delay", "ms": 1})
    return lambda: stack.sim.stats()["faults"][0]["hits"]


def test_a_flood_of_one_machine_is_a_question_a_second(make_stack):
    stack, scheduler = observe(make_stack)
    asked = questions(stack)
    begun = time.monotonic()
    for n in range(300):
        hook(stack, 200 + n)
    taken(scheduler, 300)
    confirmed(scheduler)
    wait_for(lambda: value(stack) == 100, 20, "what MTConnect says")
    assert 1 <= asked() <= 2 + time.monotonic() - begun


def test_a_flood_does_not_keep_a_pull_from_being_made(make_stack):
    stack, scheduler = observe(make_stack, scheduler__period_s=2)
    made, count, end = runs_made(scheduler), 0, time.monotonic() + 60
    while runs_made(scheduler) < made + 3 and time.monotonic() < end:
        for _ in range(20):
            hook(stack, 300 + count % 7, machine=1 + count % 16)
            count += 1
    assert runs_made(scheduler) >= made + 3
    confirmed(scheduler)
    wait_for(lambda: set(stack.cycle_times().values()) == {100}, 20, "what MTConnect says")


def test_more_machines_in_doubt_than_are_asked_one_by_one(make_stack):
    """They are asked by a whole pull instead, ahead of its time."""
    stack, scheduler = observe(make_stack, scheduler__again_s=2, receiver__machines_refresh_s=1)
    with stack.connect() as pg:
        pg.execute("INSERT INTO machines (id, name, type, is_active)"
                   " SELECT 1000 + n, 'X-' || n, 'FANUC', true FROM generate_series(1, 1300) n")
    names = [f"X-{n}" for n in range(1, 1301)]
    for name in names:
        knows(stack, 100, machine=name)
    wait_for(lambda: status_of(stack, {"machine_id": names[-1], "cycle_time": 55}) == 202, 20,
             "the receiver knows them")
    stack.sim.call("POST", "/down")
    for name in names:
        hook(stack, 55, machine=name)
    taken(scheduler, 1300)
    wait_for(lambda: list(stack.cycle_times().values()).count(55) == 1300, 60, "applied")
    assert scheduler.metrics()["mtc_scheduler_unconfirmed_machines"] <= 1000
    stack.sim.call("POST", "/up")
    wait_for(lambda: set(stack.cycle_times().values()) == {100}, 90, "what MTConnect says")
    assert runs_made(scheduler) == 2


def test_a_pull_under_way_holds_no_question_up(make_stack):
    """One machine of the pull hangs, so it lasts; a web-hook that comes meanwhile is confirmed."""
    stack, scheduler = observe(make_stack, scheduler__period_s=20, mtconnect__timeout_ms=15000)
    stack.sim.faults({"path": "/api/ext/machines/K-16/cycle-time", "action": "hang"})
    with stack.connect() as pg:
        pg.execute("UPDATE mtc.cycle_run SET started_at = started_at - interval '1 hour'")
    scheduler.stop()
    scheduler.start()
    scheduler.wait_ready()
    wait_for(lambda: stack.sim.stats()["faults"][0]["hits"], 30, "the pull is under way")
    hook(stack, 55)
    wait_for(lambda: value(stack) == 55, 10, "applied")
    wait_for(lambda: value(stack) == 100, 10, "confirmed")
    assert runs_made(scheduler) == 0


def test_an_answer_that_was_asked_for_earlier_does_not_stand(make_stack):
    """A pull's answer without a time waits to be applied, while a question that was asked later is
    answered: the later question counts."""
    stack, scheduler = observe(make_stack, scheduler__period_s=20, mtconnect__timeout_ms=8000,
                               scheduler__retry_delays_s='"1"')
    slow = {"path": "/api/ext/machines/K-16/cycle-time", "action": "delay", "ms": 6000}
    stack.sim.faults(slow, undated(33))
    with stack.connect() as pg:
        pg.execute("UPDATE mtc.cycle_run SET started_at = started_at - interval '1 hour'")
    scheduler.stop()
    scheduler.start()
    scheduler.wait_ready()
    wait_for(lambda: all(rule["hits"] for rule in stack.sim.stats()["faults"]), 30,
             "the pull has asked")
    stack.sim.faults(slow, undated(44))
    hook(stack, 44)
    wait_for(lambda: runs_made(scheduler) == 1, 30, "the pull is over")
    confirmed(scheduler)
    assert value(stack) == 44


def test_unchanged_answers_win_over_a_late_web_hook(make_stack):
    """304 is the present state as well."""
    stack, scheduler = observe(make_stack, scheduler__period_s=1)
    for n in range(3):
        unchanged = scheduler.metrics()['mtc_scheduler_answers_total{answer="unchanged"}']
        hook(stack, 55 + n)
        taken(scheduler, n + 1)
        wait_for(lambda: scheduler.metrics()['mtc_scheduler_answers_total{answer="unchanged"}']
                 >= unchanged + 32, 30, "304s")
        wait_for(lambda: value(stack) == 100, 20, "what MTConnect says")


def test_mtconnect_down_when_it_is_to_be_asked(make_stack):
    stack, scheduler = observe(make_stack, scheduler__retry_delays_s='"0.2,0.5,1"',
                               scheduler__again_s=1)
    stack.sim.call("POST", "/down")
    hook(stack, 55)
    wait_for(lambda: scheduler.metrics()[
        'mtc_scheduler_confirmations_total{result="failed"}'] >= 5, 30, "asked in vain")
    assert value(stack) == 55
    assert scheduler.metrics()["mtc_scheduler_unconfirmed_machines"] == 1
    stack.sim.call("POST", "/up")
    wait_for(lambda: value(stack) == 100, 20, "what MTConnect says")
    confirmed(scheduler)


def test_a_machine_mtconnect_does_not_know_is_asked_once(make_stack):
    """Nobody can confirm it, so its web-hook stands."""
    stack, scheduler = observe(make_stack)
    stack.sim.faults({"path": PATH, "action": "status", "status": 404})
    hook(stack, 55)
    wait_for(lambda: scheduler.metrics()[
        'mtc_scheduler_confirmations_total{result="failed"}'] == 1, 30, "asked")
    confirmed(scheduler)
    assert value(stack) == 55 and f"machine={MACHINE}" in scheduler.text()


@pytest.mark.parametrize("how", ["kill", "stop", "PostgreSQL crashes"])
def test_who_takes_over_confirms_what_was_not(make_stack, how):
    stack, first = observe(make_stack)
    second = stack.scheduler().wait_ready()
    stack.sim.faults({"path": PATH, "action": "hang"})
    hook(stack, 55)
    wait_for(lambda: stack.sim.stats()["faults"][0]["hits"], 30, "MTConnect is being asked")
    assert value(stack) == 55
    if how == "PostgreSQL crashes":
        stack.servers.postgres.crash()
        stack.servers.postgres.start()
    else:
        getattr(first, how)()
    stack.sim.faults()
    wait_for(lambda: value(stack) == 100, 30, "who is active has asked")
    assert runs_made(second) == 0


def test_who_takes_over_asks_about_the_first_dated_web_hook(make_stack):
    """It has not seen what the one before saw after it had last written."""
    stack, first = observe(make_stack)
    knows(stack, 100, 60)
    hook(stack, 100, 60)  # the same value, seen later: nothing is written
    taken(first, 1)
    wait_for(lambda: waiting(stack) == 0, 20, "applied")
    first.stop()
    stack.scheduler().wait_ready()
    hook(stack, 55, 1800)  # newer than the row, older than what was seen
    wait_for(lambda: waiting(stack) == 0, 20, "applied")
    wait_for(lambda: value(stack) == 100, 20, "what MTConnect says")


def test_the_first_arrival_of_a_key_counts(make_stack):
    """One whose key came before another's, and which was not taken then, does not count; a receiver
    whose clock is wrong could write such a one as well, so MTConnect is asked all the same."""
    stack, scheduler = observe(make_stack)
    knows(stack, 66, 5)
    hook(stack, 66)
    wait_for(lambda: value(stack) == 66, 20, "applied")
    confirmed(scheduler)
    with stack.connect() as pg:
        number, = pg.execute("SELECT machine_id FROM mtc.machine WHERE machine = %s",
                             (MACHINE,)).fetchone()
    put(stack, machine=number, cycle_time=55, observed_at=moment(60), dated=False,
        arrived_at=moment(60))
    taken(scheduler, 2)
    wait_for(lambda: scheduler.metrics()[
        'mtc_scheduler_confirmations_total{result="answered"}'] == 2, 20, "asked again")
    assert value(stack) == 66
    scheduler.stop()
    assert stack.cycle_writes() == 16 + 1


def test_what_older_receivers_have_left_in_the_queue(make_stack):
    """They wrote one time, whosever it was: it is taken, and confirmed."""
    stack, scheduler = observe(make_stack)
    put(stack, machine=MACHINE, cycle_time=55, observed_at=moment(0))
    wait_for(lambda: value(stack) == 55, 20, "applied")
    wait_for(lambda: value(stack) == 100, 20, "what MTConnect says")
    confirmed(scheduler)


def test_mixed_they_end_as_mtconnect_says(make_stack):
    """Dated and not, late and not, by name and by number, pulls all the while."""
    stack, scheduler = observe(make_stack, scheduler__period_s=1)
    with stack.connect() as pg:
        names = dict(pg.execute("SELECT machine_id, machine FROM mtc.machine").fetchall())
    wanted = {}
    for round_ in range(5):
        for number, name in names.items():
            at = 300 - 10 * round_
            if round_ % 2:
                hook(stack, 500 + round_, machine=name)          # late, and nobody can tell
            knows(stack, 10 * number + round_, at, name)
            wanted[name] = 10 * number + round_
            if round_ % 3 == 0:
                hook(stack, wanted[name], at, machine=number)
            else:
                hook(stack, wanted[name], machine=number)
            hook(stack, 600 + round_, at + 15, machine=number)   # late by its time
    wait_for(lambda: waiting(stack) == 0, 30, "all applied")
    confirmed(scheduler)
    wait_for(lambda: stack.cycle_times() == wanted, 20, "as MTConnect says")


def test_a_web_hook_by_name_is_confirmed_as_well(make_stack):
    """The receiver could not ask PostgreSQL which machine it is; others of the batch are unknown,
    or known by number."""
    stack, scheduler = observe(make_stack)
    scheduler.freeze()
    same = {"cycle_time": 55, "observed_at": moment(0), "dated": False, "arrived_at": moment(0)}
    for machine in ("no such machine", MACHINE, 999, "K-16", 1):
        put(stack, machine=machine, **same)
    wait_for(lambda: waiting(stack) == 5, 20, "they wait")
    scheduler.thaw()
    wait_for(lambda: scheduler.metrics()[
        'mtc_scheduler_confirmations_total{result="answered"}'] == 3, 30, "confirmed")
    wait_for(lambda: set(stack.cycle_times().values()) == {100}, 20, "what MTConnect says")
    assert len(stack.dead_letters()) == 2
    put(stack, machine=MACHINE, **same)  # published once more
    taken(scheduler, 6)
    wait_for(lambda: waiting(stack) == 0 and value(stack) == 100, 20, "what MTConnect says")


def test_a_machine_that_is_not_active_is_asked_about_as_well(make_stack):
    stack, scheduler = observe(make_stack)
    with stack.connect() as pg:
        pg.execute("UPDATE machines SET is_active = false WHERE name = %s", (MACHINE,))
    hook(stack, 55)
    wait_for(lambda: value(stack) == 55, 20, "applied")
    wait_for(lambda: value(stack) == 100, 20, "what MTConnect says")
    confirmed(scheduler)


@pytest.mark.skipif(not faketime_library(), reason="no libfaketime")
@pytest.mark.skipif("asan" in BUILD.name, reason="libfaketime and ASan can't both come first")
@pytest.mark.parametrize("program, offset", [("receiver", "-3600"), ("receiver", "+3600"),
                                             ("scheduler", "+3600")])
def test_our_clocks_an_hour_apart_change_nothing(make_stack, program, offset):
    """Web-hooks with a time and without one arrive, and late ones don't stand."""
    stack = make_stack(sim_options=["--cycle", "deployed"], scheduler__period_s=3600,
                       receiver__require_signature="false")
    known_plant(stack, ago_s=9000)
    programs = {"scheduler": stack.service("mtc-scheduler"),
                "receiver": stack.service("mtc-receiver")}
    programs[program].env.update(LD_PRELOAD=faketime_library(), FAKETIME=offset,
                                 FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1")
    for service in programs.values():
        service.start()
    for service in programs.values():
        service.wait_ready()
    scheduler = programs["scheduler"]
    wait_for(lambda: runs_made(scheduler) >= 1, 30, "the first pull")
    for n, dated in enumerate([False, True, False, True]):
        knows(stack, 70 + n, 8000 - n)  # not in the future by any of the clocks
        hook(stack, 70 + n, 8000 - n if dated else None)
        wait_for(lambda n=n: value(stack) == 70 + n, 20, "applied")
        hook(stack, 55)  # late
        taken(scheduler, 2 * n + 2)
        wait_for(lambda: waiting(stack) == 0, 20, "applied")
        wait_for(lambda n=n: value(stack) == 70 + n, 20, "what MTConnect says")
