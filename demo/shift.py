"""Replays a shift of the plant: rows of setup_jobs change status by plain SQL, as the application
would do it."""
import random
import threading
import time

import psycopg

# How a setup moves on, and how often each way is taken in the plant.
NEXT = {
    "queued": [("created", 1.0)],
    "created": [("pending_qc", 0.55), ("started", 0.4), ("queued", 0.05)],
    "pending_qc": [("allowed", 1.0)],
    "allowed": [("started", 0.95), ("completed", 0.05)],
    "started": [("completed", 1.0)],
}


class Shift(threading.Thread):
    """One worker of the application: owns some machines, commits a transaction at a time."""

    def __init__(self, conninfo, machines, rate, until, seed):
        super().__init__(daemon=True)
        self.conninfo, self.machines, self.rate, self.until = conninfo, machines, rate, until
        self.dice = random.Random(seed)
        self.committed = []  # (setup, status, machine, time of the commit)
        self.error = None

    def run(self):
        try:
            with psycopg.connect(self.conninfo, autocommit=True) as pg:
                self.work(pg)
        except psycopg.Error as error:
            self.error = error

    def work(self, pg):
        begun, moves = time.monotonic(), 0
        while time.monotonic() < self.until:
            self.move(pg, self.dice.choice(self.machines))
            moves += 1
            ahead = begun + moves / self.rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)  # the pace of the shift

    def move(self, pg, machine):
        """One step of the machine's active setup; finishing one starts the next, in the same
        transaction."""
        row = pg.execute("SELECT id, status FROM setup_jobs WHERE machine_id = %s"
                         " AND status NOT IN ('completed', 'idle')"
                         " ORDER BY (status = 'queued'), id LIMIT 1", (machine,)).fetchone()
        events = []
        with pg.transaction():
            if row is None:
                events.append(self.plan(pg, machine))
            else:
                events.append(self.advance(pg, machine, *row))
                if events[0][1] == "completed":
                    events += self.activate_next(pg, machine)
        now = time.time()
        self.committed += [(setup, status, machine, now) for setup, status in events]

    def plan(self, pg, machine):
        setup, = pg.execute("INSERT INTO setup_jobs (machine_id, employee_id, lot_id, part_id, "
                            "planned_quantity, status)"
                            " VALUES (%s, %s, %s, %s, %s, 'queued') RETURNING id",
                            (machine, self.dice.randint(1, 30), self.dice.randint(1, 400),
                             self.dice.randint(1, 200), self.dice.randint(1, 80) * 50)).fetchone()
        return setup, "queued"

    def advance(self, pg, machine, setup, status):
        ways = NEXT[status]
        status = self.dice.choices([way for way, _ in ways], [weight for _, weight in ways])[0]
        pg.execute("UPDATE setup_jobs SET status = %s WHERE id = %s", (status, setup))
        return setup, status

    def activate_next(self, pg, machine):
        row = pg.execute(
            "UPDATE setup_jobs SET status = 'created' WHERE id = (SELECT id FROM setup_jobs"
            " WHERE machine_id = %s AND status = 'queued' ORDER BY id LIMIT 1) RETURNING id",
            (machine,)).fetchone()
        queued = self.plan(pg, machine)
        return ([(row[0], "created")] if row else []) + [queued]
