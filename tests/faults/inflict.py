"""How each kind of fault is done to a plant, and undone."""
import dataclasses
import os
import resource
import signal
import threading
import time

from lib.processes import wait_for

from .broker import POLICIES, Queues, partition_of
from .plan import PARTITIONS, Fault

# What a class of answers says of an event itself is for poison alone: see shop.py.
POISON = [{"action": "status", "status": status, "type": f"setup.poison{status}"}
          for status in (400, 413, 415, 422)]
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

LARGE = 1_500_000  # bytes
MEET_S = 60  # what nobody has met goes on for so much longer


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


def rule_of(status, scope):
    """A detail of "MTConnect answers any status", as a rule of the simulator's."""
    rule = {"action": "status", "status": int(status)}
    word = scope.split()[-1]
    if word == "half":
        rule["rate"] = 0.5
    elif word != "all":
        rule["path" if word.startswith("/") else "machine"] = word
    return rule


@dataclasses.dataclass(frozen=True)
class Inflicted:
    fault: Fault
    begun: float  # the time of day
    ended: float
    felt: bool  # somebody ran into it, as far as that can be told


class Inflictor:
    """Does the faults of a plan to a plant, each in a thread; one target suffers one fault at a
    time. What does one may return False: it was done, and nobody can have noticed."""

    def __init__(self, plant, shop, say):
        self.plant, self.shop, self.say = plant, shop, say
        self.queues = Queues(plant, shop)
        self.locks = {name: threading.Lock() for name in [
            *plant.services, "postgres", "rabbitmq", "redis", "mtconnect", "shop"]}
        self.done = []
        self.errors = []
        self.threads = []

    def begin(self, fault):
        thread = threading.Thread(target=self.run, args=(fault,), daemon=True)
        self.threads.append(thread)
        thread.start()

    def run(self, fault):
        with self.locks[fault.target]:
            begun, felt = time.time(), False
            try:
                felt = self.act(fault) is not False
            # reported at the end: a fault that could not be done is no fault survived
            except Exception as error:
                self.errors.append(f"{fault}: {error!r}")
            self.done.append(Inflicted(fault, begun, time.time(), felt))
            self.say(f"{fault}" if felt else f"{fault}: nobody met it")

    def last(self, fault, is_met):
        """For as long as the fault is to last, and until somebody has met it: another fault may
        hold up all that could. False if nobody did."""
        time.sleep(fault.seconds)
        try:
            return wait_for(is_met, MEET_S, "somebody meets it", pause=0.2)
        except TimeoutError:
            return False

    def join(self):
        for thread in self.threads:
            thread.join(400)
            if thread.is_alive():
                self.errors.append("a fault did not end within 400 s")

    def act(self, fault):
        """One of a family is done by the family's method, any other by the one of its name."""
        name = fault.kind
        if name.startswith("link "):
            return self.link(fault)
        if name in SIM_RULES:
            return self.answers(fault, SIM_RULES[name])
        if name in POLICIES:
            return self.queues.set_policy(name, fault.seconds)
        if name.startswith("RabbitMQ mtc."):
            return self.queue_deleted(fault)
        for brand in ("PostgreSQL ", "RabbitMQ ", "Redis ", "MTConnect "):
            if name.startswith(brand):
                name = name.removeprefix(brand)
                if brand != "MTConnect ":
                    name = f"server {name}"
        words = name.replace(",", "").replace("'", "").replace(" ", "_")
        return getattr(self, words)(fault)

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
        self.note_start(fault)

    def note_start(self, fault):
        if fault.target == "rabbitmq":
            self.queues.changed = time.monotonic()

    def server_crashed(self, fault):
        server = self.server(fault)
        server.process.kill() if fault.target == "redis" else server.crash()
        time.sleep(fault.seconds)
        server.start()
        self.note_start(fault)

    def server_frozen(self, fault):
        pid = self.server(fault).process.pid
        signal_tree(pid, signal.SIGSTOP)
        try:
            time.sleep(fault.seconds)
        finally:
            signal_tree(pid, signal.SIGCONT)

    def server_memory_alarm(self, fault):
        rabbit = self.plant.servers.rabbit
        rabbit.call('vm_memory_monitor set_vm_memory_high_watermark [{absolute, "1MB"}]')
        time.sleep(fault.seconds)
        rabbit.call('vm_memory_monitor set_vm_memory_high_watermark [{absolute, "2GB"}]')

    def server_disk_alarm(self, fault):
        rabbit = self.plant.servers.rabbit
        rabbit.call('rabbit_disk_monitor set_disk_free_limit ["100000GB"]')
        time.sleep(fault.seconds)
        rabbit.call('rabbit_disk_monitor set_disk_free_limit ["50MB"]')

    def server_slow(self, fault):
        """It answers everything, so much later: each answer waits for the one before."""
        links = [link for (_, server), link in self.plant.links.items() if server == "redis"]
        before = sum(link.late for link in links)
        for link in links:
            link.answer_delay = float(fault.detail.split()[0])
        met = self.last(fault, lambda: sum(link.late for link in links) > before)
        for link in links:
            link.answer_delay = 0.0
        return met

    # --- queues ---

    def server_partition_stuck(self, fault):
        self.queues.suspend(f"mtc.events.{fault.detail}", fault.seconds)

    def server_partition_deleted(self, fault):
        self.queues.delete_settled(f"mtc.events.{fault.detail}", [
            machine for machine in self.shop.machines
            if partition_of(machine, PARTITIONS) == int(fault.detail)])

    def queue_deleted(self, fault):
        name = fault.kind.split()[1]
        if name == "mtc.outcomes":
            self.queues.delete_settled(name, self.shop.machines)
        else:  # what was in it the next pull brings
            self.queues.delete(name)

    # --- MTConnect ---

    def answers(self, fault, *rules):
        self.plant.sim.faults(*POISON, *rules)
        met = self.last(fault, lambda: any(
            rule["hits"] for rule in self.plant.sim.stats()["faults"][len(POISON):]))
        self.plant.sim.faults(*POISON)
        return met

    def answers_any_status(self, fault):
        return self.answers(fault, rule_of(*fault.detail.split(" ", 1)))

    def answers_500_a_lone_machine(self, fault):
        """No other has events, so that nothing proves that MTConnect takes any."""
        with self.shop.only(self.shop.machines[0]):
            return self.answers(fault, {"action": "status",
                                        "status": int(fault.kind.split()[2].rstrip(","))})

    answers_502_a_lone_machine = answers_500_a_lone_machine

    def large_bodies(self, fault):
        before = self.shop.large
        self.shop.pad = LARGE
        met = self.last(fault, lambda: self.shop.large > before)
        self.shop.pad = 0
        return met

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
    plant.sim.faults(*POISON)
    for service in plant.services.values():
        if not service.is_running():
            service.start()
    for service in plant.services.values():
        wait_for(service.ready, 90, f"{service.name} is ready")
