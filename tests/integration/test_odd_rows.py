"""Rows nobody should write: each costs itself, and no other row waits for it."""
import json
import threading

import psycopg
import pytest

from lib.flow import check_all_arrived
from lib.processes import wait_for

ONE_BYTE = "ENCODING 'WIN1252' LOCALE 'C' TEMPLATE template0"


def reasons(stack):
    return sorted(letter["properties"]["headers"]["reason"] for letter in stack.dead_letters())


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "294276-12-31", "4713-01-01 BC",
                                    "9999-12-31", "0001-01-01"])
def test_a_time_no_one_can_write_down(stack, moment):
    """mtc.emit() takes any timestamptz, from any role."""
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        for machine in ("SR-26", "SR-26", "SR-25"):
            pg.execute("SELECT mtc.emit('setup', %s, 'setup.started', '{}', NULL, %s)",
                       (machine, moment))
            stack.emit(machine, pg=pg)
    assert stack.wait_settled() == {"delivered": 3, "dead": 3}
    assert all(reason.startswith("occurred_at ") for reason in reasons(stack))
    check_all_arrived(stack, dead=3)


def test_a_time_within_bounds(stack):
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        for moment in ("0001-01-02 12:00+00", "9999-12-29", "1969-12-31 23:59:59.999+00"):
            pg.execute("SELECT mtc.emit('setup', 'SR-26', 'setup.started', '{}', NULL, %s)",
                       (moment,))
    assert stack.wait_settled() == {"delivered": 3}
    assert stack.sim.record() and all(row["applied"] for row in stack.sim.record())


@pytest.mark.parametrize("column,value", [
    ("occurred_at", "'infinity'"), ("created_at", "'infinity'"), ("created_at", "'-infinity'"),
    ("created_at", "'294276-12-31'"), ("kind", "NULL"), ("machine", "NULL"), ("path", "NULL"),
    ("type", "repeat('x', 300)"), ("machine", "repeat('m', 300000)"), ("body", "NULL"),
    ("body", "''"), ("traceparent", "repeat('t', 100000)"), ("error", "repeat('e', 100000)")])
def test_a_row_written_past_emit(stack, column, value):
    """An operator's hand, a restored dump: whatever it holds, the rows behind it go on."""
    with stack.connect() as pg:
        stack.emit("SR-26", pg=pg)
        stack.emit("SR-25", pg=pg)
        pg.execute(f"UPDATE mtc.outbox SET {column} = {value} WHERE id = 1")
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    states = stack.wait_settled()
    assert states["delivered"] >= 1 and sum(states.values()) == 2, states
    assert "SR-25" in [row["machine"] for row in stack.sim.record() if row["applied"]]


def test_what_is_kept_of_an_unformed_event_is_bounded(stack):
    with stack.connect() as pg:
        pg.execute("SELECT mtc.emit(repeat('k', 2000000), repeat('m', 2000000),"
                   " repeat('t', 2000000), json_build_object('x', repeat('p', 2000000)))")
        sizes = pg.execute("SELECT octet_length(kind), octet_length(machine), octet_length(type),"
                           " octet_length(body), octet_length(error) FROM mtc.outbox").fetchone()
    assert sizes == (200, 200, 200, 65536, sizes[4]) and sizes[4] <= 1000
    stack.producer().wait_ready()
    assert stack.wait_settled() == {"dead": 1}


def test_a_character_the_relay_cannot_read(make_stack):
    """Byte 0x81 is legal in a WIN1252 database and does not exist in UTF-8. Rows of other machines,
    and of its own, before and behind it, are delivered in order."""
    stack = make_stack(plant=False, database_options=ONE_BYTE)
    with stack.connect(client_encoding="WIN1252") as pg:
        for n in range(40):
            data = "json_build_object('x', chr(129))" if n in (7, 8, 31) else "'{}'::json"
            pg.execute(f"SELECT mtc.emit('setup', 'M-{n % 3}', 'setup.started', {data})")
        pg.execute("SELECT mtc.emit('setup', 'M-' || chr(129), 'setup.' || chr(129), '{}')")
        pg.execute("SELECT mtc.emit('setup', 'M-1', 'setup.started',"
                   " json_build_object('x', chr(233)))")
    producer = stack.producer().wait_ready()
    stack.sender().wait_ready()
    assert stack.wait_settled() == {"delivered": 38, "dead": 4}
    assert all(reason.startswith("unreadable: character with byte sequence 0x81")
               for reason in reasons(stack))
    check_all_arrived(stack, dead=4)
    assert producer.text().count("can't be read; it goes to the dead letters") == 4
    assert "lost PostgreSQL" not in producer.text()
    events = json.loads(stack.ctl("events", "--json"))
    assert len(events) == 42


def test_what_is_sent_is_utf8(make_stack):
    """JSON is UTF-8, whatever the database's encoding and the environment of the programs."""
    stack = make_stack(plant=False, database_options="ENCODING 'LATIN1' LOCALE 'C'"
                                                     " TEMPLATE template0")
    stack.producer(PGCLIENTENCODING="LATIN1").wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("SELECT mtc.emit('setup', 'Säge', 'setup.started', '{\"by\": \"Zoë\"}')")
    assert stack.wait_settled() == {"delivered": 1}
    assert [row["machine"] for row in stack.sim.record()] == ["Säge"]


def test_somebody_changes_the_hosts_table(stack):
    """ALTER TABLE machines, not yet committed: emit waits for nobody, and kills no event."""
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("SELECT 1")
        with psycopg.connect(stack.servers.postgres.conninfo(stack.name)) as operator:
            operator.execute("ALTER TABLE machines ADD COLUMN colour text")
            done = threading.Event()

            def emit():
                stack.emit("SR-26")
                done.set()
            thread = threading.Thread(target=emit)
            thread.start()
            assert done.wait(10), "emit waits for the operator"
            thread.join()
            operator.rollback()
    assert stack.wait_settled() == {"delivered": 1}
    stack.emit("nobody's")
    wait_for(lambda: stack.states() == {"delivered": 1, "dead": 1}, 20, "an unknown one is dead")
