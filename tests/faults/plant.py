"""The installation under attack: all programs, two or three of each, every link of each through a
proxy."""
import glob

from lib.stack import Stack

from . import names
from .plan import FAKED, LINKS, NAMED, PROGRAMS
from .proxy import Proxy

PACE_S = 10  # a pull of cycle times


def faketime_library():
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    return found[0] if found else None


class Plant:
    """Over shared servers. `without` names the kinds of faults that this machine does not allow."""

    def __init__(self, servers, folder_of=None, **config):
        self.servers = servers
        self.stack = Stack(servers, sim_options=("--body-limit", str(4 << 20)),
                           scheduler__period_s=PACE_S, scheduler__again_s=5, **config).set_up()
        self.sim = self.stack.sim
        self.proxy = Proxy()
        self.links, self.services, self.clocks, self.without = {}, {}, {}, []
        self.library = faketime_library()
        self.names = names.start(self.stack.folder)
        if not self.names:
            self.without.append("names don't resolve")
        if not self.library:
            self.without.append("clock moved")

    def start(self):
        for name in PROGRAMS:
            program = name.split("-")[0]
            service = self.stack.service(f"mtc-{program}", name, **self.options(name, program))
            if self.names and name in NAMED:
                service.command = self.names.command(service.command)
            if self.library and name in FAKED:
                self.fake_clock(service)
            self.services[name] = service.start()
        for service in self.services.values():
            service.wait_ready(60)
        return self

    def options(self, name, program):
        """Environment that leads the program through its own links."""
        host = self.names.host(name) if self.names and name in NAMED else "127.0.0.1"
        ports = {"amqp": self.servers.rabbit.port, "postgres": self.servers.postgres.port,
                 "redis": self.servers.redis.port, "mtconnect": self.sim.port}
        for link in LINKS[program]:
            self.links[name, link] = self.proxy.link(f"{name}/{link}", ports[link])
        port = {link: self.links[name, link].port for link in LINKS[program]}
        options = {"mtc_amqp_url": f"amqp://guest:guest@{host}:{port['amqp']}/{self.stack.name}"}
        if "postgres" in port:
            options["mtc_postgres_conninfo"] = (f"host={host} port={port['postgres']} user=postgres"
                                                f" dbname={self.stack.name}")
        if "redis" in port:
            options["mtc_redis_url"] = f"redis://{host}:{port['redis']}/{self.stack.redis_database}"
        if "mtconnect" in port:
            options["mtc_mtconnect_base_url"] = f"http://{host}:{port['mtconnect']}"
        return options

    def fake_clock(self, service):
        clock = self.clocks[service.name] = self.stack.folder / f"{service.name}.clock"
        clock.write_text("+0\n")
        # Only the time of day: programs measure spans with the monotonic clock, which nobody can
        # move.
        service.env.update(LD_PRELOAD=self.library, FAKETIME_TIMESTAMP_FILE=str(clock),
                           FAKETIME_CACHE_DURATION="1", FAKETIME_DONT_FAKE_MONOTONIC="1",
                           DONT_FAKE_MONOTONIC="1")

    def stop(self):
        reports = self.stack.tear_down()
        self.proxy.stop()
        if self.names:
            self.names.stop()
        return reports
