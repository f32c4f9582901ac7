"""One installation of mtc-sync: a database, a vhost, a simulator and the programs, over shared
servers."""
import itertools
import json
import os
import pathlib
import socket
import subprocess
import urllib.error

import psycopg

from .ports import free_port
from .processes import Process, wait_for
from .servers import http

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MTC_BUILD", ROOT / "build"))
_numbers = itertools.count(1)

# Five attempts within half a second, for tests that want an event dead.
QUICK_RETRIES = {"sender__retry_delays_s": '"0.1,0.1,0.1,0.1"'}

SECRET = "the secret of the web-hooks"
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("MTC_")}
ENVIRONMENT["ASAN_OPTIONS"] = "abort_on_error=1:detect_leaks=1"
ENVIRONMENT["UBSAN_OPTIONS"] = "halt_on_error=1:print_stacktrace=1"


class Sim(Process):
    """The simulator and its control port."""

    def __init__(self, folder, *options, port=None):
        self.port, self.control = port or free_port(), free_port()
        super().__init__("mtconnect-sim",
                         [BUILD / "tests/mtconnect-sim", "--listen", f"127.0.0.1:{self.port}",
                          "--control", f"127.0.0.1:{self.control}", *options],
                         pathlib.Path(folder) / "sim.log", env=ENVIRONMENT)

    def start(self):
        super().start()
        wait_for(lambda: "serving on" in self.text() or not self.is_running(), 20,
                 "simulator serves")
        assert self.is_running(), self.text()
        return self

    def call(self, method, path, body=None):
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        status, answer = http(method, f"http://127.0.0.1:{self.control}{path}",
                              text if method == "GET" else text or "")
        assert status == 200, (path, status, answer)
        return answer

    def faults(self, *rules):
        self.call("POST", "/faults", list(rules))

    def stats(self):
        return json.loads(self.call("GET", "/stats"))

    def record(self, since=0):
        """Arrivals: dicts with n, at (s), status, applied, machine, type, key, note."""
        rows = []
        for line in self.call("GET", f"/record?since={since}").splitlines():
            n, at, status, applied, machine, kind, key, note = line.split("\t")
            rows.append({"n": int(n), "at": int(at) / 1e6, "status": int(status),
                         "applied": applied == "1", "machine": machine, "type": kind, "key": key,
                         "note": note})
        return rows

    def applied(self):
        """Keys in order of first application, per machine."""
        seen, order = set(), {}
        for row in self.record():
            if row["applied"] and row["key"] not in seen:
                seen.add(row["key"])
                order.setdefault(row["machine"], []).append(row["key"])
        return order

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


class Service(Process):
    """mtc-producer, mtc-sender, ... with a /metrics port."""

    def __init__(self, stack, program, name, **options):
        self.metrics_port = free_port()
        section = program.removeprefix("mtc-")
        env = dict(ENVIRONMENT, MTC_CONFIG=str(stack.config_path), MTC_WORKER_NAME=name)
        env[f"MTC_{section.upper()}_LISTEN"] = f"127.0.0.1:{self.metrics_port}"
        env.update({key.upper(): str(value) for key, value in options.items()})
        super().__init__(name, [BUILD / program], stack.folder / f"{name}.log", env=env)

    def ready(self):
        try:
            return http("GET", f"http://127.0.0.1:{self.metrics_port}/readyz", timeout=5)[0] == 200
        except (OSError, urllib.error.URLError):
            return False

    def wait_ready(self, seconds=30):
        wait_for(self.ready, seconds, f"{self.name} is ready")
        return self

    def metrics(self, timeout=10):
        values = {}
        _, text = http("GET", f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=timeout)
        for line in text.splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values


class Stack:
    def __init__(self, servers, sim_options=(), migrate_options=(), sim_port=None,
                 database_options="", **config):
        self.servers = servers
        self.name = f"t{os.getpid()}n{next(_numbers)}"
        self.folder = servers.folder / self.name
        self.folder.mkdir()
        self.redis_database = next(_numbers) % 16
        self.config_path = self.folder / "mtc-sync.conf"
        self.api_key_path = self.folder / "api.key"
        self.api_key_path.write_text("the key of the shop\n")
        self.secret_path = self.folder / "webhook.secret"
        self.secret_path.write_text(SECRET + "\n")
        self.hook_port = free_port()
        self.sim = Sim(self.folder, "--api-key-file", self.api_key_path, "--webhook-secret-file",
                       self.secret_path, *sim_options, port=sim_port)
        self.services = []
        self.rabbit_starts = servers.rabbit.starts
        self.migrate_options = migrate_options
        self.database_options = database_options
        self.write_config(config)

    def write_config(self, config):
        values = {
            "log.level": '"info"',
            "amqp.url": f'"{self.servers.rabbit.url(self.name)}"',
            "postgres.conninfo": f'"{self.servers.postgres.conninfo(self.name)}"',
            "redis.url": f'"{self.servers.redis.url(self.redis_database)}"',
            "mtconnect.base_url": f'"{self.sim.url}"',
            "mtconnect.api_key_file": f'"{self.api_key_path}"',
            "receiver.hook_listen": f'"127.0.0.1:{self.hook_port}"',
            "receiver.public_url": f'"{self.hook_url}"',
            "receiver.secret_file": f'"{self.secret_path}"',
            "receiver.use_webhook": "true",
            "ctl.management_url": f'"http://127.0.0.1:{self.servers.rabbit.management}"',
        }
        values.update({key.replace("__", "."): value for key, value in config.items()})
        sections = {}
        for key, value in values.items():
            section, name = key.split(".")
            sections.setdefault(section, []).append(f"    {name} = {value};\n")
        self.config_path.write_text("".join(f"{s}: {{\n{''.join(v)}}};\n"
                                            for s, v in sections.items()))

    def set_up(self, plant=True):
        """Database (with the demo plant), vhost and simulator."""
        with psycopg.connect(self.servers.postgres.conninfo("postgres"), autocommit=True) as pg:
            pg.execute(f"CREATE DATABASE {self.name} {self.database_options}")
        with self.connect() as pg:
            if plant:
                pg.execute((ROOT / "sql/demo/plant.sql").read_text())
        self.servers.rabbit.make_vhost(self.name)
        self.empty_redis()  # another test may have had it
        self.ctl("migrate", *(("--adapter", "production_tracking") if plant else ()),
                 *self.migrate_options)
        self.sim.start()
        return self

    def empty_redis(self):
        with socket.create_connection(("127.0.0.1", self.servers.redis.port), timeout=20) as redis:
            redis.sendall(f"SELECT {self.redis_database}\r\nFLUSHDB\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                answer += redis.recv(100)
            assert answer == b"+OK\r\n+OK\r\n", answer

    def ctl(self, *words, status=0):
        done = subprocess.run([BUILD / "mtcctl", "-c", self.config_path, *words],
                              capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
        assert (status is None or done.returncode == status), (words, done.returncode, done.stdout,
                                                               done.stderr)
        return done.stdout + done.stderr

    def connect(self, **options):
        return psycopg.connect(self.servers.postgres.conninfo(self.name), autocommit=True,
                               **options)

    def service(self, program, name=None, **options):
        name = name or f"{program.removeprefix('mtc-')}-{len(self.services) + 1}"
        service = Service(self, program, name, **options)
        self.services.append(service)
        return service

    def producer(self, name=None, **options):
        return self.service("mtc-producer", name, **options).start()

    def sender(self, name=None, **options):
        return self.service("mtc-sender", name, **options).start()

    def scheduler(self, name=None, **options):
        return self.service("mtc-scheduler", name, **options).start()

    def receiver(self, name=None, **options):
        return self.service("mtc-receiver", name, **options).start()

    @property
    def hook_url(self):
        return f"http://127.0.0.1:{self.hook_port}/api/hooks/cycle-time"

    def cycle_times(self):
        """Seconds by machine name, as PostgreSQL has them."""
        with self.connect() as pg:
            return {name: float(seconds) for name, seconds in
                    pg.execute("SELECT machine, cycle_time_s FROM mtc.machine_cycle_time")}

    def cycle_writes(self):
        """Rows ever written to mtc.cycle_time. The schedulers must have ended: a session that lives
        keeps its counts to itself for a while."""
        with self.connect() as pg:
            wait_for(
                lambda: not pg.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name LIKE 'mtc-scheduler%'").fetchone()[0], 10,
                "no scheduler has a session")
            return pg.execute(
                "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE schemaname = 'mtc'"
                " AND relname = 'cycle_time'").fetchone()[0]

    def emit(self, machine, kind="setup.started", data="{}", pg=None):
        sql = "SELECT mtc.emit(%s, %s, %s, %s::json)"
        words = ("setup" if kind.startswith("setup.") else "event", machine, kind, data)
        if pg:
            return str(pg.execute(sql, words).fetchone()[0])
        with self.connect() as own:
            return str(own.execute(sql, words).fetchone()[0])

    def states(self):
        """How many events the ledger holds in each state."""
        with self.connect() as pg:
            return dict(pg.execute("SELECT state, count(*) FROM mtc.event GROUP BY 1").fetchall())

    def wait_settled(self, seconds=60):
        """Until every event is delivered or dead; returns the counts."""
        def settled():
            states = self.states()
            return states if not states.get("waiting") and not states.get("published") else None
        try:
            return wait_for(settled, seconds, "every event delivered or dead", pause=0.2)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.describe()}") from None

    def describe(self):
        """Where everything stands, for a test that waited in vain."""
        lines = [f"ledger: {self.states()}"]
        for name, q in self.servers.rabbit.queues(self.name).items():
            lines.append(f"{name}: {q.get('messages_ready')} ready, "
                         f"{q.get('messages_unacknowledged')} unacked, "
                         f"{q.get('consumers')} consumers, active "
                         f"{q.get('single_active_consumer_tag')}")
        for service in self.services:
            state = (f"pid {service.pid}" if service.is_running()
                     else f"ended {service.child.returncode}")
            lines.append(f"{service.name} ({state}): ...{service.text()[-1500:]}")
        return "\n".join(lines)

    def outbox_order(self):
        """Event ids per machine in commit order (writers of one machine do not overlap in these
        tests)."""
        order = {}
        with self.connect() as pg:
            for machine, key in pg.execute(
                "SELECT machine, event_id::text FROM mtc.outbox WHERE error IS NULL ORDER BY id"):
                order.setdefault(machine, []).append(key)
        return order

    def dead_letters(self):
        body = json.dumps({"count": 10000, "ackmode": "ack_requeue_true", "encoding": "auto"})
        return json.loads(self.servers.rabbit.api("POST", f"/api/queues/{self.name}/mtc.dead/get",
                                                  body)[1])

    def tear_down(self):
        """Ends everything; returns what a sanitizer had to say."""
        for service in self.services:
            if service.is_running():
                service.stop()
        if self.sim.child:
            self.sim.stop()
        reports = [f"{p.name}: {p.text()[-4000:]}" for p in [*self.services, self.sim]
                   if "Sanitizer" in p.text() or "runtime error:" in p.text()]
        # RabbitMQ 3.10.8 loses the supervisor of all its at-least-once dead-lettering when such
        # queues are deleted soon after it was started: see docs/operations.md. Then they stay until
        # the server goes.
        if self.rabbit_starts == self.servers.rabbit.starts:
            self.servers.rabbit.drop_vhost(self.name)
        with psycopg.connect(self.servers.postgres.conninfo("postgres"), autocommit=True) as pg:
            pg.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        return reports
