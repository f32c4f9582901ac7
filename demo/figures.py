"""The figures of a shift: what was committed, published, delivered, and how long it took."""
import json
import statistics
import threading
import time

import psycopg

from screen import Source, ask

DEADLINE_S = 2  # of one question
# Without statistics, which RabbitMQ makes every few seconds, the totals are those of now.
QUEUES = "/api/queues/{}?disable_stats=true&enable_queue_totals=true"
HEAD = (f"{'commit to arrival, last 5 s:':>99}\n"
        f"{'time':>6} {'committed':>9} {'published':>9} {'delivered':>9} {'waiting':>7}"
        f" {'queued':>6} {'retries':>7} {'dead':>4} {'breaker':>7}   p50 / p95 / p99")


def show_percentiles(values):
    """p50, p95 and p99."""
    if not values or len(values) < 2:
        return "-"
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return " / ".join(f"{1000 * cuts[n]:.1f}" for n in (49, 94, 98)) + " ms"


def show(value, width):
    return f"{'-' if value is None else value:>{width}}"


class Figures:
    """All of it is what somebody said when asked; who can't be asked makes a "-"."""

    def __init__(self, stack, senders):
        self.stack, self.senders = stack, senders
        self.shifts = []
        self.lock = threading.Lock()
        self.seen = 0
        self.arrivals = {}  # key -> time
        self.retries = {sender.name: [0, 0] for sender in senders}  # lives before, this life
        self.ledger, self.broker = Source(self.read_ledger), Source(self.read_broker)
        self.recent = Source(self.read_recent)
        self.counters = [Source(lambda sender=sender: self.read_sender(sender))
                         for sender in senders]

    # --- what is asked ---

    def connect(self):
        return psycopg.connect(self.stack.servers.postgres.conninfo(self.stack.name),
                               autocommit=True, connect_timeout=DEADLINE_S,
                               options=f"-c statement_timeout={DEADLINE_S}s")

    def read_ledger(self):
        with self.connect() as pg:
            return dict(pg.execute("SELECT state, count(*) FROM mtc.event GROUP BY 1").fetchall())

    def read_broker(self):
        """Events in the broker's queues; None while it does not say."""
        rabbit = self.stack.servers.rabbit
        status, text = rabbit.api("GET", QUEUES.format(self.stack.name),
                                  timeout=DEADLINE_S)
        counts = ([queue.get("messages") for queue in json.loads(text)
                   if queue["name"].startswith("mtc.events.")] if status == 200 else [])
        return sum(counts) if counts and None not in counts else None

    def read_sender(self, sender):
        """Its counters; its retries are added to those of its lives before."""
        values = sender.metrics(timeout=DEADLINE_S)
        before, last = self.retries[sender.name]
        now = values.get("mtc_sender_retries_total", 0)
        self.retries[sender.name] = [before + (last if now < last else 0), now]
        return values

    def read_recent(self):
        self.read_record()
        return [latency for at, latency in self.latencies() if at > time.time() - 5]

    # --- how long it took ---

    def committed(self):
        return [event for shift in self.shifts for event in list(shift.committed)]

    def read_record(self):
        """What has arrived at MTConnect since the last look."""
        with self.lock:
            rows = self.stack.sim.record(self.seen)
            self.seen += len(rows)
            for row in rows:
                if row["applied"]:
                    self.arrivals.setdefault(row["key"], row["at"])

    def latencies(self):
        """Seconds from the end of the commit, as the application saw it, to the arrival at
        MTConnect; the nth of a setup's changes to a status is the nth such event."""
        with self.connect() as pg:
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

    # --- a line ---

    def breaker(self, senders):
        """A sender without events has nobody to probe with, so its breaker says nothing."""
        if not any(senders):
            return None
        return "open" if any(values["mtc_sender_lanes"] and values["mtc_sender_breaker_open"]
                             for values in senders if values) else "closed"

    def line(self, second, patience=0.5):
        states, queued, recent, *senders = ask(
            [self.ledger, self.broker, self.recent, *self.counters], patience)
        counts = [None] * 5
        if states is not None:
            delivered, dead = states.get("delivered", 0), states.get("dead", 0)
            published = delivered + dead + states.get("published", 0)
            waiting = states.get("waiting", 0)
            counts = [published + waiting, published, delivered, waiting, dead]
        committed, published, delivered, waiting, dead = counts
        retries = (None if None in senders else
                   int(sum(sum(lives) for lives in self.retries.values())))
        return " ".join([f"{second:5}s", show(committed, 9), show(published, 9),
                         show(delivered, 9), show(waiting, 7), show(queued, 6), show(retries, 7),
                         show(dead, 4), show(self.breaker(senders), 7), "",
                         show_percentiles(recent)])
