"""What every program does alike: options, configuration, health, logs."""
import signal
import subprocess

import pytest

from lib.processes import wait_for
from lib.servers import http
from lib.stack import BUILD, ENVIRONMENT, ROOT

PROGRAMS = ["mtc-producer", "mtc-sender"]


def run(program, *words, **env):
    done = subprocess.run([BUILD / program, *words], capture_output=True, text=True, timeout=30,
                          env=dict(ENVIRONMENT, **env))
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_version_and_wrong_options(program):
    assert run(program, "--help")[0] == 0 and "--check-config" in run(program, "--help")[1]
    assert run(program, "--version")[1].startswith(program)
    assert run(program, "--nonsense")[0] == 2
    assert run(program, "stray")[0] == 2 and "stray" in run(program, "stray")[2]


@pytest.mark.parametrize("text,wanted", [
    ("sender: {\n  prefetch = 0;\n};", ":2: sender.prefetch is 0, outside 1..65535 events"),
    ("sender: {\n  prefetsch = 1;\n};", ":2: unknown option sender.prefetsch"),
    ("\nsendr: { };", ':2: unknown section "sendr"'),
    ("sender = 3;", ':1: "sender" is a section'),
    ("sender: { prefetch = \"many\"; };", ":1: sender.prefetch wants a whole number"),
    ("log: { level = 7; };", ":1: log.level wants text in quotes"),
    ("log: { level = \"loud\"; };", ':1: log.level is "loud"'),
    ("sender: { on_dead = \"\"; };", ':1: sender.on_dead is "", not one of skip|stop'),
    ("sender: { on_dead = \"stopp\"; };", ':1: sender.on_dead is "stopp", not one of'),
    ("sender: { retry_delays_s = \"1,x\"; };", ":1: sender.retry_delays_s is"),
    ("sender: { prefetch = 1;\n prefetch = 2; };", ":2: duplicate setting name"),
    ("sender: {", ":"),
    ("mtconnect: { base_url = \"\"; };", ":1: mtconnect.base_url must not be empty"),
])
def test_bad_configuration_is_refused_with_file_and_line(tmp_path, text, wanted):
    path = tmp_path / "bad.conf"
    path.write_text(text)
    for program in PROGRAMS:
        status, out, err = run(program, "-c", str(path), "--check-config")
        assert status == 1 and out == "" and f"{path}{wanted}" in err, err
        assert len(err.splitlines()) == 1


def test_environment_wins_and_is_checked(tmp_path):
    path = tmp_path / "good.conf"
    path.write_text("sender: { prefetch = 7; };")
    assert "prefetch = 7;" in run("mtc-sender", "-c", str(path), "--print-config")[1]
    assert "prefetch = 8;" in run("mtc-sender", "-c", str(path), "--print-config",
                                  MTC_SENDER_PREFETCH="8")[1]
    status, _, err = run("mtc-sender", "--check-config", MTC_SENDER_PREFETCH="lots")
    assert status == 1 and "environment MTC_SENDER_PREFETCH" in err
    assert run("mtc-sender", "-c", "/nonexistent", "--check-config")[2].count("No such file") == 1


def test_print_config_hides_passwords_and_can_be_read_back(tmp_path):
    env = {"MTC_AMQP_URL": "amqp://u:hunter2@h/v", "MTC_REDIS_URL": "redis://:hunter2@h/1",
           "MTC_POSTGRES_CONNINFO": "host=h password='hun ter2' dbname=d",
           "MTC_MTCONNECT_BASE_URL": "http://u:hunter2@h"}
    status, out, _ = run("mtc-producer", "--print-config", **env)
    assert status == 0 and "hunter2" not in out and "hun ter2" not in out and out.count("***") == 4
    path = tmp_path / "printed.conf"
    path.write_text(out)
    assert run("mtc-producer", "-c", str(path), "--check-config")[0] == 0
    assert run("mtc-producer", "-c", str(path), "--print-config")[1] == out


@pytest.mark.parametrize("env,wanted",
                         [({"MTC_AMQP_URL": "http://h"}, "amqp.url"),
                          ({"MTC_POSTGRES_CONNINFO": "nonsense"}, "postgres.conninfo"),
                          ({"MTC_PRODUCER_LISTEN": "nowhere"}, "no numeric address"),
                          ({"MTC_PRODUCER_LISTEN": "203.0.113.1:1"}, "cannot listen on")])
def test_cannot_start_says_why_and_exits(env, wanted):
    status, _, err = run("mtc-producer", **{"MTC_PRODUCER_LISTEN": "127.0.0.1:0", **env})
    assert status == 1 and wanted in err
    assert len(err.splitlines()) == 1


def test_sender_refuses_a_missing_api_key_file():
    status, _, err = run("mtc-sender", MTC_MTCONNECT_API_KEY_FILE="/nonexistent/key",
                         MTC_SENDER_LISTEN="127.0.0.1:0")
    assert status == 1 and "/nonexistent/key: No such file" in err


def test_health(stack):
    for service in (stack.producer(), stack.sender()):
        service.wait_ready()
        base = f"http://127.0.0.1:{service.metrics_port}"
        assert http("GET", f"{base}/healthz") == (200, "ok\n")
        assert http("GET", f"{base}/elsewhere")[0] == 404
        assert http("POST", f"{base}/metrics", "x" * 5000)[0] == 413
        for line in http("GET", f"{base}/metrics")[1].splitlines():
            assert line.startswith("#") or float(line.rsplit(" ", 1)[1]) >= 0


def test_hangup_rereads_level_and_key(stack):
    sender = stack.sender().wait_ready()
    stack.config_path.write_text(stack.config_path.read_text().replace('level = "info"',
                                                                       'level = "debug"'))
    sender.send(signal.SIGHUP)
    wait_for(lambda: "reloaded" in sender.text(), 10, "reloaded")
    stack.producer()
    stack.emit("SR-26")
    stack.wait_settled()
    wait_for(lambda: "level=debug" in sender.text(), 10, "debug lines")
    stack.config_path.write_text("broken {")
    sender.send(signal.SIGHUP)
    wait_for(lambda: "not reloaded" in sender.text(), 10, "a broken file is refused")
    assert sender.is_running()


def test_rotated_amqp_password_needs_no_restart(stack, servers):
    user = f"u{stack.name}"
    for path, body in ((f"/api/users/{user}", '{"password":"one","tags":""}'),
                       (f"/api/permissions/{stack.name}/{user}",
                        '{"configure":".*","write":".*","read":".*"}')):
        assert servers.rabbit.api("PUT", path, body)[0] in (201, 204)
    secret = stack.folder / "amqp.password"
    secret.write_text("wrong\n")
    producer = stack.producer(
        mtc_amqp_url=f"amqp://{user}@127.0.0.1:{servers.rabbit.port}/{stack.name}",
        mtc_amqp_password_file=secret)
    wait_for(lambda: "cannot reach RabbitMQ" in producer.text(), 20, "refused")
    assert "ACCESS_REFUSED" in producer.text()
    secret.write_text("one\n")
    producer.wait_ready()
    servers.rabbit.api("DELETE", f"/api/users/{user}")


@pytest.mark.parametrize("verb,document", [("options", "docs/configuration.md"),
                                           ("metrics", "docs/metrics.md")])
def test_the_reference_is_current(verb, document):
    status, out, _ = run("mtcctl", verb)
    text = (ROOT / document).read_text()
    assert status == 0
    assert out.strip() in text, f"{document}: print it anew with mtcctl {verb}"


@pytest.mark.parametrize("words", [["options"], ["metrics", "--json"]])
def test_what_cannot_be_printed_is_no_success(words):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([BUILD / "mtcctl", *words], stdout=full, stderr=subprocess.PIPE,
                              text=True, env=ENVIRONMENT, timeout=20, check=False)
    assert done.returncode == 1
    assert "standard output could not be written" in done.stderr
