"""mtcctl migrate"""
import json
import re
import shutil
import subprocess
import sys
import threading

import psycopg
import pytest

from lib.processes import wait_for
from lib.stack import ROOT

ADAPTER = "production_tracking"
CORE = {int(path.name[:3]) for path in (ROOT / "sql/core").glob("*.sql")}
FAMILIES = sorted(path.stem for path in (ROOT / "sql/functions").glob("*.sql")) + ["grants"]
ADAPTER_VERSION = int(re.match(r"-- version: (\d+)\n",
                               (ROOT / f"sql/adapters/{ADAPTER}.sql").read_text())[1])
OLD_SQL = ROOT / "tests/integration/old_sql"
REPLACEABLE = ("route(text, text)", "body(text, text, text, json, timestamptz)",
               "is_known_machine(text)", "tick()", "mirror_cycle_times(integer[])",
               "adapter_health()")
BOTH = f"core {max(CORE)} {ADAPTER} {ADAPTER_VERSION}"


def versions(pg):
    rows = pg.execute("SELECT component, max(version) FROM mtc.schema_version"
                      " GROUP BY 1 ORDER BY 1")
    return " ".join(f"{component} {version}" for component, version in rows)


def applied(stack, *words):
    """What a migration did, each as its component, or its title if it is a family of functions."""
    done = json.loads(stack.ctl("migrate", "--json", *words))["applied"]
    return [one["title"] if one["component"] == "functions" else
            f"{one['component']} {one['version']}" for one in done]


def functions(pg):
    """All of every function of mtc but its number: definition (whatever its line ends), rights."""
    return dict(pg.execute(r"""
        SELECT oid::regprocedure::text,
               ARRAY[regexp_replace(pg_get_functiondef(oid), '\s+', ' ', 'g'),
                     (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(proacl) a)]
          FROM pg_proc WHERE pronamespace = 'mtc'::regnamespace""").fetchall())


def relations(pg):
    """Columns of every table and view of mtc, and its indexes."""
    return pg.execute("""
        SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull
          FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
         WHERE relnamespace = 'mtc'::regnamespace AND attnum > 0 AND NOT attisdropped
         ORDER BY 1, attnum""").fetchall()


def make_old(stack, core, adapter=0):
    """The database as an mtcctl of before sql/functions/ left it, with one event in it."""
    with stack.connect() as pg:
        pg.execute("DROP SCHEMA mtc CASCADE")
        pg.execute("CREATE SCHEMA mtc; CREATE TABLE mtc.schema_version (component text NOT NULL,"
                   " version integer NOT NULL, title text NOT NULL, applied_at timestamptz NOT NULL"
                   " DEFAULT now(), PRIMARY KEY (component, version))")
        steps = [("core", n) for n in range(1, core + 1)]
        if adapter == 1:
            steps.insert(1, (ADAPTER, 1))  # there was core 1 when it was made
        elif adapter:
            steps.append((ADAPTER, adapter))
        for component, version in steps:
            pg.execute((OLD_SQL / f"{component}_{version}.sql").read_text())
            pg.execute("INSERT INTO mtc.schema_version VALUES (%s, %s, 'old')",
                       (component, version))
        stack.emit("SR-26", pg=pg)


OLD_STATES = [(1, 0), (2, 0), (3, 0), (4, 0), (1, 1), (2, 1), (4, 1), (2, 2), (3, 2), (4, 2)]


@pytest.fixture(scope="module")
def upgraded(servers):
    """A function that says how functions and relations of a database made anew are."""
    from lib.stack import Stack
    fresh = {}

    def look(adapter):
        if adapter not in fresh:
            stack = Stack(servers).set_up()
            try:
                if not adapter:
                    with stack.connect() as pg:
                        pg.execute("DROP SCHEMA mtc CASCADE")
                    stack.ctl("migrate")
                with stack.connect() as pg:
                    fresh[adapter] = functions(pg), relations(pg)
            finally:
                stack.tear_down()
        return fresh[adapter]

    return look


def test_again_changes_nothing(stack):
    assert stack.ctl("migrate", "--adapter", ADAPTER) == "schema mtc is up to date\n"
    assert json.loads(stack.ctl("migrate", "--json")) == {"applied": []}
    with stack.connect() as pg:
        assert versions(pg) == BOTH


def test_a_newer_schema_is_refused(stack):
    with stack.connect() as pg:
        pg.execute("INSERT INTO mtc.schema_version (component, version, title)"
                   " VALUES ('core', 99, 'from the future')")
    text = stack.ctl("migrate", status=1)
    assert "core at version 99" in text and "use a newer mtcctl" in text


def test_a_failing_migration_leaves_nothing_behind(make_stack):
    stack = make_stack(plant=False)
    text = stack.ctl("migrate", "--adapter", ADAPTER, status=1)  # the host's tables are missing
    assert f"{ADAPTER} {ADAPTER_VERSION}" in text and "machines" in text
    with stack.connect() as pg:
        assert pg.execute("SELECT to_regclass('mtc.machine_name')").fetchone() == (None,)
        # without an adapter every name is known
        pg.execute("SELECT mtc.emit('setup', 'anything', 'setup.started', '{}')")
    assert stack.states() == {"waiting": 1}


def test_wrong_words(stack):
    text = stack.ctl("migrate", "--adapter", "other", status=2)
    assert f'no adapter "other"; known: {ADAPTER}' in text
    for word in ("core", "functions", "grants"):
        assert "no adapter" in stack.ctl("migrate", "--adapter", word, status=2)
    assert ADAPTER in stack.ctl("migrate", "--help")
    assert "not plan or deployed" in stack.ctl("migrate", "--setup-endpoint", "x", status=2)
    assert "no verb" in stack.ctl("dance", status=2)
    assert "usage" in stack.ctl(status=2)


def test_a_setting_nobody_heeds_is_refused(make_stack):
    stack = make_stack(plant=False)
    text = stack.ctl("migrate", "--setup-endpoint", "deployed", status=1)
    assert text.endswith("mtcctl: no adapter in the database heeds setup_endpoint\n")
    with stack.connect() as pg:
        assert pg.execute("SELECT count(*) FROM mtc.setting").fetchone() == (0,)


def test_locked_tables_are_not_waited_for_long(make_stack):
    """A migration that waits would make the application wait behind it."""
    stack = make_stack()
    with stack.connect() as pg:
        pg.execute("DELETE FROM mtc.schema_version WHERE component = 'production_tracking'")
    with stack.connect() as pg, pg.transaction():
        pg.execute("UPDATE setup_jobs SET planned_quantity = 1")
        assert "lock timeout" in stack.ctl("migrate", "--adapter", "production_tracking", status=1)
    assert "applied production_tracking" in stack.ctl("migrate", "--adapter", "production_tracking")


@pytest.mark.parametrize("core, adapter", OLD_STATES)
def test_an_old_database_becomes_as_a_new_one(stack, upgraded, core, adapter):
    make_old(stack, core, adapter)
    wanted = [f"core {n}" for n in sorted(CORE) if n > core] + FAMILIES
    words = ()
    if adapter:
        wanted.append(f"{ADAPTER} {ADAPTER_VERSION}")
        words = ("--adapter", ADAPTER)
    assert applied(stack, *words) == wanted
    assert applied(stack, *words) == []
    with stack.connect() as pg:
        fresh_functions, fresh_relations = upgraded(bool(adapter))
        assert functions(pg) == fresh_functions
        assert relations(pg) == fresh_relations
        again, machine = pg.execute("SELECT again, machine"
                                    " FROM mtc.relay_step('{}', '{}', 10)").fetchone()
        assert (again, machine) == (False, "SR-26")


@pytest.mark.parametrize("adapter", [1, 2])
def test_an_old_adapter_is_left_alone_unless_it_is_named(stack, adapter):
    make_old(stack, 4, adapter)
    with stack.connect() as pg:
        before = functions(pg)
        applied(stack)
        after = functions(pg)
        for name in (*REPLACEABLE[:-1], "on_setup_job()"):
            name, = pg.execute("SELECT to_regprocedure('mtc.' || %s)::text", (name,)).fetchone()
            assert after[name] == before[name], name
        assert versions(pg) == f"core {max(CORE)} {ADAPTER} {adapter}"
        verdict, what, detail, advice = pg.execute("SELECT * FROM mtc.health()").fetchone()
        assert (verdict, what) == ("warning", "adapter")
        assert advice == f"run mtcctl migrate --adapter {ADAPTER}"
        assert "too old" in detail
    assert applied(stack, "--adapter", ADAPTER) == [f"{ADAPTER} {ADAPTER_VERSION}"]
    with stack.connect() as pg:
        assert pg.execute("SELECT verdict, what FROM mtc.health()").fetchone() == ("ok", "triggers")


def test_functions_applied_again_do_not_replace_an_adapters(make_stack):
    """The defaults would send a setup to another path: not even one event may be emitted to it."""
    stack = make_stack(migrate_options=["--setup-endpoint", "deployed"])
    stop, errors = threading.Event(), []

    def emit():
        try:
            with stack.connect() as pg:
                while not stop.is_set():
                    stack.emit("SR-26", pg=pg)
        except psycopg.Error as error:
            errors.append(error)

    with stack.connect() as pg:
        before = functions(pg)
        application = threading.Thread(target=emit)
        application.start()
        try:
            for _ in range(10):
                pg.execute("UPDATE mtc.function_family SET digest = 'another'")
                assert applied(stack) == FAMILIES
        finally:
            stop.set()
            application.join()
        assert functions(pg) == before
        assert not errors
        rows = pg.execute("SELECT DISTINCT path, error FROM mtc.outbox").fetchall()
        assert rows == [("/api/ext/event", None)]


def test_functions_are_applied_without_a_lock_on_the_hosts_tables(stack):
    with stack.connect() as pg:
        pg.execute("UPDATE mtc.function_family SET digest = 'another'")
        with pg.transaction():
            pg.execute("LOCK TABLE setup_jobs, machines IN ACCESS EXCLUSIVE MODE")
            assert applied(stack) == FAMILIES


def test_only_what_has_changed_is_applied(stack):
    with stack.connect() as pg:
        pg.execute("UPDATE mtc.function_family SET digest = 'another'"
                   " WHERE family IN ('sweep', 'emit')")
        pg.execute("INSERT INTO mtc.function_family VALUES ('gone', 'x', '0.0.1', now())")
    assert stack.ctl("migrate") == "applied functions (emit)\napplied functions (sweep)\n"
    assert stack.ctl("migrate") == "schema mtc is up to date\n"
    doctor = json.loads(stack.ctl("doctor", "--json", status=None))
    assert {"verdict": "ok", "what": "schema mtc", "detail": f"version {max(CORE)}"} in doctor


def test_doctor_sees_functions_of_another_program(stack):
    with stack.connect() as pg:
        pg.execute("UPDATE mtc.function_family SET digest = 'another' WHERE family = 'emit'")
    schema, = (found for found in json.loads(stack.ctl("doctor", "--json", status=1))
               if found["what"] == "schema mtc")
    assert schema["verdict"] == "ill" and schema["advice"] == "run mtcctl migrate"
    assert "emit" in schema["detail"]


@pytest.mark.parametrize("family", ["emit", "unheard_of"])
def test_functions_of_a_newer_program_are_refused(stack, family):
    with stack.connect() as pg:
        pg.execute("INSERT INTO mtc.function_family VALUES (%s, 'another', '99.1', now())"
                   " ON CONFLICT (family) DO UPDATE SET digest = 'another', program = '99.1'",
                   (family,))
        before = functions(pg)
        text = stack.ctl("migrate", status=1)
        assert f"functions {family} of version 99.1" in text and "use a newer mtcctl" in text
        assert functions(pg) == before


def test_a_failing_family_leaves_nothing_behind(stack):
    with stack.connect() as pg:
        pg.execute("DROP FUNCTION mtc.sweep(bigint, interval)")
        pg.execute("CREATE FUNCTION mtc.sweep(bigint, interval) RETURNS text"
                   " LANGUAGE sql RETURN 'x'")
        pg.execute("UPDATE mtc.function_family SET digest = 'another'")
        pg.execute("DROP FUNCTION mtc.relay_awake(boolean)")  # of a family before it
        before = functions(pg)
        assert "functions (sweep): ERROR" in stack.ctl("migrate", status=1)
        assert functions(pg) == before
        rows = pg.execute("SELECT DISTINCT digest FROM mtc.function_family").fetchall()
        assert rows == [("another",)]


def test_a_family_can_drop_a_function(stack, upgraded):
    """As relay.sql does with the relay_step() of before core 3. Who may call it is as it is for a
    new function."""
    with stack.connect() as pg:
        pg.execute("DROP FUNCTION mtc.relay_step(bigint[], bigint[], integer)")
        pg.execute("CREATE FUNCTION mtc.relay_step(confirmed bigint[], in_flight bigint[],"
                   " max_rows integer)"
                   " RETURNS TABLE (id bigint) LANGUAGE sql RETURN 1")
        pg.execute("UPDATE mtc.function_family SET digest = 'another' WHERE family = 'relay'")
        assert applied(stack) == ["relay"]
        assert functions(pg) == upgraded(True)[0]


def test_grants_of_the_site_stay(stack):
    role = f"site_{stack.name}"
    with stack.connect() as pg:
        pg.execute(f"CREATE ROLE {role}; GRANT EXECUTE ON FUNCTION"
                   f" mtc.relay_step(bigint[], bigint[], integer) TO {role}")
        pg.execute("GRANT EXECUTE ON FUNCTION mtc.sweep(bigint, interval) TO PUBLIC")
        before = functions(pg)
        pg.execute("UPDATE mtc.function_family SET digest = 'another'")
        assert applied(stack) == FAMILIES
        after = functions(pg)
        pg.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert role in after["mtc.relay_step(bigint[],bigint[],integer)"][1]
    for later in ("mtc.relay_step(bigint[],bigint[],integer,bigint,text[])",
                  "mtc.row_bytes(mtc.outbox)", "mtc.set_aside(bigint[],text[])",
                  "mtc.row_problem(mtc.outbox)", "mtc.set_aside(bigint[])", "mtc.ascii(text)",
                  "mtc.may_partition(text)", "mtc.begin_term()", "mtc.term_begun(bigint)",
                  "mtc.oldest_waiting()", "mtc.reconcile_due(interval)",
                  "mtc.note_unsettled(bigint)", "mtc.send_markers(integer,boolean,bigint)"):
        assert role not in str(before.pop(later)[1]), "its grant follows that of relay_step()"
        assert role in after.pop(later)[1]
    sweep = "mtc.sweep(bigint,interval)"
    assert before.pop(sweep) != after.pop(sweep) and before == after


@pytest.mark.parametrize("adapter", [False, True])
def test_every_body_is_valid(make_stack, adapter):
    """They are made without a check, since a function may call one that is made after it."""
    stack = make_stack(plant=adapter)
    with stack.connect() as pg:
        names = [name for name, in pg.execute("""
            SELECT format('%s(%s)', lanvalidator::regproc, p.oid)
              FROM pg_proc p JOIN pg_language l ON l.oid = prolang
             WHERE pronamespace = 'mtc'::regnamespace""")]
        assert len(names) > 20
        for name in names:
            pg.execute(f"SELECT {name}")


def test_the_functions_an_adapter_replaces_have_defaults(make_stack):
    stack = make_stack(plant=False)
    with stack.connect() as pg:
        for name in REPLACEABLE:
            known = pg.execute("SELECT to_regprocedure('mtc.' || %s) IS NOT NULL", (name,))
            assert known.fetchone()[0], name


def test_health_tells_a_role_without_rights_what_it_lacks(stack):
    role = f"guest_{stack.name}"
    with stack.connect() as pg:
        pg.execute(f"CREATE ROLE {role}; GRANT SELECT ON mtc.schema_version TO {role};"
                   f" SET ROLE {role}")
        rows = {what: (verdict, detail, advice) for verdict, what, detail, advice in
                pg.execute("SELECT * FROM mtc.health()")}
        pg.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
    assert set(rows) == {"triggers", "permissions"}
    verdict, detail, advice = rows["permissions"]
    assert verdict == "ill" and "GRANT EXECUTE" in advice
    assert detail.startswith(f"{role} may not call mtc.relay_step(")


@pytest.mark.parametrize("change, detail", [
    ("ALTER TABLE setup_jobs DISABLE TRIGGER ALL",
     "disabled on public.setup_jobs: mtc_setup_inserted, mtc_setup_status; changes make no events"),
    ("DROP TRIGGER mtc_setup_status ON setup_jobs",
     "public.setup_jobs lacks mtc_setup_status: changes make no events"),
    ("ALTER TABLE setup_jobs RENAME TO old_setup_jobs", "there is no public.setup_jobs"),
])
def test_health_tells_of_triggers_what_to_do(stack, change, detail):
    def triggers():
        return pg.execute("SELECT verdict, detail, advice FROM mtc.health()"
                          " WHERE what = 'triggers'").fetchall()

    with stack.connect() as pg:
        assert triggers() == [("ok", "on public.setup_jobs", None)]
        pg.execute(change)
        (verdict, told, advice), = triggers()
        assert (verdict, told) == ("ill", detail)
        if "RENAME" in change:
            pg.execute("CREATE TABLE setup_jobs (LIKE old_setup_jobs INCLUDING ALL);"
                       " DROP TABLE old_setup_jobs")
            (_, _, advice), = triggers()
        pg.execute(advice.split(", then")[0])  # literally
        if "mtcctl migrate" in advice:
            stack.ctl(*advice.split("mtcctl ")[1].split())
        assert triggers() == [("ok", "on public.setup_jobs", None)]


def test_health_without_an_adapter(make_stack):
    stack = make_stack(plant=False)
    stack.scheduler().wait_ready()
    with stack.connect() as pg:
        stack.emit("anything", pg=pg)
        pg.execute("UPDATE mtc.outbox SET created_at = created_at - interval '1 hour'")
        rows = pg.execute("SELECT verdict, what, detail, advice FROM mtc.health()").fetchall()
    assert [(verdict, what) for verdict, what, _, _ in rows] == [
        ("warning", "adapter"), ("ok", "permissions"), ("ill", "relay"), ("ill", "outbox"),
        ("ok", "markers"), ("ok", "scheduler")]
    assert all((advice is None) == (verdict == "ok") for verdict, _, _, advice in rows)
    assert rows[0][2:] == ("none is installed: no trigger emits events, and no machine is known",
                           "run mtcctl migrate --adapter NAME (--help lists them),"
                           " unless the application calls mtc.emit()")
    assert rows[3][2].startswith("1 events wait, the oldest for 360")


def test_a_new_file_is_all_an_adapter_takes(tmp_path):
    """tools/embed_sql.py at each build: the file is in the table, and ninja is told what to
    watch."""
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    adapter = tmp_path / "sql/adapters/other.sql"

    def embed():
        return subprocess.run([sys.executable, ROOT / "tools/embed_sql.py",
                               tmp_path / "sql", tmp_path / "out.c",
                               tmp_path / "out.d"], capture_output=True, text=True, timeout=60)

    adapter.write_text("-- version: 7\nSELECT 1;\n")
    assert embed().returncode == 0
    assert '{"other", 7, "other", ' in (tmp_path / "out.c").read_text()
    watched = (tmp_path / "out.d").read_text()
    assert str(adapter) in watched and str(adapter.parent) + " " in watched
    adapter.write_text("SELECT 1;\n")
    assert embed().returncode != 0


def test_a_producer_with_a_role_of_its_own_goes_on_after_an_upgrade(stack):
    """A site gave its producer what the functions of an older version needed, and no more."""
    role = f"relay_{stack.name}"
    older = ("mtc.relay_step(bigint[], bigint[], integer)", "mtc.relay_awake(boolean)",
             "mtc.tick()", "mtc.apply_outcomes(jsonb)", "mtc.sweep(bigint, interval)")
    with stack.connect() as pg:
        pg.execute(f"CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON mtc.outbox,"
                   f" mtc.relay TO {role}; GRANT SELECT ON mtc.setting, mtc.outbox_id_seq,"
                   f" mtc.schema_version TO {role};"
                   + "".join(f"GRANT EXECUTE ON FUNCTION {name} TO {role};" for name in older))
        pg.execute("UPDATE mtc.function_family SET digest = 'older'")
        assert applied(stack) == FAMILIES
    stack.write_config({"postgres__conninfo": '"' + stack.servers.postgres.conninfo(
        stack.name).replace("user=postgres", f"user={role}") + '"'})
    producer = stack.producer().wait_ready()
    stack.sender().wait_ready()
    try:
        stack.emit("SR-26")
        assert stack.wait_settled() == {"delivered": 1}
        wait_for(lambda: "lost PostgreSQL" not in producer.text()
                 and producer.metrics()["mtc_producer_active"] == 1, 10, "it relays")
    finally:
        producer.stop()
        with stack.connect() as pg:
            pg.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
