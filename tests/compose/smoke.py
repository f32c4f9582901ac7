"""./dev test --compose: docker-compose.yml for real. Events go in, cycle times come back, programs
are scaled, some are killed; nothing is lost. Needs a Docker engine and docker-compose; ports are
free ones on 127.0.0.1."""
import json
import os
import re
import subprocess
import sys
import time

from lib.processes import wait_for
from lib.servers import http

from compose.project import PROGRAMS, Project
from compose.prometheus import check_prometheus
from compose.users import check_connections, check_monitoring, check_secrets

# Lines that say something is wrong, and those by RabbitMQ and Redis that only sound so: see
# "Looking into the stack" in docs/operations.md.
ALARMING = re.compile(r"level=(warn|error)|\[(warning|error|critical|alert|emergency)\]|Traceback"
                      r"|\b(WARNING|ERROR|FATAL|PANIC|CRITICAL)\b")
HARMLESS = re.compile(r"Deprecated features: `management_metrics_collection`"
                      r"|By default, this feature can still be used for now"
                      r"|Its use will not be permitted by default in a future minor RabbitMQ"
                      r"|To (continue using|test RabbitMQ as if) (this|the) feature"
                      r"|\"?deprecated_features.permit.management_metrics_collection = "
                      r"|Message store .*: rebuilding indices from scratch"
                      r"|Available file handles: |WARNING Memory overcommit must be enabled"
                      # a machine so busy that Redis takes longer than receiver.redis_timeout_ms
                      r"|going on without it\" .* reason=\"no (answer|connection) in time\""
                      r"|web-hooks are taken without a check of their keys: Redis can't say")


def kill(project, container):
    """As the kernel would: Docker's own kill counts as an operator's wish, after which nothing is
    restarted. The processes belong to another user, so it takes root."""
    pid = project.inspect(container)["State"]["Pid"]
    subprocess.run([*([] if os.geteuid() == 0 else ["sudo", "-n"]), "sh", "-c",
                    f"kill -KILL {pid}"], check=True)


def step(text):
    print(f"    {text}", flush=True)


def check_events(project):
    """What was committed against what arrived."""
    events = project.sql("SELECT event_id, machine, state FROM mtc.event ORDER BY id")
    wanted, got, seen = {}, {}, set()
    for key, machine, state in events:
        assert state == "delivered", (key, machine, state)
        wanted.setdefault(machine, []).append(key)
    for line in project.sim("/record").splitlines():
        _, _, _, applied, machine, _, key, _ = line.split("\t")
        if applied == "1" and key not in seen:
            seen.add(key)
            got.setdefault(machine, []).append(key)
    assert wanted == got, "what arrived is not what was committed, in that order"
    return len(events)


def wait_healthy(project, service, count=1):
    wait_for(lambda: project.health(service) == ["healthy"] * count, 120,
             f"{count} of {service} healthy", pause=0.5)


def come_up(project):
    began = time.monotonic()
    project.run("up", "-d", "--build", "--scale", "sender=2")
    for service in ("rabbitmq", "postgres", "redis", "prometheus", *PROGRAMS):
        wait_healthy(project, service, 2 if service == "sender" else 1)
    step(f"built, up and healthy after {time.monotonic() - began:.0f} s")
    assert project.ids("mtcctl") == []
    for name in PROGRAMS:
        config = project.inspect(project.ids(name)[0])
        assert config["Config"]["User"] == "mtc" and config["HostConfig"]["ReadonlyRootfs"], name
        for bindings in (config["NetworkSettings"]["Ports"] or {}).values():
            assert all(binding["HostIp"] == "127.0.0.1" for binding in bindings or []), name


def check_logs(project):
    """What a newcomer reads: a first pull that got all, and nothing to frighten him."""
    pulls = wait_for(lambda: [line for line in project.run("logs", "scheduler").splitlines()
                              if 'msg="pull ' in line], 60, "a pull", pause=0.5)
    assert 'msg="pull done" asked=16 answered=16 failed=0 changed=16' in pulls[0], pulls[0]
    bad = [line for line in project.run("logs", "--no-color").splitlines()
           if ALARMING.search(line) and not HARMLESS.search(line)]
    assert not bad, "\n".join(bad)
    step("the first pull got 16 of 16, and no log has an error or a warning")


def check_ctl(project, **counts):
    """The programs by the names of their containers, wherever they run."""
    status = json.loads(project.ctl("status", "--json"))
    assert (sorted((told["program"], told["worker"], told["ready"]) for told in status["programs"])
            == sorted((name, worker, True) for name in PROGRAMS for worker in project.named(name)))
    for name in PROGRAMS:
        assert len(project.ids(name)) == counts.get(name, 1), name
    active = {queue["name"]: queue.get("active") for queue in status["rabbitmq"]["queues"]}
    senders = {f"mtc-sender {name}" for name in project.named("sender")}
    assert {name for queue, name in active.items() if queue.startswith("mtc.events.")} <= senders
    assert active["mtc.outcomes"] in {f"mtc-producer {name}" for name in project.named("producer")}
    ill = [finding for finding in json.loads(project.ctl("doctor", "--json"))
           if finding["verdict"] != "ok"]
    assert not ill, ill


def scale(project):
    wait_for(lambda: project.states().get("delivered", 0) > 100, 60, "events go in", pause=0.5)
    project.run("up", "-d", "--no-recreate", "--scale", "sender=3", "--scale", "producer=2",
                "--scale", "scheduler=2", "--scale", "receiver=2")
    wait_healthy(project, "sender", 3)
    for service in ("producer", "scheduler", "receiver"):
        wait_healthy(project, service, 2)
    for port in project.hooks: # both receivers are reached, and refuse what is not signed
        status, text = http("POST", f"http://127.0.0.1:{port}/api/hooks/cycle-time", "{}")
        assert status in (400, 401), (port, status, text)
    step(f"3 senders, 2 of each other at {project.states().get('delivered', 0)} events delivered")


def kill_some(project):
    victim = project.ids("sender")[0]
    starts = project.inspect(victim)["RestartCount"]
    kill(project, victim)
    wait_for(lambda: project.inspect(victim)["RestartCount"] > starts
             and project.inspect(victim)["State"]["Running"], 60, "the killed sender is back",
             pause=0.5)
    step("a sender killed, and restarted by its policy, at "
         f"{project.states().get('delivered', 0)} events delivered")
    receiver = project.ids("receiver")[0]
    kill(project, receiver)


def finish_shift(project):
    shift = project.run("ps", "-q", "shift").strip()
    wait_for(lambda: not project.inspect(shift)["State"]["Running"], 120, "the shift is over",
             pause=1)
    assert project.inspect(shift)["State"]["ExitCode"] == 0, project.run("logs", "shift")
    wait_for(lambda: set(project.states()) == {"delivered"}, 120, "every event is delivered",
             pause=1)
    count = check_events(project)
    duplicates = sum(line.split("\t")[2] == "409" for line in project.sim("/record").splitlines())
    step(f"{count} events committed, all delivered in order, {duplicates} duplicate requests")


def check_hooks(project):
    wait_for(lambda: not json.loads(project.sim("/stats"))["webhooks"]["under_way"], 60,
             "web-hooks are answered", pause=1)
    hooks = json.loads(project.sim("/stats"))["webhooks"]
    wait_for(lambda: project.queues()["mtc.cycle-times"]["messages"] == 0, 60,
             "web-hooks are applied", pause=1)
    sources = dict(project.sql("SELECT source, count(*) FROM mtc.cycle_time GROUP BY 1"))
    run, = project.sql("SELECT asked, answered FROM mtc.cycle_run")
    assert (sum(map(int, sources.values())) == 16 and run == ["16", "16"]
            and "webhook" in sources), (sources, run)
    assert hooks["accepted"] > 20, hooks
    step(f"cycle times of 16 machines: {sources}; web-hooks answered: "
         f"{hooks['accepted']} accepted, {hooks['duplicate']} duplicate")


def restart_redis(project):
    """The keys of web-hooks come about in transactions, which Redis reads back as its user
    default."""
    def keys():
        return [sorted(project.redis("--scan", "--pattern", f"mtc:{kind}:*").split())
                for kind in ("hook", "sent")]
    before = keys()
    assert all(before), before
    subprocess.run(["docker", "restart", project.ids("redis")[0]], check=True, capture_output=True)
    wait_healthy(project, "redis")
    assert keys() == before, "Redis has lost keys"
    step(f"Redis restarted with {' and '.join(str(len(kind)) for kind in before)} keys")


def check_all_nine(project):
    wait_for(lambda: len(json.loads(project.api("GET", "connections")[1])) == 9, 60,
             "the management API knows all connections", pause=0.5)
    check_connections(project)
    check_ctl(project, sender=3, producer=2, scheduler=2, receiver=2)
    step("each is connected as its own user, and mtcctl sees all nine")


def smoke(project):
    come_up(project)
    check_logs(project)
    scale(project)
    kill_some(project)
    check_secrets(project)
    check_monitoring(project)
    step("no container has another's secret; the user monitoring may look, and change nothing")
    finish_shift(project)
    check_hooks(project)
    check_all_nine(project)
    targets, rules = check_prometheus(project)
    step(f"Prometheus asks all {targets}, and computes {rules} rules; none is critical")
    restart_redis(project)
    dead = project.queues()["mtc.dead"]["messages"]
    assert dead == 0, f"{dead} dead letters"
    consumers = {name: queue["consumers"] for name, queue in project.queues().items()
                 if name.startswith("mtc.events.")}
    assert set(consumers.values()) == {3}, consumers
    step(project.ctl("audit").splitlines()[-1])


def main():
    project = Project(CYCLE_SYNC_PERIOD="5", SHIFT_SECONDS="75", SHIFT_RATE="40")
    passed = False
    try:
        smoke(project)
        passed = True
    except (AssertionError, RuntimeError, TimeoutError, subprocess.CalledProcessError) as error:
        print(f"    FAILED: {error}")
        print(project.run("logs", "--no-color", "--tail", "15", check=False))
    finally:
        project.end()
    print("1 passed, 0 failed" if passed else "0 passed, 1 failed")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
