"""The broker's own traps."""
import json

import pika

from lib.flow import check_all_arrived
from lib.processes import wait_for
from lib.stack import ROOT

NO_LIMIT = 1000000000  # redeliveries: as good as no limit, on every version of RabbitMQ


def test_fifty_redeliveries_do_not_lose_an_event(stack, servers):
    """Delivery limit: each killed sender costs a redelivery of what it held."""
    stack.producer().wait_ready()
    stack.sim.faults({"action": "hang"})
    stack.emit("SR-26")
    wait_for(lambda: stack.states().get("published") == 1, 20, "published")
    parameters = pika.URLParameters(servers.rabbit.url(stack.name))
    queues = {n: q for n, q in servers.rabbit.queues(stack.name).items()
              if n.startswith("mtc.events.")}
    name = wait_for(
        lambda: next((n for n, q in servers.rabbit.queues(stack.name).items()
                      if n.startswith("mtc.events.") and q.get("messages")), None), 20,
        "the queue shows it")
    assert len(queues) == 8
    for n in range(50):
        connection = pika.BlockingConnection(parameters)
        channel = connection.channel()
        method, _, _ = next(channel.consume(name, inactivity_timeout=10))
        assert method is not None, f"gone after {n} redeliveries"
        if n % 2:
            channel.basic_nack(method.delivery_tag, requeue=True)
        connection.close()
    stack.sim.faults()
    stack.sender().wait_ready()
    assert stack.wait_settled() == {"delivered": 1}
    check_all_arrived(stack)


def test_topology(stack, servers):
    stack.producer().wait_ready()
    queues = {name: queue for name, queue in servers.rabbit.queues(stack.name).items()
              if not name.startswith(("mtc.programs.", "mtc.control."))}
    assert sorted(queues) == sorted(["mtc.control", "mtc.cycle-times", "mtc.dead", "mtc.deaths",
                                     "mtc.outcomes", "mtc.pause",
                                     *(f"mtc.events.{p}" for p in range(8))])
    assert all(q["type"] == "quorum" and q["durable"] for q in queues.values())
    arguments = queues["mtc.events.0"]["arguments"]
    assert arguments["x-single-active-consumer"] is True
    assert arguments["x-dead-letter-exchange"] == "mtc.dead"
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    assert all(queue["arguments"]["x-delivery-limit"] == NO_LIMIT for queue in queues.values())


def declared(servers, stack, kind, *names):
    """What the broker has of ours for good, in the words of deploy/rabbitmq/topology.json."""
    have = json.loads(servers.rabbit.api("GET", f"/api/{kind}/{stack.name}")[1])
    def is_for_good(thing):
        of, to = thing.get("source", thing.get("name")), thing.get("destination", "")
        return of.startswith("mtc.") and not any(
            name.startswith(("mtc.programs.", "mtc.relay.")) for name in (of, to))
    return in_order({name: thing[name] for name in names} for thing in have if is_for_good(thing))


def in_order(things):
    return sorted(json.dumps(thing, sort_keys=True) for thing in things)


def test_definitions_say_what_the_programs_declare(stack, servers):
    stack.producer().wait_ready()
    told = json.loads((ROOT / "deploy/rabbitmq/topology.json").read_text())
    for kind in ("queues", "exchanges", "bindings"):
        things = told[kind]
        names = [name for name in things[0] if name != "vhost"]
        assert declared(servers, stack, kind, *names) == in_order(
            {name: thing[name] for name in names} for thing in things), kind


def test_definitions_serve_a_vhost_that_is_empty_and_one_that_is_not(stack, servers):
    """On every version: what is missing is made, and what an older one left gets what it lacks."""
    for name, arguments in (("mtc.events.3", {"x-single-active-consumer": True}),
                            ("mtc.outcomes", {}), ("mtc.dead", {})):
        status, text = servers.rabbit.api(
            "PUT", f"/api/queues/{stack.name}/{name}",
            json.dumps({"durable": True, "arguments": {"x-queue-type": "quorum", **arguments}}))
        assert status == 201, text
    told = json.loads((ROOT / "deploy/rabbitmq/topology.json").read_text())
    for things in told.values():
        for thing in things:
            del thing["vhost"]
    status, text = servers.rabbit.api("POST", f"/api/definitions/{stack.name}", json.dumps(told))
    assert status == 204, text
    stack.producer()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("UPDATE setup_jobs SET status = 'completed'")
    assert stack.wait_settled() == {"delivered": 14}
    check_all_arrived(stack)

    def in_force():
        queues = servers.rabbit.queues(stack.name)
        return {name: queues[name].get("effective_policy_definition") or {}
                for name in ("mtc.events.3", "mtc.events.4", "mtc.outcomes", "mtc.dead")}
    wait_for(lambda: all(in_force().values()), 20, "the policies are in force")
    for name, definition in in_force().items():
        assert definition["delivery-limit"] == NO_LIMIT
        assert definition["overflow"] == "reject-publish"
        assert definition.get("dead-letter-exchange") == (None if name == "mtc.dead"
                                                          else "mtc.dead")


def test_what_is_nacked_keeps_its_place(stack, servers):
    """Without a delivery limit RabbitMQ puts it behind all others, and order would be lost."""
    stack.producer().wait_ready()
    with pika.BlockingConnection(pika.URLParameters(servers.rabbit.url(stack.name))) as link:
        channel = link.channel()
        channel.confirm_delivery()
        for n in range(5):
            channel.basic_publish("", "mtc.events.0", str(n), mandatory=True)
        channel.basic_qos(prefetch_count=2)
        got = []
        for method, _, body in channel.consume("mtc.events.0", inactivity_timeout=20):
            assert method, "nothing comes"
            got.append(body.decode())
            if len(got) == 2:
                channel.basic_nack(method.delivery_tag, multiple=True, requeue=True)
            elif len(got) > 2:
                channel.basic_ack(method.delivery_tag)
            if len(got) == 7:
                break
    assert got == ["0", "1", "0", "1", "2", "3", "4"]


def test_existing_queue_is_used_as_it_is(stack, servers):
    """A queue made with other arguments (an older broker's, an operator's) goes on working."""
    status, _ = servers.rabbit.api("PUT", f"/api/queues/{stack.name}/mtc.events.3",
                                   json.dumps({"durable": True,
                                               "arguments": {"x-queue-type": "quorum",
                                                             "x-single-active-consumer": True}}))
    assert status == 201
    stack.producer()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("UPDATE setup_jobs SET status = 'completed'")
    assert stack.wait_settled() == {"delivered": 14}
    check_all_arrived(stack)


def test_queue_deleted_under_the_programs(stack, servers):
    """An operator's mistake: what was published after it is not lost, and the queue comes back."""
    producer = stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    stack.emit("SR-26")
    stack.wait_settled()
    for p in range(8):
        servers.rabbit.api("DELETE", f"/api/queues/{stack.name}/mtc.events.{p}")
    keys = [stack.emit("SR-26") for _ in range(5)]
    stack.wait_settled()
    check_all_arrived(stack)
    assert len(keys) == 5 and producer.is_running() and sender.is_running()


def test_memory_alarm_blocks_and_releases(stack, servers):
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    status, text = servers.rabbit.api("GET", "/api/nodes")
    assert status == 200, text
    servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        with stack.connect() as pg:
            for _ in range(20):
                pg.execute("UPDATE setup_jobs SET status = CASE status WHEN 'started' THEN "
                           "'completed' ELSE 'started' END")
        wait_for(lambda: any("blocks publishers" in s.text() for s in stack.services), 30,
                 "it is said")
    finally:
        servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")
    assert stack.wait_settled() == {"delivered": 280}
    check_all_arrived(stack)
