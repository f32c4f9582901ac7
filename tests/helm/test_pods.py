"""What the cluster would do, without one: the users of docs/kubernetes.md are made by its own
statements, then the rendered Job and the rendered pods run against real servers, each with its
command, its environment and its own secrets, and their rendered probes are asked."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import types
import urllib.parse

import psycopg
import pytest
import redis as redis_client

from chart import PROGRAMS, container_of, env_of, of_kind, rendered, workloads
from lib.hooks import SECRET, status_of
from lib.ports import free_port
from lib.processes import Process, unprivileged, wait_for
from lib.servers import http
from lib.stack import BUILD, ENVIRONMENT, ROOT, Sim

DOCUMENT = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
API_KEY = "the key of the shop"
DATABASE = "production_tracking"


def block(heading):
    """The first block of code below a heading of the document."""
    return re.search(rf"^### {heading}\n.*?^```\w*\n(.*?)^```", DOCUMENT, re.M | re.S).group(1)


def users_of_postgres(servers):
    with psycopg.connect(servers.postgres.conninfo("postgres"), autocommit=True) as pg:
        pg.execute(f"CREATE DATABASE {DATABASE}")
    with psycopg.connect(servers.postgres.conninfo(DATABASE), autocommit=True) as pg:
        pg.execute((ROOT / "sql/demo/plant.sql").read_text(encoding="utf-8"))
        pg.execute(block("PostgreSQL"))


def users_of_rabbitmq(servers, folder):
    script = block("RabbitMQ")
    done = subprocess.run([*unprivileged(), "bash", "-euc", script], cwd=folder,
                          env={**servers.rabbit.env(),
                               "PATH": "/usr/lib/rabbitmq/bin:/usr/bin:/bin"},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def users_of_redis(servers):
    with redis_client.Redis(port=servers.redis.port) as redis:
        for line in block("Redis").splitlines():
            user = line.split()[2]
            assert redis.execute_command(*line.replace("PASSWORD", f"pw-{user}").split())


class Pod:
    """One rendered pod: its secrets in files, its environment, its command."""

    def __init__(self, folder, workload, secrets):
        self.container = container_of(workload)
        self.name = self.container["name"]
        self.folder = folder / self.name
        self.folder.mkdir()
        self.env = env_of(workload)
        volume = next(each for each in workload["spec"]["template"]["spec"]["volumes"]
                      if each["name"] == "secrets")
        place = next(each["mountPath"] for each in self.container["volumeMounts"]
                     if each["name"] == "secrets")
        for item in volume["secret"]["items"]:
            (self.folder / item["path"]).write_text(secrets(self.name, item["key"]))
        self.env = {name: value.replace(place, str(self.folder)) for name, value
                    in self.env.items()}
        self.ports = {}
        for port in self.container.get("ports", []): # these may be taken here
            self.ports[port["name"]] = free_port()
            self.env = {name: re.sub(rf"^0\.0\.0\.0:{port['containerPort']}$",
                                     f"127.0.0.1:{self.ports[port['name']]}", value)
                        for name, value in self.env.items()}
        words = [*self.container["command"], *self.container.get("args", [])]
        self.process = Process(self.name, [BUILD / words[0], *words[1:]],
                               self.folder / "log", env={**ENVIRONMENT, **self.env}, cwd=folder)

    def probe(self, which):
        request = self.container[which]["httpGet"]
        try:
            return http("GET", f"http://127.0.0.1:{self.ports[request['port']]}{request['path']}",
                        timeout=self.container[which]["timeoutSeconds"])[0]
        except OSError:
            return 0


@pytest.fixture(scope="module")
def place():
    """rabbitmqctl is nobody, and reads passwords here; pytest closes its own folders to others."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cluster."))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def sim(place):
    (place / "api.key").write_text(API_KEY)
    (place / "webhook.secret").write_text(SECRET)
    sim = Sim(place, "--api-key-file", place / "api.key", "--webhook-secret-file",
              place / "webhook.secret")
    yield sim.start()
    sim.stop()


@pytest.fixture(scope="module")
def users(servers, place):
    (place / "passwords").mkdir()
    for user in ("producer", "sender", "scheduler", "receiver", "mtcctl", "monitoring"):
        (place / "passwords" / user).write_text(f"pw-{user}")
    users_of_postgres(servers)
    users_of_rabbitmq(servers, place / "passwords")
    users_of_redis(servers)


@pytest.fixture(scope="module")
def objects(servers, sim):
    settings = ["rabbitmq.host=127.0.0.1", f"rabbitmq.port={servers.rabbit.port}",
                f"rabbitmq.managementUrl=http://127.0.0.1:{servers.rabbit.management}",
                "postgres.host=127.0.0.1", f"postgres.port={servers.postgres.port}",
                "redis.host=127.0.0.1", f"redis.port={servers.redis.port}",
                f"mtconnect.baseUrl={sim.url}", "useWebhook=true", "mtcctl.enabled=true",
                "sender.autoscaling.type=keda"]
    return rendered("default", *(word for each in settings for word in ("--set", each)))


@pytest.fixture(scope="module")
def pods(place, users, objects): # pylint: disable=unused-argument
    def secrets(program, key):
        return {"mtconnect-api-key": API_KEY, "webhook-secret": SECRET}.get(key, f"pw-{program}")

    pods = {program: Pod(place, workload, secrets)
            for program, workload in workloads(objects).items()}
    yield pods
    for pod in pods.values():
        if pod.process.child and pod.process.is_running():
            pod.process.stop()


def ask(pods, *words):
    done = subprocess.run([BUILD / "mtcctl", *words, "--json"], capture_output=True, text=True,
                          env={**ENVIRONMENT, **pods["mtcctl"].env}, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def connect(servers):
    """As the application."""
    return psycopg.connect(servers.postgres.conninfo(DATABASE), autocommit=True)


def test_the_hook_migrates_as_the_owner(servers, pods):
    migrate = pods["migrate"].process.start()
    assert migrate.child.wait(60) == 0, migrate.text()
    with connect(servers) as pg:
        assert pg.execute("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'mtc'"
                          ).fetchone() == ("mtc_owner",)
    again = pods["migrate"].process.start()
    assert again.child.wait(60) == 0, again.text()


def test_the_pods_do_their_work(servers, sim, pods):
    for program in PROGRAMS:
        pods[program].process.start()
    for program in PROGRAMS:
        pod = pods[program]
        wait_for(lambda pod=pod: pod.probe("startupProbe") == 200, 30, f"{program} has started")
        wait_for(lambda pod=pod: pod.probe("readinessProbe") == 200, 60, f"{program} is ready")
        assert pod.probe("livenessProbe") == 200
    with connect(servers) as pg:
        pg.execute("UPDATE setup_jobs SET status = 'pending_qc' WHERE machine_id = 2")
        wait_for(lambda: pg.execute("SELECT count(*) FROM mtc.event WHERE state = 'delivered'"
                                    ).fetchone()[0] >= 1, 60, "an event is delivered")
        assert sim.applied()
        receiver = types.SimpleNamespace(hook_port=pods["receiver"].ports["hooks"])
        assert status_of(receiver, {"machine_id": "SR-26", "cycle_time": 123.5}) in (200, 202)
        wait_for(lambda: pg.execute("SELECT cycle_time_s FROM mtc.machine_cycle_time"
                                    " WHERE machine = 'SR-26' AND cycle_time_s = 123.5"
                                    ).fetchone(), 60, "the web-hook's value is in PostgreSQL")
    for machine in ("SR-25", "SR-26"):
        sim.call("POST", "/cycle", {"machine": machine, "cycle_time": 5})
    with redis_client.Redis(port=servers.redis.port, decode_responses=True) as redis:
        assert {key.split(":")[1] for key in redis.keys("mtc:*")} == {"sent", "hook"}
    findings = {finding["what"]: finding for finding in ask(pods, "doctor")}
    for what in ("PostgreSQL", "permissions", "triggers", "relay", "RabbitMQ", "MTConnect",
                 "Redis", "senders"):
        assert findings[what]["verdict"] == "ok", findings[what]


def test_a_backlog_adds_no_sender(servers, objects, pods):
    """KEDA's own request, by the rendered trigger, as the user of docs/kubernetes.md: the figure it
    scales by rises while events come in, and is nothing while a backlog only waits."""
    trigger = of_kind(objects, "ScaledObject")[0]["spec"]["triggers"][0]["metadata"]
    words = urllib.parse.urlencode({"page": 1, "use_regex": "true", "pagination": "false",
                                    "name": trigger["queueName"],
                                    "page_size": trigger["pageSize"]})
    url = f"{trigger['host'].rstrip('/')}/api/queues/%2F?{words}"

    def queues():
        status, text = http("GET", url, user="monitoring:pw-monitoring")
        assert status == 200, text
        answer = json.loads(text)
        assert answer["page_count"] == 1 and len(answer["items"]) == 8
        return answer["items"]

    def rate():
        return sum(queue.get("message_stats", {}).get("publish_details", {}).get("rate", 0)
                   for queue in queues())

    def backlog():
        return sum(queue.get("messages", 0) for queue in queues())

    pods["sender"].process.stop() # nobody delivers, as in an outage of MTConnect
    emitted = 0
    with connect(servers) as pg:
        def seen_while_they_come(): # RabbitMQ has no rate of a burst that it sees once
            nonlocal emitted
            pg.execute("SELECT mtc.emit('event', 'SR-26', 'shift.note', '{}')"
                       " FROM generate_series(1, 100)")
            emitted += 100
            return rate() > 0
        wait_for(seen_while_they_come, 60, "the rate at which events come in", pause=0.2)
    wait_for(lambda: backlog() == emitted, 60, "the backlog is there")
    wait_for(lambda: rate() == 0, 60, "nothing comes in any more")
    assert backlog() == emitted

    status, _ = http("PUT", f"{trigger['host']}api/queues/%2F/mtc.mine", "{}",
                     user="monitoring:pw-monitoring")
    assert status in (401, 403)
    pods["sender"].process.start()
    wait_for(lambda: backlog() == 0, 60, "the backlog is delivered")
