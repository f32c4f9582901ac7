"""MTConnect is down for long: nothing is dead after it, and what has piled up goes out in order,
without a stampede."""
import time

from lib.processes import wait_for

from .plant import Plant
from .report import Outcome
from .shop import Shop

RATE = 50


def senders(plant, metric):
    return [service.metrics()[metric] for name, service in plant.services.items()
            if name.startswith("sender")]


def main(servers, seconds, say):
    plant = Plant(servers)
    try:
        shop = Shop(plant, RATE, poison=False)
        plant.start()
        shop.start(cycles=False)
        wait_for(lambda: plant.sim.stats()["record"]["applied"] > 5 * RATE, 60, "the flow")
        before = plant.sim.stats()["record"]["requests"]
        plant.sim.call("POST", "/down")
        say(f"MTConnect is down, {RATE} events/s go on")
        end = time.monotonic() + seconds
        told = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(1)
            if time.monotonic() >= told:
                told += 60
                say(f"{plant.stack.states()}, held {sum(senders(plant, 'mtc_sender_held')):.0f}, "
                    f"breakers open {sum(senders(plant, 'mtc_sender_breaker_open')):.0f}")
        shop.stop()  # so that the backlog's drain is seen by itself
        backlog = shop.committed() - plant.sim.stats()["record"]["applied"]
        plant.sim.call("POST", "/up")
        up = time.time()
        states = plant.stack.wait_settled(600)
        outcome = Outcome(plant, [])
        arrivals = sorted(row["at"] for row in outcome.record if row["at"] >= up)
        say(f"up again: {backlog} events waited; "
            f"the first went after {arrivals[0] - up:.2f} s, "
            f"the last after {arrivals[-1] - up:.2f} s; in the first second "
            f"{sum(1 for at in arrivals if at < arrivals[0] + 1)} requests")
        memory = max(service.rss_kib(peak=True) for name, service in plant.services.items()
                     if name.startswith("sender"))
        print(f"{outcome.committed} events, {states.get('dead', 0)} dead, "
              f"{len(outcome.lost)} lost, {outcome.out_of_order} out of order, "
              f"{len(outcome.duplicates)} asked again, "
              f"attempts at most {outcome.tries[0]}, requests before {before}, "
              f"probes and deliveries after {len(outcome.record) - before}, "
              f"sender memory at most {memory / 1024:.0f} MiB")
        for problem in outcome.problems:
            print(f"PROBLEM: {problem}")
        return 1 if outcome.problems else 0
    finally:
        plant.stop()
