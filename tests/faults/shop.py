"""The people of the shop: transactions at a steady pace, and cycle times that change."""
import contextlib
import random
import threading
import time

import psycopg

from lib.processes import wait_for

POISON_EVERY, ROLLBACK_EVERY, ODD_EVERY, STRANGE_EVERY = 500, 50, 700, 90
OTHER_PATH_EVERY, LARGE_EVERY, LARGE = 5, 300, 60000
PAD_EVERY = 10    # while bodies are to be large
LONE_EVERY = 10   # while one machine alone has events
POISONS = ("setup.poison400", "setup.poison413", "setup.poison415", "setup.poison422")
ODD = (  # what can't be formed, and is dead as well: instead of the event's own
    {"moment": "infinity"}, {"moment": "-infinity"}, {"moment": "294276-12-31"},
    {"moment": "4713-01-01 BC"}, {"moment": "0001-01-01"}, {"kind": "k" * 3000},
    {"machine": "nobody's"}, {"machine": ""}, {"data": "null"}, {"data": r'"\u0000"'},
    {"data": "[" * 200 + "]" * 200})
STRANGE = (  # and what can, however it looks
    r'{"by": "Zo\u00eb \u2028 \ud83d\ude00"}', '{"": 1e308, "a": -0.0}', "  {\"a\" \n:\t[]}  ",
    '{"a": ' * 200 + "{}" + "}" * 200, '{"n": 9007199254740993}')


class Writer(threading.Thread):
    """Commits events of its own machines, each in a transaction with a row of campaign.done,
    whatever the server does."""

    def __init__(self, shop, number, machines, rate, poison):
        super().__init__(daemon=True)
        self.shop, self.machines, self.rate, self.poison = shop, machines, rate, poison
        self.dice = random.Random(number)
        self.stopping = threading.Event()
        self.writing = threading.Lock()
        self.pg = None
        self.reconnects = -1
        self.error = None

    def run(self):
        begun, n = time.monotonic(), 0
        try:
            while not self.stopping.is_set():
                if self.shop.held.issuperset(self.machines):
                    self.stopping.wait(0.05)
                    continue
                with self.writing:
                    self.step(n)
                n += 1
                # The pace of the shop; what PostgreSQL, or who holds all machines, held up is made
                # good after it.
                self.stopping.wait(max(0, begun + n / self.rate - time.monotonic()))
        except Exception as error:  # the campaign looks at it
            self.error = error

    def event(self, n, machine):
        """(words of mtc.emit, whether it is to be dead) of the n-th."""
        poison = self.poison and n % POISON_EVERY == POISON_EVERY // 2
        odd = self.poison and n % ODD_EVERY == ODD_EVERY // 2
        kind = "event" if n % OTHER_PATH_EVERY == 0 and not poison else "setup"
        size = LARGE if n % LARGE_EVERY == LARGE_EVERY // 2 else 0
        if n % PAD_EVERY == 0 and self.shop.pad:
            size = self.shop.pad
            self.shop.large += 1
        event = {"kind": kind, "machine": machine, "moment": "now",
                 "type": self.dice.choice(POISONS) if poison else f"{kind}.started",
                 "data": f'{{"n": {n}, "pad": "{"x" * size}"}}'}
        if odd:
            event.update(self.dice.choice(ODD))
        elif n % STRANGE_EVERY == STRANGE_EVERY // 2 and not size:
            event["data"] = self.dice.choice(STRANGE)
        return event, poison or odd

    def step(self, n):
        machine = self.machines[n % len(self.machines)]
        if self.shop.lone:
            machine = self.shop.lone
            if machine not in self.machines or n % LONE_EVERY:
                return
        if machine in self.shop.held:
            return
        event, dead = self.event(n, machine)
        try:
            if self.pg is None:
                self.pg = self.shop.plant.stack.connect(connect_timeout=3, tcp_user_timeout=20000)
                self.reconnects += 1
            with self.pg.transaction(force_rollback=n % ROLLBACK_EVERY == ROLLBACK_EVERY - 1):
                key = self.pg.execute(
                    "SELECT mtc.emit(%(kind)s, %(machine)s, %(type)s, %(data)s::json,"
                    " occurred_at => %(moment)s::timestamptz)", event).fetchone()[0]
                self.pg.execute(
                    "INSERT INTO campaign.done (machine, event_id, poison) VALUES (%s, %s, %s)",
                    (machine, key, dead))
        except psycopg.OperationalError:
            # Whether it was committed is in campaign.done. On to the next.
            if self.pg is not None:
                self.pg.close()
            self.pg = None
            self.stopping.wait(0.2)


class Shop:
    def __init__(self, plant, rate, machines=48, writers=2, poison=True):
        self.plant = plant
        with plant.stack.connect() as pg:
            pg.execute("CREATE SCHEMA campaign")
            pg.execute("CREATE TABLE campaign.done (id bigint GENERATED ALWAYS AS IDENTITY "
                       "PRIMARY KEY, machine text NOT NULL,"
                       " event_id uuid NOT NULL, poison boolean NOT NULL)")
            pg.execute("INSERT INTO machines (name) SELECT 'M-' || lpad(n::text, 3, '0')"
                       " FROM generate_series(1, %s) n", (machines,))
            known = [name for (name,) in pg.execute("SELECT machine FROM mtc.active_machine")]
        for machine in known:  # MTConnect knows what the shop has
            plant.sim.call("POST", "/cycle", {"machine": machine, "cycle_time": 5})
        self.machines = [f"M-{n:03}" for n in range(1, machines + 1)]
        self.held = frozenset()  # machines that have no events for the moment
        self.lone = None         # the only one that has
        self.pad, self.large = 0, 0  # bytes of bodies that are large; how many were
        self.writers = [Writer(self, n, self.machines[n::writers], rate / writers, poison)
                        for n in range(writers)]
        self.cycle_times = {}
        self.stopping = threading.Event()
        self.cycles = threading.Thread(target=self.change_cycle_times, daemon=True)
        self.error = None

    def start(self, cycles=True):
        for writer in self.writers:
            writer.start()
        if cycles:
            self.cycles.start()
        return self

    def wait_for_writers(self):
        """Until none of them is in a transaction that began before."""
        for writer in self.writers:
            with writer.writing:
                pass

    @contextlib.contextmanager
    def hold(self, machines):
        self.held = frozenset(machines)
        try:
            self.wait_for_writers()
            yield
        finally:
            self.held = frozenset()

    @contextlib.contextmanager
    def only(self, machine):
        self.lone = machine
        try:
            self.wait_for_writers()
            yield
        finally:
            self.lone = None

    def change_cycle_times(self):
        """MTConnect learns a new cycle time each second, and tells by web-hook: once, badly, or not
        at all."""
        dice = random.Random(3)
        try:
            for n in range(10 ** 9):
                machine, value = dice.choice(self.machines[:20]), 10 + n % 900
                told = {"machine": machine, "cycle_time": value}
                self.cycle_times[machine] = value
                self.plant.sim.call("POST", "/cycle", told)
                if dice.random() < 0.8:
                    self.plant.sim.call("POST", "/webhook",
                                        {"machine_id": machine, "cycle_time": value,
                                         "repeat": dice.choice((1, 1, 3)),
                                         "delay_ms": dice.choice((0, 0, 2000))})
                if self.stopping.wait(1):
                    return
        except Exception as error:
            self.error = error

    def committed(self):
        with self.plant.stack.connect() as pg:
            return pg.execute("SELECT count(*) FROM campaign.done").fetchone()[0]

    def stop(self):
        self.stopping.set()
        for writer in self.writers:
            writer.stopping.set()
            writer.join(60)
        if self.cycles.ident:
            self.cycles.join(30)
        errors = [repr(error) for error in [self.error, *(writer.error for writer in self.writers)]
                  if error]
        assert not errors, errors

    def wait_cycle_times(self, seconds=60):
        """Until PostgreSQL has what MTConnect said last of each machine."""
        def same():
            have = self.plant.stack.cycle_times()
            return all(have.get(machine) == value for machine, value in self.cycle_times.items())
        wait_for(same, seconds, "cycle times in PostgreSQL are MTConnect's", pause=0.5)
