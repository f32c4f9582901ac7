"""Dead letters reach the ledger, whoever put them into mtc.dead, and however often it is told."""
import json

import pika
import pytest

from lib.flow import check_all_arrived
from lib.processes import wait_for
from lib.stack import QUICK_RETRIES


def set_policy(stack, name, pattern, definition, what="policies"):
    """A policy of the vhost (or what="operator-policies"), and until its queues have it."""
    rabbit = stack.servers.rabbit
    status, text = rabbit.api("PUT", f"/api/{what}/{stack.name}/{name}",
                              json.dumps({"pattern": pattern, "definition": definition,
                                          "apply-to": "queues"}))
    assert status in (201, 204), text

    def effective():
        definitions = [queue.get("effective_policy_definition") or {}
                       for name, queue in rabbit.queues(stack.name).items()
                       if name.startswith("mtc.events.")]
        return all(definition.items() <= had.items() for had in definitions)
    wait_for(effective, 20, "the policy is in force")


def make_bare_partitions(stack):
    """As a version without a net made them, or an operator."""
    for partition in range(8):
        status, text = stack.servers.rabbit.api(
            "PUT", f"/api/queues/{stack.name}/mtc.events.{partition}",
            json.dumps({"durable": True, "arguments": {"x-queue-type": "quorum",
                                                       "x-single-active-consumer": True}}))
        assert status == 201, text


def deliver_and_give_back(stack, times):
    """As senders that die with the events in their hands."""
    parameters = pika.URLParameters(stack.servers.rabbit.url(stack.name))
    for _ in range(times):
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            for partition in range(8):
                channel.basic_consume(f"mtc.events.{partition}", lambda *_: None)
            connection.process_data_events(time_limit=0.3)


def messages(stack, queue, which="messages"):
    """None: the management API does not know yet."""
    return stack.servers.rabbit.queues(stack.name)[queue].get(which)


def ready(stack, queue):
    return messages(stack, queue, "messages_ready")


def pause(stack, sender):
    stack.ctl("pause")
    wait_for(lambda: sender.metrics()["mtc_sender_paused"] == 1, 20, "paused")


def reasons(stack):
    with stack.connect() as pg:
        return dict(pg.execute("SELECT event_id::text, reason FROM mtc.event"
                               " WHERE state = 'dead'").fetchall())


@pytest.mark.parametrize("bare", (False, True), ids=("queues with a net", "queues made before it"))
@pytest.mark.parametrize("definition, word", (({"message-ttl": 500}, "expired"),
                                              ({"delivery-limit": 2}, "delivery_limit")),
                         ids=("expiry", "delivery limit"))
def test_what_the_broker_gives_up_is_dead_in_the_ledger(stack, definition, word, bare):
    """By a policy of an operator. A queue that has no net gets it by a policy as well."""
    net = {"dead-letter-exchange": "mtc.dead", "dead-letter-strategy": "at-least-once",
           "overflow": "reject-publish"}
    if bare:
        make_bare_partitions(stack)
    producer = stack.producer().wait_ready()
    set_policy(stack, "limits", r"^mtc\.events\.", {**definition, **(net if bare else {})})
    key, other = stack.emit("SR-26"), stack.emit("K-16")
    if "delivery-limit" in definition:
        wait_for(lambda: stack.states() == {"published": 2}, 20, "published")
        deliver_and_give_back(stack, 4)
    assert stack.wait_settled(30) == {"dead": 2}
    told = reasons(stack)
    assert set(told) == {key, other}
    for reason in told.values():
        assert reason.startswith(f"given up by RabbitMQ: {word} in mtc.events."), reason
        assert reason.endswith(", 1 time")
    assert {letter["id"]: letter["reason"]
            for letter in json.loads(stack.ctl("dead", "list", "--json"))} == told
    assert "accounted for" in stack.ctl("audit")
    assert producer.metrics()["mtc_producer_given_up_total"] >= 2
    assert "RabbitMQ gave a message up" in producer.text()

    # The cause is gone: put back, both arrive; one can be dropped as well.
    stack.servers.rabbit.api("DELETE", f"/api/policies/{stack.name}/limits")
    stack.sender().wait_ready()
    assert "1 put back" in stack.ctl("dead", "requeue", "--id", key)
    assert "1 dropped" in stack.ctl("dead", "drop", "--id", other)
    wait_for(lambda: stack.states() == {"delivered": 1, "dead": 1}, 20, "delivered after all")
    assert [row["key"] for row in stack.sim.record() if row["applied"]] == [key]
    assert "accounted for" in stack.ctl("audit")


def test_a_producer_killed_at_the_hand_over_of_a_death(stack):
    """It has the letter and has not told the ledger, or has and has not let go of the letter."""
    first = stack.producer().wait_ready()
    set_policy(stack, "limits", r"^mtc\.events\.", {"message-ttl": 10000})
    key = stack.emit("SR-26")
    wait_for(lambda: stack.states() == {"published": 1}, 9, "published, and not expired yet")
    with stack.connect() as pg, pg.transaction(force_rollback=True):
        pg.execute("LOCK TABLE mtc.outbox IN SHARE ROW EXCLUSIVE MODE")  # the ledger has to wait
        wait_for(lambda: messages(stack, "mtc.deaths", "messages_unacknowledged") == 1, 30,
                 "the producer has the letter")
        first.kill()
    second = stack.producer().wait_ready()
    assert stack.wait_settled(30) == {"dead": 1}
    assert set(reasons(stack)) == {key}
    wait_for(lambda: messages(stack, "mtc.deaths") == 0, 20, "the letter is let go of")
    assert second.is_running() and "accounted for" in stack.ctl("audit")


def test_outcomes_the_broker_gives_up_can_be_put_back(stack):
    """A net under mtc.outcomes too: what was to be told is told in the end."""
    producer = stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    producer.stop()
    key = None
    set_policy(stack, "limits", r"^mtc\.(outcomes|events\.)", {"message-ttl": 1500})
    with stack.connect() as pg:
        key = stack.emit("SR-26", pg=pg)
    producer.start()
    wait_for(lambda: stack.sim.stats()["record"]["applied"] == 1, 20, "delivered")
    assert stack.wait_settled() == {"delivered": 1} and sender.is_running()
    producer.stop()
    with pika.BlockingConnection(pika.URLParameters(stack.servers.rabbit.url(stack.name))) as link:
        link.channel().basic_publish("", "mtc.outcomes", json.dumps(
            [{"seq": 1, "id": key, "outcome": "delivered", "attempts": 1, "status": 201,
              "at_us": 1}]), pika.BasicProperties(headers={"kind": "outcomes"}))
    letter, = wait_for(lambda: json.loads(stack.ctl("dead", "list", "--json")), 20, "it is dead")
    assert letter["kind"] == "outcomes" and "expired in mtc.outcomes" in letter["reason"]
    stack.servers.rabbit.api("DELETE", f"/api/policies/{stack.name}/limits")
    producer.start()
    assert "1 put back" in stack.ctl("dead", "requeue", "--all")
    wait_for(lambda: not json.loads(stack.ctl("dead", "list", "--json")), 20, "it has been applied")
    assert stack.states() == {"delivered": 1}


def test_a_death_told_by_the_sender_and_by_its_letter_is_one(make_stack):
    """Whichever comes first, the row says the same."""
    stack = make_stack(**QUICK_RETRIES)
    producer = stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    stack.sim.faults({"action": "status", "status": 422, "body": "no such part"})
    rows = []
    for queue in ("mtc.outcomes", "mtc.deaths"):
        pause(stack, sender)
        stack.emit("SR-26")
        wait_for(lambda: stack.states().get("published"), 20, "published")
        producer.stop()
        stack.ctl("resume")
        wait_for(lambda: all(ready(stack, one) for one in ("mtc.outcomes", "mtc.deaths")), 30,
                 "its death waits in both queues")
        assert stack.servers.rabbit.api("DELETE",
                                        f"/api/queues/{stack.name}/{queue}/contents")[0] == 204
        producer.start().wait_ready()
        stack.wait_settled()
        with stack.connect() as pg:
            rows.append(pg.execute("SELECT outcome, attempts, status, reason, outcome_at"
                                   " BETWEEN created_at AND now() FROM mtc.outbox"
                                   " ORDER BY id DESC LIMIT 1").fetchone())
    assert rows[0] == rows[1] == (
        "dead", 5, 422, "5 attempts failed, the last: HTTP 422: no such part", True)


def test_a_death_from_before_the_event_was_put_back_is_history(make_stack):
    """The producers are down when an event dies and an operator puts it back: what they hear of
    that death later is not about the copy, which waits for its turn."""
    stack = make_stack(**QUICK_RETRIES)
    producer = stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    stack.sim.faults({"action": "status", "status": 400})
    pause(stack, sender)
    key = stack.emit("SR-26")
    wait_for(lambda: stack.states() == {"published": 1}, 20, "published")
    producer.stop()
    stack.ctl("resume")
    wait_for(lambda: json.loads(stack.ctl("dead", "list", "--json")), 20, "it is dead")
    pause(stack, sender)
    assert stack.states() == {"published": 1}, "nobody has told the ledger yet"
    stack.ctl("dead", "requeue", "--id", key)
    producer.start().wait_ready()  # and now it hears of it, by both ways
    with stack.connect() as pg:
        wait_for(lambda: [messages(stack, one) for one in ("mtc.outcomes", "mtc.deaths")] == [0, 0],
                 20, "all is applied")
        assert producer.metrics()["mtc_producer_outcomes_total"] == 0
        assert stack.states() == {"published": 1}
        # Its letter of then (somebody was killed before he could let go of it) says nothing either.
        pg.execute("SELECT mtc.let_go(1, %s, 0, '')", (key,))
        assert stack.states() == {"published": 1}
    # The copy dies of something else: that counts.
    stack.sim.faults({"action": "status", "status": 422})
    stack.ctl("resume")
    assert stack.wait_settled() == {"dead": 1}
    assert "HTTP 422" in reasons(stack)[key]
    stack.sim.faults()
    stack.ctl("dead", "requeue", "--all")
    assert stack.wait_settled() == {"delivered": 1}
    check_all_arrived(stack)
    assert "accounted for" in stack.ctl("audit")


def test_letters_that_are_of_no_row_cost_nothing(stack):
    """Of other programs, by hand, or with an id that PostgreSQL would refuse."""
    producer = stack.producer().wait_ready()
    odd = ({}, {"seq": 1}, {"seq": -1, "reason": "x"}, {"seq": "one"}, {"x-death": [7]},
           {"x-death": "once"}, {"x-death": [{"count": "x", "reason": 1}]})
    with pika.BlockingConnection(pika.URLParameters(stack.servers.rabbit.url(stack.name))) as link:
        channel = link.channel()
        for headers in odd:
            for name in (None, "7", "x" * 36, "00000000-0000-0000-0000-00000000000g"):
                channel.basic_publish("mtc.dead", "", b"\xff", pika.BasicProperties(
                    message_id=name, headers=headers))
        key = stack.emit("SR-26")
        wait_for(lambda: stack.states() == {"published": 1}, 20, "published")
        channel.basic_publish("mtc.dead", "", b"", pika.BasicProperties(message_id=key, headers={
            "seq": 1, "reason": b"caf\xe9 \x00 \x1b".decode("latin-1"), "attempts": 1 << 40}))
    assert stack.wait_settled() == {"dead": 1}
    assert reasons(stack)[key].startswith("caf")
    wait_for(lambda: messages(stack, "mtc.deaths") == 0, 20, "all are applied")
    assert producer.metrics()["mtc_producer_outcomes_refused_total"] == 0
