"""Did all arrive, once and in order? And what did each fault cost?"""
import bisect
import json

from .plan import KINDS

NEAR_S = 30  # a repeat this long after a fault is put down to it


class Outcome:
    """What a campaign came to; faults are inflict.Inflicted, memory is None if nobody looked."""

    def __init__(self, plant, faults, memory=None):
        self.plant, self.faults, self.memory = plant, faults, memory
        self.problems = []
        with plant.stack.connect() as pg:
            self.done = pg.execute(
                "SELECT machine, event_id::text, poison FROM campaign.done ORDER BY id").fetchall()
            self.ledger = {key: (state, reason, created)
                           for key, state, reason, created in pg.execute(
                               "SELECT event_id::text, state, reason, extract(epoch"
                               " FROM created_at)::float8 FROM mtc.event")}
            self.tries = pg.execute("SELECT max(attempts), sum(attempts) FROM mtc.event").fetchone()
        self.record = plant.sim.record()
        self.committed = len(self.done)
        self.poison = sum(1 for row in self.done if row[2])
        self.look_at_ledger()
        self.look_at_record()
        self.look_at_audit()
        if memory:
            self.problems += memory.problems()
        violations = plant.sim.stats()["record"]
        if violations["violations"]:
            self.problems.append(f"breaches of contract: {violations['violation_texts'][:5]}")
        for service in plant.services.values():
            if not service.is_running():
                self.problems.append(
                    f"{service.name} ended by itself with {service.child.returncode}")

    def look_at_ledger(self):
        self.wrongly_dead = 0
        for machine, key, poison in self.done:
            state, reason, _ = self.ledger.get(key, ("missing", None, 0))
            self.wrongly_dead += state == "dead" and not poison
            if state != ("dead" if poison else "delivered"):
                self.problems.append(f"{key} of {machine} is {state}: {reason}")

    def look_at_record(self):
        wanted, got, applied = {}, {}, {}
        for machine, key, poison in self.done:
            if not poison:
                wanted.setdefault(machine, []).append(key)
        self.duplicates = []  # (time, key, machine): asked again though applied
        for row in self.record:
            if row["key"] in applied:
                self.duplicates.append((row["at"], row["key"], row["machine"]))
            elif row["applied"]:
                applied[row["key"]] = row["at"]
                got.setdefault(row["machine"], []).append(row["key"])
        self.applied = applied
        everything = {key for _, key, _ in self.done}
        self.lost = [key for machine in wanted for key in wanted[machine] if key not in applied]
        self.unknown = [key for key in applied if key not in everything]
        self.out_of_order = sum(1 for machine, keys in wanted.items()
                                for have, want in zip(got.get(machine, []),
                                                      [key for key in keys if key in applied])
                                if have != want)
        for what, number in (("lost", len(self.lost)),
                             ("applied but never committed", len(self.unknown)),
                             ("out of order", self.out_of_order)):
            if number:
                self.problems.append(f"{number} events {what}: {(self.lost or self.unknown)[:10]}")

    def look_at_audit(self):
        text = self.plant.stack.ctl("audit", "--json", status=None)
        try:
            self.audit = json.loads(text)
        except json.JSONDecodeError:
            self.audit = {}
            self.problems.append(f"mtcctl audit: {text}")
        if self.audit.get("problems"):
            self.problems.append(f"mtcctl audit: {self.audit['problems']}")
        for name, want in (("committed", self.committed),
                           ("delivered", self.committed - self.poison), ("dead", self.poison)):
            if self.audit.get(name) != want:
                self.problems.append(
                    f"mtcctl audit: {name} {self.audit.get(name)}, the campaign counts {want}")

    def blame(self, key, asked_again):
        """What kept the answer from being kept: a fault under way when the event was applied (lost
        answers before others), or else the one that began last before the event was asked again and
        was not long over."""
        at = self.applied[key]
        during = [one.fault for one in self.faults if one.begun <= at <= one.ended]
        for fault in during:
            if fault.kind == "MTConnect loses answers":
                return fault
        if during:
            return during[-1]
        near = [one for one in self.faults if one.begun <= asked_again <= one.ended + NEAR_S]
        return max(near, key=lambda one: one.begun).fault if near else None

    def unmet(self):
        """Kinds that were done, and that nobody ever ran into."""
        return sorted({one.fault.kind for one in self.faults}
                      - {one.fault.kind for one in self.faults if one.felt})

    def recoveries(self):
        """Per fault: s from its end until an event committed after that had been applied."""
        born = sorted((self.ledger[key][2], at) for key, at in self.applied.items()
                      if key in self.ledger)
        births = [birth for birth, _ in born]
        # The earliest arrival among all born from here on.
        soonest = [0.0] * (len(born) + 1)
        soonest[len(born)] = float("inf")
        for place in range(len(born) - 1, -1, -1):
            soonest[place] = min(soonest[place + 1], born[place][1])
        return [(one.fault, soonest[bisect.bisect_left(births, one.ended)] - one.ended)
                for one in self.faults]

    def table(self):
        blamed = {}
        for at, key, _ in self.duplicates:
            fault = self.blame(key, at)
            kind = fault.kind if fault else "none"
            blamed[kind] = blamed.get(kind, 0) + 1
        waits = {}
        for fault, seconds in self.recoveries():
            if seconds != float("inf"):
                waits.setdefault(fault.kind, []).append(seconds)
        lines = [
            f"{'fault':40} {'times':>5} {'met':>5} {'of it, s':>9} {'flow again after, s':>20}"
            f" {'repeats':>8}"]
        for kind in KINDS:
            mine = [one for one in self.faults if one.fault.kind == kind.name]
            if not mine:
                continue
            wait = sorted(waits.get(kind.name, [0.0]))
            lines.append(f"{kind.name:40} {len(mine):5} {sum(one.felt for one in mine):5} "
                         f"{sum(one.ended - one.begun for one in mine):9.0f} "
                         f"{wait[len(wait) // 2]:9.2f} max {wait[-1]:6.2f} "
                         f"{blamed.get(kind.name, 0):8}")
        if "none" in blamed:
            lines.append(f"{'far from any fault':40} {'':42} {blamed['none']:8}")
        return "\n".join(lines)

    def name_duplicates(self):
        lines = []
        for at, key, machine in self.duplicates:
            fault = self.blame(key, at)
            lines.append(f"  {key}  {machine}  "
                         f"{f'{fault.kind} ({fault.target})' if fault else 'far from any fault'}")
        return "\n".join(lines)

    def delays(self):
        """Sorted s from commit to arrival."""
        return sorted(at - self.ledger[key][2] for key, at in self.applied.items()
                      if key in self.ledger)
