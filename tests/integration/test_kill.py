"""SIGKILL in mid-flow, again and again: all arrive, order kept."""
import random

import pytest

from lib.flow import Writers, add_machines, check_all_arrived, duplicates
from lib.processes import wait_for

EVENTS = 20000


@pytest.mark.campaign
def test_sender_and_producer_killed_again_and_again(make_stack, record_property):
    stack = make_stack(sender__outcome_delay_ms=50)
    machines = add_machines(stack, 64)
    dice = random.Random(7)
    producers = [stack.producer("producer-a"), stack.producer("producer-b")]
    senders = [stack.sender("sender-a"), stack.sender("sender-b")]
    for service in producers + senders:
        service.wait_ready()
    writers = Writers(stack, machines, EVENTS, rate=1500).start()
    kills, seen = 0, 0
    while writers.is_alive():
        # The next blow falls after some more events have arrived, in whatever state that finds the
        # victim.
        goal = seen + dice.randint(50, 700)
        wait_for(lambda: stack.sim.stats()["record"]["applied"] >= goal or not writers.is_alive(),
                 60, "the flow goes on")
        seen = stack.sim.stats()["record"]["applied"]
        victim = dice.choice(producers + senders)
        victim.kill()
        kills += 1
        victim.start()
    writers.join()
    stack.wait_settled(120)
    stats = check_all_arrived(stack)
    record_property("kills",
                    f"{EVENTS} events, {kills} kills, {duplicates(stats)} duplicate POSTs")
    assert kills >= 20
    # A kill can repeat at most what was in flight: one request a machine.
    assert duplicates(stats) <= kills * len(machines)


def test_killed_between_answer_and_ack_posts_nothing_twice(make_stack):
    """Dies with the sent keys written and no outcome told: the redeliveries find them."""
    stack = make_stack(sender__outcome_delay_ms=5000, sender__outcome_batch=5000)
    machines = add_machines(stack, 8)
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    Writers(stack, machines, 400).start().join()
    wait_for(lambda: stack.sim.stats()["record"]["applied"] == 400, 30, "all posted")
    wait_for(lambda: sender.metrics()["mtc_sender_delivered_total"] == 400, 30, "all answers read")
    sender.kill()
    again = stack.sender(mtc_sender_outcome_delay_ms=10).wait_ready()
    stack.wait_settled()
    assert duplicates(check_all_arrived(stack)) == 0
    assert again.metrics()["mtc_sender_skipped_total"] == 400


def test_producer_killed_between_publish_and_mark_posts_nothing_twice(make_stack):
    """A row that may have been published is published again as a repeat, and the sender looks
    before it sends."""
    stack = make_stack()
    machines = add_machines(stack, 8)
    sender = stack.sender().wait_ready()
    producer = stack.producer()
    writers = Writers(stack, machines, 4000).start()
    for _ in range(10):
        confirmed = stack.sim.stats()["record"]["applied"]
        wait_for(lambda: stack.sim.stats()["record"]["applied"] > confirmed
                 or not writers.is_alive(), 30, "flow")
        producer.kill()
        producer.start()
    writers.join()
    stack.wait_settled()
    assert duplicates(check_all_arrived(stack)) == 0
    assert sender.metrics()["mtc_sender_received_total"] >= 4000
