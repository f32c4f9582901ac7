"""Order per machine, through everything that makes retries."""
import collections

import pytest

from lib.flow import Writers, add_machines, check_all_arrived, duplicates
from lib.processes import wait_for

QUICK = {"sender__retry_delays_s": '"0.05,0.1,0.2,0.2,0.2,0.2,0.2,0.2"',
         "mtconnect__timeout_ms": 400}


@pytest.mark.campaign
def test_order_under_random_failures_with_four_senders_and_64_machines(make_stack):
    stack = make_stack(**QUICK)
    machines = add_machines(stack, 64)
    stack.producer()
    senders = [stack.sender() for _ in range(4)]
    for sender in senders:
        sender.wait_ready()
    stack.sim.faults({"action": "status", "status": 500, "rate": 0.05},
                     {"action": "hang", "rate": 0.005}, {"action": "close", "rate": 0.01},
                     {"action": "lose", "rate": 0.01}, {"action": "truncate", "rate": 0.01},
                     {"action": "garbage", "rate": 0.005},
                     {"action": "status", "status": 429, "rate": 0.01})
    Writers(stack, machines, 6000).start().join()
    stack.wait_settled(120)
    stats = check_all_arrived(stack)
    assert stats["statuses"]["500"] > 100 and duplicates(stats) > 0, "the faults did not bite"
    # On 3.10 the first consumer of a partition stays the active one; whoever it is, all events went
    # through them.
    assert sum(s.metrics()["mtc_sender_delivered_total"] for s in senders) == 6000


def test_a_machine_in_trouble_is_not_noticed_by_63_others(make_stack):
    stack = make_stack()
    machines = add_machines(stack, 64)
    sick, healthy = machines[0], machines[1:]
    with stack.connect() as pg:
        pg.execute("SELECT count(mtc.emit('setup', %s, 'setup.started', '{}'))"
                   " FROM generate_series(1, 2000)", (sick,))
    stack.sim.faults({"action": "status", "status": 500, "machine": sick})
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    wait_for(lambda: sender.metrics()["mtc_sender_held"] >= 2000, 30,
             "the sick machine's events are held")
    Writers(stack, healthy, 3000).start().join()
    wait_for(lambda: stack.states().get("delivered") == 3000, 30,
             "the healthy machines' events are delivered")
    with stack.connect() as pg:
        assert pg.execute(
            "SELECT max(attempts) FROM mtc.event WHERE state = 'delivered'").fetchone() == (1,)
    assert sender.metrics()["mtc_sender_breaker_opened_total"] == 0
    arrivals = collections.Counter(row["machine"] for row in stack.sim.record())
    # 3,000 events have passed by while the sick machine, with 1, 4, 10 and 10 s between attempts,
    # is still at its first ones.
    assert 1 <= arrivals[sick] <= 10 and stack.states().get("dead", 0) <= 1


def test_two_events_of_one_transaction_stay_in_order(stack):
    stack.producer()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("INSERT INTO setup_jobs (machine_id, part_id, status) VALUES (1, 99, 'queued')")
        for _ in range(50):
            with pg.transaction():
                pg.execute("UPDATE setup_jobs SET status = 'completed' WHERE machine_id = 1"
                           " AND status = 'started'")
                pg.execute("UPDATE setup_jobs SET status = 'started' WHERE machine_id = 1"
                           " AND status = 'queued'")
            with pg.transaction():
                pg.execute("UPDATE setup_jobs SET status = 'queued' WHERE machine_id = 1"
                           " AND status = 'completed'")
    stack.wait_settled()
    check_all_arrived(stack)
    types = [row["type"] for row in stack.sim.record() if row["machine"] == "SR-25"][1:]
    assert types == ["setup.completed", "setup.started", "setup.queued"] * 50
