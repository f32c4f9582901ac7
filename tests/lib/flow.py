"""A shop that works: writers that commit setup events, and the checks that all of them arrived in
order."""
import threading
import time

from .processes import wait_for


def add_machines(stack, count):
    """count machines named M-001 ...; returns their names."""
    with stack.connect() as pg:
        pg.execute("INSERT INTO machines (name) SELECT 'M-' || lpad(n::text, 3, '0')"
                   " FROM generate_series(1, %s) n", (count,))
    return [f"M-{n:03}" for n in range(1, count + 1)]


class Writers:
    """Threads that each own some machines and commit their events one transaction after the
    other."""

    def __init__(self, stack, machines, events, threads=2, rate=None):
        self.stack, self.rate = stack, rate
        self.errors, self.slowest, self.stopped = [], 0.0, False
        shares = [machines[i::threads] for i in range(threads)]
        self.threads = [threading.Thread(target=self.write, args=(share, events // threads),
                                         daemon=True) for share in shares]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def write(self, machines, events):
        try:
            with self.stack.connect() as pg:
                begun = time.monotonic()
                for n in range(events):
                    if self.stopped:
                        return
                    at = time.monotonic()
                    pg.execute("SELECT mtc.emit('setup', %s, 'setup.started', "
                               "json_build_object('n', %s::int))", (machines[n % len(machines)], n))
                    self.slowest = max(self.slowest, time.monotonic() - at)
                    if self.rate:
                        ahead = begun + (n + 1) * len(self.threads) / self.rate - time.monotonic()
                        if ahead > 0:
                            time.sleep(ahead)  # the pace of the shop, not a wait for anything
        except Exception as error:  # handed to the test, which looks at errors
            self.errors.append(error)

    def stop(self):
        self.stopped = True

    def is_alive(self):
        return any(thread.is_alive() for thread in self.threads)

    def join(self):
        for thread in self.threads:
            thread.join()
        assert not self.errors, self.errors


def check_all_arrived(stack, dead=0):
    """Every committed event was applied exactly once and in order per machine; returns the
    simulator's counts."""
    states = stack.states()
    assert set(states) <= {"delivered", "dead"} and states.get("dead", 0) == dead, states
    with stack.connect() as pg:
        buried = {key
                  for (key,) in pg.execute(
                      "SELECT event_id::text FROM mtc.event WHERE state = 'dead'")}
    wanted = {machine: [key for key in keys if key not in buried]
              for machine, keys in stack.outbox_order().items()}
    got = stack.sim.applied()
    for machine, keys in wanted.items():
        if keys:
            assert got.get(machine) == keys, f"{machine}: order or content differs"
    assert set(got) == {machine for machine, keys in wanted.items() if keys}
    stats = stack.sim.stats()["record"]
    assert stats["violations"] == 0, stats["violation_texts"]
    return stats


def duplicates(stats):
    """POSTs of a key that had been applied before."""
    return stats["statuses"].get("409", 0)


def wait_emptied(stack, seconds=30):
    """Until the broker holds nothing but dead letters."""
    def empty():
        queues = stack.servers.rabbit.queues(stack.name)
        return (queues
                and all(q.get("messages", 1) == 0 for name, q in queues.items()
                        if name != "mtc.dead"))
    wait_for(empty, seconds, "queues are empty", pause=0.3)
