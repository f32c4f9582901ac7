"""A pull ends in time, and what one machine answers costs that machine alone."""
import pytest

from lib.processes import wait_for

MACHINE = "SR-26"
PATH = f"/api/ext/machines/{MACHINE}/cycle-time"


def known_plant(stack):
    with stack.connect() as pg:
        for name, in pg.execute("SELECT machine FROM mtc.active_machine").fetchall():
            stack.sim.call("POST", "/cycle", {"machine": name, "cycle_time": 100})


def failures(stack):
    """Of the last pull: why, by machine."""
    with stack.connect() as pg:
        return pg.execute("SELECT failed FROM mtc.cycle_run").fetchone()[0]


def runs_made(scheduler):
    return scheduler.metrics()['mtc_scheduler_runs_total{result="done"}']


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_never_holds_a_pull_open_past_its_period(make_stack, status):
    """The machine is given up for this run, and asked again by the next."""
    stack = make_stack(scheduler__period_s=4, mtconnect__timeout_ms=500)
    known_plant(stack)
    stack.sim.faults({"path": PATH, "action": "status", "status": status, "retry_after": 120})
    scheduler = stack.scheduler().wait_ready()
    wait_for(lambda: runs_made(scheduler) >= 3, 40, "runs that ended")
    assert scheduler.metrics()["mtc_scheduler_failing_machines"] == 1
    failed = failures(stack)
    assert set(failed) == {MACHINE} and f"HTTP {status}" in failed[MACHINE]
    assert "next pull" in failed[MACHINE]
    stack.sim.faults()
    wait_for(lambda: stack.cycle_times().get(MACHINE) == 100, 20, "the next run has asked it")


def test_own_pauses_end_in_time_as_well(make_stack):
    stack = make_stack(scheduler__period_s=4, mtconnect__timeout_ms=500)
    known_plant(stack)
    stack.sim.faults({"path": PATH, "action": "status", "status": 500})
    scheduler = stack.scheduler().wait_ready()
    wait_for(lambda: runs_made(scheduler) >= 3, 30, "runs that ended")
    with stack.connect() as pg:
        assert pg.execute("SELECT finished_at - started_at < interval '4 s'"
                          " FROM mtc.cycle_run").fetchone()[0]


def test_an_answer_the_database_cant_write_down_costs_one_machine(make_stack):
    """Its encoding has no such letters as the complaint about that answer."""
    stack = make_stack(scheduler__period_s=3600, database_options=(
        "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"))
    known_plant(stack)
    stack.sim.faults({"path": PATH, "action": "status", "status": 200,
                      "body": '{"last_cycle_time": "скоро", "x": токен}'})
    scheduler = stack.scheduler().wait_ready()
    wait_for(lambda: runs_made(scheduler) == 1, 30, "the pull is recorded")
    failed = failures(stack)
    assert set(failed) == {MACHINE} and "breach of contract" in failed[MACHINE]
    assert len(stack.cycle_times()) == 15
