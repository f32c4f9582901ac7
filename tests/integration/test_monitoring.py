"""What alerts are made of, and what a person reads in RabbitMQ's management UI."""
import json
import re
import time

from lib.ports import free_port
from lib.processes import accepts, wait_for


def test_the_age_of_what_is_not_published_is_known(stack, servers):
    """By one that reaches no broker, from the outbox; by one whose broker confirms nothing, from
    what it has sent. The latter ends when the broker takes it; a standby says nothing."""
    stack.emit("SR-26")
    begun = time.monotonic()

    def age(producer):
        return producer.metrics()["mtc_producer_oldest_waiting_seconds"]
    cut_off = stack.producer(mtc_amqp_url=f"amqp://127.0.0.1:{free_port()}/")
    wait_for(lambda: accepts(cut_off.metrics_port), 20, "it listens")
    wait_for(lambda: age(cut_off) > 2, 20, "known without a broker")
    assert cut_off.metrics()["mtc_producer_published_total"] == 0
    assert age(cut_off) < time.monotonic() - begun + 1
    cut_off.stop()
    servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        producer = stack.producer()
        wait_for(lambda: accepts(producer.metrics_port), 20, "it listens")
        wait_for(lambda: producer.metrics()["mtc_producer_published_total"] == 1, 20, "it is sent")
        before = age(producer)
        standby = stack.producer().wait_ready()
        wait_for(lambda: age(producer) > before + 1, 20, "it grows")
        assert age(standby) == 0
        assert producer.metrics()["mtc_producer_publishing_seconds_count"] == 0
    finally:
        servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")
    wait_for(lambda: age(producer) == 0, 20, "nothing waits")
    metrics = producer.metrics()
    assert metrics["mtc_producer_publishing_seconds_count"] == 1
    assert metrics["mtc_producer_publishing_seconds_sum"] > 2


def test_the_age_of_what_is_not_delivered_is_known(stack):
    stack.sim.call("POST", "/down")
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()

    def age():
        return sender.metrics()["mtc_sender_oldest_held_seconds"]
    assert age() == 0
    stack.emit("SR-26")
    begun = time.monotonic()
    wait_for(lambda: age() > 2, 20, "it is held")
    assert age() < time.monotonic() - begun + 1
    stack.sim.call("POST", "/up")
    assert stack.wait_settled() == {"delivered": 1}
    assert age() == 0


def test_each_request_of_a_pull_is_timed(make_stack):
    stack = make_stack(scheduler__period_s=900)
    stack.sim.faults({"action": "delay", "ms": 250})
    scheduler = stack.scheduler().wait_ready()
    wait_for(lambda: scheduler.metrics()["mtc_scheduler_request_seconds_count"] == 16, 30,
             "every machine was asked")
    metrics = scheduler.metrics()
    assert metrics['mtc_scheduler_request_seconds_bucket{le="0.2"}'] == 0
    assert metrics["mtc_scheduler_request_seconds_sum"] > 16 * 0.25


def test_who_is_who_in_the_management_ui(stack, servers):
    """Each connection says which program it is and which of several; each consumer too, so a
    queue's page tells who works on it. Of two consumers of a partition one is active at least:
    4.0.5 goes on calling one active that has given its place to another."""
    stack.producer("relay-1").wait_ready()
    for name in ("left", "right"):
        stack.sender(name).wait_ready()
    stack.scheduler("clock").wait_ready()
    stack.receiver("door").wait_ready()

    def ask(path):
        return [row for row in json.loads(servers.rabbit.api("GET", path)[1])
                if row.get("vhost", row.get("queue", {}).get("vhost")) == stack.name]

    def clients():
        return [c["client_properties"] for c in ask("/api/connections")
                if c.get("client_properties")]
    names = {"mtc-producer relay-1", "mtc-sender left consumes", "mtc-sender left publishes",
             "mtc-sender right consumes", "mtc-sender right publishes", "mtc-scheduler clock",
             "mtc-receiver door"}
    wait_for(lambda: {c["connection_name"] for c in clients()} == names, 20, "connections")
    version = stack.ctl("--version").split()[1]
    for client in clients():
        assert (client["product"], client["version"]) == ("mtc-sync", version), client
        assert re.fullmatch(r"C, librabbitmq \d+\.\d+\.\d+\S*", client["platform"]), client

    def consumers():
        """Tags by queue, the active one first."""
        found = {}
        for row in sorted(ask("/api/consumers"), key=lambda row: not row["active"]):
            if not row["queue"]["name"].startswith(("mtc.programs.", "mtc.control.")):
                found.setdefault(row["queue"]["name"], []).append((row["consumer_tag"],
                                                                   row["active"]))
        return found

    def told():
        return sum(map(len, consumers().values())) == 8 * 2 + 3
    wait_for(told, 20, "consumers")
    for queue in ("mtc.outcomes", "mtc.deaths"):
        assert consumers()[queue] == [("mtc-producer relay-1", True)]
    assert consumers()["mtc.cycle-times"] == [("mtc-scheduler clock", True)]
    for partition in range(8):
        (first, active), (second, _) = consumers()[f"mtc.events.{partition}"]
        assert {first, second} == {"mtc-sender left", "mtc-sender right"} and active
