"""Many events through an outbox of short retention: does it stay small?

  python3 bench/ledger.py [EVENTS] [PER-SECOND]
"""
import sys
import time

from lib.keeper import keep
from lib.processes import wait_for
from lib.servers import Servers
from lib.stack import Stack

MACHINES, BATCH, RETENTION_S, LOOK_S = 64, 100, 60, 15
EMIT = ("SELECT count(mtc.emit('setup', 'M-' || 1 + n %% %s, 'setup.started', "
        "json_build_object('setupId', n, 'status', 'started', 'note', repeat('x', 140))))"
        " FROM generate_series(1, %s) n")
LOOK = """
SELECT (SELECT count(*) FROM mtc.outbox), pg_table_size(s.relid), pg_indexes_size(s.relid),
       s.n_dead_tup, s.autovacuum_count, s.n_tup_hot_upd, s.n_tup_upd
  FROM pg_stat_user_tables s WHERE s.relid = 'mtc.outbox'::regclass"""


def look(pg, begun, emitted):
    rows, table, indexes, dead, vacuums, hot, updated = pg.execute(LOOK).fetchone()
    print(f"{time.monotonic() - begun:6.0f} s {emitted:9} emitted {rows:8} rows, "
          f"table {table / 2 ** 20:7.1f} MiB, indexes {indexes / 2 ** 20:6.1f} MiB, "
          f"{dead:7} dead rows, {vacuums} autovacuums, HOT {hot / max(1, updated):.0%}", flush=True)


def main():
    events, rate = [int(word) for word in sys.argv[1:]] + [1000000, 2000][len(sys.argv) - 1:]
    keep()
    servers = Servers().start()
    try:
        stack = Stack(servers, producer__retention_s=RETENTION_S).set_up()
        with stack.connect() as pg:
            pg.execute("INSERT INTO machines (name) SELECT 'M-' || n FROM generate_series(1, %s) n",
                       (MACHINES,))
            producer, sender = stack.producer().wait_ready(), stack.sender().wait_ready()
            begun = looked = time.monotonic()
            for emitted in range(0, events, BATCH):
                pg.execute(EMIT, (MACHINES, BATCH))
                time.sleep(max(0, begun + emitted / rate - time.monotonic()))  # the pace
                if time.monotonic() - looked > LOOK_S:
                    looked = time.monotonic()
                    look(pg, begun, emitted + BATCH)
            took = time.monotonic() - begun
            wait_for(lambda: stack.sim.stats()["record"]["applied"] == events, 600, "all delivered",
                     pause=0.5)
            look(pg, begun, events)
            wait_for(lambda: pg.execute("SELECT count(*) FROM mtc.outbox").fetchone()[0] == 0, 300,
                     "all swept", pause=1)
            look(pg, begun, events)
            print(f"{events} events at {events / took:.0f}/s; CPU: producer "
                  f"{producer.cpu_seconds():.1f} s, sender "
                  f"{sender.cpu_seconds():.1f} s")
        stack.tear_down()
    finally:
        servers.stop()


if __name__ == "__main__":
    main()
