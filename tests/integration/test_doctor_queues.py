"""mtcctl doctor: limits of queues that lose or reorder events, and numbers of partitions that
differ."""
import json

import pytest

from lib.processes import wait_for

EVENTS = r"^mtc\.events\."


def findings(stack, *whats):
    """Of doctor, those called so; each as verdict and detail."""
    told = json.loads(stack.ctl("doctor", "--json", status=None))
    for finding in told:
        assert finding["verdict"] == "ok" or finding["advice"], finding
    return [(finding["what"], finding["verdict"], finding["detail"]) for finding in told
            if finding["what"] in whats]


def limits(stack):
    return findings(stack, "queue limits", "queue length", "message expiry", "queue expiry",
                    "delivery limit", "net")


def set_policy(stack, pattern, definition, what="policies"):
    status, text = stack.servers.rabbit.api(
        "PUT", f"/api/{what}/{stack.name}/test",
        json.dumps({"pattern": pattern, "definition": definition, "apply-to": "queues"}))
    assert status in (201, 204), text


@pytest.mark.parametrize("what, definition, wanted", (
    ("policies", {"message-ttl": 60000},
     ("message expiry", "ill", "message-ttl 60000 ms: what is older is dead-lettered")),
    ("operator-policies", {"message-ttl": 60000},
     ("message expiry", "ill", "message-ttl 60000 ms: what is older is dead-lettered")),
    ("policies", {"expires": 3600000},
     ("queue expiry", "ill", "expires 3600000 ms: deleted with all it holds")),
    ("policies", {"delivery-limit": 20},
     ("delivery limit", "warning", "after 20 redeliveries RabbitMQ gives a message up, and it is"
      " dead")),
    ("policies", {"max-length": 5000},
     ("queue length", "warning", "max-length 5000: when it is full, nobody can publish to it")),
    ("operator-policies", {"max-length-bytes": 5000000},
     ("queue length", "warning", "max-length-bytes 5000000: when it is full, nobody")),
    ("policies", {"max-length": 5000, "overflow": "drop-head"},
     ("queue length", "ill", "max-length 5000: when it is full, what is oldest is dead-lettered")),
    ("policies", {"overflow": "drop-head"}, ("net", "warning", "dead-lettered at most once"))))
def test_a_policy_that_can_lose_events_is_named(stack, what, definition, wanted):
    stack.producer().wait_ready()
    wait_for(lambda: limits(stack) == [("queue limits", "ok", "none that could lose anything")], 20,
             "all is well")
    set_policy(stack, EVENTS, definition, what)
    queues = ", ".join(f"mtc.events.{n}" for n in range(8))
    wait_for(lambda: queues in limits(stack)[0][2], 20, "it is named")
    name, verdict, detail = limits(stack)[0]
    assert (name, verdict) == wanted[:2]
    assert detail.startswith(f"{queues}: {wanted[2]}")


def test_queues_of_an_older_version_are_named(stack):
    """One without a net, one with its dead letters elsewhere, one with a limit of its own; and what
    the advice says cures them."""
    def make(name, arguments):
        status, text = stack.servers.rabbit.api(
            "PUT", f"/api/queues/{stack.name}/{name}",
            json.dumps({"durable": True, "arguments": {"x-queue-type": "quorum", **arguments}}))
        assert status == 201, text
    make("mtc.outcomes", {})
    make("mtc.events.1", {"x-single-active-consumer": True, "x-delivery-limit": 5})
    make("mtc.events.2", {"x-single-active-consumer": True, "x-dead-letter-exchange": "amq.fanout",
                          "x-message-ttl": 5})
    make("mtc.dead", {"x-max-length": 10})
    stack.producer().wait_ready()
    told = {(what, detail.split(": ", 1)[0]): (verdict, detail.split(": ", 1)[1])
            for what, verdict, detail in limits(stack)}
    assert told[("net", "mtc.events.1, mtc.outcomes")] == ("warning",
                                                           "what RabbitMQ gives up is lost"), told
    assert told[("net", "mtc.events.2")][1].endswith("it goes to exchange amq.fanout")
    assert told[("delivery limit", "mtc.events.1")] == (
        "ill", "after 5 redeliveries RabbitMQ gives a message up, and it is lost")
    assert told[("message expiry", "mtc.events.2")] == (
        "ill", "message-ttl 5 ms: what is older is lost")
    assert told[("queue length", "mtc.dead")] == (
        "ill", "max-length 10: when it is full, what is oldest is lost")
    set_policy(stack, r"^mtc\.(events\.1|outcomes)$",
               {"dead-letter-exchange": "mtc.dead", "dead-letter-strategy": "at-least-once",
                "overflow": "reject-publish"})
    wait_for(lambda: not any("mtc.events.1" in detail or "mtc.outcomes" in detail
                             for what, _, detail in limits(stack) if what == "net"), 20,
             "they have the net")


def test_without_the_management_api_it_is_said(make_stack):
    stack = make_stack(ctl__management_url='"http://127.0.0.1:1"')
    stack.producer().wait_ready()
    (what, verdict, detail), = limits(stack)
    assert (what, verdict) == ("queue limits", "warning") and "does not answer" in detail


def partitions(stack):
    return [(verdict, detail) for _, verdict, detail in findings(stack, "partitions")]


def test_numbers_of_partitions_that_differ_are_named(make_stack):
    """Of the producers, of the senders, and of who asks."""
    stack = make_stack()
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    stack.emit("SR-26")
    stack.wait_settled()
    assert partitions(stack) == []

    stack.write_config({"topology.partitions": 4})  # for mtcctl alone
    wait_for(lambda: ("ill", "senders consume 8, topology.partitions is 4 here")
             in partitions(stack), 20, "the senders have more")
    assert ("ill", "the producers publish to 8, topology.partitions is 4 here") in partitions(stack)

    stack.services[1].stop()
    with stack.connect() as pg:
        for n in range(200):  # so that each partition has some
            pg.execute("SELECT mtc.emit('setup', 'SR-26', 'setup.started', '{}')" if n % 2 else
                       "SELECT mtc.emit('setup', 'K-16', 'setup.started', '{}')")
            pg.execute("UPDATE setup_jobs SET status = CASE status WHEN 'started' THEN 'completed'"
                       " ELSE 'started' END") if n < 3 else None
    wait_for(lambda: any("hold events and have no consumer" in detail
                         for _, detail in partitions(stack)), 30, "events nobody consumes")

    stack.write_config({"topology.partitions": 8})
    sender = stack.sender(mtc_topology_partitions=4).wait_ready()
    wait_for(lambda: ("ill", "senders consume the first 4, topology.partitions is 8 here")
             in partitions(stack), 20, "the senders have less")
    assert sender.is_running()


def test_partitions_left_over_are_named(stack):
    stack.producer().wait_ready()
    status, text = stack.servers.rabbit.api("PUT", f"/api/queues/{stack.name}/mtc.events.8",
                                            json.dumps({"durable": True}))
    assert status == 201, text
    assert partitions(stack) == [
        ("warning", "1 past the 8 configured here, empty and without a consumer")]
