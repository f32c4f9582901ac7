"""docker-compose.yml as a project of its own: its images, secrets and ports are nobody else's."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from lib.ports import free_port
from lib.servers import http
from lib.stack import ROOT

COMPOSE = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
PROGRAMS = ("producer", "sender", "scheduler", "receiver")


def two_free_ports():
    """Neighbours."""
    while True:
        first = free_port()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", first + 1)) != 0:
                return first, first + 1


class Project:
    def __init__(self, **env):
        self.name = f"mtcsmoke{os.getpid()}"
        self.secrets = pathlib.Path(tempfile.mkdtemp(prefix="mtc-secrets."))
        self.make_secrets()
        self.management, self.control, self.prometheus = free_port(), free_port(), free_port()
        self.hooks = two_free_ports()
        # docker-compose is written in Python, and has a package of this one's name.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.env = {**environment, "MANAGEMENT_PORT": str(self.management),
                    "HOOK_PORT": "{}-{}".format(*self.hooks), "SIM_CONTROL_PORT": str(self.control),
                    "PROMETHEUS_PORT": str(self.prometheus), "SECRETS": str(self.secrets),
                    "MTC_IMAGE": self.name, **env}

    def make_secrets(self):
        subprocess.run([ROOT / "deploy/compose/make-secrets", self.secrets], check=True)

    def secret(self, name):
        return (self.secrets / name).read_text()

    def run(self, *words, check=True):
        done = subprocess.run([*COMPOSE, "-p", self.name, "-f", ROOT / "docker-compose.yml",
                               "--profile", "demo", "--profile", "monitoring", *words],
                              env=self.env, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-3000:]}")
        return done.stdout

    def ctl(self, *words):
        """mtcctl as an operator calls it; it must say that all is well, by its exit status."""
        return self.run("run", "--rm", "-T", "mtcctl", *words)

    def ids(self, service):
        return self.run("ps", "-q", service).split()

    def inspect(self, container):
        return json.loads(subprocess.run(["docker", "inspect", container], check=True,
                                         capture_output=True, text=True).stdout)[0]

    def named(self, service):
        """The containers' names."""
        return {self.inspect(container)["Name"].strip("/") for container in self.ids(service)}

    def health(self, service):
        return [self.inspect(c)["State"].get("Health", {}).get("Status") for c in self.ids(service)]

    def sql(self, text):
        """Rows of words."""
        out = subprocess.run(["docker", "exec", "-e", f"PGPASSWORD={self.secret('postgres_mtc')}",
                              self.ids("postgres")[0], "psql", "-h", "127.0.0.1", "-U", "mtc", "-d",
                              "production_tracking", "-At", "-F", "|", "-v", "ON_ERROR_STOP=1",
                              "-c", text], check=True, capture_output=True, text=True).stdout
        return [line.split("|") for line in out.splitlines()]

    def redis(self, *words):
        return subprocess.run(["docker", "exec", "-e", f"REDISCLI_AUTH={self.secret('redis_mtc')}",
                               self.ids("redis")[0], "redis-cli", "--user", "mtc", *words],
                              check=True, capture_output=True, text=True).stdout

    def states(self):
        return {state: int(count)
                for state, count in self.sql("SELECT state, count(*) FROM mtc.event GROUP BY 1")}

    def sim(self, path):
        return http("GET", f"http://127.0.0.1:{self.control}{path}")[1]

    def api(self, method, path, body=None):
        """(status, text) of the management API, for the user who may look."""
        return http(method, f"http://127.0.0.1:{self.management}/api/{path}", body,
                    f"monitoring:{self.secret('rabbitmq_monitoring')}")

    def queues(self):
        return {queue["name"]: queue for queue in json.loads(self.api("GET", "queues")[1])}

    def end(self):
        self.run("down", "-v", "--remove-orphans", check=False)
        for tag in ("latest", "demo", "prometheus"):
            subprocess.run(["docker", "image", "rm", f"{self.name}:{tag}"], capture_output=True,
                           check=False)
        shutil.rmtree(self.secrets, ignore_errors=True)
