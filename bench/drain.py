"""Drains a backlog: outbox to broker, then broker to MTConnect.

  python3 bench/drain.py [EVENTS] [MACHINES] [RUNS]
"""
import statistics
import sys
import time

from lib.keeper import keep
from lib.processes import wait_for
from lib.servers import Servers
from lib.stack import Stack

# about 300 bytes in all
BODY = "json_build_object('setupId', n, 'status', 'started', 'note', repeat('x', 140))"


def run(servers, events, machines):
    stack = Stack(servers).set_up()
    with stack.connect() as pg:
        pg.execute("INSERT INTO machines (name) SELECT 'M-' || n FROM generate_series(1, %s) n",
                   (machines,))
        pg.execute("SELECT count(mtc.append('setup', 'M-' || 1 + n %% %s, 'setup.started', " +
                   BODY + ", NULL, NULL, NULL, NULL)) FROM generate_series(1, %s) n",
                   (machines, events))
        pg.execute("VACUUM ANALYZE mtc.outbox")
    begun = time.monotonic()
    producer = stack.producer()
    wait_for(lambda: stack.states().get("published") == events, 300, "published", pause=0.1)
    publishing = time.monotonic() - begun
    begun = time.monotonic()
    sender = stack.sender()
    wait_for(lambda: stack.sim.stats()["record"]["applied"] == events, 300, "applied", pause=0.05)
    sending = time.monotonic() - begun
    cpu, peak = sender.cpu_seconds(), sender.rss_kib(peak=True)
    stack.wait_settled(120)
    result = {"published/s": events / publishing,
              "producer MiB": producer.rss_kib(peak=True) / 1024, "delivered/s": events / sending,
              "sender us/event": cpu / events * 1e6, "sender MiB": peak / 1024}
    stack.tear_down()
    return result


def main():
    events, machines, runs = ([int(word) for word in sys.argv[1:]] +
                              [100000, 64, 3][len(sys.argv) - 1:])
    keep()
    servers = Servers().start()
    try:
        results = [run(servers, events, machines) for _ in range(runs)]
    finally:
        servers.stop()
    print(f"{events} events of {machines} machines, medians of {runs} runs:")
    for name in results[0]:
        print(f"  {name:16} {statistics.median(result[name] for result in results):10.1f}   "
              f"({', '.join(format(result[name], '.1f') for result in results)})")


if __name__ == "__main__":
    main()
