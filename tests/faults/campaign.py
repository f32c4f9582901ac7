"""./dev faults: a steady flow of transactions while a seeded schedule breaks things, and a
reckoning at the end.

  ./dev faults --minutes N --seed S     faults of every kind
  ./dev faults --outage N               MTConnect down for N minutes at 50 events/s, nothing else
  ./dev faults --minutes N --seed S --plan   prints the schedule only
"""
import argparse
import sys
import time

from faults import outage, plan
from faults.inflict import POISON, Inflictor, heal
from faults.memory import Memory
from faults.plant import Plant
from faults.report import Outcome
from faults.shop import Shop
from lib.keeper import keep
from lib.servers import Servers


def inflict(plant, shop, faults, seconds, say):
    inflictor = Inflictor(plant, shop, say)
    begun = time.monotonic()
    for fault in faults:
        time.sleep(max(0, begun + fault.at - time.monotonic()))
        inflictor.begin(fault)
    time.sleep(max(0, begun + seconds - time.monotonic()))
    inflictor.join()
    return inflictor


def run(servers, seed, seconds, rate=75, pauses=(3.0, 10.0), say=lambda text: None):
    """The whole campaign; returns its Outcome."""
    plant = Plant(servers)
    try:
        faults = plan.make(seed, seconds, pauses, plant.without)
        plant.sim.faults(*POISON)
        shop = Shop(plant, rate)
        plant.start()
        shop.start()
        memory = Memory(plant)
        memory.start()
        inflictor = inflict(plant, shop, faults, seconds, say)
        shop.stop()
        heal(plant)
        plant.stack.wait_settled(300)
        shop.wait_cycle_times()
        memory.stop()
        outcome = Outcome(plant, inflictor.done, memory)
        outcome.problems += [f"not done: {error}" for error in inflictor.errors]
        outcome.without = plant.without
        return outcome
    finally:
        reports = plant.stop()
        assert not reports, "\n".join(reports)


def show(outcome):
    print(outcome.table())
    print(f"\n{outcome.memory.table()}")
    delays = outcome.delays()
    print(f"\n{outcome.committed} events committed, {len(outcome.faults)} faults, "
          f"{len(outcome.lost)} lost, "
          f"{outcome.out_of_order} out of order, {outcome.audit.get('dead')} dead (the "
          f"{outcome.poison} poisoned ones), {outcome.wrongly_dead} wrongly dead, "
          f"{len(outcome.duplicates)} asked again")
    print(f"from commit to arrival: median {delays[len(delays) // 2] * 1000:.1f} ms, "
          f"longest {delays[-1]:.1f} s; "
          f"attempts at most {outcome.tries[0]}")
    if outcome.duplicates:
        print("\nasked again, though applied (each was answered 409):")
        print(outcome.name_duplicates())
    for kind in outcome.without:
        print(f"not tried, this machine does not allow it: {kind}")
    for kind in outcome.unmet():
        print(f"done, and met by nobody: {kind}")
    for problem in outcome.problems:
        print(f"PROBLEM: {problem}")
    print("every event is accounted for" if not outcome.problems
          else f"{len(outcome.problems)} problems")


def main():
    parser = argparse.ArgumentParser(prog="./dev faults")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=75, help="events a second (default 75)")
    parser.add_argument("--outage", type=float, metavar="MINUTES",
                        help="MTConnect down for so long, nothing else")
    parser.add_argument("--plan", action="store_true", help="print the schedule only")
    words = parser.parse_args()
    if words.plan:
        print("\n".join(str(fault) for fault in plan.make(words.seed, words.minutes * 60)))
        return 0
    keep()
    servers = Servers()
    begun = time.monotonic()
    try:
        servers.start()

        def say(text):
            print(f"{time.monotonic() - begun:7.0f} s  {text}", flush=True)
        if words.outage:
            return outage.main(servers, words.outage * 60, say)
        outcome = run(servers, words.seed, words.minutes * 60, words.rate, say=say)
        show(outcome)
        return 1 if outcome.problems else 0
    finally:
        servers.stop()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
