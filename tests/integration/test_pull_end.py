"""What one machine answers costs that machine alone, whatever it is."""
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
