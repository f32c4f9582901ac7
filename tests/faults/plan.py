"""Which fault hits what, when and for how long: made from a seed alone, before anything runs."""
import dataclasses
import random

PROGRAMS = ("producer-a", "producer-b", "sender-a", "sender-b", "sender-c", "scheduler-a",
            "scheduler-b", "receiver-a", "receiver-b")
LINKS = {"producer": ("amqp", "postgres"), "sender": ("amqp", "redis", "mtconnect"),
         "scheduler": ("amqp", "postgres", "mtconnect"),
         "receiver": ("amqp", "redis", "postgres", "mtconnect")}
NAMED = ("producer-a", "sender-a", "scheduler-a")   # these look names up, at a name server of ours
FAKED = ("producer-b", "sender-c", "receiver-b")    # the clock of these can be moved

PARTITIONS, MACHINES = 8, 48
# Of classes destination, throttle and unclear. Class event is the poison's: it is final.
STATUSES = (302, 401, 403, 404, 405, 407, 408, 410, 423, 425, 429, 451, 500, 501, 502, 503, 504,
            507, 520)
SCOPES = ("to all", "to half", "on /api/ext/setup", "on /api/ext/event", "to M-{:03}",
          "to M-{:03}")


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    targets: tuple
    shortest: float  # s
    longest: float
    weight: int = 1
    rest: float = 1.0  # s until the same target may be hit again


KINDS = (
    Kind("killed", PROGRAMS, 0, 2, weight=3),
    Kind("terminated", PROGRAMS, 0, 1),
    Kind("frozen", PROGRAMS, 1, 8, weight=2),
    Kind("link cut", PROGRAMS, 1, 6, weight=3),
    Kind("link stalled", PROGRAMS, 2, 12, weight=3),
    Kind("link half-open", PROGRAMS, 2, 12, weight=3),
    Kind("link slow", PROGRAMS, 4, 10, weight=2),
    Kind("descriptors exhausted", PROGRAMS, 3, 8),
    Kind("names don't resolve", NAMED, 3, 9),
    Kind("clock moved", FAKED, 4, 12),
    Kind("PostgreSQL restarted", ("postgres",), 0, 3, rest=5),
    Kind("PostgreSQL crashed", ("postgres",), 0, 3, rest=5),
    Kind("PostgreSQL frozen", ("postgres",), 1, 8),
    Kind("RabbitMQ restarted", ("rabbitmq",), 0, 3, rest=15),
    Kind("RabbitMQ crashed", ("rabbitmq",), 0, 3, rest=15),
    Kind("RabbitMQ frozen", ("rabbitmq",), 1, 12, rest=5),
    Kind("RabbitMQ memory alarm", ("rabbitmq",), 2, 8, rest=5),
    Kind("RabbitMQ disk alarm", ("rabbitmq",), 2, 8, rest=5),
    Kind("RabbitMQ partition stuck", ("rabbitmq",), 2, 15, rest=3),
    Kind("RabbitMQ partition deleted", ("rabbitmq",), 0, 0, rest=3),
    Kind("RabbitMQ mtc.outcomes deleted", ("rabbitmq",), 0, 0, rest=3),
    Kind("RabbitMQ mtc.cycle-times deleted", ("rabbitmq",), 0, 0, rest=3),
    Kind("RabbitMQ policy: partitions hold 5", ("rabbitmq",), 3, 8),
    Kind("RabbitMQ policy: mtc.outcomes holds 1", ("rabbitmq",), 3, 8),
    Kind("RabbitMQ policy: drop-head past 100000", ("rabbitmq",), 3, 8),
    Kind("RabbitMQ policy: expiry after an hour", ("rabbitmq",), 3, 8),
    Kind("RabbitMQ policy: delivery limit 50", ("rabbitmq",), 3, 8),
    Kind("Redis restarted", ("redis",), 0, 3, rest=2),
    Kind("Redis crashed", ("redis",), 0, 3, rest=2),
    Kind("Redis frozen", ("redis",), 1, 8),
    Kind("Redis slow", ("redis",), 3, 8, weight=2),
    Kind("MTConnect down", ("mtconnect",), 2, 15),
    Kind("MTConnect flapping", ("mtconnect",), 3, 8),
    Kind("MTConnect answers 500", ("mtconnect",), 2, 8),
    Kind("MTConnect answers 502", ("mtconnect",), 2, 8),
    Kind("MTConnect answers 404", ("mtconnect",), 2, 8),
    Kind("MTConnect answers 500 on one path", ("mtconnect",), 2, 8),
    Kind("MTConnect answers 500 to most", ("mtconnect",), 2, 8),
    Kind("MTConnect answers 403 to a machine", ("mtconnect",), 2, 8),
    Kind("MTConnect answers any status", ("mtconnect",), 2, 8, weight=5),
    Kind("MTConnect answers 500, a lone machine", ("mtconnect",), 4, 12),
    Kind("MTConnect answers 502, a lone machine", ("mtconnect",), 4, 12),
    Kind("MTConnect takes 20 a second", ("mtconnect",), 2, 6),
    Kind("MTConnect answers 503, Retry-After", ("mtconnect",), 2, 6),
    Kind("MTConnect answers 401", ("mtconnect",), 2, 6),
    Kind("MTConnect answers 429", ("mtconnect",), 2, 6),
    Kind("MTConnect slow (2.9 s)", ("mtconnect",), 4, 9),
    Kind("MTConnect hangs", ("mtconnect",), 2, 6),
    Kind("MTConnect loses answers", ("mtconnect",), 3, 8),
    Kind("MTConnect breaks answers off", ("mtconnect",), 3, 8),
    Kind("MTConnect answers garbage", ("mtconnect",), 2, 6),
    Kind("large bodies", ("shop",), 2, 6),
)


@dataclasses.dataclass(frozen=True)
class Fault:
    at: float  # s from the start of the campaign
    kind: str
    target: str
    seconds: float
    detail: str  # the link, by how much the clock moves, the partition, the status, ... or ""

    def __str__(self):
        detail = f" {self.detail}" if self.detail else ""
        return f"{self.at:7.1f} s  {self.kind:36} {self.target}{detail}, {self.seconds:.1f} s"


def details(kind, target, dice):
    if kind.startswith("link "):
        return dice.choice(LINKS[target.split("-")[0]])
    if kind == "clock moved":
        return dice.choice(("-3600", "-400", "+400", "+3600"))
    if kind.startswith("RabbitMQ partition "):
        return str(dice.randrange(PARTITIONS))
    if kind == "Redis slow":
        return dice.choice(("0.15 s", "0.5 s", "3 s"))
    if kind == "MTConnect answers any status":
        return f"{dice.choice(STATUSES)} {dice.choice(SCOPES).format(dice.randint(1, MACHINES))}"
    return ""


def make(seed, seconds, pauses=(3.0, 10.0), without=()):
    """Faults in order of time. Every kind comes once before any comes again (as often as it
    weighs)."""
    dice = random.Random(seed)
    free_at, faults, bag, at = {}, [], [], pauses[0]
    while at < seconds:
        if not bag:
            bag = [kind for kind in KINDS for _ in range(kind.weight)]
            dice.shuffle(bag)
            if not faults:  # a short run sees each kind
                bag.sort(key=lambda kind, seen=set(): kind.name not in seen
                         and not seen.add(kind.name))
        # The last of the bag whose target is not under another fault.
        for place in range(len(bag) - 1, -1, -1):
            kind = bag[place]
            targets = [target for target in kind.targets if free_at.get(target, 0) <= at]
            if targets:
                break
        else:
            at = min(free_at[target] for kind in bag for target in kind.targets)
            continue
        del bag[place]
        target = dice.choice(targets)
        lasts = round(dice.uniform(kind.shortest, kind.longest), 1)
        if kind.name not in without:
            faults.append(Fault(round(at, 1), kind.name, target, lasts,
                                details(kind.name, target, dice)))
            free_at[target] = at + lasts + kind.rest
        at += dice.uniform(*pauses)
    return faults
