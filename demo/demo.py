"""./dev demo: a shift of a real plant through the whole suite, with faults, checked at the end."""
import argparse
import signal
import statistics
import sys
import threading
import time

from checkpoints import Checkpoints
from shift import Shift
from updown import describe
from lib.servers import Servers
from lib.stack import Stack


class Screen:
    """One line a second; on a terminal the last one is rewritten."""

    HEAD = (f"{'time':>6} {'committed':>10} {'published':>10} {'delivered':>10} "
            f"{'retries':>8} {'dead':>5} {'waiting':>8}"
            f" {'breaker':>8}   commit to arrival p50 / p95 / p99")

    def __init__(self):
        self.live = sys.stdout.isatty()

    def say(self, text=""):
        print(("\r\033[K" if self.live else "") + text, flush=True)

    def show(self, text):
        if self.live:
            print("\r\033[K" + text, end="", flush=True)
        else:
            print(text, flush=True)


def percentiles(values):
    if len(values) < 2:
        return None
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def show_percentiles(values):
    found = percentiles(values)
    return "-" if not found else " / ".join(f"{1000 * value:.1f}" for value in found) + " ms"


class Demo:
    def __init__(self, arguments):
        self.arguments = arguments
        self.screen = Screen()
        self.servers = self.stack = None
        self.restarting = None
        self.shifts = []
        self.seen = 0
        # (setup, status, nth time) -> time; how the record is joined with what was committed
        self.arrivals = {}

    def start(self):
        begun = time.monotonic()
        self.screen.say("starting private PostgreSQL, RabbitMQ and Redis, the programs and a "
                        "stand-in for MTConnect ...")
        self.servers = Servers().start()
        self.stack = Stack(self.servers).set_up()
        self.producers = [self.stack.producer("producer-1"), self.stack.producer("producer-2")]
        self.senders = [self.stack.sender("sender-1"), self.stack.sender("sender-2")]
        for service in self.producers + self.senders:
            service.wait_ready()
        self.screen.say(
            f"ready after {time.monotonic() - begun:.0f} s: 16 machines, 2 producers, 2 senders\n")

    def faults(self):
        """What goes wrong, and when (as fractions of the shift)."""
        sim = self.stack.sim
        quiet = [{"action": "status", "status": 500, "rate": 0.01},
                 {"action": "lose", "rate": 0.005}]
        return [
            (0.20,
             "no usual day: 1 in 100 requests gets a 500, 1 in 200 is taken but the answer lost",
             lambda: sim.faults(*quiet)),
            (0.30, "sender-1 is killed (SIGKILL) and started again",
             lambda: self.restart(self.senders[0])),
            (0.40, "producer-1 is killed; the other takes over",
             lambda: self.restart(self.producers[0])),
            (0.50, "MTConnect goes down ...", lambda: sim.call("POST", "/down")),
            (0.60, "... and is back", lambda: sim.call("POST", "/up")),
            (0.75, "RabbitMQ is restarted while the shift goes on", self.restart_rabbit),
        ]

    def restart(self, service):
        service.kill()
        service.start()

    def restart_rabbit(self):
        def restart():
            self.servers.rabbit.stop()
            self.servers.rabbit.start()
        self.restarting = threading.Thread(target=restart)
        self.restarting.start()

    def committed(self):
        return [event for shift in self.shifts for event in shift.committed]

    def read_record(self):
        rows = self.stack.sim.record(self.seen)
        self.seen += len(rows)
        for row in rows:
            if row["applied"]:
                self.arrivals.setdefault(row["key"], row["at"])

    def latencies(self):
        """Seconds from the end of the commit, as the application saw it, to the arrival at
        MTConnect."""
        with self.stack.connect() as pg:
            rows = pg.execute("SELECT event_id::text, (body::json->'data'->>'setupId')::int, "
                              "body::json->'data'->>'status'"
                              " FROM mtc.outbox WHERE kind = 'setup' ORDER BY id").fetchall()
        order = {}
        for key, setup, status in rows:
            order.setdefault((setup, status), []).append(key)
        found = []
        for setup, status, _, at in sorted(self.committed(), key=lambda event: event[3]):
            keys = order.get((setup, status))
            key = keys.pop(0) if keys else None
            if key in self.arrivals:
                found.append((at, max(0.0, self.arrivals[key] - at)))
        return found

    def line(self, begun):
        states = self.stack.states()
        self.read_record()
        retries = sum(s.metrics().get("mtc_sender_retries_total", 0)
                      for s in self.senders if s.ready())
        # A sender without events has nobody to probe with, so its breaker says nothing.
        working = [m for m in (s.metrics() for s in self.senders if s.ready())
                   if m["mtc_sender_lanes"]]
        breaker = "open" if any(m["mtc_sender_breaker_open"] for m in working) else "closed"
        recent = [latency for at, latency in self.latencies() if at > time.time() - 5]
        delivered, dead = states.get("delivered", 0), states.get("dead", 0)
        published = delivered + dead + states.get("published", 0)
        return (f"{time.monotonic() - begun:5.0f}s "
                f"{published + states.get('waiting', 0):10} {published:10} {delivered:10}"
                f" {retries:8.0f} {dead:5} {states.get('waiting', 0):8} {breaker:>8}   "
                f"{show_percentiles(recent)} (last 5 s)")

    def run(self):
        seconds, rate = self.arguments.seconds, self.arguments.rate
        begun = time.monotonic()
        conninfo = self.servers.postgres.conninfo(self.stack.name)
        self.shifts = [Shift(conninfo, list(range(1 + n, 17, 4)), rate / 4 / 1.4, begun + seconds,
                             seed=n) for n in range(4)]
        faults = [(begun + seconds * at, text, action) for at, text, action in self.faults()]
        self.screen.say(Screen.HEAD)
        for shift in self.shifts:
            shift.start()
        while any(shift.is_alive() for shift in self.shifts):
            while faults and time.monotonic() >= faults[0][0]:
                _, text, action = faults.pop(0)
                self.screen.say(f"       -> {text}")
                action()
            self.screen.show(self.line(begun))
            time.sleep(1)  # the pace of the display
        for shift in self.shifts:
            if shift.error:
                raise shift.error
        self.screen.say("       -> the shift is over; what is under way drains")
        if self.restarting:
            self.restarting.join()
        self.stack.wait_settled(90)
        self.screen.say(self.line(begun))

    def summary(self):
        """Compares what was committed with what arrived; returns whether all is well."""
        stack, say = self.stack, self.screen.say
        self.read_record()
        states, stats = stack.states(), stack.sim.stats()["record"]
        wanted, got = stack.outbox_order(), stack.sim.applied()
        committed, events = len(self.committed()), sum(len(keys) for keys in wanted.values())
        arrived = sum(len(keys) for keys in got.values())
        disordered = [machine for machine, keys in wanted.items() if got.get(machine) != keys]
        checks = [
            (f"every committed change is an event: {committed} changes, {events} events",
             committed == events),
            (f"every event was delivered: {states.get('delivered', 0)} of {events}, "
             f"{states.get('dead', 0)} dead letters", states == {"delivered": events}),
            (f"MTConnect applied each exactly once: {arrived} applied, {stats['repeats']} twice",
             arrived == events and stats["repeats"] == 0),
            (f"in the order of their commits, on each of {len(wanted)} machines", not disordered),
            (f"every request was as the contract wants it: {stats['violations']} violations",
             stats["violations"] == 0),
        ]
        say()
        for text, good in checks:
            say(f"  {'ok  ' if good else 'FAIL'} {text}")
        latencies = [latency for _, latency in self.latencies()]
        calm = [latency for at, latency in self.latencies() if at < self.calm_until]
        say(f"\n  duplicate POSTs answered 409: {stats['statuses'].get('409', 0)} (a "
            "lost answer or a kill costs one at most)")
        say(f"  commit to arrival, p50 / p95 / p99: {show_percentiles(calm)} while "
            "nothing was broken (first fifth),")
        say(f"                                      {show_percentiles(latencies)} over "
            "the whole shift, outages and all")
        for service in self.producers + self.senders:
            say(f"  {service.name}: {service.rss_kib() / 1024:.1f} MiB, "
                f"{service.cpu_seconds():.2f} s of CPU")
        return all(good for _, good in checks)

    def keep(self):
        self.screen.say("\neverything is still running (Ctrl-C ends it):\n" + describe(self.stack))
        try:
            signal.pause()
        except KeyboardInterrupt:
            self.screen.say()

    def end(self):
        if self.stack:
            for service in self.stack.services:
                service.stop()
            self.stack.sim.stop()
        if self.servers:
            self.servers.stop()


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--keep", action="store_true",
                        help="leave everything running and say where")
    parser.add_argument("--seconds", type=int, default=40, help="length of the shift (default 40)")
    parser.add_argument("--rate", type=int, default=50, help="events a second (default 50)")
    demo = Demo(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    good = False
    try:
        demo.start()
        demo.calm_until = time.time() + demo.arguments.seconds * 0.2
        demo.run()
        good = demo.summary()
        good = Checkpoints(demo.stack, demo.screen.say).run() and good
        if demo.arguments.keep:
            demo.keep()
    except KeyboardInterrupt:
        demo.screen.say("\ninterrupted")
    finally:
        demo.screen.say("\nending everything ...")
        demo.end()
    print("demo: all is well" if good else "demo: FAILED", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
