"""./dev test --compose: docker-compose.yml for real. Events go in, cycle times come back, senders
are scaled, one container is killed; nothing is lost. Needs a Docker engine and docker-compose;
ports are free ones on 127.0.0.1."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from lib.processes import free_port, wait_for
from lib.servers import http
from lib.stack import ROOT

COMPOSE = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]


class Compose:
    def __init__(self):
        self.project = f"mtcsmoke{os.getpid()}"
        self.secrets = pathlib.Path(tempfile.mkdtemp(prefix="mtc-secrets."))
        subprocess.run([ROOT / "deploy/compose/make-secrets", self.secrets], check=True)
        self.ports = {name: free_port()
                      for name in ("MANAGEMENT_PORT", "HOOK_PORT", "SIM_CONTROL_PORT")}
        self.env = {**os.environ, **{name: str(port) for name, port in self.ports.items()},
                    "SECRETS": str(self.secrets), "CYCLE_SYNC_PERIOD": "5", "SHIFT_SECONDS": "45",
                    "SHIFT_RATE": "40"}

    def run(self, *words, check=True):
        done = subprocess.run([*COMPOSE, "-p", self.project, "-f", ROOT / "docker-compose.yml",
                               "--profile", "demo", *words], env=self.env, capture_output=True,
                              text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-3000:]}")
        return done.stdout

    def ids(self, service):
        return self.run("ps", "-q", service).split()

    def inspect(self, container):
        return json.loads(subprocess.run(["docker", "inspect", container], check=True,
                                         capture_output=True, text=True).stdout)[0]

    def health(self, service):
        return [self.inspect(c)["State"].get("Health", {}).get("Status") for c in self.ids(service)]

    def sql(self, text):
        """Rows of words."""
        password = (self.secrets / "postgres_mtc").read_text()
        out = subprocess.run(["docker", "exec", "-e", f"PGPASSWORD={password}",
                              self.ids("postgres")[0], "psql", "-h", "127.0.0.1", "-U", "mtc", "-d",
                              "production_tracking", "-At", "-F", "|", "-v", "ON_ERROR_STOP=1",
                              "-c", text], check=True, capture_output=True, text=True).stdout
        return [line.split("|") for line in out.splitlines()]

    def states(self):
        return {state: int(count)
                for state, count in self.sql("SELECT state, count(*) FROM mtc.event GROUP BY 1")}

    def sim(self, path):
        return http("GET", f"http://127.0.0.1:{self.ports['SIM_CONTROL_PORT']}{path}")[1]

    def queues(self):
        user = f"monitoring:{(self.secrets / 'rabbitmq_monitoring').read_text()}"
        text = http("GET", f"http://127.0.0.1:{self.ports['MANAGEMENT_PORT']}/api/queues",
                    user=user)[1]
        return {queue["name"]: queue for queue in json.loads(text)}

    def end(self):
        self.run("down", "-v", "--remove-orphans", check=False)
        shutil.rmtree(self.secrets, ignore_errors=True)


def step(text):
    print(f"    {text}", flush=True)


def check_events(compose):
    """What was committed against what arrived."""
    events = compose.sql("SELECT event_id, machine, state FROM mtc.event ORDER BY id")
    wanted, got, seen = {}, {}, set()
    for key, machine, state in events:
        assert state == "delivered", (key, machine, state)
        wanted.setdefault(machine, []).append(key)
    for line in compose.sim("/record").splitlines():
        _, _, _, applied, machine, _, key, _ = line.split("\t")
        if applied == "1" and key not in seen:
            seen.add(key)
            got.setdefault(machine, []).append(key)
    assert wanted == got, "what arrived is not what was committed, in that order"
    return len(events)


def smoke(compose):
    began = time.monotonic()
    compose.run("up", "-d", "--build", "--scale", "sender=2")
    for service in ("rabbitmq", "postgres", "redis", "producer", "sender", "scheduler", "receiver"):
        wait_for(lambda: set(compose.health(service)) == {"healthy"}, 120, f"{service} is healthy",
                 pause=0.5)
    step(f"built, up and healthy after {time.monotonic() - began:.0f} s")
    for name in ("producer", "sender", "scheduler", "receiver"):
        config = compose.inspect(compose.ids(name)[0])
        assert config["Config"]["User"] == "mtc" and config["HostConfig"]["ReadonlyRootfs"], name
        for bindings in (config["NetworkSettings"]["Ports"] or {}).values():
            assert all(binding["HostIp"] == "127.0.0.1" for binding in bindings or []), name

    wait_for(lambda: compose.states().get("delivered", 0) > 100, 60, "events go in", pause=0.5)
    compose.run("up", "-d", "--no-recreate", "--scale", "sender=3")
    wait_for(lambda: compose.health("sender") == ["healthy"] * 3, 60, "three senders", pause=0.5)
    step(f"senders scaled to 3 at {compose.states().get('delivered', 0)} events delivered")
    victim = compose.ids("sender")[0]
    starts = compose.inspect(victim)["RestartCount"]
    os.kill(compose.inspect(victim)["State"]["Pid"], signal.SIGKILL)
    wait_for(lambda: compose.inspect(victim)["RestartCount"] > starts
             and compose.inspect(victim)["State"]["Running"], 60, "the killed sender is back",
             pause=0.5)
    step("a sender killed, and restarted by its policy, at "
         f"{compose.states().get('delivered', 0)} events delivered")
    receiver = compose.ids("receiver")[0]
    os.kill(compose.inspect(receiver)["State"]["Pid"], signal.SIGKILL)

    shift = compose.run("ps", "-q", "shift").strip()
    wait_for(lambda: not compose.inspect(shift)["State"]["Running"], 120, "the shift is over",
             pause=1)
    assert compose.inspect(shift)["State"]["ExitCode"] == 0, compose.run("logs", "shift")
    wait_for(lambda: set(compose.states()) == {"delivered"}, 120, "every event is delivered",
             pause=1)
    count = check_events(compose)
    duplicates = sum(line.split("\t")[2] == "409" for line in compose.sim("/record").splitlines())
    step(f"{count} events committed, all delivered in order, {duplicates} duplicate requests")

    wait_for(lambda: not json.loads(compose.sim("/stats"))["webhooks"]["under_way"], 60,
             "web-hooks are answered", pause=1)
    hooks = json.loads(compose.sim("/stats"))["webhooks"]
    wait_for(lambda: compose.queues()["mtc.cycle-times"]["messages"] == 0, 60,
             "web-hooks are applied", pause=1)
    sources = dict(compose.sql("SELECT source, count(*) FROM mtc.cycle_time GROUP BY 1"))
    run, = compose.sql("SELECT asked, answered FROM mtc.cycle_run")
    assert (sum(map(int, sources.values())) == 16 and run == ["16", "16"]
            and "webhook" in sources), (sources, run)
    assert hooks["accepted"] > 20, hooks
    step(f"cycle times of 16 machines: {sources}; web-hooks answered: "
         f"{hooks['accepted']} accepted, {hooks['duplicate']} duplicate")

    dead = compose.queues()["mtc.dead"]["messages"]
    assert dead == 0, f"{dead} dead letters"
    consumers = {name: queue["consumers"] for name, queue in compose.queues().items()
                 if name.startswith("mtc.events.")}
    assert set(consumers.values()) == {3}, consumers


def main():
    compose = Compose()
    passed = False
    try:
        smoke(compose)
        passed = True
    except (AssertionError, RuntimeError, TimeoutError, subprocess.CalledProcessError) as error:
        print(f"    FAILED: {error}")
        print(compose.run("logs", "--tail", "15", check=False))
    finally:
        compose.end()
    print("1 passed, 0 failed" if passed else "0 passed, 1 failed")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
