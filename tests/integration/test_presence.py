"""Programs that announce themselves through the broker: nobody lists addresses."""
import json

import pika

from lib.flow import check_all_arrived
from lib.processes import wait_for


def seen(stack):
    """worker -> what mtcctl status tells of it."""
    programs = json.loads(stack.ctl("status", "--json", status=None))["programs"]
    return {program["worker"]: program for program in programs if "worker" in program}


def wait_seen(stack, *names):
    wait_for(lambda: set(seen(stack)) == set(names), 30, f"mtcctl sees {names}")
    return seen(stack)


def findings(stack):
    return json.loads(stack.ctl("doctor", "--json", status=None))


def test_all_are_seen_wherever_they_listen(stack):
    """Seven programs, most of them without any address of /metrics."""
    senders = [stack.sender(f"sender-{n}", MTC_SENDER_LISTEN="") for n in (1, 2, 3)]
    producer = stack.producer("producer-1").wait_ready()
    stack.producer("producer-2", MTC_PRODUCER_LISTEN="")
    stack.scheduler("scheduler-1").wait_ready()
    stack.receiver("receiver-1").wait_ready()
    stack.emit("SR-26")
    stack.wait_settled()
    told = wait_seen(stack, "producer-1", "producer-2", "scheduler-1", "receiver-1",
                     *(sender.name for sender in senders))
    assert all(program["ready"] is True for program in told.values()), told
    assert sum(told[sender.name]["delivered"] for sender in senders) == 1
    assert sorted(told[f"producer-{n}"]["active"] for n in (1, 2)) == [0, 1]
    assert told["sender-2"]["address"] == "" and ":" in told["producer-1"]["address"]
    lines = [line.split()[:3] for line in stack.ctl("status").splitlines()
             if line.startswith(("  sender ", "  producer "))]
    assert lines == [["producer", "producer-1", "ready"], ["producer", "producer-2", "ready"],
                     ["sender", "sender-1", "ready"], ["sender", "sender-2", "ready"],
                     ["sender", "sender-3", "ready"]]
    assert not [finding for finding in findings(stack)
                if finding["what"] == "program" and finding["verdict"] != "ok"]
    assert "level=warn" not in producer.text() + senders[0].text()
    senders[1].kill()
    wait_seen(stack, "producer-1", "producer-2", "scheduler-1", "receiver-1", "sender-1",
              "sender-3")


def test_what_is_missing_is_told(stack, servers):
    """A program that waits says for what; a kind of which none answers is named."""
    producer = stack.producer("producer-1").wait_ready()
    servers.postgres.stop()
    try:
        wait_for(lambda: seen(stack)["producer-1"]["ready"] == "no PostgreSQL", 30,
                 "the producer tells what it waits for")
    finally:
        servers.postgres.start()
    producer.wait_ready()
    programs = json.loads(stack.ctl("status", "--json"))["programs"]
    absent = {program["program"]: program["ready"] for program in programs
              if program["ready"] is not True}
    assert absent == dict.fromkeys(("sender", "scheduler", "receiver"),
                                   "none answers, by RabbitMQ or here")
    warnings = [finding["detail"] for finding in findings(stack)
                if finding["what"] == "program" and finding["verdict"] != "ok"]
    assert len(warnings) == 3 and any(text.startswith("scheduler ") for text in warnings)


def test_seen_again_after_the_broker(stack, servers):
    stack.sender("sender-1").wait_ready()
    wait_seen(stack, "sender-1")
    servers.rabbit.stop()
    assert "RabbitMQ    DOWN" in stack.ctl("status", status=1)
    servers.rabbit.start()
    wait_seen(stack, "sender-1")


def own_queue(stack, servers, program="mtc-sender"):
    return next((name for name in servers.rabbit.queues(stack.name)
                 if name.startswith(f"mtc.programs.{program}.")), None)


def test_seen_again_after_its_queue_was_deleted(stack, servers):
    sender = stack.sender("sender-1").wait_ready()
    wait_seen(stack, "sender-1")
    name = wait_for(lambda: own_queue(stack, servers), 20, "the management API knows the queue")
    assert name.startswith("mtc.programs.mtc-sender.sender-1.")
    servers.rabbit.control("delete_queue", "-p", stack.name, name)
    wait_for(lambda: "somebody deleted the queue" in sender.text(), 20, "it noticed")
    wait_seen(stack, "sender-1")


def test_an_answer_goes_to_a_reply_address_alone(stack, servers):
    """Whoever may ask must not make a program write into the suite's queues."""
    stack.producer("producer-1").wait_ready()
    sender = stack.sender("sender-1").wait_ready()
    wait_seen(stack, "sender-1", "producer-1")
    with pika.BlockingConnection(pika.URLParameters(servers.rabbit.url(stack.name))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for address in ("mtc.control", "mtc.events.0", "", "amq.rabbitmq.reply-to.nobody", None):
            channel.basic_publish("mtc.programs", "", b"", pika.BasicProperties(
                reply_to=address, correlation_id="x" * 200))
        channel.basic_publish("mtc.programs", "odd", b"\xff" * 100000)
    wait_seen(stack, "sender-1", "producer-1")
    for queue in ("mtc.control", "mtc.events.0"):
        with pika.BlockingConnection(
                pika.URLParameters(servers.rabbit.url(stack.name))) as connection:
            declared = connection.channel().queue_declare(queue, passive=True)
        assert declared.method.message_count == 0, queue
    stack.emit("SR-26")
    assert stack.wait_settled() == {"delivered": 1}
    assert "paused" not in sender.text()


def test_a_flood_of_questions_is_bounded(stack, servers):
    """20,000 questions while the sender is stopped: its queue keeps the bound, then it works on."""
    stack.producer("producer-1").wait_ready()
    sender = stack.sender("sender-1").wait_ready()
    wait_seen(stack, "sender-1", "producer-1")
    sender.freeze()
    with pika.BlockingConnection(pika.URLParameters(servers.rabbit.url(stack.name))) as connection:
        channel = connection.channel()
        channel.basic_consume("amq.rabbitmq.reply-to", lambda *_: None, auto_ack=True)
        for _ in range(20000):
            channel.basic_publish("mtc.programs", "", b"",
                                  pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
        name = wait_for(lambda: own_queue(stack, servers, "mtc-sender"), 20, "it has a queue")
        # one is in the sender's hands
        wait_for(lambda: 0 < servers.rabbit.queues(stack.name)[name].get("messages", 0) <= 17, 20,
                 "no more questions wait than may")
    sender.thaw()
    wait_seen(stack, "sender-1", "producer-1")
    stack.emit("SR-26")
    assert stack.wait_settled() == {"delivered": 1}


def test_a_user_who_may_not(stack, servers):
    """Without the right to the exchange: said, by the program and by mtcctl, and all else works."""
    user = stack.name
    pattern = (r"^(mtc\.(events|partitions|dead|deaths|outcomes|control|unpaused|pause|relay"
               r"|cycle-times).*|amq\..*)$")
    servers.rabbit.api("PUT", f"/api/users/{user}",
                       json.dumps({"password": "secret", "tags": ""}))
    servers.rabbit.api("PUT", f"/api/permissions/{stack.name}/{user}",
                       json.dumps({"configure": pattern, "read": pattern,
                                   "write": pattern}))
    try:
        stack.write_config({"amqp__url": '"' + servers.rabbit.url(stack.name).replace(
            "guest:guest", f"{user}:secret") + '"'})
        producer = stack.producer("producer-1").wait_ready()
        stack.sender("sender-1").wait_ready()
        stack.emit("SR-26")
        assert stack.wait_settled() == {"delivered": 1}
        check_all_arrived(stack)
        assert producer.text().count("mtcctl does not see this program") == 1
        assert "none answers, by RabbitMQ or here" in stack.ctl("status")
        servers.rabbit.api("PUT", f"/api/exchanges/{stack.name}/mtc.programs",
                           json.dumps({"type": "fanout", "durable": True}))
        text = stack.ctl("status")
        assert "asking the programs: 403" in text and "none answers" in text
    finally:
        servers.rabbit.api("DELETE", f"/api/users/{user}")


def test_addresses_can_be_listed_all_the_same(stack):
    sender = stack.sender("sender-1").wait_ready()
    stack.write_config({"ctl__programs": f'"127.0.0.1:{sender.metrics_port}, 127.0.0.1:1"'})
    programs = json.loads(stack.ctl("status", "--json"))["programs"]
    assert [(program["program"], program["ready"]) for program in programs] == [
        ("sender", True), ("", "not running")]
