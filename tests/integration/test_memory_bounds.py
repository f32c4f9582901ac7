"""Bytes bound what mtc-receiver and mtc-scheduler hold. What a program takes besides its bound is
code, connections and tables."""
import contextlib
import json
import socket
import time

import pika
import psycopg
import pytest

from faults.proxy import Proxy
from lib.flow import add_machines
from lib.hooks import post, sign, status_of, waiting
from lib.large_answers import LargeAnswers
from lib.processes import wait_for

MIB = 1 << 20
BESIDES = 48  # MiB
GOOD = {"machine_id": 12, "cycle_time": 298.2}


# --- mtc-receiver ---

class Hook:
    """A web-hook of an address of its own, of which all but the last byte is sent."""

    def __init__(self, stack, peer, size, key):
        self.body = json.dumps(GOOD).encode().ljust(size)
        self.link = socket.create_connection(("127.0.0.1", stack.hook_port), 20, (peer, 0))
        headers = {"Host": "x", "Content-Type": "application/json", "X-Idempotency-Key": key,
                   "Content-Length": size, "Expect": "100-continue", **sign(self.body, key)}
        self.link.sendall(b"POST /api/hooks/cycle-time HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n")
        self.answer = self.read()  # to the headers, before any body
        self.taken = " 100 " in self.answer
        if self.taken:
            self.link.sendall(self.body[:-1])

    def read(self):
        text = b""
        while b"\r\n\r\n" not in text and (data := self.link.recv(4096)):
            text += data
        return text.decode()

    def end(self):
        self.link.sendall(self.body[-1:])
        return self.read()


@pytest.mark.campaign
def test_bodies_of_web_hooks_are_bounded(make_stack, record_property):
    """96 MiB of bodies are offered by twelve addresses, and not one of them ends. What finds no
    room is answered before its body is read; half of the memory is for bodies, and an address has
    at most a quarter of that."""
    stack = make_stack(receiver__memory_mib=32, receiver__body_max=MIB)
    receiver = stack.receiver().wait_ready()
    with contextlib.ExitStack() as links:
        hooks = {}
        for n in range(2, 14):
            hooks[n] = [Hook(stack, f"127.0.0.{n}", MIB, f"{n}.{k}") for k in range(8)]
            for hook in hooks[n]:
                links.callback(hook.link.close)
        assert [sum(hook.taken for hook in hooks[n]) for n in range(2, 14)] == [3] * 5 + [0] * 7
        refused = next(hook for hook in hooks[2] if not hook.taken)
        assert " 503 " in refused.answer and "Retry-After: 1\r\n" in refused.answer
        assert "Connection: close\r\n" in refused.answer
        metrics = receiver.metrics()
        assert 15 * MIB <= metrics["mtc_receiver_held_bytes"] <= 16 * MIB
        assert metrics['mtc_receiver_hooks_total{answer="unavailable"}'] == 81
        assert "web-hooks are turned away" in receiver.text()
        assert status_of(stack, GOOD, "small") == 202  # of another address, and there is room
        assert " 202 " in hooks[2][0].end()
        peak = receiver.rss_kib(peak=True) / 1024
        record_property("rss", f"{peak:.0f} MiB at the most")
        assert peak < 32 + BESIDES
    wait_for(lambda: receiver.metrics()["mtc_receiver_held_bytes"] == 0, 20, "all is given back")
    assert status_of(stack, GOOD) == 202


@pytest.mark.campaign
def test_connections_are_bounded(make_stack, record_property):
    """3,500 connections, each with a request behind it, whose buffers libmicrohttpd keeps: those
    silent for longest are closed when there are more than fit into half of the memory."""
    stack = make_stack(receiver__memory_mib=4)
    receiver = stack.receiver().wait_ready()
    with contextlib.ExitStack() as links:
        answered = 0
        for _ in range(3500):
            link = socket.create_connection(("127.0.0.1", stack.hook_port), 20)
            links.callback(link.close)
            link.sendall(b"POST /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            answered += b" 404 " in link.recv(4096)
        assert answered == 3500
        peak = receiver.rss_kib(peak=True) / 1024
    record_property("rss", f"{peak:.0f} MiB at the most")
    assert peak < 4 + BESIDES
    assert "connections=120" in receiver.text()


def test_a_body_of_no_announced_length_takes_as_much_as_it_may_have(make_stack):
    stack = make_stack(receiver__memory_mib=2, receiver__body_max=200000)
    receiver = stack.receiver().wait_ready()
    key = "chunks"
    body = json.dumps(GOOD).encode()
    with socket.create_connection(("127.0.0.1", stack.hook_port), 20) as link:
        headers = {"Host": "x", "Content-Type": "application/json", "X-Idempotency-Key": key,
                   "Transfer-Encoding": "chunked", **sign(body, key)}
        link.sendall(b"POST /api/hooks/cycle-time HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n")
        link.sendall(b"%x\r\n%s\r\n" % (len(body), body))
        wait_for(lambda: receiver.metrics()["mtc_receiver_held_bytes"] > 200000, 10, "counted")
        assert Hook(stack, "127.0.0.1", 100000, "second").taken is False
        assert Hook(stack, "127.0.0.2", 100000, "third").taken is True
        link.sendall(b"0\r\n\r\n")
        assert b" 202 " in link.recv(4096)
    wait_for(lambda: receiver.metrics()["mtc_receiver_held_bytes"] < 200000, 10, "it is given back")


def test_what_waits_for_a_confirm_is_bounded(make_stack):
    """The broker confirms nothing: web-hooks outlive their answers, and take memory until it does.
    An address has its quarter of them, and another is still taken."""
    stack = make_stack(receiver__memory_mib=2, receiver__pending_max=100000,
                       receiver__answer_within_ms=50, amqp__heartbeat_s=300)
    proxy = Proxy()
    try:
        link = proxy.link("amqp", stack.servers.rabbit.port)
        url = f"amqp://guest:guest@127.0.0.1:{link.port}/{stack.name}"
        receiver = stack.receiver(mtc_amqp_url=url).wait_ready()
        assert status_of(stack, GOOD) == 202
        link.set("stall")
        for n in range(1000):
            status, headers, problem = post(stack, {"machine_id": 12, "cycle_time": n + 1})
            assert status == 503 and headers["Retry-After"]
            if "no memory is left" in problem["detail"]:
                break
        assert 20 < n < 200
        held = receiver.metrics()["mtc_receiver_held_bytes"]
        assert MIB / 4 - 5000 < held <= MIB / 4
        other = Hook(stack, "127.0.0.2", 60, "other")
        assert other.taken and " 503 " in other.end()
        assert receiver.metrics()["mtc_receiver_held_bytes"] > held
        link.set("pass")
        wait_for(lambda: receiver.metrics()["mtc_receiver_held_bytes"] == 0, 30, "confirmed")
        assert status_of(stack, GOOD) == 202
    finally:
        proxy.stop()


# --- mtc-scheduler ---

@pytest.fixture
def answers():
    servers = []

    def make(*words, **options):
        servers.append(LargeAnswers(*words, **options))
        return servers[-1]
    yield make
    for server in servers:
        server.stop()


@pytest.mark.campaign
def test_answers_under_way_are_bounded(make_stack, answers, record_property):
    """400 machines answer with 250 KB each, and may be asked all at once: 100 MB."""
    large = answers(250000)
    stack = make_stack(scheduler__memory_mib=8, scheduler__connections=400,
                       mtconnect__base_url=f'"{large.url}"')
    machines = add_machines(stack, 400)
    scheduler = stack.scheduler()
    held = 0

    def known():
        nonlocal held
        if scheduler.ready():
            held = max(held, scheduler.metrics()["mtc_scheduler_held_bytes"])
        times = stack.cycle_times()
        return all(times.get(machine) == 12.5 for machine in machines)
    wait_for(known, 120, "all are pulled")
    peak = scheduler.rss_kib(peak=True) / 1024
    record_property("rss", f"{peak:.0f} MiB at the most, {held / MIB:.1f} MiB of answers")
    assert 1 < large.most <= 16
    assert 0 < held <= 4 * MIB
    assert peak < 8 + BESIDES
    assert "scheduler.memory_mib allows less at once" in scheduler.text()


def test_an_answer_that_is_too_large_costs_its_machine(make_stack, answers):
    large = answers(500, 0, {"SR-26": 5 * MIB, "K-16": 300000})
    stack = make_stack(mtconnect__base_url=f'"{large.url}"', scheduler__retry_delays_s='"0.1"')
    stack.scheduler().wait_ready()
    def run():
        with stack.connect() as pg:
            return pg.execute("SELECT answered, failed FROM mtc.cycle_run").fetchone()
    answered, failed = wait_for(run, 30, "a pull was made")
    assert failed == {"SR-26": "the answer is larger than 1 MiB",
                      "K-16": "breach of contract: the answer is larger than 262144 bytes"}
    assert answered == 14 == len(stack.cycle_times())


def publish(stack, bodies):
    with pika.BlockingConnection(pika.URLParameters(
            stack.servers.rabbit.url(stack.name))) as connection:
        channel = connection.channel()
        for body in bodies:
            channel.basic_publish("", "mtc.cycle-times", body,
                                  pika.BasicProperties(delivery_mode=2))


def hook(machine_id, seconds, size=0):
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    return json.dumps({"machine": machine_id, "cycle_time": seconds, "observed_at": now,
                       "dated": True, "arrived_at": now, "source": "webhook"}).encode().ljust(size)


@pytest.mark.campaign
def test_web_hooks_held_are_bounded(make_stack, record_property):
    """4,000 messages of 15 KB wait, and PostgreSQL takes none for a while: by its prefetch alone
    the scheduler would hold all 60 MB."""
    stack = make_stack(scheduler__memory_mib=8, scheduler__prefetch=65535)
    stack.receiver().wait_ready()
    publish(stack, [hook(12, n % 900 + 1, 15000) for n in range(4000)])
    wait_for(lambda: waiting(stack) == 4000, 60, "all are in the queue")

    def held():
        return scheduler.metrics()["mtc_scheduler_held_bytes"]
    with psycopg.connect(stack.servers.postgres.conninfo(stack.name)) as somebody:
        somebody.execute("LOCK TABLE mtc.cycle_time")
        scheduler = stack.scheduler()
        most = wait_for(lambda: scheduler.ready() and held() > MIB and held(), 30, "it holds some")
    wait_for(lambda: waiting(stack) == 0, 120, "all are applied")
    peak = scheduler.rss_kib(peak=True) / 1024
    record_property("rss", f"{peak:.0f} MiB at the most, {most / MIB:.1f} MiB of web-hooks")
    assert most <= 2 * MIB
    assert peak < 8 + BESIDES
    wait_for(lambda: held() == 0, 10, "nothing is held")


def test_a_web_hook_that_is_too_large_goes_to_the_dead_letters(stack):
    """By the net of its queue: it is never whole in the scheduler's memory. The others go on."""
    stack.producer().wait_ready()
    scheduler = stack.scheduler().wait_ready()
    publish(stack, [hook(12, 20), hook(12, 30, 3 * MIB), hook(11, 40, 16384), hook(11, 50, 16385)])
    wait_for(lambda: len(stack.dead_letters()) == 2, 30, "they are dead")
    for letter in stack.dead_letters():
        assert letter["properties"]["headers"]["x-first-death-reason"] == "rejected"
    with stack.connect() as pg:
        def values():
            return {seconds for seconds, in pg.execute(
                "SELECT cycle_time_s::float8 FROM mtc.machine_cycle_time WHERE source = 'webhook'")}
        wait_for(lambda: values() == {20, 40}, 20, "the others are applied")
    assert "a message of 3145728 bytes, and 16384 are the most" in scheduler.text()
    assert scheduler.metrics()["mtc_scheduler_dead_total"] == 2
