"""mtcctl pause: what is not known is never taken for "not paused"."""
import json
from urllib.parse import quote

import pika
import pytest

from lib.flow import check_all_arrived
from lib.processes import wait_for


def is_paused(sender):
    return sender.metrics()["mtc_sender_paused"] == 1


def pause(stack, *senders):
    assert "paused:" in stack.ctl("pause")
    for sender in senders:
        wait_for(lambda sender=sender: is_paused(sender), 20, f"{sender.name} is paused")


def requests(stack):
    return stack.sim.stats()["record"]["requests"]


def emit_to_all(stack):
    with stack.connect() as pg:
        pg.execute("UPDATE setup_jobs SET status = CASE status WHEN 'started' THEN 'completed'"
                   " ELSE 'started' END")
    wait_for(lambda: not stack.states().get("waiting"), 60, "published")


def control_queue(stack, verb):
    """Stops the one member of the quorum queue mtc.control (its leader is gone), or starts it."""
    stack.servers.rabbit.control(
        "eval", f"ra:{verb}_server(quorum_queues, {{list_to_atom(\"{stack.name}_mtc.control\"),"
                " node()}).")


def wait_heard(sender, times=3):
    """Until it has asked and been answered so often again."""
    def count():
        return sender.metrics()["mtc_sender_pause_answers_total"]
    before = count()
    wait_for(lambda: count() >= before + times, 30, f"{sender.name} has been answered")


def test_a_control_queue_without_a_leader_is_no_resume(stack):
    """RabbitMQ then says that the queue holds 0 messages."""
    stack.producer().wait_ready()
    senders = [stack.sender().wait_ready() for _ in range(2)]
    pause(stack, *senders)
    emit_to_all(stack)
    control_queue(stack, "stop")
    for sender in senders:
        wait_heard(sender)
    senders[0].kill()
    senders[0].start().wait_ready()
    assert all(map(is_paused, senders)) and requests(stack) == 0
    control_queue(stack, "restart")
    assert "resumed" in stack.ctl("resume")
    assert stack.wait_settled() == {"delivered": 14}
    check_all_arrived(stack)


@pytest.mark.parametrize("how", ("stop", "crash"))
def test_a_pause_of_many_senders_outlasts_the_broker(stack, how):
    producer = stack.producer().wait_ready()
    senders = [stack.sender().wait_ready() for _ in range(4)]
    pause(stack, *senders)
    emit_to_all(stack)
    getattr(stack.servers.rabbit, how)()
    stack.servers.rabbit.start()
    for service in (producer, *senders):
        service.wait_ready(60)
    for sender in senders:
        wait_heard(sender)
    assert all(map(is_paused, senders)) and requests(stack) == 0
    assert json.loads(stack.ctl("status", "--json"))["rabbitmq"]["paused"] is True
    assert "resumed" in stack.ctl("resume")
    assert stack.wait_settled() == {"delivered": 14}
    wait_for(lambda: not any(map(is_paused, senders)), 20, "all of them have heard of it")
    check_all_arrived(stack)


def forget_the_binding(stack):
    """As a broker does, now and then, that is killed a second after it was made."""
    path = f"/api/bindings/{stack.name}/e/mtc.control/q/mtc.control/~"
    assert stack.servers.rabbit.api("DELETE", path)[0] == 204


def reconnect(stack, sender):
    """As after the broker's crash: its connection is gone."""
    lost = sender.text().count("lost RabbitMQ")
    def close():
        for link in json.loads(stack.servers.rabbit.api("GET", "/api/connections")[1]):
            if link["vhost"] == stack.name and sender.name in link["user_provided_name"]:
                stack.servers.rabbit.api("DELETE", f"/api/connections/{quote(link['name'])}")
        return sender.text().count("lost RabbitMQ") > lost
    wait_for(close, 30, "it has lost its connection", pause=0.5)
    sender.wait_ready(60)


def test_a_pause_that_the_broker_forgot_is_set_again(stack):
    """Who connects asks what is on disk; it is told so to all."""
    stack.producer().wait_ready()
    senders = [stack.sender().wait_ready() for _ in range(3)]
    pause(stack, *senders)
    emit_to_all(stack)
    for sender in senders:
        sender.freeze()
    try:
        forget_the_binding(stack)
        assert json.loads(stack.ctl("status", "--json"))["rabbitmq"]["paused"] is True
        late = stack.sender().wait_ready()
    finally:
        for sender in senders:
            sender.thaw()
    wait_for(lambda: "had forgotten that senders are paused" in late.text(), 20, "it says so")
    for sender in (late, *senders):
        wait_heard(sender)
    assert all(map(is_paused, (late, *senders))) and requests(stack) == 0
    assert "paused already" in stack.ctl("pause")
    assert "resumed" in stack.ctl("resume")
    assert stack.wait_settled() == {"delivered": 14}
    check_all_arrived(stack)


def test_what_was_resumed_stays_so(stack):
    """Nothing of a pause is left to be found by who connects later."""
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    for _ in range(2):
        pause(stack, sender)
        assert "resumed" in stack.ctl("resume")
    wait_for(lambda: not is_paused(sender), 20, "it has heard of it")
    reconnect(stack, sender)
    wait_heard(sender)
    assert not is_paused(sender) and "had forgotten" not in sender.text()
    emit_to_all(stack)
    assert stack.wait_settled() == {"delivered": 14}


def test_a_pause_while_no_sender_runs(stack):
    stack.producer().wait_ready()
    pause(stack)
    assert "paused already" in stack.ctl("pause")
    emit_to_all(stack)
    senders = [stack.sender().wait_ready() for _ in range(3)]
    for sender in senders:
        wait_heard(sender)
    assert all(map(is_paused, senders)) and requests(stack) == 0
    stack.ctl("resume")
    assert stack.wait_settled() == {"delivered": 14}
    check_all_arrived(stack)


def test_a_sender_that_is_not_told_takes_nothing(stack, servers):
    """The broker's alarm stops its question: it waits, and one that was told goes by that."""
    stack.producer().wait_ready()
    told = stack.sender().wait_ready()
    pause(stack, told)
    emit_to_all(stack)
    servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        asks = stack.sender()
        wait_for(lambda: "RabbitMQ does not say whether senders are paused; none is taken yet"
                 in asks.text(), 60, "it says what it waits for")
        assert not asks.ready() and asks.metrics()["mtc_sender_held"] == 0
        assert is_paused(told) and requests(stack) == 0
    finally:
        servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")
    asks.wait_ready(60)
    assert is_paused(asks) and is_paused(told) and requests(stack) == 0
    stack.ctl("resume")
    assert stack.wait_settled() == {"delivered": 14}


def test_what_is_deleted_under_the_question_mends_itself(stack, servers):
    """The queue of answers, the exchange that gives them back: made anew, and nobody is taken for
    paused or for not paused meanwhile."""
    stack.producer().wait_ready()
    sender = stack.sender("sender-1").wait_ready()
    wait_heard(sender)
    own = wait_for(lambda: next((name for name in servers.rabbit.queues(stack.name)
                                 if name.startswith("mtc.control.sender-1.")), None), 20,
                   "its queue is known")
    servers.rabbit.control("delete_queue", "-p", stack.name, own)
    wait_for(lambda: "somebody deleted the queue of answers" in sender.text(), 20, "it is told")
    sender.wait_ready(60)
    wait_heard(sender)
    assert servers.rabbit.api("DELETE", f"/api/exchanges/{stack.name}/mtc.unpaused")[0] == 204
    wait_for(lambda: "whether senders are paused was returned" in sender.text(), 20, "it is told")
    sender.wait_ready(60)
    wait_heard(sender)
    emit_to_all(stack)
    assert stack.wait_settled() == {"delivered": 14} and "by an operator" not in sender.text()


def test_a_message_in_the_control_queue_pauses_nobody(stack):
    """It is the binding that does; whoever may write into the queue can't."""
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    with pika.BlockingConnection(pika.URLParameters(stack.servers.rabbit.url(stack.name))) as link:
        link.channel().basic_publish("", "mtc.control", b"stop")
    wait_heard(sender)
    emit_to_all(stack)
    assert stack.wait_settled() == {"delivered": 14} and not is_paused(sender)
