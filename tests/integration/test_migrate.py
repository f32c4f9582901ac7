"""mtcctl migrate"""
import json


def test_again_changes_nothing(stack):
    assert stack.ctl("migrate", "--adapter", "production_tracking") == "schema mtc is up to date\n"
    assert json.loads(stack.ctl("migrate", "--json")) == {"applied": []}
    with stack.connect() as pg:
        assert pg.execute("SELECT component, max(version) FROM mtc.schema_version GROUP BY 1 ORDER BY 1").fetchall() == [
            ("core", 4), ("production_tracking", 2)]


def test_a_newer_schema_is_refused(stack):
    with stack.connect() as pg:
        pg.execute("INSERT INTO mtc.schema_version (component, version, title) VALUES ('core', 99, 'from the future')")
    text = stack.ctl("migrate", status=1)
    assert "core at version 99" in text and "use a newer mtcctl" in text


def test_a_failing_migration_leaves_nothing_behind(make_stack):
    stack = make_stack(plant=False)
    text = stack.ctl("migrate", "--adapter", "production_tracking", status=1)  # the host's tables are missing
    assert "production_tracking 2" in text and "machines" in text
    with stack.connect() as pg:
        assert pg.execute("SELECT to_regclass('mtc.machine_name')").fetchone() == (None,)
        pg.execute("SELECT mtc.emit('setup', 'anything', 'setup.started', '{}')")  # without an adapter every name is known
    assert stack.states() == {"waiting": 1}


def test_wrong_words(stack):
    assert "no adapter" in stack.ctl("migrate", "--adapter", "other", status=2)
    assert "not plan or deployed" in stack.ctl("migrate", "--setup-endpoint", "x", status=2)
    assert "no verb" in stack.ctl("dance", status=2)
    assert "usage" in stack.ctl(status=2)


def test_locked_tables_are_not_waited_for_long(make_stack):
    """A migration that waits would make the application wait behind it."""
    stack = make_stack()
    with stack.connect() as pg:
        pg.execute("DELETE FROM mtc.schema_version WHERE component = 'production_tracking'")
    with stack.connect() as pg, pg.transaction():
        pg.execute("UPDATE setup_jobs SET planned_quantity = 1")
        assert "lock timeout" in stack.ctl("migrate", "--adapter", "production_tracking", status=1)
    assert "applied production_tracking" in stack.ctl("migrate", "--adapter", "production_tracking")
