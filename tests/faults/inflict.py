"""How each kind of fault is done to a plant, and undone."""
import os
import resource
import signal
import threading
import time

from lib.processes import wait_for

POISON = {"action": "status", "status": 422, "type": "setup.poison"}
SIM_RULES = {
    "MTConnect answers 500": {"action": "status", "status": 500},
    "MTConnect answers 502": {"action": "status", "status": 502},
    "MTConnect answers 404": {"action": "status", "status": 404},
    "MTConnect answers 500 on one path": {"action": "status", "status": 500,
                                          "path": "/api/ext/setup"},
    "MTConnect answers 500 to most": {"action": "status", "status": 500, "rate": 0.6},
    "MTConnect answers 403 to a machine": {"action": "status", "status": 403, "machine": "M-001"},
    "MTConnect takes 20 a second": {"action": "limit", "per_second": 20, "status": 429,
                                    "retry_after": 1},
    "MTConnect answers 503, Retry-After": {"action": "status", "status": 503, "retry_after": 2},
    "MTConnect answers 401": {"action": "status", "status": 401},
    "MTConnect answers 429": {"action": "status", "status": 429, "retry_after": 1, "rate": 0.5},
    "MTConnect slow (2.9 s)": {"action": "delay", "ms": 2900},
    "MTConnect hangs": {"action": "hang", "rate": 0.2},
    "MTConnect loses answers": {"action": "lose", "rate": 0.3},
    "MTConnect breaks answers off": {"action": "truncate", "rate": 0.3},
    "MTConnect answers garbage": {"action": "garbage", "rate": 0.5},
}


def tree(pid):
    """A process and all that descend from it: servers put children into sessions of their own."""
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                for child in children.read().split():
                    found += tree(int(child))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def signal_tree(pid, number):
    for member in tree(pid):
        try:
            os.kill(member, number)
        except ProcessLookupError:
            pass


class Inflictor:
    """Does the faults of a plan to a plant, each in a thread; one target suffers one fault at a
    time."""

    def __init__(self, plant, say):
        self.plant, self.say = plant, say
        self.locks = {name: threading.Lock()
                      for name in [*plant.services, "postgres", "rabbitmq", "redis", "mtconnect"]}
        self.done = []  # (fault, begun, ended), times of the day
        self.errors = []
        self.threads = []

    def begin(self, fault):
        thread = threading.Thread(target=self.run, args=(fault,), daemon=True)
        self.threads.append(thread)
        thread.start()

    def run(self, fault):
        with self.locks[fault.target]:
            begun = time.time()
            try:
                self.act(fault)
            # reported at the end: a fault that could not be done is no fault survived
            except Exception as error:
                self.errors.append(f"{fault}: {error!r}")
            self.done.append((fault, begun, time.time()))
            self.say(f"{fault}")

    def join(self):
        for thread in self.threads:
            thread.join(180)
            if thread.is_alive():
                self.errors.append("a fault did not end within 180 s")

    def act(self, fault):
        if fault.kind.startswith("link "):
            self.link(fault)
        elif fault.kind in SIM_RULES:
            self.plant.sim.faults(POISON, SIM_RULES[fault.kind])
            time.sleep(fault.seconds)
            self.plant.sim.faults(POISON)
        else:
            name = (fault.kind.split()[0].lower()
                    if fault.target in ("postgres", "rabbitmq", "redis") else None)
            action = (fault.kind.split(None, 1)[1] if name or fault.target == "mtconnect"
                      else fault.kind)
            words = action.replace(" ", "_").replace("'", "")
            getattr(self, f"{'server_' if name else ''}{words}")(fault)

    # --- programs ---

    def killed(self, fault):
        service = self.plant.services[fault.target]
        service.kill()
        time.sleep(fault.seconds)
        service.start()

    def terminated(self, fault):
        service = self.plant.services[fault.target]
        status = service.stop()
        assert status == 0, f"{fault.target} ended with {status} on SIGTERM"
        time.sleep(fault.seconds)
        service.start()

    def frozen(self, fault):
        service = self.plant.services[fault.target]
        service.freeze()
        try:
            time.sleep(fault.seconds)
        finally:
            service.thaw()

    def link(self, fault):
        link = self.plant.links[fault.target, fault.detail]
        mode = fault.kind.removeprefix("link ").replace("stalled", "stall")
        link.set(mode, 0.1)
        time.sleep(fault.seconds)
        link.set("pass")

    def cut_all(self, target):
        """So that the program has to connect anew, now."""
        for (program, _), link in self.plant.links.items():
            if program == target:
                link.set("cut")
                link.set("pass")

    def descriptors_exhausted(self, fault):
        pid = self.plant.services[fault.target].pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # none above stderr may be opened any more
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        try:
            self.cut_all(fault.target)
            time.sleep(fault.seconds)
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))

    def names_dont_resolve(self, fault):
        self.plant.names.broken.add(fault.target)
        try:
            self.cut_all(fault.target)
            time.sleep(fault.seconds)
        finally:
            self.plant.names.broken.discard(fault.target)

    def clock_moved(self, fault):
        clock = self.plant.clocks[fault.target]
        clock.write_text(fault.detail + "\n")
        time.sleep(fault.seconds)
        clock.write_text("+0\n")

    # --- servers ---

    def server(self, fault):
        return getattr(self.plant.servers, {"rabbitmq": "rabbit"}.get(fault.target, fault.target))

    def server_restarted(self, fault):
        server = self.server(fault)
        server.stop()
        time.sleep(fault.seconds)
        server.start()

    def server_crashed(self, fault):
        server = self.server(fault)
        server.process.kill() if fault.target == "redis" else server.crash()
        time.sleep(fault.seconds)
        server.start()

    def server_frozen(self, fault):
        pid = self.server(fault).process.pid
        signal_tree(pid, signal.SIGSTOP)
        try:
            time.sleep(fault.seconds)
        finally:
            signal_tree(pid, signal.SIGCONT)

    def server_memory_alarm(self, fault):
        rabbit = self.plant.servers.rabbit
        rabbit.control("set_vm_memory_high_watermark", "absolute", "1MB")
        time.sleep(fault.seconds)
        rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")

    def server_disk_alarm(self, fault):
        rabbit = self.plant.servers.rabbit
        rabbit.control("set_disk_free_limit", "100000GB")
        time.sleep(fault.seconds)
        rabbit.control("set_disk_free_limit", "50MB")

    # --- MTConnect ---

    def down(self, fault):
        self.plant.sim.call("POST", "/down")
        time.sleep(fault.seconds)
        self.plant.sim.call("POST", "/up")

    def flapping(self, fault):
        end = time.monotonic() + fault.seconds
        while time.monotonic() < end:
            self.plant.sim.call("POST", "/down")
            time.sleep(0.4)
            self.plant.sim.call("POST", "/up")
            time.sleep(0.4)


def heal(plant):
    """Everything as it should be, whatever was under way."""
    for link in plant.links.values():
        link.set("pass")
    plant.sim.call("POST", "/up")
    plant.sim.faults(POISON)
    for service in plant.services.values():
        if not service.is_running():
            service.start()
    for service in plant.services.values():
        wait_for(service.ready, 90, f"{service.name} is ready")
