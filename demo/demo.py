"""./dev demo: a shift of a real plant through the whole suite, with faults, checked at the end."""
import argparse
import itertools
import signal
import sys
import threading
import time

from checkpoints import Checkpoints
from figures import HEAD, Figures, show_percentiles
from screen import Screen, Ticker
from shift import Shift
from updown import describe, end_all, start_servers
from lib.keeper import keep
from lib.servers import Servers
from lib.stack import Stack


class Background(threading.Thread):
    """What goes on meanwhile; join() raises what went wrong in it."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.error = work, None
        self.start()

    def run(self):
        try:
            self.work()
        except Exception as error:  # raised by join()
            self.error = error

    def join(self, timeout=None):
        super().join(timeout)
        if self.error:
            raise self.error


class Demo:
    def __init__(self, arguments):
        self.arguments = arguments
        self.screen = Screen()
        self.servers = self.stack = self.figures = self.restarting = None
        self.shifts = []
        self.doing = None  # what is waited for, or a function that makes the line of a second
        self.ticker = Ticker(self.screen, self.line)
        self.second = 0
        self.ticker.start()

    def line(self, second):
        self.second, doing = second, self.doing
        if callable(doing):
            return doing(second)
        return f"  {second:4}s {doing} ..." if doing else None

    def now(self, doing):
        """What takes time from here on; the line of each second says so."""
        self.doing = doing

    def start(self):
        begun = time.monotonic()
        self.screen.say("starting private PostgreSQL, RabbitMQ and Redis, the programs and a "
                        "stand-in for MTConnect")
        self.servers = Servers()
        start_servers(self.servers, self.now)
        self.now("a database with the plant, schema mtc and the stand-in are made")
        self.stack = Stack(self.servers).set_up()
        self.producers = [self.stack.producer("producer-1"), self.stack.producer("producer-2")]
        self.senders = [self.stack.sender("sender-1"), self.stack.sender("sender-2")]
        for service in self.producers + self.senders:
            self.now(f"{service.name} connects")
            service.wait_ready()
        self.now(None)
        self.figures = Figures(self.stack, self.senders)
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
        self.restarting = Background(restart)

    def run(self):
        seconds, rate = self.arguments.seconds, self.arguments.rate
        begun = time.monotonic()
        conninfo = self.servers.postgres.conninfo(self.stack.name)
        self.shifts += [Shift(conninfo, list(range(1 + n, 17, 4)), rate / 4 / 1.4, begun + seconds,
                              seed=n) for n in range(4)]
        self.figures.shifts = self.shifts
        faults = [(begun + seconds * at, text, action) for at, text, action in self.faults()]
        self.screen.say(HEAD)
        for shift in self.shifts:
            shift.start()
        first = self.second + 1
        self.now(lambda second: self.figures.line(second - first))
        while any(shift.is_alive() for shift in self.shifts):
            while faults and time.monotonic() >= faults[0][0]:
                _, text, action = faults.pop(0)
                self.screen.say(f"       -> {text}", keep=True)
                action()
            time.sleep(0.05)  # how exactly faults keep their time
        for shift in self.shifts:
            if shift.error:
                raise shift.error
        self.screen.say("       -> the shift is over; what is under way drains", keep=True)
        if self.restarting:
            self.restarting.join()
        self.stack.wait_settled(90)
        self.now(None)
        self.screen.say(self.figures.line(self.second - first + 1, patience=10))

    def summary(self):
        """Compares what was committed with what arrived; returns whether all is well."""
        stack, say, figures = self.stack, self.screen.say, self.figures
        figures.read_record()
        states, stats = stack.states(), stack.sim.stats()["record"]
        wanted, got = stack.outbox_order(), stack.sim.applied()
        committed, events = len(figures.committed()), sum(len(keys) for keys in wanted.values())
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
        for machine in disordered:
            pair = next(pair for pair in itertools.zip_longest(wanted[machine],
                                                               got.get(machine, []))
                        if pair[0] != pair[1])
            say(f"       {machine}: where event {pair[0]} is due MTConnect has {pair[1]}")
        latencies = figures.latencies()
        calm = [latency for at, latency in latencies if at < self.calm_until]
        whole = [latency for _, latency in latencies]
        say(f"\n  duplicate POSTs answered 409: {stats['statuses'].get('409', 0)}"
            " (a lost answer or a kill costs one at most)")
        say(f"  commit to arrival, p50 / p95 / p99: {show_percentiles(calm)}"
            " while nothing was broken (first fifth),")
        say(f"                                      {show_percentiles(whole)}"
            " over the whole shift, outages and all")
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
        self.screen.say("\nending everything")
        end_all(self.servers, self.stack, self.now)
        self.now(None)
        self.ticker.stop()


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--keep", action="store_true",
                        help="leave everything running and say where")
    parser.add_argument("--seconds", type=int, default=40, help="length of the shift (default 40)")
    parser.add_argument("--rate", type=int, default=50, help="events a second (default 50)")
    arguments = parser.parse_args()
    keep()
    demo = Demo(arguments)
    good = False
    try:
        demo.start()
        demo.calm_until = time.time() + demo.arguments.seconds * 0.2
        demo.run()
        good = demo.summary()
        good = Checkpoints(demo.stack, demo.screen.say, demo.now).run() and good
        if demo.arguments.keep:
            demo.keep()
    except KeyboardInterrupt:
        demo.screen.say("\ninterrupted")
    finally:
        demo.end()
    demo.screen.say("demo: all is well" if good else "demo: FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
