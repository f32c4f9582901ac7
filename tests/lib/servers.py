"""Private PostgreSQL, RabbitMQ and Redis on loopback ports, in a throw-away folder."""
import base64
import glob
import json
import os
import pathlib
import shutil
import socket
import signal
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import psycopg

from .ports import free_port
from .processes import Process, accepts, give_away, unprivileged, wait_for


def http(method, url, body=None, user=None, timeout=10):
    """(status, text) of a request; errors of HTTP are answers too."""
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data=data, method=method)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def lives(pid):
    """Whether there is such a process that is more than a zombie."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def wait_until_it_answers(server, seconds, name):
    def answers():
        if not server.process.is_running():
            raise RuntimeError(f"{name} did not start: {server.process.text()[-2000:]}")
        return server.answers()
    wait_for(answers, seconds, f"{name} answers")


class Postgres:
    def __init__(self, folder):
        self.folder = folder / "postgres"
        self.port = free_port()
        self.bin = self.find()
        self.process = None

    @staticmethod
    def find():
        """Its programs: of version MTC_TEST_POSTGRES, or of the newest that is installed."""
        found = {path.parent.name: str(path)
                 for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin")}
        version = os.environ.get("MTC_TEST_POSTGRES") or max(found, key=float, default="any")
        if version not in found:
            raise FileNotFoundError(f"PostgreSQL {version} is not installed; there are: "
                                    f"{', '.join(sorted(found)) or 'none'}")
        return found[version]

    def start(self):
        if not self.folder.exists():
            self.folder.mkdir()
            give_away(self.folder)
            subprocess.run([*unprivileged(), f"{self.bin}/initdb", "-D", self.folder, "-U",
                            "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                            "--no-instructions"], check=True, stdout=subprocess.DEVNULL, cwd="/")
            with open(self.folder / "postgresql.conf", "a", encoding="ascii") as conf:
                conf.write(f"listen_addresses='127.0.0.1'\nport={self.port}\n"
                           "unix_socket_directories=''\n"
                           "shared_buffers=128MB\nmax_connections=200\n"
                           "max_wal_size=2GB\nlog_min_messages=warning\n"
                           # in its folder, where a killed server leaves it to be removed
                           "dynamic_shared_memory_type=mmap\n")
        self.process = Process("postgres",
                               [*unprivileged(), f"{self.bin}/postgres", "-D", self.folder],
                               self.folder.parent / "postgres.log", cwd="/").start()
        wait_until_it_answers(self, 60, "PostgreSQL")
        return self

    def answers(self):
        try:
            psycopg.connect(self.conninfo("postgres"), connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            return False

    def stop(self, number=signal.SIGINT):
        if self.process:
            self.process.stop(number, 60)

    def crash(self):
        """As kill -9 of the whole server. Each of its processes leads a group of its own, and a
        server does not start while one that it left behind still has the shared memory."""
        pid = self.process.pid
        self.process.send(signal.SIGSTOP)  # it makes no more of them
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        self.process.kill()
        wait_for(lambda: not any(map(lives, children)), 30, "PostgreSQL's processes are gone")

    def conninfo(self, database):
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"


class Redis:
    def __init__(self, folder):
        self.folder = folder / "redis"
        self.log = folder / "redis.log"
        self.port = free_port()
        self.process = None

    def start(self):
        self.folder.mkdir(exist_ok=True)
        give_away(self.folder)
        self.process = Process("redis",
                               [*unprivileged(), "redis-server", "--port", self.port, "--bind",
                                "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly",
                                "yes", "--appendfsync", "everysec"], self.log, cwd="/").start()
        wait_until_it_answers(self, 60, "Redis")
        return self

    def answers(self):
        """It listens while it still loads what it has on disk."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as link:
                link.sendall(b"PING\r\n")
                return link.recv(100).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self, number=signal.SIGTERM):
        if self.process:
            self.process.stop(number, 30)

    def url(self, database=0):
        return f"redis://127.0.0.1:{self.port}/{database}"


class Rabbit:
    USER = "guest:guest"

    def __init__(self, folder):
        self.folder = folder / "rabbit"
        self.log = folder / "rabbit.log"
        self.port, self.management = free_port(), free_port()
        self.epmd_port, self.dist_port = free_port(), free_port()
        self.process = self.epmd = None
        self.node = "mtc@localhost"
        self.extra_conf = self.extra_erl_args = self.extra_advanced = ""
        self.starts = 0

    def env(self):
        f = self.folder
        return {"PATH": os.environ["PATH"] + ":/usr/sbin", "LANG": "C.UTF-8", "HOME": str(f),
                "RABBITMQ_NODENAME": self.node, "RABBITMQ_MNESIA_BASE": f"{f}/data",
                "RABBITMQ_LOG_BASE": f"{f}/log", "RABBITMQ_CONFIG_FILE": f"{f}/rabbitmq.conf",
                "RABBITMQ_ENABLED_PLUGINS_FILE": f"{f}/plugins",
                "RABBITMQ_DIST_PORT": str(self.dist_port),
                "RABBITMQ_ADVANCED_CONFIG_FILE": f"{f}/advanced.config",
                "RABBITMQ_CONF_ENV_FILE": f"{f}/none",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface "
                "{127,0,0,1}" + self.extra_erl_args, "ERL_EPMD_PORT": str(self.epmd_port),
                "ERL_EPMD_ADDRESS": "127.0.0.1"}

    def configure(self):
        for name in ("", "data", "log"):
            (self.folder / name).mkdir(exist_ok=True)
            give_away(self.folder / name)
        (self.folder / "plugins").write_text(
            "[rabbitmq_management,rabbitmq_prometheus].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.management}\n"
            f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {free_port()}\n"
            "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 2GB\n"
            "log.file.level = warning\nmanagement_agent.disable_metrics_collector = false\n"
            "collect_statistics_interval = 1000\n" + self.extra_conf)
        # How soon the management API knows what is in a queue: the leader tells it at each tick,
        # and by default it looks every 5 s.
        (self.folder / "advanced.config").write_text(
            "[" + self.extra_advanced + "{rabbit, [{quorum_tick_interval, 500}]},\n"
            " {rabbitmq_management, [{sample_retention_policies, [{global, [{605, 1}]},"
            " {basic, [{605, 1}]}, {detailed, [{10, 1}]}]}]}].\n")

    def start(self):
        self.configure()
        if self.epmd is None or not self.epmd.is_running():
            epmd = shutil.which("epmd") or glob.glob("/usr/lib/erlang/erts-*/bin/epmd")[0]
            self.epmd = Process("epmd",
                                [*unprivileged(), epmd, "-port", self.epmd_port, "-address",
                                 "127.0.0.1"], self.log, env=self.env(), cwd="/").start()
            wait_for(lambda: accepts(self.epmd_port), 20, "epmd answers")
        self.process = Process("rabbitmq",
                               [*unprivileged(), "/usr/lib/rabbitmq/bin/rabbitmq-server"], self.log,
                               env=self.env(), cwd=self.folder).start()
        wait_until_it_answers(self, 90, "RabbitMQ")
        self.starts += 1
        return self

    def answers(self):
        try:
            return self.api("GET", "/api/overview")[0] == 200 and accepts(self.port)
        except OSError:
            return False

    def stop(self, number=signal.SIGTERM):
        if self.process:
            self.process.stop(number, 90)
            self.process = None

    def end(self):
        for process in (self.process, self.epmd):
            if process:
                process.kill()

    def crash(self):
        self.process.kill()

    def api(self, method, path, body=None, timeout=10):
        return http(method, f"http://127.0.0.1:{self.management}{path}", body, self.USER, timeout)

    def control(self, *words):
        """rabbitmqctl against this node."""
        subprocess.run([*unprivileged(), "/usr/lib/rabbitmq/bin/rabbitmqctl", *words],
                       env=self.env(), check=True, cwd=self.folder, stdout=subprocess.DEVNULL)

    def call(self, words):
        """A function of this node's: "module function [argument, ...]". At once: rabbitmqctl, which
        would do the same, takes seconds to start on a busy machine."""
        cookie = (self.folder / ".erlang.cookie").read_text()
        subprocess.run([*unprivileged(), "erl_call", "-n", "mtc@localhost", "-c", cookie, "-a",
                        words], env=self.env(), check=True, cwd=self.folder,
                       stdout=subprocess.DEVNULL)

    def suspend(self, vhost, queue, verb="suspend"):
        """Has a queue's leader do nothing, or ("resume") its work again: it confirms nothing and
        delivers nothing meanwhile."""
        self.call(f"sys {verb} [{{'{vhost}_{queue}', mtc@localhost}}]")

    def make_vhost(self, name):
        for method, path, body in (("PUT", f"/api/vhosts/{name}", "{}"),
                                   ("PUT", f"/api/permissions/{name}/guest",
                                    '{"configure":".*","write":".*","read":".*"}')):
            status, text = self.api(method, path, body)
            assert status in (201, 204), (status, text)

    def drop_vhost(self, name):
        self.api("DELETE", f"/api/vhosts/{name}")

    def url(self, vhost):
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{vhost}"

    def queues(self, vhost):
        return {q["name"]: q for q in json.loads(self.api("GET", f"/api/queues/{vhost}")[1])}


class NotOurs:
    """In the place of a process of others: a test that wants to touch it is skipped."""

    def __getattr__(self, name):
        import pytest  # the demo has none, and no such broker
        pytest.skip("this broker is not ours to stop, freeze or set up")


class ExternalRabbit(Rabbit):
    """A broker that runs already (another version, in a container):
    MTC_TEST_RABBIT=PORT:MANAGEMENT-PORT, guest's password guest. Tests that do more to it than talk
    to it are skipped."""

    def __init__(self, folder, ports):
        super().__init__(folder)
        self.port, self.management = (int(port) for port in ports.split(":"))
        self.process = NotOurs()

    def start(self):
        wait_for(self.answers, 90, "RabbitMQ answers")
        return self

    def stop(self, number=signal.SIGTERM):
        self.process.stop(number)

    def control(self, *words):
        self.process.control(*words)

    def call(self, words):
        self.process.call(words)

    def end(self):
        pass


class Servers:
    """All three, in a folder that is removed at the end."""

    def __init__(self, folder=None):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="mtc-sync."))
        self.folder.chmod(0o755)
        self.postgres, self.redis = Postgres(self.folder), Redis(self.folder)
        external = os.environ.get("MTC_TEST_RABBIT")
        self.rabbit = ExternalRabbit(self.folder, external) if external else Rabbit(self.folder)

    def start(self):
        self.postgres.start()
        self.redis.start()
        self.rabbit.start()
        return self

    def stop(self):
        """At once: nobody needs any more what they hold."""
        self.rabbit.end()
        if self.redis.process:
            self.redis.process.kill()
        self.postgres.stop(signal.SIGQUIT)  # lets it remove its shared memory
        shutil.rmtree(self.folder, ignore_errors=True)
