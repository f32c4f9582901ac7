"""mtcctl: what people ask and do."""
import json

import pytest

from lib.flow import check_all_arrived
from lib.hooks import keys, waiting
from lib.processes import Process, wait_for
from lib.stack import BUILD, QUICK_RETRIES


def run_programs(stack):
    services = [stack.producer(), stack.sender()]
    for service in services:
        service.wait_ready()
    return services


def asked(stack, *words, status=0):
    return json.loads(stack.ctl(*words, "--json", status=status))


def test_status(stack):
    """Text for people, JSON for programs; what is down is said, and is the exit status."""
    run_programs(stack)
    stack.scheduler().wait_ready()
    with stack.connect() as pg:
        pg.execute("UPDATE setup_jobs SET status = 'completed'")
    stack.emit("B-38")
    wait_for(lambda: stack.states() == {"delivered": 14, "dead": 1}, 20, "settled")
    told = asked(stack, "status")
    assert told["events"]["delivered"] == 14
    assert told["events"]["dead"] == 1
    assert told["events"]["waiting"] == 0
    assert told["postgres"]["schema"] == {"core": 8, "production_tracking": 4}
    queues = {queue["name"]: queue for queue in told["rabbitmq"]["queues"]}
    assert queues["mtc.dead"]["ready"] == 1
    assert queues["mtc.events.0"]["consumers"] >= 1
    assert not told["rabbitmq"]["paused"]

    def active_consumer():
        queues = {queue["name"]: queue for queue in asked(stack, "status")["rabbitmq"]["queues"]}
        return queues["mtc.events.0"].get("active")
    wait_for(active_consumer, 20, "the management API knows the active consumer")
    programs = {program["program"]: program for program in told["programs"]}
    assert programs["sender"]["ready"] is True
    assert programs["sender"]["delivered"] == 14
    assert programs["producer"]["active"] == 1
    text = stack.ctl("status")
    assert "delivered 14   dead 1" in text and "mtc.events.7" in text and "breaker closed" in text
    assert stack.ctl("top", "--interval", "1", "--count", "2").count("mtc-sync ") == 2
    screens = stack.ctl("top", "--count", "2", "--interval", "1", "--json").splitlines()
    assert [json.loads(screen)["events"]["delivered"] for screen in screens] == [14, 14]
    stack.servers.postgres.stop()
    try:
        text = stack.ctl("status", status=1)
        assert "PostgreSQL  DOWN" in text and "RabbitMQ    3." in text or "RabbitMQ    4." in text
    finally:
        stack.servers.postgres.start()


def test_events_are_found(stack):
    run_programs(stack)
    first = stack.emit("SR-26", "setup.started")
    stack.emit("K-16", "shift.note")
    stack.emit("B-38", "shift.note")
    wait_for(lambda: stack.states() == {"delivered": 2, "dead": 1}, 20, "settled")

    def found(*words):
        return [row["machine"] for row in asked(stack, "events", *words)]

    assert found() == ["B-38", "K-16", "SR-26"] and found("--limit", "1") == ["B-38"]
    assert found("--machine", "SR-26") == ["SR-26"]
    assert found("--type", "shift.%") == ["B-38", "K-16"]
    assert found("--state", "dead") == ["B-38"] and found("--id", first) == ["SR-26"]
    assert len(found("--since", "10m")) == 3
    assert found("--since", "2099-01-01T00:00:00Z") == []
    assert found("--until", "10m") == []
    row, = asked(stack, "events", "--id", first)
    assert row["state"] == "delivered" and row["status"] == 201 and row["attempts"] == 1
    for bad in (["--since", "yesterday"], ["--state", "lost"], ["--id", "7"], ["more"]):
        text = stack.ctl("events", *bad, status=2)
        assert f'"{bad[-1]}"' in text and "usage" in text
    for bad in ("x", "0", "-1", "5 a", ""):
        assert f'--limit "{bad}" is no whole number' in stack.ctl("events", "--limit", bad,
                                                                  status=2)


def test_dead_letters_are_listed_put_back_and_dropped(make_stack):
    stack = make_stack(**QUICK_RETRIES)
    run_programs(stack)
    stack.sim.faults({"action": "status", "status": 422, "body": "no such part"})
    first, second = stack.emit("SR-26"), stack.emit("K-16")
    unknown = stack.emit("B-38")
    wait_for(lambda: stack.states() == {"dead": 3}, 20, "dead")
    letters = {letter["id"]: letter for letter in asked(stack, "dead", "list")}
    assert set(letters) == {first, second, unknown}
    assert letters[first]["reason"] == "5 attempts failed, the last: HTTP 422"
    assert letters[unknown]["reason"] == "machine 'B-38' is unknown"
    shown, = asked(stack, "dead", "show", "--id", first)
    assert shown["response"] == "no such part"
    assert shown["path"] == "/api/ext/setup"
    assert json.loads(shown["body"])["machineId"] == "SR-26"
    assert len(asked(stack, "dead", "list", "--reason", "unknown")) == 1
    assert asked(stack, "dead", "list", "--machine", "K-16")[0]["id"] == second
    assert "every event is accounted for" in stack.ctl("audit")

    stack.sim.faults()
    assert "1 put back" in stack.ctl("dead", "requeue", "--machine", "SR-26")
    wait_for(lambda: stack.states() == {"dead": 2, "delivered": 1}, 20, "delivered after all")
    row, = asked(stack, "events", "--id", first)
    assert row["state"] == "delivered"
    assert row["note"] == ("put back after having been dead: 5 attempts failed, "
                           "the last: HTTP 422: no such part")
    # its own key
    assert [arrival["key"] for arrival in stack.sim.record() if arrival["applied"]] == [first]

    # What could not be formed can't be sent; it says so, and the rest is done.
    text = stack.ctl("dead", "requeue", "--all", status=1)
    assert "could not be formed" in text and "1 put back" in text
    wait_for(lambda: stack.states() == {"dead": 1, "delivered": 2}, 20, "the other is delivered")
    assert "1 dropped" in stack.ctl("dead", "drop", "--id", unknown)
    assert asked(stack, "dead", "list") == []
    row, = asked(stack, "events", "--id", unknown)
    assert row["state"] == "dead" and row["note"] == "dropped"
    assert asked(stack, "audit")["dropped"] == 1
    for bad, why in (([], ""), (["list", "--all", "--id", "x"], "exclude each other"),
                     (["requeue"], "which letters?"), (["drop"], "which letters?"),
                     (["bury", "--all"], '"bury" is none of'), (["list", "x"], 'what is "x"?')):
        text = stack.ctl("dead", *bad, status=2)
        assert why in text and "usage" in text
    stack.ctl("dead", "show", "--id", first, status=1)  # no longer there


def test_a_requeued_event_that_dies_again_is_dead_again(make_stack):
    stack = make_stack(**QUICK_RETRIES)
    run_programs(stack)
    stack.sim.faults({"action": "status", "status": 400})
    key = stack.emit("SR-26")
    wait_for(lambda: stack.states() == {"dead": 1}, 20, "dead")
    stack.sim.faults({"action": "status", "status": 422})
    stack.ctl("dead", "requeue", "--id", key)
    wait_for(lambda: asked(stack, "events", "--id", key)[0]["status"] == 422, 20,
             "dead of something else")
    assert len([row for row in stack.sim.record() if row["key"] == key]) == 10  # five each time
    assert len(asked(stack, "dead", "list")) == 1 and "accounted for" in stack.ctl("audit")


def test_requeue_killed_between_publish_and_commit(make_stack):
    """Its copy is on its way, the ledger has not heard of it, the letter is still there: nothing is
    lost, all is put right."""
    stack = make_stack(**QUICK_RETRIES)
    _, sender = run_programs(stack)
    stack.sim.faults({"action": "status", "status": 400})
    key = stack.emit("SR-26")
    wait_for(lambda: stack.states() == {"dead": 1}, 20, "dead")
    stack.sim.faults()
    with stack.connect() as pg:
        # COMMIT of a change of the note waits for a lock that we hold.
        pg.execute("CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS"
                   " 'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END'")
        pg.execute("CREATE CONSTRAINT TRIGGER hold AFTER UPDATE OF note"
                   " ON mtc.outbox DEFERRABLE INITIALLY DEFERRED"
                   " FOR EACH ROW EXECUTE FUNCTION public.hold()")
        pg.execute("SELECT pg_advisory_lock(42)")
        requeue = Process("requeue",
                          [BUILD / "mtcctl", "-c", stack.config_path, "dead", "requeue", "--all"],
                          stack.folder / "requeue.log").start()
        wait_for(lambda: [row for row in stack.sim.record() if row["key"] == key
                          and row["applied"]], 20, "the copy arrives")
        requeue.kill()
        backend, = pg.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'mtcctl%'"
            " AND datname = current_database()").fetchone()
        pg.execute("SELECT pg_terminate_backend(%s)", (backend,))  # its COMMIT has not come through
        pg.execute("SELECT pg_advisory_unlock(42)")
    wait_for(lambda: asked(stack, "events", "--id", key)[0]["state"] == "delivered", 20,
             "its outcome has been told")
    wait_for(lambda: len(asked(stack, "dead", "list")) == 1, 20, "the letter is back")
    stack.ctl("dead", "requeue", "--all")
    wait_for(lambda: asked(stack, "dead", "list") == []
             and sender.metrics()["mtc_sender_skipped_total"] == 1, 20,
             "the second copy is known for delivered, and no letter is left")
    assert [row["status"] for row in stack.sim.record() if row["key"] == key] == [400] * 5 + [201]
    assert asked(stack, "audit")["delivered"] == 1


def test_dead_web_hooks_are_put_back_as_well(stack):
    """A machine that was not known when its cycle time came."""
    import pika
    stack.scheduler().wait_ready()
    connection = pika.BlockingConnection(pika.URLParameters(stack.servers.rabbit.url(stack.name)))
    connection.channel().basic_publish("", "mtc.cycle-times",
                                       json.dumps({"machine": "NEW-1", "cycle_time": 5,
                                                   "observed_at": "2026-01-01T00:00:00Z",
                                                   "source": "webhook"}).encode())
    connection.close()
    wait_for(lambda: [letter["reason"] for letter in asked(stack, "dead", "list")] ==
             ["unknown machine"], 20, "dead")
    with stack.connect() as pg:
        pg.execute("INSERT INTO machines (id, name, is_active) VALUES (77, 'NEW-1', true)")
    stack.ctl("dead", "requeue", "--all")
    wait_for(lambda: stack.cycle_times().get("NEW-1") == 5, 20, "applied")
    assert waiting(stack) == 0


def test_replay(stack):
    """With their own keys MTConnect says it has them; with new ones it applies them again. In their
    old order."""
    run_programs(stack)
    with stack.connect() as pg:
        for status in ("pending_qc", "allowed", "started", "completed"):
            pg.execute("UPDATE setup_jobs SET status = %s WHERE machine_id = 2", (status,))
    stack.emit("K-16")
    wait_for(lambda: stack.states() == {"delivered": 5}, 20, "delivered")
    assert asked(stack, "replay", "--machine", "SR-26", "--dry-run") == {"events": 4}
    assert len(stack.sim.record()) == 5
    assert "4 events are on their way again" in stack.ctl("replay", "--machine", "SR-26")
    wait_for(lambda: stack.states() == {"delivered": 9}, 20, "answered")
    again = stack.sim.record()[5:]
    first = [row["key"] for row in stack.sim.record()[:5] if row["machine"] == "SR-26"]
    assert [row["key"] for row in again] == first and {row["status"] for row in again} == {409}
    assert asked(stack, "replay", "--machine", "SR-26", "--since", "10m",
                 "--new-keys") == {"events": 4}
    wait_for(lambda: stack.states() == {"delivered": 13}, 20, "applied again")
    fresh = stack.sim.record()[9:]
    assert {row["status"] for row in fresh} == {201}
    assert not {row["key"] for row in fresh} & set(first)
    assert [row["type"] for row in fresh] == [f"setup.{status}"
                                              for status in ("pending_qc", "allowed", "started",
                                                             "completed")]
    assert "which events?" in stack.ctl("replay", status=2)
    assert "exclude each other" in stack.ctl("replay", "--all", "--machine", "x", status=2)
    assert 'what is "x"?' in stack.ctl("replay", "--all", "x", status=2)
    assert "accounted for" in stack.ctl("audit")


def test_replay_leaves_alone_what_is_on_its_way(stack):
    """Waiting or published: sent again now, it would come twice, and out of order."""
    stack.producer().wait_ready()
    for _ in range(3):
        stack.emit("SR-26")
    wait_for(lambda: stack.states() == {"published": 3}, 20, "published")
    assert asked(stack, "replay", "--all", "--dry-run") == {"events": 0}
    assert asked(stack, "replay", "--all") == {"events": 0}
    stack.sender()
    assert stack.wait_settled() == {"delivered": 3}
    assert asked(stack, "replay", "--all") == {"events": 3}
    assert stack.wait_settled() == {"delivered": 6}


def test_what_is_put_back_is_a_repeat(make_stack):
    """Another copy, of a requeue that was killed before its ack, may be delivered by now: its sent
    key says so."""
    stack = make_stack(**QUICK_RETRIES)
    _, sender = run_programs(stack)
    stack.sim.faults({"action": "status", "status": 400})
    key = stack.emit("SR-26")
    wait_for(lambda: stack.states() == {"dead": 1}, 20, "dead")
    sender.stop()  # what it remembers itself is gone
    stack.sim.faults()
    keys(stack).set(f"mtc:sent:{key}", "1")
    asked_before = len(stack.sim.record())
    stack.ctl("dead", "requeue", "--all")
    stack.sender()
    assert stack.wait_settled() == {"delivered": 1}
    assert len(stack.sim.record()) == asked_before


def test_replay_after_mtconnect_lost_everything(make_stack):
    """Sent keys and the sender's memory do not stand in the way: it is on purpose."""
    stack = make_stack()
    run_programs(stack)
    key = stack.emit("SR-26")
    wait_for(lambda: stack.states() == {"delivered": 1}, 20, "delivered")
    stack.sim.call("POST", "/reset")
    stack.ctl("replay", "--id", key)
    wait_for(lambda: [(row["key"], row["status"]) for row in stack.sim.record()] == [(key, 201)],
             20, "applied anew")


def test_audit_names_what_is_lost(stack, servers):
    """Somebody purges a queue."""
    _, sender = run_programs(stack)
    stack.ctl("pause")
    wait_for(lambda: sender.metrics()["mtc_sender_paused"] == 1, 10, "paused")
    sender.stop()
    keys = [stack.emit("SR-26"), stack.emit("K-16")]
    wait_for(lambda: stack.states() == {"published": 2}, 20, "published")
    wait_for(lambda: sum(q.get("messages", 0)
                         for name, q in servers.rabbit.queues(stack.name).items()
                         if name.startswith("mtc.events.")) == 2, 20, "in the partitions")
    assert "every event is accounted for" in stack.ctl("audit")
    for p in range(8):
        servers.rabbit.api("DELETE", f"/api/queues/{stack.name}/mtc.events.{p}/contents")
    text = stack.ctl("audit", status=1)
    assert all(key in text for key in keys) and "NOT all events are accounted for" in text
    assert {problem["event"]
            for problem in asked(stack, "audit", status=1)["problems"]} == set(keys)


def test_audit_names_dead_letters_that_are_gone(stack, servers):
    run_programs(stack)
    key = stack.emit("B-38")
    wait_for(lambda: stack.states() == {"dead": 1}, 20, "dead")
    servers.rabbit.api("DELETE", f"/api/queues/{stack.name}/mtc.dead/contents")
    problem, = asked(stack, "audit", status=1)["problems"]
    assert problem == {"event": key, "problem": "dead, but not among the dead letters"}


def test_pause_holds_for_all_and_survives(stack, servers):
    _, sender = run_programs(stack)
    assert "paused:" in stack.ctl("pause") and "paused already" in stack.ctl("pause")
    wait_for(lambda: sender.metrics()["mtc_sender_paused"] == 1, 10, "paused")
    with stack.connect() as pg:
        for status in ("pending_qc", "allowed", "started"):
            pg.execute("UPDATE setup_jobs SET status = %s WHERE machine_id < 9", (status,))
    wait_for(lambda: sender.metrics()["mtc_sender_held"] == sum(stack.states().values()), 20,
             "held")
    assert asked(stack, "status")["rabbitmq"]["paused"] is True
    # One that starts later is paused before it gets its first event; so it is after a restart of
    # the broker.
    sender.kill()
    sender.start()
    sender.wait_ready()
    servers.rabbit.stop()
    servers.rabbit.start()
    sender.wait_ready(60)
    wait_for(lambda: sender.metrics()["mtc_sender_held"] > 0, 30, "events are back")
    assert sender.metrics()["mtc_sender_paused"] == 1
    assert stack.sim.stats()["record"]["requests"] == 0
    assert asked(stack, "pause") == {"paused": True, "was_paused": True}
    assert "resumed" in stack.ctl("resume") and "was not paused" in stack.ctl("resume")
    assert asked(stack, "resume") == {"paused": False, "was_paused": False}
    stack.wait_settled()
    check_all_arrived(stack)


def test_doctor(stack):
    producer, sender = run_programs(stack)
    stack.scheduler().wait_ready()
    stack.receiver().wait_ready()
    for machine in ("SR-25", "SR-26"):
        stack.sim.call("POST", "/cycle", {"machine": machine, "cycle_time": 5})
    text = stack.ctl("doctor")
    assert "all is well" in text and "ill " not in text

    def ill(status=1):
        return {finding["what"]: finding for finding in asked(stack, "doctor", status=status)
                if finding["verdict"] != "ok"}

    stack.ctl("pause")
    assert "nothing is ill; see the warning" in stack.ctl("doctor")
    assert ill(0)["pause"]["advice"] == "mtcctl resume"
    stack.ctl("resume")
    stack.api_key_path.write_text("wrong\n")
    assert "401" in ill()["API key"]["detail"]
    stack.api_key_path.write_text("the key of the shop\n")
    with stack.connect() as pg:
        pg.execute("ALTER TABLE setup_jobs DISABLE TRIGGER mtc_setup_status")
        assert "disabled" in ill()["triggers"]["detail"]
        pg.execute("ALTER TABLE setup_jobs ENABLE TRIGGER mtc_setup_status")
    sender.stop()
    wait_for(lambda: "senders" in ill(None), 20, "no consumer")
    producer.stop()
    assert "no mtc-producer is active" in ill()["relay"]["detail"]
    stack.sim.call("POST", "/down")
    assert ill()["MTConnect"]["verdict"] == "ill"
    stack.sim.call("POST", "/up")
    stack.servers.redis.stop()
    assert ill()["Redis"]["verdict"] == "ill"
    stack.servers.redis.start()
    stack.servers.postgres.stop()
    try:
        assert ill()["PostgreSQL"]["verdict"] == "ill"
    finally:
        stack.servers.postgres.start()


def test_doctor_does_not_take_another_databases_relay_for_ours(make_stack):
    other, stack = make_stack(), make_stack()
    other.producer()
    wait_for(lambda: "one mtc-producer is active" in other.ctl("doctor", status=None), 20,
             "the other database has an active relay")
    findings = {finding["what"]: finding for finding in asked(stack, "doctor", status=1)}
    assert findings["relay"]["detail"] == "no mtc-producer is active"


def test_doctor_without_anything(make_stack):
    """Nothing has been set up: each finding says what to do first."""
    stack = make_stack(plant=False)
    with stack.connect() as pg:
        pg.execute("DROP SCHEMA mtc CASCADE")
    findings = {finding["what"]: finding for finding in asked(stack, "doctor", status=1)}
    assert "mtcctl migrate" in findings["schema mtc"]["advice"]
    assert "missing" in findings["queues"]["detail"]
    assert "start any of the programs" in findings["queues"]["advice"]


@pytest.mark.parametrize("verb",
                         ["status", "events", "dead", "replay", "audit", "doctor", "top", "pause",
                          "resume", "ready", "migrate", "options", "metrics"])
def test_every_verb_explains_itself(stack, verb):
    assert "usage: mtcctl " + verb in stack.ctl(verb, "--help")
    assert "usage: mtcctl " + verb in stack.ctl(verb, "--nonsense", status=2)


def test_options(stack):
    options = {(option["section"], option["name"]): option for option in asked(stack, "options")}
    prefetch = options["sender", "prefetch"]
    assert prefetch["default"] == "2500"
    assert prefetch["environment"] == "MTC_SENDER_PREFETCH"
    assert prefetch["most"] == 65535
    assert stack.ctl("options").count("\n### ") == len(options)


def test_metrics(stack):
    metrics = asked(stack, "metrics")
    answers = [metric["labels"] for metric in metrics
               if metric["name"] == "mtc_sender_answers_total"]
    assert 'class="2xx"' in answers and len(answers) == 6
    assert {metric["type"] for metric in metrics} == {"counter", "gauge", "histogram"}
    assert stack.ctl("metrics").count("\n### ") == len({metric["name"] for metric in metrics})
    told = {metric["name"] for metric in metrics
            if metric["program"] == "mtc-sender" and metric["type"] != "histogram"}
    assert told <= {name.partition("{")[0] for name in stack.sender().wait_ready().metrics()}


def test_ready(stack):
    producer = stack.producer().wait_ready()
    stack.write_config({"producer__listen": f'"0.0.0.0:{producer.metrics_port}"'})
    assert stack.ctl("ready", "producer") == "ready\n"
    assert asked(stack, "ready", "producer") == {"program": "producer", "ready": True,
                                                 "detail": "ready"}
    producer.stop()
    assert asked(stack, "ready", "producer", status=1)["ready"] is False
    assert "not running" in stack.ctl("ready", "producer", status=1)
    assert '"nobody" is none of the programs' in stack.ctl("ready", "nobody", status=2)
