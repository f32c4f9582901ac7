"""Which partition a machine's events go to, and that it stays so."""
import collections
import json
import time

import pika
import pytest

from lib.flow import Writers, add_machines, check_all_arrived
from lib.processes import wait_for


def where(stack):
    """machine -> the partitions that hold events of it, and how many. What was looked at goes back
    as it was."""
    found = collections.defaultdict(collections.Counter)
    with pika.BlockingConnection(
            pika.URLParameters(stack.servers.rabbit.url(stack.name))) as connection:
        for n in range(8):
            channel = connection.channel()
            name = f"mtc.events.{n}"
            count = channel.queue_declare(name, passive=True).method.message_count
            for _, properties, _ in channel.consume(name):
                found[properties.headers["machine"]][n] += 1
                count -= 1
                if count == 0:
                    break
            channel.close()
    return found


def emit_for_all(stack, machines):
    with stack.connect() as pg:
        for machine in machines:
            stack.emit(machine, pg=pg)


def test_a_broker_that_was_restarted_sends_a_machine_nowhere_else(stack, servers):
    """An event in another partition could overtake those of its machine that wait."""
    machines = add_machines(stack, 60)
    stack.producer()
    for n in (1, 2):
        emit_for_all(stack, machines)
        wait_for(lambda: stack.states() == {"published": 60 * n}, 30, "published")
        servers.rabbit.stop()
        servers.rabbit.start()
    emit_for_all(stack, machines)
    wait_for(lambda: stack.states() == {"published": 180}, 30, "published")

    def all_are_there():  # right after a restart a queue may not have its leader yet
        found = where(stack)
        return found if sum(sum(counts.values()) for counts in found.values()) >= 180 else None
    found = wait_for(all_are_there, 30, "the partitions hold all of them")
    assert {machine: list(counts.values()) for machine, counts in found.items()} == {
        machine: [3] for machine in machines}
    used = {partition for counts in found.values() for partition in counts}
    assert used == set(range(8)), "60 machines over 8 partitions"


def outcome(row, key):
    return json.dumps([{"seq": row, "id": key, "outcome": "delivered", "attempts": 1,
                        "status": 201, "at_us": time.time_ns() // 1000}])


@pytest.mark.parametrize("before", [None, "fnv1a-murmur3/4"])
def test_another_partitioning_waits_for_what_went_out_by_the_old_one(stack, before):
    """The exchange of an older version that hashed by itself, or another topology.partitions."""
    with stack.connect() as pg:
        first = stack.emit("SR-26", pg=pg)
        second = stack.emit("SR-26", pg=pg)
        pg.execute("UPDATE mtc.outbox SET published_at = now() WHERE id = 1")
        if before:
            pg.execute("INSERT INTO mtc.setting VALUES ('partitioning', %s)", (before,))
        producer = stack.producer().wait_ready()
        wait_for(lambda: "by another partitioning" in producer.text(), 20, "it says so")
        assert stack.states() == {"published": 1, "waiting": 1}
        producer.stop()  # does not wait for its drain limit
        assert "drained" in producer.text() and "not drained" not in producer.text()
        producer = stack.producer().wait_ready()
        wait_for(lambda: "by another partitioning" in producer.text(), 20, "it says so")
        stack.sender().wait_ready()
        pg.execute("SELECT mtc.apply_outcomes(%s)", (outcome(1, first),))
        assert stack.wait_settled() == {"delivered": 2}
        setting, = pg.execute("SELECT value FROM mtc.setting WHERE name = 'partitioning'")
        assert setting == ("fnv1a-murmur3/8",)
    assert [row["key"] for row in stack.sim.record()] == [second]


def test_more_partitions_while_events_flow(make_stack):
    """The number changes under way: order holds, nothing is lost."""
    stack = make_stack(topology__partitions=2)
    machines = add_machines(stack, 12)
    old = [stack.producer("p-old"), stack.sender("s-old")]
    writers = Writers(stack, machines, 1500, rate=150).start()
    wait_for(lambda: stack.states().get("delivered", 0) > 200, 30, "they flow")
    stack.write_config({"topology__partitions": 5})
    new = [stack.sender("s-new").wait_ready(), stack.producer("p-new").wait_ready()]
    old[0].stop()
    wait_for(lambda: new[1].metrics()["mtc_producer_active"] == 1, 60, "the new relay took over")
    old[1].stop()
    writers.join()
    stack.wait_settled(90)
    check_all_arrived(stack)
    assert all(program.is_running() for program in new)
