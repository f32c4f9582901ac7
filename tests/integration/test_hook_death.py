"""SIGKILL between every two steps of a key's life, with the sender repeating: applied exactly once,
never lost.

The steps are held by freezing the server that the next one needs."""
import socket
import threading
import uuid

import pytest

from lib.hooks import record_of, status_of, waiting
from lib.ports import free_port
from lib.processes import wait_for

GOOD = {"machine_id": 12, "cycle_time": 298.2}


class Sender:
    """Posts in the background; what comes of it does not matter."""

    def __init__(self, stack, key):
        self.thread = threading.Thread(target=self.run, args=(stack, key))
        self.status = None
        self.thread.start()

    def run(self, stack, key):
        try:
            self.status = status_of(stack, GOOD, key)
        except (OSError, ValueError):
            self.status = 0

    def join(self):
        self.thread.join(30)
        return self.status


@pytest.fixture
def patient(make_stack):
    """Waits so long for frozen servers that a test can look, and has short leases."""
    stack = make_stack(receiver__redis_timeout_ms=30000, receiver__answer_within_ms=30000,
                       receiver__lease_ms=1500)
    stack.first = stack.receiver().wait_ready()
    return stack


def repeat_until_taken(stack, key):
    """As MTConnect does it; what happens to the key meanwhile are answers it understands."""
    stack.receiver().wait_ready()
    seen = set()

    def taken():
        seen.add(status_of(stack, GOOD, key))
        return seen & {200, 202}
    wait_for(taken, 60, "the repeat is taken", pause=0.2)
    assert seen <= {200, 202, 503}, seen


def check_applied_once(stack, messages):
    """However often it was published."""
    wait_for(lambda: waiting(stack) == messages, 20, f"{messages} messages")
    scheduler = stack.scheduler().wait_ready()
    wait_for(lambda: waiting(stack) == 0, 30, "all applied")
    # A later one that differs, then nothing may bring the first back.
    assert status_of(stack, {**GOOD, "cycle_time": 5}) == 202
    wait_for(lambda: stack.cycle_times() == {"K-16": 5.0}, 30, "the next one is applied")
    scheduler.stop()
    assert stack.cycle_writes() == 2


def test_before_the_lease(patient):
    key = str(uuid.uuid4())
    patient.servers.redis.process.freeze()
    try:
        sender = Sender(patient, key)
        wait_for(lambda: patient.first.metrics()["mtc_receiver_under_way"] == 1, 20,
                 "it waits for Redis")
        patient.first.kill()
    finally:
        patient.servers.redis.process.thaw()
    assert sender.join() == 0
    repeat_until_taken(patient, key)
    check_applied_once(patient, 1)


def test_after_the_lease_before_it_is_published(patient):
    """The broker never sees it: the connection is held by a peer that reads nothing."""
    key = str(uuid.uuid4())
    patient.first.stop()
    hole = Hole(patient.servers.rabbit.port)
    first = patient.receiver(
        mtc_amqp_url=f"amqp://guest:guest@127.0.0.1:{hole.port}/{patient.name}").wait_ready()
    hole.swallow()
    sender = Sender(patient, key)
    wait_for(lambda: record_of(patient, key).get("state") == "leased", 20, "the lease")
    wait_for(lambda: hole.swallowed > 0, 20, "it is on its way to the broker")
    first.kill()
    hole.close()
    assert sender.join() == 0
    repeat_until_taken(patient, key)
    check_applied_once(patient, 1)


def test_after_it_is_published_before_the_confirm(patient):
    key = str(uuid.uuid4())
    patient.servers.rabbit.process.freeze()
    try:
        sender = Sender(patient, key)
        wait_for(lambda: record_of(patient, key).get("state") == "leased", 20, "the lease")
        wait_for(lambda: patient.first.metrics()["mtc_receiver_under_way"] == 1, 20,
                 "it waits for the confirm")
        patient.first.kill()
    finally:
        patient.servers.rabbit.process.thaw()
    assert sender.join() == 0
    wait_for(lambda: waiting(patient) == 1, 30, "the broker has it all the same")
    repeat_until_taken(patient, key)
    check_applied_once(patient, 2)  # published twice, applied once


def test_after_the_confirm_before_the_key_is_done(patient):
    """Redis never hears that it is done."""
    key = str(uuid.uuid4())
    patient.first.stop()
    rabbit, hole = patient.servers.rabbit, Hole(patient.servers.redis.port)
    first = patient.receiver(
        mtc_redis_url=f"redis://127.0.0.1:{hole.port}/{patient.redis_database}").wait_ready()
    wait_for(lambda: "connected to Redis" in first.text(), 20, "Redis")
    rabbit.process.freeze()
    try:
        sender = Sender(patient, key)
        wait_for(lambda: record_of(patient, key).get("state") == "leased", 20, "the lease")
        hole.swallow()
    finally:
        rabbit.process.thaw()
    wait_for(lambda: hole.swallowed > 0, 30, "confirmed, and on its way to Redis")
    first.kill()
    hole.close()
    assert sender.join() == 0
    assert record_of(patient, key)["state"] == "leased"
    repeat_until_taken(patient, key)
    check_applied_once(patient, 2)


def test_after_the_key_is_done_before_the_answer(patient):
    """As far as the sender can see: its connection breaks, and the answer is lost."""
    key = str(uuid.uuid4())
    patient.servers.redis.process.freeze()
    try:
        sender = Sender(patient, key)
        wait_for(lambda: patient.first.metrics()["mtc_receiver_under_way"] == 1, 20,
                 "it waits for Redis")
    finally:
        patient.servers.redis.process.thaw()
    wait_for(lambda: record_of(patient, key).get("state") == "done", 20, "done")
    patient.first.kill()
    sender.join()
    patient.receiver().wait_ready()
    assert status_of(patient, GOOD, key) == 200
    check_applied_once(patient, 1)


def test_the_scheduler_dies_between_commit_and_ack(stack):
    """It is told again, which changes nothing."""
    stack.receiver().wait_ready()
    scheduler = stack.scheduler().wait_ready()
    wait_for(lambda: scheduler.metrics()["mtc_scheduler_active"] == 1, 20, "active")
    with stack.connect() as pg, pg.transaction():
        pg.execute("LOCK TABLE mtc.cycle_time IN EXCLUSIVE MODE")
        assert status_of(stack, GOOD) == 202
        wait_for(
            lambda: stack.servers.rabbit.queues(stack.name)["mtc.cycle-times"].get(
                "messages_unacknowledged") == 1, 20, "taken")
        with stack.connect() as other:
            wait_for(
                lambda: other.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND"
                    " datname = current_database()").fetchone()[0] == 1, 20,
                "it waits for the table")
        scheduler.freeze()
    # The lock is gone: PostgreSQL commits, and the frozen process neither hears it nor acks.
    wait_for(lambda: stack.cycle_times() == {"K-16": 298.2}, 20, "committed")
    assert waiting(stack) == 1
    scheduler.kill()
    wait_for(
        lambda: stack.servers.rabbit.queues(stack.name)["mtc.cycle-times"].get("messages_ready") ==
        1, 30, "back")
    second = stack.scheduler().wait_ready()
    wait_for(lambda: waiting(stack) == 0, 30, "told again and acked")
    second.stop()
    assert stack.cycle_writes() == 1


def test_killed_again_and_again_under_a_repeating_sender(make_stack):
    """Each web-hook is applied, whatever is killed while it is on its way."""
    stack = make_stack(receiver__lease_ms=1000)
    receivers = [stack.receiver(), stack.receiver()]
    schedulers = [stack.scheduler(), stack.scheduler()]
    for service in receivers + schedulers:
        service.wait_ready()
    wait_for(lambda: stack.sim.stats()["webhooks"]["registered"] == 1, 20, "registered")
    for round_ in range(12):
        for machine in range(1, 17):
            for n in range(5):
                stack.sim.call("POST", "/webhook",
                               {"machine_id": machine, "cycle_time": 10 * round_ + n + 1,
                                "retry_ms": 100, "repeat": 2,
                                "observed_at": f"2026-01-01T00:{round_:02}:{n:02}Z",
                                "delay_ms": 40 * (n % 3)})
        victim = (receivers + schedulers)[round_ % 4]
        victim.kill()
        victim.start()
    wait_for(lambda: not stack.sim.stats()["webhooks"]["under_way"], 120,
             "every web-hook was answered 2xx")
    wait_for(lambda: waiting(stack) == 0, 60, "all applied")
    wait_for(lambda: set(stack.cycle_times().values()) == {115.0}, 30, "the newest of each machine")
    assert len(stack.cycle_times()) == 16
    assert stack.dead_letters() == []


class Hole:
    """A way to a server that can begin to swallow what goes in."""

    def __init__(self, to):
        self.to, self.port, self.swallowing, self.swallowed = to, free_port(), False, 0
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            self.sockets += [client, server]
            threading.Thread(target=self.pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, False), daemon=True).start()

    def pump(self, source, target, inwards):
        try:
            while data := source.recv(65536):
                if inwards and self.swallowing:
                    self.swallowed += len(data)
                else:
                    target.sendall(data)
        except OSError:
            pass

    def swallow(self):
        self.swallowing = True

    def close(self):
        for link in [self.listener, *self.sockets]:
            link.close()
