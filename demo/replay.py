"""A shift for the compose stack: setups change by plain SQL, machines' cycle times at the
simulator; ends with a count.

Environment: PGHOST and the like, PGPASSWORD_FILE; SIM_CONTROL, the simulator's control port;
SHIFT_SECONDS, SHIFT_RATE (events a second)."""
import json
import os
import random
import sys
import time
import urllib.request

import psycopg

from shift import Shift

SECONDS, RATE = float(os.environ.get("SHIFT_SECONDS", 60)), float(os.environ.get("SHIFT_RATE", 30))


def tell(path, body):
    """One word to the simulator; False if it does not take it."""
    request = urllib.request.Request(os.environ["SIM_CONTROL"] + path, json.dumps(body).encode(),
                                     method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status == 200
    except OSError as error:
        print(f"simulator: {path}: {error}", file=sys.stderr)
        return False


def wait_registered():
    """Until the receiver has told the simulator where web-hooks go."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with urllib.request.urlopen(os.environ["SIM_CONTROL"] + "/stats", timeout=5) as answer:
            if json.load(answer)["webhooks"]["registered"]:
                return
        time.sleep(0.2)  # between looks
    sys.exit("no receiver has registered for web-hooks")


def main():
    with open(os.environ["PGPASSWORD_FILE"], encoding="ascii") as file:
        os.environ["PGPASSWORD"] = file.read().strip()
    with psycopg.connect("", autocommit=True) as pg:
        machines = dict(pg.execute("SELECT name, id FROM machines WHERE is_active ORDER BY id"))
    dice, until = random.Random(1), time.monotonic() + SECONDS
    wait_registered()
    shifts = [Shift("", list(machines.values())[n::4], RATE / 4 / 1.4, until, seed=n)
              for n in range(4)]
    for shift in shifts:
        shift.start()
    hooks = 0
    while time.monotonic() < until:
        name = dice.choice(list(machines))
        seconds = round(dice.uniform(20, 300), 1)
        tell("/cycle", {"machine": name, "cycle_time": seconds})
        hooks += tell("/webhook", {"machine_id": name, "cycle_time": seconds, "retry_ms": 500})
        time.sleep(1)  # the pace of the shift
    for shift in shifts:
        shift.join()
        if shift.error:
            raise shift.error
    print(f"shift over: {sum(len(shift.committed) for shift in shifts)} events committed,"
          f" {hooks} web-hooks sent", flush=True)


if __name__ == "__main__":
    main()
