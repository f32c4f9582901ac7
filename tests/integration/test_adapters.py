"""A second adapter, on a host schema quite unlike the first one's; and a receiver that is not
MTConnect. docs/adapters.md tells of both."""
import json
import re

import psycopg
import pytest

from lib.another_receiver import AnotherReceiver
from lib.flow import check_all_arrived
from lib.processes import wait_for
from lib.stack import ROOT

ADAPTER = "work_orders"
DOCUMENT = (ROOT / "docs/adapters.md").read_text(encoding="utf-8")
HOST = (ROOT / "tests/integration/hosts/work_orders.sql").read_text()


@pytest.fixture
def make_shop(make_stack):
    def make(**options):
        stack = make_stack(plant=False, **options)
        with stack.connect() as pg:
            pg.execute(HOST)
        assert "applied work_orders 1" in stack.ctl("migrate", "--adapter", ADAPTER)
        return stack
    return make


def documented(heading):
    """The SQL below a heading of docs/adapters.md, word by word."""
    return DOCUMENT[DOCUMENT.index(f"\n## {heading}\n"):].split("```sql\n")[1].split("```")[0]


def plan(pg, machine, item="bolt", quantity=100, **more):
    """As the application does it."""
    columns = {"work_center": machine, "item": item, "quantity": quantity, **more}
    return pg.execute(f"INSERT INTO shop.work_order ({', '.join(columns)})"
                      f" VALUES ({', '.join(['%s'] * len(columns))}) RETURNING id",
                      list(columns.values())).fetchone()[0]


def change(pg, order, **columns):
    pg.execute(f"UPDATE shop.work_order SET {', '.join(f'{name} = %s' for name in columns)}"
               " WHERE id = %s", [*columns.values(), order])


def told(pg):
    """(machine, type, work order) of every event, in the order of the ledger."""
    return pg.execute("SELECT machine, type, body::json -> 'data' ->> 'workOrder' FROM mtc.outbox"
                      " WHERE error IS NULL ORDER BY id").fetchall()


def reasons(pg):
    return [reason for reason, in pg.execute("SELECT error FROM mtc.outbox ORDER BY id")]


def host_objects(pg):
    """All of the host's schema that an adapter could touch."""
    return pg.execute("""
        SELECT 'column', attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod)
          FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
         WHERE relnamespace = 'shop'::regnamespace AND attnum > 0 AND NOT attisdropped
         UNION ALL
        SELECT 'trigger', tgrelid::regclass::text, tgname::text, ''
          FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
         WHERE relnamespace = 'shop'::regnamespace AND NOT tgisinternal ORDER BY 1, 2, 3"""
                      ).fetchall()


def test_changes_arrive_in_the_order_they_were_made(make_shop):
    stack = make_shop()
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        first, second = plan(pg, "MILL-1"), plan(pg, "MILL-1", "nut")
        turned = plan(pg, "LATHE/2", "Wölle, 12 mm")
        change(pg, first, running=True)
        change(pg, first, quantity=7)  # no change of state
        with pg.transaction():  # finish one, start the next, and more
            change(pg, first, running=False, finished=True)
            change(pg, second, running=True)
            sawn = plan(pg, "Säge 3")
            change(pg, turned, work_center="Säge 3")
        with pg.transaction(force_rollback=True):
            change(pg, second, finished=True)
        pg.execute("DELETE FROM shop.work_order WHERE id = %s", (sawn,))
        pg.execute("DELETE FROM shop.work_order WHERE finished")  # history is nobody's news
        assert [(machine, kind, order) for machine, kind, order in told(pg)] == [
            ("MILL-1", "setup.queued", str(first)), ("MILL-1", "setup.queued", str(second)),
            ("LATHE/2", "setup.queued", str(turned)), ("MILL-1", "setup.started", str(first)),
            ("MILL-1", "setup.completed", str(first)), ("MILL-1", "setup.started", str(second)),
            ("Säge 3", "setup.queued", str(sawn)), ("Säge 3", "setup.queued", str(turned)),
            ("LATHE/2", "setup.removed", str(turned)), ("Säge 3", "setup.removed", str(sawn))]
    assert stack.wait_settled() == {"delivered": 10}
    check_all_arrived(stack)
    assert [row["type"] for row in stack.sim.record() if row["machine"] == "MILL-1"] == [
        "setup.queued", "setup.queued", "setup.started", "setup.completed", "setup.started"]


def test_bodies_are_what_the_adapter_made_of_the_rows(make_shop):
    with AnotherReceiver() as receiver:
        stack = make_shop(mtconnect__base_url=f'"{receiver.url}"')
        stack.producer().wait_ready()
        stack.sender().wait_ready()
        with stack.connect() as pg:
            order = plan(pg, "LATHE/2", 'Wölle "12"', 40, due="2026-03-01 08:00+02")
            pg.execute("SELECT mtc.emit('event', 'LATHE/2', 'shift.note', '{\"by\": 7}')")
            wait_for(lambda: len(receiver.requests) == 2, 20, "both arrive")
            bodies = [body for body, in pg.execute("SELECT body FROM mtc.outbox ORDER BY id")]
    got = [(request["path"], request["body"]) for request in receiver.requests]
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert all(re.fullmatch(when, body.pop("timestamp")) for _, body in got)
    assert got == [
        ("/api/ext/setup", {"machineId": "LATHE/2", "eventType": "setup.queued", "data": {
            "workOrder": str(order), "item": 'Wölle "12"', "quantity": 40,
            "due": "2026-03-01T06:00:00.000Z"}}),
        ("/api/ext/event", {"machineId": "LATHE/2", "eventType": "shift.note", "data": {"by": 7}})]
    assert [json.loads(body)["data"] for body in bodies] == [body["data"] for _, body in got]


def cycles(stack):
    with stack.connect() as pg:
        return dict(pg.execute("SELECT code, cycle_ms FROM shop.work_center ORDER BY code"))


def test_cycle_times_come_back_in_milliseconds(make_shop):
    stack = make_shop(migrate_options=())
    for machine, seconds in (("MILL-1", 298.2), ("LATHE/2", 0.0415), ("Säge 3", 12), ("PRESS", 1)):
        stack.sim.call("POST", "/cycle", {"machine": machine, "cycle_time": seconds})

    def pull():
        scheduler = stack.service("mtc-scheduler")
        scheduler.command.append("--once")
        assert scheduler.start().child.wait(60) == 0, scheduler.text()

    pull()
    assert stack.cycle_times() == {"MILL-1": 298.2, "LATHE/2": 0.042, "Säge 3": 12}
    assert set(cycles(stack).values()) == {None}  # off by default
    assert stack.ctl("migrate", "--mirror-cycle-time", "on") == "schema mtc is up to date\n"
    with stack.connect() as locker, locker.transaction():
        locker.execute("UPDATE shop.work_center SET description = 'at work' WHERE code = 'MILL-1'")
        pull()  # waits for nobody
        assert cycles(stack) == {"MILL-1": None, "LATHE/2": 42, "Säge 3": 12000, "PRESS": None}
    pull()
    assert cycles(stack) == {"MILL-1": 298200, "LATHE/2": 42, "Säge 3": 12000, "PRESS": None}


def test_a_new_machine_has_events_at_once_and_cycle_times_soon(make_shop):
    stack = make_shop()
    with stack.connect() as pg:
        with pg.transaction():
            pg.execute("INSERT INTO shop.work_center (code) VALUES ('NEW'), ('')")
            plan(pg, "NEW")
            pg.execute("SELECT mtc.emit('event', 'NEW', 'shift.note', '{}')")
        assert reasons(pg) == [None, None]
        stack.producer().wait_ready()
        stack.scheduler().wait_ready()
        receiver = stack.receiver().wait_ready()
        wait_for(lambda: pg.execute("SELECT count(*) FROM mtc.active_machine WHERE machine = 'NEW'"
                                    ).fetchone()[0], 30, "it has a number")
        assert not pg.execute("SELECT count(*) FROM mtc.machine WHERE machine = ''").fetchone()[0]
        wait_for(lambda: stack.sim.stats()["webhooks"]["registered"], 30, "registered")
        stack.sim.call("POST", "/webhook", {"machine_id": "NEW", "cycle_time": 1.5})
        wait_for(lambda: stack.cycle_times().get("NEW") == 1.5, 30, receiver.text)


def test_what_is_wrong_with_a_row_is_the_events_problem(make_shop):
    stack = make_shop()
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("INSERT INTO shop.work_center (code) VALUES ('')")
        nowhere, empty = plan(pg, None), plan(pg, "")
        pg.execute("SELECT mtc.emit('event', 'NOBODY', 'shift.note', '{}')")
        pg.execute("ALTER TABLE shop.work_order DROP COLUMN due")  # the host goes its own way
        plan(pg, "MILL-1")
        assert reasons(pg) == [f"work order {nowhere} has no work center",
                               f"work order {empty} has no work center",
                               "machine 'NOBODY' is unknown", 'record "v_order" has no field "due"']
        pg.execute("ALTER TABLE shop.work_order ADD COLUMN due timestamptz")
        good = plan(pg, "MILL-1")
        assert pg.execute("SELECT count(*) FROM shop.work_order").fetchone() == (4,)
        assert stack.wait_settled() == {"dead": 4, "delivered": 1}
        assert told(pg)[-1] == ("MILL-1", "setup.queued", str(good))
    check_all_arrived(stack, dead=4)


def test_again_changes_nothing_and_a_second_adapter_is_refused(make_shop):
    stack = make_shop()
    with stack.connect() as pg:
        pg.execute((ROOT / "sql/demo/plant.sql").read_text())
        before = pg.execute("SELECT oid, xmin, prosrc FROM pg_proc WHERE pronamespace ="
                            " 'mtc'::regnamespace ORDER BY oid").fetchall(), host_objects(pg)
        assert stack.ctl("migrate", "--adapter", ADAPTER) == "schema mtc is up to date\n"
        refused = stack.ctl("migrate", "--adapter", "production_tracking", status=1)
        assert "the database has the adapter work_orders, and takes one only" in refused
        refused = stack.ctl("migrate", "--setup-endpoint", "deployed", status=1)
        assert "no adapter in the database heeds setup_endpoint" in refused
        after = pg.execute("SELECT oid, xmin, prosrc FROM pg_proc WHERE pronamespace ="
                           " 'mtc'::regnamespace ORDER BY oid").fetchall(), host_objects(pg)
        assert after == before
        assert pg.execute("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'setup_jobs'::regclass"
                          " AND NOT tgisinternal").fetchone() == (0,)
        assert pg.execute("SELECT verdict, what FROM mtc.health() LIMIT 1").fetchone() == (
            "ok", "triggers")


@pytest.mark.parametrize("missing", ["shop.work_center", "shop.work_order"])
def test_a_missing_table_of_the_host_is_named(make_stack, missing):
    stack = make_stack(plant=False)
    with stack.connect() as pg:
        pg.execute(HOST)
        pg.execute(f"ALTER TABLE {missing} RENAME TO elsewhere")
        before = host_objects(pg)
        text = stack.ctl("migrate", "--adapter", ADAPTER, status=1)
        assert text.startswith("mtcctl: work_orders 1 (work_orders): ERROR:")
        assert f'"{missing}" does not exist' in text
        assert host_objects(pg) == before
        assert pg.execute("SELECT count(*) FROM mtc.schema_version WHERE component = %s",
                          (ADAPTER,)).fetchone() == (0,)
        assert "none is installed" in pg.execute("SELECT detail FROM mtc.health()").fetchone()[0]
        pg.execute(f"ALTER TABLE shop.elsewhere RENAME TO {missing.split('.')[1]}")
        assert stack.ctl("migrate", "--adapter", ADAPTER) == (
            "applied work_orders 1 (work_orders)\n")


def test_the_host_retypes_its_columns(make_shop):
    stack = make_shop()
    before, after = documented("When the host's tables change").split("-- the host's own")
    with stack.connect() as pg:
        plan(pg, "MILL-1")
        for table, column in (("work_center", "retired_at"), ("work_order", "running")):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="cannot alter type"):
                pg.execute(f"ALTER TABLE shop.{table} ALTER COLUMN {column} TYPE text")
        pg.execute(before + "ALTER TABLE shop.work_center ALTER COLUMN retired_at TYPE timestamp;"
                   " ALTER TABLE shop.work_order ALTER COLUMN work_center TYPE varchar(20);"
                   + after.split("\n", 1)[1])
        stack.ctl("migrate", "--adapter", ADAPTER)
        plan(pg, "LATHE/2")
        assert [machine for machine, _, _ in told(pg)] == ["MILL-1", "LATHE/2"]
        assert pg.execute("SELECT verdict FROM mtc.health() LIMIT 1").fetchone() == ("ok",)
        assert pg.execute("SELECT array_agg(machine ORDER BY machine_id) FROM mtc.active_machine"
                          ).fetchone()[0] == ["LATHE/2", "MILL-1", "Säge 3"]


def test_taken_out_and_put_back(make_shop):
    stack = make_shop()
    with stack.connect() as pg:
        pg.execute(HOST.replace("shop", "bare"))
        pg.execute(documented("Changing the adapter"))
        bare = [(kind, name.replace("bare.", "shop."), *rest) for kind, name, *rest in pg.execute(
            "SELECT 'column', attrelid::regclass::text, attname::text,"
            " format_type(atttypid, atttypmod) FROM pg_attribute JOIN pg_class c ON c.oid ="
            " attrelid WHERE relnamespace = 'bare'::regnamespace AND attnum > 0 ORDER BY 1, 2, 3")]
        assert host_objects(pg) == bare  # no trigger is left
        plan(pg, "MILL-1")
        stack.ctl("migrate", "--adapter", ADAPTER)
        order = plan(pg, "MILL-1")
        assert told(pg) == [("MILL-1", "setup.queued", str(order))]


def test_another_receiver(make_stack):
    turns = {}

    def answer(request):
        """Each event's first answer is another one; 422 and 400 stay."""
        turn = turns[request["key"]] = turns.get(request["key"], 0) + 1
        what = request["body"].get("text", "")
        if what in ("422", "400"):
            return int(what), {}
        if what and turn == 1:
            return int(what), {"Retry-After": "1"} if what == "503" else {}
        return 201, {}

    with AnotherReceiver(answer) as receiver:
        stack = make_stack(mtconnect__base_url=f'"{receiver.url}/andon/"',
                           sender__retry_delays_s='"0.05"')
        with stack.connect() as pg:
            pg.execute(documented("Another receiver"))
            pg.execute("UPDATE setup_jobs SET status = 'completed' WHERE machine_id = 1")
            for status in (503, 500, 422, 400):
                pg.execute("SELECT mtc.emit('event', 'SR-26', 'shift.note', %s::json)",
                           (json.dumps({"text": str(status)}),))
            key = stack.emit("SR-26", "shift.note", pg=pg)
            pg.execute("SELECT mtc.emit('event', 'SR-26', 'tool.worn', '{}')")
        stack.producer().wait_ready()
        stack.sender().wait_ready()
        assert stack.wait_settled() == {"delivered": 4, "dead": 3}
        with stack.connect() as pg:
            dead = pg.execute("SELECT type, status, reason FROM mtc.event WHERE state = 'dead'"
                              " ORDER BY id").fetchall()
    assert [(kind, status) for kind, status, _ in dead] == [
        ("shift.note", 422), ("shift.note", 400), ("tool.worn", None)]
    assert dead[2][2] == "kind 'event' goes nowhere"
    first, = (r for r in receiver.requests if r["path"] == "/andon/v2/jobs")
    assert first["body"]["station"] == "SR-25" and first["body"]["state"] == "completed"
    assert isinstance(first["body"]["at_ms"], int) and first["headers"]["X-API-Key"]
    notes = [r for r in receiver.requests if r["path"] == "/andon/v2/notes"]
    assert [r["status"] for r in notes] == [503, 201, 500, 201, 422, 422, 400, 400, 201]
    assert [r["key"] for r in notes][-1] == key
    assert notes[0]["key"] == notes[1]["key"] and notes[2]["key"] == notes[3]["key"]
    assert notes[0]["body"] == {"station": "SR-26", "text": "503"}
