"""mtc-scheduler: cycle times are pulled, written if they changed, and by one process alone."""
import json
import subprocess
import time

import pytest

from lib.processes import wait_for
from lib.stack import BUILD, ROOT

PLANT = {"SR-26": 298.2, "K-16": 42.0, "SR-20": 36.5}


def set_cycles(stack, cycles, **more):
    for machine, seconds in cycles.items():
        stack.sim.call("POST", "/cycle", {"machine": machine, "cycle_time": seconds, **more})


def set_plant(stack, seconds=100.0):
    """A cycle time for each machine of the plant."""
    with stack.connect() as pg:
        names = [name for name, in pg.execute("SELECT machine FROM mtc.active_machine")]
    set_cycles(stack, {name: seconds + n for n, name in enumerate(names)})
    return {name: seconds + n for n, name in enumerate(names)}


def runs(stack):
    with stack.connect() as pg:
        return pg.execute("SELECT started_at, worker, asked, answered, changed, failed"
                          " FROM mtc.cycle_run").fetchone()


def pull_once(stack, status=0, **options):
    scheduler = stack.service("mtc-scheduler", **options)
    scheduler.command.append("--once")
    scheduler.start()
    assert scheduler.child.wait(60) == status, scheduler.text()
    return scheduler


@pytest.mark.parametrize("shape", ["plan", "deployed"])
def test_a_pull_writes_what_changed_and_nothing_else(make_stack, shape):
    stack = make_stack(sim_options=["--cycle", shape])
    wanted = set_plant(stack)
    pull_once(stack)
    assert stack.cycle_times() == wanted
    assert stack.cycle_writes() == 16
    pull_once(stack)
    assert stack.cycle_writes() == 16 and runs(stack)[2:5] == (16, 16, 0)
    set_cycles(stack, {"SR-26": 55.123})
    pull_once(stack)
    assert stack.cycle_writes() == 17 and stack.cycle_times()["SR-26"] == 55.123


def test_the_demos_plant_is_known_from_the_start(make_stack):
    known = json.loads((ROOT / "demo/cycle-times.json").read_text())
    stack = make_stack(sim_options=["--cycle-times", str(ROOT / "demo/cycle-times.json")])
    pull_once(stack)
    assert runs(stack)[2:6] == (16, 16, 16, {})
    assert stack.cycle_times() == {told["machine"]: told["cycle_time"] for told in known}


@pytest.mark.parametrize("text, complaint", [
    ('{"machine": "SR-26"}', "not an array"),
    ('[{"machine": "SR-26", "cycle_time": 1},\n {"machine"}]', "line 2: "),
    ('[{"machine": "SR-26", "cycle_time": 1}, {"machine": "SR-20"}]', "entry 2: "),
    (None, "unable to open "),
])
def test_cycle_times_that_cant_be_read_are_refused(tmp_path, text, complaint):
    path = tmp_path / "cycle-times.json"
    if text:
        path.write_text(text)
    done = subprocess.run([BUILD / "tests/mtconnect-sim", "--listen", "127.0.0.1:0", "--control",
                           "127.0.0.1:0", "--cycle-times", path], capture_output=True, text=True,
                          check=False, timeout=20)
    assert done.returncode == 1 and complaint in done.stderr and str(path) in done.stderr


def test_unchanged_answers_are_304(make_stack):
    stack = make_stack(scheduler__period_s=1)
    set_plant(stack)
    scheduler = stack.scheduler().wait_ready()
    wait_for(lambda: scheduler.metrics()['mtc_scheduler_answers_total{answer="unchanged"}'] >= 32,
             30, "304s")
    assert scheduler.metrics()['mtc_scheduler_answers_total{answer="value"}'] == 16
    scheduler.stop()
    assert stack.cycle_writes() == 16


def test_nothing_known_yet_is_no_failure(make_stack):
    stack = make_stack(sim_options=["--cycle", "deployed"])
    set_plant(stack, 100)
    set_cycles(stack, {"SR-26": 0})
    scheduler = pull_once(stack)
    assert "SR-26" not in stack.cycle_times() and len(stack.cycle_times()) == 15
    assert runs(stack)[2:4] == (16, 16) and "level=error" not in scheduler.text()


def test_bad_machines_are_named_and_cost_the_others_nothing(make_stack):
    stack = make_stack(scheduler__retry_delays_s='"0.1,0.1"', mtconnect__timeout_ms=300)
    wanted = set_plant(stack)
    bad = {"SR-26": {"action": "status", "status": 200, "body": '{"last_cycle_time": "soon"}'},
           "K-16": {"action": "hang"}, "SR-20": {"action": "status", "status": 500},
           "SR-22": {"action": "status", "status": 404}, "SR-32": {"action": "garbage"}}
    stack.sim.faults(*({"path": f"/api/ext/machines/{name}/cycle-time", **rule}
                       for name, rule in bad.items()))
    scheduler = pull_once(stack)
    assert stack.cycle_times() == {name: seconds for name, seconds in wanted.items()
                                   if name not in bad}
    failed = runs(stack)[5]
    assert set(failed) == set(bad)
    assert "last_cycle_time is no number" in failed["SR-26"] and failed["SR-20"] == "HTTP 500"
    assert "MTConnect does not know it" in failed["SR-22"] and "no answer" in failed["K-16"]
    for name in bad:
        assert f"machine={name}" in scheduler.text()


def test_failures_are_counted_by_reason(make_stack):
    stack = make_stack(scheduler__period_s=3600, scheduler__retry_delays_s='"0.1"',
                       mtconnect__timeout_ms=300)
    set_plant(stack)
    for name, rule in {"SR-26": {"action": "status", "status": 200, "body": "{}"},
                       "K-16": {"action": "hang"}}.items():
        stack.sim.faults({"path": f"/api/ext/machines/{name}/cycle-time", **rule},
                         {"path": "/api/ext/machines/SR-22/cycle-time", "action": "status",
                          "status": 404})
        with stack.connect() as pg:
            pg.execute("DELETE FROM mtc.cycle_run")
        scheduler = stack.scheduler().wait_ready()
        reason = {"SR-26": "breach of contract", "K-16": "no answer"}[name]
        wait_for(
            lambda: scheduler.metrics()[f'mtc_scheduler_failures_total{{reason="{reason}"}}'] == 1,
            30, "counted")
        assert scheduler.metrics()['mtc_scheduler_failures_total{reason="unknown machine"}'] == 1
        wait_for(lambda: scheduler.metrics()["mtc_scheduler_failing_machines"] == 2, 30,
                 "and how many there are now")
        scheduler.stop()


def test_a_failure_that_passes_is_asked_again(make_stack):
    stack = make_stack(scheduler__retry_delays_s='"0.1,0.1,0.1,0.1"')
    wanted = set_plant(stack)
    stack.sim.faults({"path": "/api/ext/machines/SR-26/cycle-time", "action": "status",
                      "status": 503, "count": 3},
                     {"path": "/api/ext/machines/K-16/cycle-time", "action": "close", "count": 2})
    scheduler = pull_once(stack)
    assert stack.cycle_times() == wanted
    assert scheduler.text().count("machine will be asked again") >= 4


def test_a_name_that_drifted_is_asked_for_under_its_other_name(stack):
    with stack.connect() as pg:
        pg.execute("INSERT INTO mtc.machine_name SELECT id, 'B-38/old name' FROM machines"
                   " WHERE name = 'BT-38'")
    set_plant(stack)
    set_cycles(stack, {"B-38/old name": 7.5})
    pull_once(stack)
    assert stack.cycle_times()["B-38/old name"] == 7.5


def test_mtconnect_down_a_pull_is_made_again_when_it_is_back(make_stack):
    stack = make_stack(scheduler__retry_delays_s='"0.1"', scheduler__again_s=1)
    wanted = set_plant(stack)
    stack.sim.call("POST", "/down")
    scheduler = stack.scheduler().wait_ready()
    wait_for(lambda: "pull in vain" in scheduler.text(), 30, "a pull in vain")
    assert runs(stack) is None
    stack.sim.call("POST", "/up")
    wait_for(lambda: stack.cycle_times() == wanted, 30, "pulled")
    assert "another mtc-scheduler is active" in pull_once(stack, status=1).text()
    scheduler.stop()
    stack.sim.call("POST", "/down")
    assert "pull in vain" in pull_once(stack, status=1).text()


def test_a_wrong_api_key_ends_the_pull_and_says_so(make_stack):
    stack = make_stack(scheduler__again_s=1)
    wanted = set_plant(stack)
    stack.api_key_path.write_text("wrong\n")
    scheduler = stack.scheduler()
    wait_for(lambda: "pull given up" in scheduler.text(), 30, "given up")
    assert "HTTP 401" in scheduler.text()
    stack.api_key_path.write_text("the key of the shop\n")
    wait_for(lambda: stack.cycle_times() == wanted, 30, "pulled with the right key")


def apply(stack, *observations):
    """changed, same, older, unknown."""
    with stack.connect() as pg:
        batch = [{"machine": m, "cycle_time": s, "observed_at": at, "dated": True,
                  "arrived_at": "2026-06-01T00:00:00Z", "source": "webhook"}
                 for m, s, at in observations]
        return pg.execute("SELECT changed, same, older, unknown FROM mtc.apply_cycle_times(%s)",
                          (json.dumps(batch),)).fetchone()


def test_older_observations_never_overwrite_newer_ones(stack):
    assert apply(stack, (15, 10, "2026-01-01T10:00:00Z")) == (1, 0, 0, [])
    assert apply(stack, (15, 11, "2026-01-01T09:00:00Z")) == (0, 0, 1, [])
    assert apply(stack, (15, 10, "2026-01-01T09:00:00Z")) == (0, 1, 0, [])
    # the same time is not newer
    assert apply(stack, (15, 12, "2026-01-01T10:00:00Z")) == (0, 0, 1, [])
    assert apply(stack, ("SR-32", 12, "2026-01-01T10:00:01Z")) == (1, 0, 0, [])
    assert stack.cycle_times() == {"SR-32": 12.0}
    # In one batch, in any order: the newest counts, and who is unknown spoils nothing.
    assert apply(stack, (15, 20, "2026-01-03T00:00:00Z"), (99, 1, "2026-01-03T00:00:00Z"),
                 (15, 21, "2026-01-04T00:00:00Z"), ("B-38", 1, "2026-01-03T00:00:00Z"),
                 (15, 22, "2026-01-02T00:00:00Z")) == (1, 0, 2, [1, 3])
    assert stack.cycle_times() == {"SR-32": 21.0}


def test_a_value_seen_again_guards_against_what_is_late(make_stack):
    """Seeing a value again writes nothing; what is older than that must not win all the same."""
    stack = make_stack(scheduler__period_s=3600)
    set_plant(stack)
    scheduler = stack.scheduler().wait_ready()
    stack.receiver().wait_ready()
    wait_for(lambda: stack.sim.stats()["webhooks"]["registered"], 20, "registered")
    wait_for(lambda: runs(stack), 30, "pulled")
    now = time.time()

    def hook(seconds, ago):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 60 - ago))
        before = scheduler.metrics()["mtc_scheduler_hooks_total"]
        stack.sim.call("POST", "/webhook",
                       {"machine_id": 15, "cycle_time": seconds, "observed_at": at})
        wait_for(lambda: scheduler.metrics()["mtc_scheduler_hooks_total"] > before, 20,
                 "hook taken")

    hook(10, 50)
    wait_for(lambda: stack.cycle_times()["SR-32"] == 10, 20, "applied")
    hook(10, 10)  # writes nothing
    hook(12, 30)  # newer than the row, older than what was seen
    hook(77, 5)
    wait_for(lambda: stack.cycle_times()["SR-32"] == 77, 20, "applied")
    assert scheduler.metrics()['mtc_scheduler_observations_total{result="older"}'] == 1
    scheduler.stop()
    assert stack.cycle_writes() == 16 + 2  # 10 and 77; the 12 was not written in between


def test_two_schedulers_make_one_pull_a_period(make_stack):
    stack = make_stack(scheduler__period_s=2)
    set_plant(stack)
    schedulers = [stack.scheduler().wait_ready(), stack.scheduler().wait_ready()]
    starts = [wait_for(lambda: runs(stack), 20, "a pull")[0]]
    before = sum(runs_of(schedulers))

    def another():
        start = runs(stack)[0]
        return start if start != starts[-1] else None
    while len(starts) < 5:
        starts.append(wait_for(another, 60, "another pull"))
    # One a period is never two within one; how much later the next begins is the machine's matter.
    assert all((b - a).total_seconds() > 1.9 for a, b in zip(starts, starts[1:])), starts
    assert abs(sum(runs_of(schedulers)) - before - 4) <= 1
    assert 0 in runs_of(schedulers)


def runs_of(schedulers):
    return [s.metrics()['mtc_scheduler_runs_total{result="done"}'] for s in schedulers]


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_another_takes_over_and_makes_up_for_what_was_missed(make_stack, how):
    stack = make_stack(scheduler__period_s=2)
    set_plant(stack)
    schedulers = [stack.scheduler(), stack.scheduler()]
    for scheduler in schedulers:
        scheduler.wait_ready()
    wait_for(lambda: runs(stack), 20, "a pull")
    active = schedulers[0] if schedulers[0].metrics()["mtc_scheduler_active"] else schedulers[1]
    other = schedulers[1] if active is schedulers[0] else schedulers[0]
    getattr(active, how)()
    try:
        wait_for(lambda: other.metrics()["mtc_scheduler_active"] == 1, 30, "the other is active")
        wait_for(lambda: runs(stack)[1] == other.name, 30, "a pull of the other")
    finally:
        if how == "freeze":
            active.thaw()
    if how == "freeze":
        wait_for(lambda: active.metrics()["mtc_scheduler_active"] == 0, 30, "the first has noticed")


def test_a_pull_missed_while_down_is_made_up_and_no_other(make_stack):
    stack = make_stack(scheduler__period_s=3600)
    set_plant(stack)
    first = stack.scheduler().wait_ready()
    wait_for(lambda: runs(stack), 20, "the pull that was due")
    begun = runs(stack)[0]
    first.stop()
    second = stack.scheduler().wait_ready()
    wait_for(lambda: second.metrics()["mtc_scheduler_active"] == 1, 20, "active")
    with stack.connect() as pg:
        assert 3590 < pg.execute("SELECT mtc.cycle_run_due('1 hour')").fetchone()[0] <= 3600
        assert runs(stack)[0] == begun  # it was not due
        pg.execute("UPDATE mtc.cycle_run SET started_at = started_at - interval '1 hour'")
    second.stop()
    stack.scheduler().wait_ready()
    wait_for(lambda: runs(stack)[0] >= begun, 20, "made up for")


def test_killed_in_the_middle_of_a_pull_the_pull_is_made_anew(make_stack):
    stack = make_stack(scheduler__period_s=3600)
    wanted = set_plant(stack)
    stack.sim.faults({"path": "/api/ext/machines/SR-26/cycle-time", "action": "hang"})
    first = stack.scheduler().wait_ready()
    wait_for(lambda: any(rule.get("hits") for rule in stack.sim.stats()["faults"]), 20, "it hangs")
    first.kill()
    assert runs(stack) is None
    stack.sim.faults()
    stack.scheduler()
    wait_for(lambda: stack.cycle_times() == wanted, 30, "pulled")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+03:00", "0001-01-01T00:00:00Z",
                                    "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
                                    "1999-12-31T23:59:59Z"])
def test_a_time_nobody_observed_at_costs_one_machine(make_stack, moment):
    """.NET's MinValue and its kin: as good as no answer, of that machine alone."""
    stack = make_stack(sim_options=["--cycle", "deployed"])
    wanted = set_plant(stack)
    body = {"machineId": "SR-26", "totalRecords": 1,
            "data": [{"timestamp": moment, "cycleTime": 5}]}
    stack.sim.faults({"path": "/api/ext/machines/SR-26/cycle-time", "action": "status",
                      "status": 200, "body": json.dumps(body)})
    pull_once(stack)
    del wanted["SR-26"]
    assert stack.cycle_times() == wanted
    assert set(runs(stack)[5]) == {"SR-26"}


def test_a_table_of_the_applications_that_refuses_costs_one_machine(make_stack):
    """A constraint of the application's on what is mirrored: mtc.cycle_time has every value."""
    stack = make_stack(migrate_options=["--mirror-cycle-time", "on"])
    wanted = set_plant(stack)
    with stack.connect() as pg:
        pg.execute("ALTER TABLE setup_jobs ADD CHECK (cycle_time <> 4000) NOT VALID")
        before = dict(pg.execute("SELECT id, cycle_time FROM setup_jobs"
                                 " WHERE status = 'started'").fetchall())
        name, = pg.execute("SELECT m.machine FROM setup_jobs s"
                           " JOIN mtc.machine m USING (machine_id)"
                           " WHERE s.status = 'started' LIMIT 1").fetchone()
        set_cycles(stack, {name: 4000})
        pull_once(stack)
        after = dict(pg.execute("SELECT id, cycle_time FROM setup_jobs"
                                " WHERE status = 'started'").fetchall())
    assert stack.cycle_times() == {**wanted, name: 4000.0}
    changed = [setup for setup, seconds in after.items() if seconds != before[setup]]
    assert len(changed) == len(after) - 1 and 4000 not in after.values()


def test_values_are_mirrored_into_the_active_setup_when_asked(make_stack):
    stack = make_stack(migrate_options=["--mirror-cycle-time", "on"])
    set_plant(stack)
    set_cycles(stack, {"SR-26": 54.6, "K-16": 0.2})
    with stack.connect() as pg:
        active = ("SELECT machine_id, id, cycle_time FROM setup_jobs WHERE status = 'started'"
                  " ORDER BY 1")
        before = pg.execute(active).fetchall()
        number = pg.execute("SELECT id FROM machines WHERE name = 'SR-26'").fetchone()[0]
        pg.execute("INSERT INTO setup_jobs (machine_id, employee_id, planned_quantity, status,"
                   " created_at, cycle_time)"
                   " VALUES (%s, 1, 5, 'queued', now(), 5)", (number,))
        pull_once(stack)
        after = pg.execute(active).fetchall()
        assert [row[:2] for row in before] == [row[:2] for row in after]
        times = stack.cycle_times()
        names = dict(pg.execute("SELECT machine_id, machine FROM mtc.machine"))
        assert all(seconds == max(1, round(times[names[machine]])) for machine, _, seconds in after)
        assert pg.execute(
            "SELECT cycle_time FROM setup_jobs WHERE status = 'queued'").fetchone() == (5,)
        # A row the application holds is left alone, and caught up with.
        machine, setup, _ = after[0]
        set_cycles(stack, {names[machine]: 500})
        with pg.transaction():
            pg.execute("SELECT FROM setup_jobs WHERE id = %s FOR UPDATE", (setup,))
            pull_once(stack)
        assert pg.execute("SELECT cycle_time FROM setup_jobs WHERE id = %s",
                          (setup,)).fetchone() != (500,)
        pull_once(stack)
        assert pg.execute("SELECT cycle_time FROM setup_jobs WHERE id = %s",
                          (setup,)).fetchone() == (500,)


def test_by_default_the_applications_tables_stay_as_they_are(stack):
    set_plant(stack, 777)
    with stack.connect() as pg:
        before = pg.execute("SELECT sum(cycle_time) FROM setup_jobs").fetchone()
        pull_once(stack)
        assert pg.execute("SELECT sum(cycle_time) FROM setup_jobs").fetchone() == before


def test_postgresql_restarts_and_the_scheduler_goes_on(make_stack):
    stack = make_stack(scheduler__period_s=1)
    set_plant(stack)
    stack.scheduler().wait_ready()
    wait_for(lambda: runs(stack), 20, "a pull")
    stack.servers.postgres.crash()
    set_cycles(stack, {"SR-26": 5.5})
    stack.servers.postgres.start()
    wait_for(lambda: stack.cycle_times().get("SR-26") == 5.5, 60, "pulled after the restart")
