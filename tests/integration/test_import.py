"""mtc-producer --import"""
import subprocess

from lib.stack import BUILD, ENVIRONMENT

GOOD = '{"kind":"setup","machine":"SR-26","type":"setup.started","payload":{"n":%d}}\n'


def run(stack, text, *options, path="-"):
    done = subprocess.run([BUILD / "mtc-producer", "-c", stack.config_path, "--import", path,
                           *options], input=text, capture_output=True, env=ENVIRONMENT, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")


def test_good_lines(stack):
    status, out, err = run(stack, "".join(GOOD % n for n in range(1200)).encode())
    assert (status, out, err) == (0, "1200 imported, 0 bad\n", "")
    with stack.connect() as pg:
        assert pg.execute("SELECT array_agg(((body::json)->'data'->>'n')::int ORDER BY id)"
                          " FROM mtc.outbox").fetchone()[0] == list(range(1200))


def test_bad_lines_are_named_and_the_rest_kept(stack):
    lines = [(GOOD % 1).encode(), b"not json\n", b"\n", b"[1]\n", b'{"kind":"setup"}\n',
             b'{"kind":"setup","machine":"SR-26","type":"t","payload":{},"colour":"red"}\n',
             b'{"kind":"setup","machine":"SR-26","type":"t","payload":7}\n',
             b'{"kind":"setup","machine":"SR-26","type":"t","payload":{},"event_id":"7"}\n',
             b'{"kind":"setup","machine":"SR-26","type":"t","payload":{},'
             b'"occurred_at":"yesterday-ish"}\n',
             b'{"kind":"setup","machine":"a\\u0000b","type":"t","payload":{}}\n',
             b'{"kind":"setup","machine":"\xff","type":"t","payload":{}}\n',
             b'{"kind":"setup","kind":"event","machine":"SR-26","type":"t","payload":{}}\n',
             b'{"kind":"setup","machine":"SR-26","type":"t","payload":' + b'{"a":' * 5000 +
             b"1" + b"}" * 5000 + b"}\n",
             (GOOD % 2).encode().rstrip()]
    status, out, err = run(stack, b"".join(lines))
    assert status == 1 and out == "2 imported, 11 bad\n"
    for number, what in ((2, "no JSON"), (4, "no JSON object"), (5, "machine is missing"),
                         (6, 'unknown field "colour"'), (7, "payload is no object"),
                         (8, "event_id is no UUID"), (9, "yesterday-ish"), (10, "\\u0000"),
                         (11, "no JSON"), (12, "duplicate"), (13, "no JSON")):
        line = next(l for l in err.splitlines() if l.startswith(f"stdin:{number}:"))
        assert what in line, line
    assert stack.states() == {"waiting": 2}


def test_strict_is_all_or_nothing(stack, tmp_path):
    path = tmp_path / "events.ndjson"
    path.write_text(GOOD % 1 + "broken\n" + GOOD % 2)
    status, out, err = run(stack, None, "--strict", path=path)
    assert status == 1 and out == "" and f"{path}:2: no JSON" in err and "nothing imported" in err
    assert stack.states() == {}
    path.write_text(GOOD % 1 + GOOD % 2)
    assert run(stack, None, "--strict", path=path)[:2] == (0, "2 imported, 0 bad\n")


def test_the_same_event_id_is_imported_once(stack):
    line = (b'{"kind":"setup","machine":"SR-26","type":"setup.started","payload":{},'
            b'"event_id":"0192d3a4-0000-7000-8000-000000000001",'
            b'"occurred_at":"2025-12-28T12:12:33.5+03:00"}\n')
    assert run(stack, line)[0] == 0 and run(stack, line)[0] == 0
    with stack.connect() as pg:
        assert pg.execute(
            "SELECT count(*), max(body::json->>'timestamp') FROM mtc.outbox").fetchone() == (
                1, "2025-12-28T09:12:33.500Z")


def test_what_cannot_be_read_or_reached(stack):
    status, _, err = run(stack, None, path="/nonexistent/file")
    assert status == 1 and "/nonexistent/file: No such file or directory" in err
    done = subprocess.run([BUILD / "mtc-producer", "--import", "-"], input=b"", capture_output=True,
                          timeout=60,
                          env=dict(ENVIRONMENT,
                                   MTC_POSTGRES_CONNINFO="host=127.0.0.1 port=1 dbname=x"))
    assert done.returncode == 1 and b"cannot reach PostgreSQL" in done.stderr
