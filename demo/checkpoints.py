"""The plan's checkpoints, one by one, on the stack that the shift has just been played on."""
import http.client
import json
import random
import statistics
import time

from lib.processes import wait_for


class Checkpoints:
    def __init__(self, stack, say, now):
        self.stack, self.say, self.now = stack, say, now
        self.dice = random.Random(1)
        self.good = True
        with stack.connect() as pg:
            self.machines = [name
                             for name, in pg.execute(
                                 "SELECT machine FROM mtc.active_machine ORDER BY machine_id")]

    def check(self, good, text):
        self.good = self.good and bool(good)
        self.say(f"  {'ok  ' if good else 'FAIL'} {text}")

    def run(self):
        for step in (self.setup_answers, self.pull, self.flag_off, self.push, self.hands_free):
            step()
            self.now(None)
        return self.good

    # --- 1 ---

    def setup_answers(self):
        self.say("\ncheckpoint 1: /api/ext/setup accepts 200 and 409")
        statuses = self.stack.sim.stats()["record"]["statuses"]
        with self.stack.connect() as pg:
            key, body = pg.execute(
                "SELECT event_id::text, body FROM mtc.outbox WHERE kind = 'setup'"
                " ORDER BY id DESC LIMIT 1").fetchone()
        again = self.request("POST", self.stack.sim.port, "/api/ext/setup", body, {
            "X-API-Key": self.stack.api_key_path.read_text().strip(), "X-Idempotency-Key": key})[0]
        self.check(statuses.get("201", 0) > 0,
                   f"setup events were answered 201: {statuses.get('201', 0)}")
        self.check(again == 409, f"one of them sent once more by hand, with the same key: {again}")

    # --- 2 ---

    def pull(self):
        self.say("\ncheckpoint 2: cycle times are pulled, and PostgreSQL is written only "
                 "where they changed")
        for name in self.machines:
            self.set_cycle(name)
        self.pull_once("the first pull", len(self.machines))
        self.pull_once("the second, with nothing changed", 0)
        self.set_cycle(self.machines[0])
        self.pull_once("the third, with one changed", 1)
        with self.stack.connect() as pg:
            rows = pg.execute("SELECT machine, cycle_time_s, source FROM mtc.machine_cycle_time"
                              " ORDER BY machine_id LIMIT 4").fetchall()
        self.say("       " +
                 ", ".join(f"{name} {seconds} s ({source})" for name, seconds, source in rows) +
                 " ...")

    def set_cycle(self, name):
        self.stack.sim.call("POST", "/cycle",
                            {"machine": name, "cycle_time": round(self.dice.uniform(20, 300), 1)})

    def pull_once(self, what, wanted):
        before = self.stack.cycle_writes()
        scheduler = self.stack.service("mtc-scheduler", "pull")
        scheduler.command.append("--once")
        self.now(what)
        status = scheduler.start().child.wait(60)
        written = self.stack.cycle_writes() - before
        with self.stack.connect() as pg:
            asked, answered = pg.execute("SELECT asked, answered FROM mtc.cycle_run").fetchone()
        self.check(status == 0 and written == wanted and answered == len(self.machines),
                   f"{what}: {asked} machines asked, {answered} answered, {written} rows written")

    # --- 3 ---

    def flag_off(self):
        self.say("\ncheckpoint 3: web-hooks end to end, under the flag")
        self.now("a receiver with USE_WEBHOOK=false starts")
        receiver = self.stack.receiver("receiver-off", use_webhook="false").wait_ready()
        status = self.request("POST", self.stack.hook_port, "/api/hooks/cycle-time", "{}", {})[0]
        registered = self.stack.sim.stats()["webhooks"]["registered"]
        self.check(status == 404 and registered == 0,
                   f"USE_WEBHOOK=false: the route answers {status}, {registered} registrations")
        self.now("it ends")
        receiver.stop()

    def push(self):
        stack = self.stack
        self.now("two receivers and a scheduler start")
        for name in ("receiver-1", "receiver-2"):
            stack.receiver(name, use_webhook="true").wait_ready()
        stack.scheduler("scheduler-1").wait_ready()
        self.now("a receiver registers at MTConnect")
        wait_for(lambda: stack.sim.stats()["webhooks"]["registered"] == 1, 30, "registered")
        self.check(True,
                   "USE_WEBHOOK=true: two receivers at one address have registered it at MTConnect")
        delays = []
        self.now("50 cycle times are pushed, one after the other")
        with stack.connect() as pg:
            for _ in range(50):
                name, seconds = (self.dice.choice(self.machines),
                                 round(self.dice.uniform(20, 300), 1))
                begun = time.monotonic()
                stack.sim.call("POST", "/webhook", {"machine_id": name, "cycle_time": seconds,
                                                    "retry_ms": 200})
                wait_for(
                    lambda: pg.execute(
                        "SELECT cycle_time_s = %s FROM mtc.machine_cycle_time WHERE machine = %s",
                        (seconds, name)).fetchone()[0], 20, "applied", pause=0.001)
                delays.append(time.monotonic() - begun)
        wait_for(lambda: not stack.sim.stats()["webhooks"]["under_way"], 30, "answered")
        before = stats = stack.sim.stats()["webhooks"]
        taken = stats["accepted"] + stats["duplicate"]
        late = stats["unavailable"]  # a busy machine's: 503, and sent again
        self.check(taken == 50 and stats["sent"] == 50 + late,
                   f"50 cycle times pushed: {taken} accepted"
                   + (f", {late} at the second attempt" if late else ""))
        self.say("       from MTConnect's decision to the row in PostgreSQL "
                 f"{1000 * statistics.median(delays):.1f} ms (median), "
                 f"{1000 * max(delays):.1f} ms (longest)")
        self.now("one is sent three times, one under its key, one with a bad signature")
        stack.sim.call("POST", "/webhook",
                       {"machine_id": self.machines[0], "cycle_time": 33.3, "key": "twice",
                        "repeat": 3, "retry_ms": 50})
        stack.sim.call("POST", "/webhook",
                       {"machine_id": self.machines[0], "cycle_time": 1, "signature": "bad"})
        wait_for(lambda: not stack.sim.stats()["webhooks"]["under_way"], 30, "answered")
        stack.sim.call("POST", "/webhook",
                       {"machine_id": self.machines[0], "cycle_time": 44.4, "key": "twice"})
        wait_for(lambda: not stack.sim.stats()["webhooks"]["under_way"], 30, "answered")
        stats = stack.sim.stats()["webhooks"]
        new = {name: stats[name] - before[name]
               for name in ("accepted", "duplicate", "unprocessable", "unauthorized")}
        self.check(new == {"accepted": 1, "duplicate": 2, "unprocessable": 1, "unauthorized": 1},
                   f"one sent three times: {new['duplicate']} duplicates; another body, same "
                   f"key: {stats['unprocessable']} times 422; bad signature: "
                   f"{stats['unauthorized']} times 401")

    # --- 4 ---

    def hands_free(self):
        self.say("\ncheckpoint 4: the contract is kept, without hands")
        stats = self.stack.sim.stats()["record"]
        self.check(stats["violations"] == 0,
                   f"{stats['requests']} posts, and all pulls and registrations: "
                   f"{stats['violations']} breaches; nobody touched anything")
        self.say("       ./dev test holds the same programs against contract/*.yaml with "
                 "Stoplight Prism")

    @staticmethod
    def request(method, port, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(method, path, body.encode(),
                               {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()
