"""The ledger: outcomes come back to the outbox, and nobody waits for them."""
import json
import time

import pika

from lib.flow import Writers, add_machines, check_all_arrived, wait_emptied
from lib.processes import wait_for


def outcomes_waiting(stack):
    queue = stack.servers.rabbit.queues(stack.name).get("mtc.outcomes", {})
    return queue.get("messages_ready", 0)


def test_delivery_goes_on_without_producer_and_postgresql(make_stack):
    """What is published is delivered though nobody keeps the book and there is no book; both are
    made good later."""
    stack = make_stack()
    machines = add_machines(stack, 8)
    producer = stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    stack.ctl("pause")
    wait_for(lambda: sender.metrics()["mtc_sender_paused"] == 1, 10, "paused")
    Writers(stack, machines, 1000).start().join()
    wait_for(lambda: stack.states() == {"published": 1000}, 30, "published")
    producer.kill()
    stack.servers.postgres.stop()
    try:
        stack.ctl("resume")
        wait_for(lambda: stack.sim.stats()["record"]["applied"] == 1000, 30, "delivered")
        wait_for(lambda: outcomes_waiting(stack) > 0, 30, "the outcomes wait")
        assert sender.ready()
    finally:
        stack.servers.postgres.start()
    assert stack.states() == {"published": 1000}
    producer.start()
    assert stack.wait_settled(60) == {"delivered": 1000}
    check_all_arrived(stack)
    wait_emptied(stack)


def test_the_producer_dies_between_commit_and_ack_of_outcomes(make_stack):
    """Outcomes that are told twice change nothing the second time."""
    stack = make_stack(sender__outcome_batch=10)
    machines = add_machines(stack, 8)
    producer = stack.producer().wait_ready()
    stack.sender().wait_ready()
    writers = Writers(stack, machines, 3000, rate=600).start()
    applied = 0
    while writers.is_alive():
        wait_for(lambda: stack.states().get("delivered", 0) > applied + 100
                 or not writers.is_alive(), 30, "outcomes are applied")
        applied = stack.states().get("delivered", 0)
        producer.kill()
        producer.start()
    writers.join()
    assert stack.wait_settled(60) == {"delivered": 3000}
    with stack.connect() as pg:
        odd = pg.execute("SELECT attempts, status, count(*) FROM mtc.event"
                         " WHERE attempts <> 1 OR status <> 201 GROUP BY 1, 2").fetchall()
        assert not odd, odd
    check_all_arrived(stack)
    wait_emptied(stack)


def test_one_bad_outcome_costs_no_other(stack):
    """A message with outcomes that make no sense: the good ones in it count, and people can see the
    rest among the dead letters. So do the messages before and behind it."""
    stack.producer().wait_ready()
    with stack.connect() as pg:
        keys = [stack.emit("SR-26", pg=pg) for _ in range(4)]
    wait_for(lambda: stack.states() == {"published": 4}, 20, "published")

    def outcome(seq, **other):
        return {"seq": seq, "id": keys[seq - 1], "outcome": "delivered", "attempts": 1,
                "status": 201, "at_us": time.time_ns() // 1000, **other}
    bad = [{"seq": "x"}, outcome(2, id="no uuid"), outcome(2, at_us="noon"),
           outcome(2, attempts=10 ** 12), 17, None, [], "x"]
    parameters = pika.URLParameters(stack.servers.rabbit.url(stack.name))
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for body in ([outcome(1)], [*bad, outcome(3), *bad], [outcome(4)]):
            channel.basic_publish("", "mtc.outcomes", json.dumps(body))
    wait_for(lambda: stack.states() == {"published": 1, "delivered": 3}, 20, "the good ones count")
    letter, = wait_for(stack.dead_letters, 20, "the bad message is a dead letter")
    assert json.loads(letter["payload"])[0] == {"seq": "x"}


def test_an_outcome_says_that_its_row_was_published(stack):
    """The relay dies before it marks a row, and the outcome comes all the same: the row is not
    published again."""
    key = stack.emit("SR-26")
    with stack.connect() as pg:
        told = {"seq": 1, "id": key, "outcome": "delivered", "at_us": time.time_ns() // 1000,
                "attempts": 1, "status": 201}
        applied = pg.execute("SELECT mtc.apply_outcomes(%s)", (json.dumps([told]),)).fetchone()
        assert applied == (1,)
        rows = pg.execute("SELECT count(*) FROM mtc.relay_step('{}', '{}', 10)").fetchone()
    assert rows == (0,) and stack.states() == {"delivered": 1}


def test_a_sender_with_a_wrong_clock(stack):
    """In 2001 or in 5138: its outcomes are neither swept at once nor kept for ever."""
    with stack.connect() as pg:
        for row, at_us in ((1, 10 ** 15), (2, 10 ** 17)):
            told = {"seq": row, "id": stack.emit("SR-26", pg=pg), "outcome": "delivered",
                    "at_us": at_us, "attempts": 1, "status": 201}
            pg.execute("SELECT mtc.apply_outcomes(%s)", (json.dumps([told]),))
        assert pg.execute("SELECT count(*) FROM mtc.outbox WHERE outcome_at BETWEEN created_at"
                          " AND clock_timestamp()").fetchone() == (2,)
