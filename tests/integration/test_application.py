"""The application's own transactions: never blocked, slowed by a lock, or failed."""
import threading

import psycopg

from lib.flow import check_all_arrived


def strict(stack):
    """A session in which waiting for somebody's transaction is an error. (The moments two INSERTs
    need to make a table longer are locks to PostgreSQL too, so it can't be none at all.)"""
    pg = stack.connect()
    pg.execute("SET lock_timeout = '1s'")
    return pg


def write_concurrently(stack, writers=8, rounds=60):
    """Each writer moves its own machine's setup; every transaction of theirs must go through."""
    errors = []

    def write(machine):
        try:
            with strict(stack) as pg:
                setup, = pg.execute(
                    "INSERT INTO setup_jobs (machine_id, status) VALUES (%s, 'queued')"
                    " RETURNING id", (machine,)).fetchone()
                for n in range(rounds):
                    with pg.transaction():
                        pg.execute("UPDATE setup_jobs SET status = %s WHERE id = %s",
                                   (["created", "started"][n % 2], setup))
                        pg.execute("SELECT mtc.emit('event', 'SR-26', 'shift.note', '{}')")
        except psycopg.Error as error:
            errors.append(error)
    threads = [threading.Thread(target=write, args=(machine,)) for machine in range(1, writers + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    return writers * (2 * rounds + 1)


def test_concurrent_writers_without_a_producer(stack):
    events = write_concurrently(stack)
    assert stack.states() == {"waiting": events}


def test_concurrent_writers_with_two_producers(stack):
    stack.producer().wait_ready()
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    events = write_concurrently(stack)
    assert stack.wait_settled() == {"delivered": events}
    got = [key for keys in stack.sim.applied().values() for key in keys]
    assert len(got) == len(set(got)) == events


def test_a_transaction_left_open_holds_up_nobody(stack):
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as idle:
        with idle.transaction():
            late = stack.emit("SR-25", pg=idle)
            early = [stack.emit("SR-26") for _ in range(20)]
            with strict(stack) as pg:
                # the same machine: no lock, so nobody to wait for
                early += [stack.emit("SR-25", pg=pg)]
            assert stack.wait_settled() == {"delivered": 21}
    stack.wait_settled()
    assert stack.sim.applied() == {"SR-26": early[:20], "SR-25": [early[20], late]}


def test_rolled_back_transactions_send_nothing(stack):
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        with pg.transaction(force_rollback=True):
            stack.emit("SR-26", pg=pg)
        with pg.transaction():
            pg.execute("SAVEPOINT s")
            stack.emit("SR-26", pg=pg)
            pg.execute("ROLLBACK TO SAVEPOINT s")
            kept = stack.emit("SR-26", pg=pg)
    assert stack.wait_settled() == {"delivered": 1}
    assert stack.sim.applied() == {"SR-26": [kept]}


def test_an_application_role_without_rights_on_the_schema(stack):
    role = f"app_{stack.name}"
    with stack.connect() as pg:
        pg.execute(f"CREATE ROLE {role}")
        pg.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        pg.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
        pg.execute(f"SET ROLE {role}")
        pg.execute("UPDATE setup_jobs SET status = 'completed' WHERE machine_id = 1")
        pg.execute("SELECT mtc.emit('event', 'SR-26', 'shift.note', '{}')")
        try:
            pg.execute("SELECT * FROM mtc.outbox")
            raise AssertionError("the outbox is none of the application's business")
        except psycopg.errors.InsufficientPrivilege:
            pass
        pg.execute("RESET ROLE")
        pg.execute(f"DROP OWNED BY {role}")
        pg.execute(f"DROP ROLE {role}")
    assert stack.states() == {"waiting": 2}


def test_only_changes_of_status_are_events(stack):
    with stack.connect() as pg:
        pg.execute("UPDATE setup_jobs SET status = status, planned_quantity = 1")
        pg.execute("UPDATE setup_jobs SET cycle_time = 5")
        assert stack.states() == {}
        pg.execute("UPDATE setup_jobs SET status = 'completed' WHERE machine_id = 3")
        body, path = pg.execute("SELECT body::json, path FROM mtc.outbox").fetchone()
    assert path == "/api/ext/setup"
    assert body["machineId"] == "SR-10" and body["eventType"] == "setup.completed"
    assert body["data"]["previousStatus"] == "started" and body["data"]["plannedQuantity"] == 1


def test_reading_order_survives_a_late_commit(stack):
    """X commits after later ids were read, then Y of the same machine: X must not be overtaken by
    Y."""
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as open_session:
        for _ in range(20):
            with open_session.transaction():
                x = stack.emit("SR-25", pg=open_session)
                for _ in range(5):
                    stack.emit("SR-26")
            y = stack.emit("SR-25")
            stack.wait_settled()
            assert stack.sim.applied()["SR-25"][-2:] == [x, y]
    check_all_arrived(stack)


def test_a_large_late_transaction(stack):
    """10,000 events with low ids become visible all at once, while later ones are in flight."""
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as open_session:
        with open_session.transaction():
            open_session.execute(
                "SELECT count(mtc.emit('setup', 'SR-' || 20 + n % 4, 'setup.started', '{}'))"
                " FROM generate_series(1, 10000) n")
            with stack.connect() as pg:
                pg.execute("SELECT count(mtc.emit('setup', 'K-16', 'setup.started', '{}'))"
                           " FROM generate_series(1, 3000)")
    assert stack.wait_settled() == {"delivered": 13000}
    check_all_arrived(stack)
