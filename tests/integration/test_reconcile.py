"""What the broker loses is published again by itself; what it only holds for long is not."""
import json

import psycopg
import pytest

from lib.flow import Writers, add_machines, check_all_arrived, duplicates, wait_emptied
from lib.processes import wait_for

# A round a second. Nobody has an outcome in hand for longer than eight heartbeats.
QUICK = {"producer__reconcile_s": 1, "amqp__heartbeat_s": 1}
PATIENCE_ROUNDS = 10
PARTITIONS = [f"mtc.events.{p}" for p in range(8)]


@pytest.fixture
def shop(make_stack):
    return make_stack(**QUICK)


def purge(stack, *queues):
    for queue in queues:
        status, text = stack.servers.rabbit.api("DELETE",
                                                f"/api/queues/{stack.name}/{queue}/contents")
        assert status == 204, (queue, status, text)


def total(metric, *services):
    return sum(service.metrics()[f"mtc_{metric}_total"] for service in services)


def lost(*producers):
    return total("producer_lost", *producers)


def rounds(stack):
    with stack.connect() as pg:
        return pg.execute("SELECT round FROM mtc.reconciler").fetchone()[0]


def wait_rounds(stack, count):
    goal = rounds(stack) + count
    wait_for(lambda: rounds(stack) >= goal, 60 + 5 * count, f"{count} rounds", pause=0.3)


def answered(stack):
    """The lowest round that came out of every partition."""
    with stack.connect() as pg:
        return pg.execute("SELECT coalesce(min(answered), 0) FROM mtc.marker").fetchone()[0]


def wait_answered(stack):
    """A marker sent from now on has come out of every partition."""
    goal = rounds(stack) + 1
    wait_for(lambda: answered(stack) >= goal, 90, "every partition's marker came out", pause=0.3)


def publish(stack, machines, count):
    Writers(stack, machines, count).start().join()
    wait_for(lambda: stack.states() == {"published": count}, 30, "published")


def pause(stack, *senders):
    stack.ctl("pause")
    wait_for(lambda: all(s.metrics()["mtc_sender_paused"] == 1 for s in senders), 10, "paused")


def noted(stack):
    with stack.connect() as pg:
        return pg.execute("SELECT count(*) FROM mtc.unsettled").fetchone()[0]


def test_a_purged_partition_mends_itself(shop):
    machines = add_machines(shop, 16)
    producer = shop.producer().wait_ready()
    publish(shop, machines, 400)
    purge(shop, *PARTITIONS)
    sender = shop.sender().wait_ready()
    assert shop.wait_settled(90) == {"delivered": 400}
    assert duplicates(check_all_arrived(shop)) == 0
    assert lost(producer) == 400
    assert total("sender_delivered", sender) == 400
    assert "the broker has lost events; they are published again" in producer.text()
    with shop.connect() as pg:
        notes = pg.execute("SELECT DISTINCT note FROM mtc.outbox").fetchall()
    assert notes == [("lost by the broker; published again",)]
    wait_for(lambda: not noted(shop), 30, "nothing is noted any more")


def test_a_deleted_queue_mends_itself(shop):
    """Senders hold some of its events at that moment; the others lose nothing."""
    machines = add_machines(shop, 16)
    producer = shop.producer().wait_ready()
    senders = [shop.sender(name).wait_ready() for name in ("sender-a", "sender-b")]
    pause(shop, *senders)
    publish(shop, machines, 400)
    with shop.connect() as pg:
        machine = pg.execute("SELECT machine FROM mtc.outbox ORDER BY id LIMIT 1").fetchone()[0]
    queue = wait_for(
        lambda: next((n for n, q in shop.servers.rabbit.queues(shop.name).items()
                      if n in PARTITIONS and q.get("messages")), None), 20, f"{machine}'s queue")
    assert shop.servers.rabbit.api("DELETE", f"/api/queues/{shop.name}/{queue}")[0] == 204
    shop.ctl("resume")
    assert shop.wait_settled(90) == {"delivered": 400}
    assert duplicates(check_all_arrived(shop)) == 0
    assert 0 < lost(producer) < 400


def test_a_broker_made_anew_mends_itself(shop):
    machines = add_machines(shop, 16)
    producer = shop.producer().wait_ready()
    sender = shop.sender().wait_ready()
    pause(shop, sender)
    publish(shop, machines, 400)
    shop.servers.rabbit.drop_vhost(shop.name)
    shop.servers.rabbit.make_vhost(shop.name)
    keys = [shop.emit(machine) for machine in machines]
    wait_for(lambda: len(shop.sim.applied()) == len(machines), 60, "what is new goes out")
    assert shop.wait_settled(90) == {"delivered": 400 + len(keys)}
    assert lost(producer) == 400
    assert duplicates(shop.sim.stats()["record"]) == 0
    assert shop.sim.stats()["record"]["applied"] == 400 + len(keys)


def test_purged_outcomes_are_found_by_a_repeat_that_is_skipped(shop):
    machines = add_machines(shop, 16)
    producer = shop.producer().wait_ready()
    sender = shop.sender().wait_ready()
    pause(shop, sender)
    publish(shop, machines, 400)
    producer.kill()
    shop.ctl("resume")
    wait_for(lambda: total("sender_delivered", sender) == 400, 30, "delivered")
    wait_for(lambda: shop.servers.rabbit.queues(shop.name)["mtc.outcomes"].get("messages_ready")
             and not any(q.get("messages") for n, q in
                         shop.servers.rabbit.queues(shop.name).items() if n in PARTITIONS), 30,
             "all outcomes wait")
    purge(shop, "mtc.outcomes")
    producer.start()
    assert shop.wait_settled(90) == {"delivered": 400}
    assert duplicates(check_all_arrived(shop)) == 0
    assert lost(producer) == 400 and total("sender_skipped", sender) == 400


def test_a_long_backlog_is_left_alone(make_stack):
    """Behind a sender that holds all it may, and takes no more: neither what it holds nor what
    waits is lost, and markers don't pile up. Senders are paused meanwhile."""
    shop = make_stack(**QUICK, sender__prefetch=10)
    machines = add_machines(shop, 16)
    producer = shop.producer().wait_ready()
    sender = shop.sender().wait_ready()
    pause(shop, sender)
    publish(shop, machines, 1200)
    wait_rounds(shop, 2 * PATIENCE_ROUNDS)
    markers = total("producer_markers", producer) - total("producer_marker_answers", producer)
    assert 8 <= markers <= 8 * 6, "one, then after 1, 2, 4, 8 and 16 rounds"
    assert lost(producer) == 0 and shop.states() == {"published": 1200}
    shop.ctl("resume")
    assert shop.wait_settled(90) == {"delivered": 1200}
    assert duplicates(check_all_arrived(shop)) == 0
    wait_answered(shop)
    wait_emptied(shop)
    assert lost(producer) == 0 and total("producer_repeats", producer) == 0


def test_a_machine_that_is_stuck_holds_no_marker_up(shop):
    """Its events are held, round after round; what else was lost is found."""
    machines = add_machines(shop, 16)
    producer = shop.producer().wait_ready()
    sender = shop.sender().wait_ready()
    shop.sim.faults({"action": "hang", "machine": machines[0]})
    stuck = [shop.emit(machines[0]) for _ in range(5)]
    wait_for(lambda: sender.metrics()["mtc_sender_held"] == 5, 30, "held")
    wait_rounds(shop, 2 * PATIENCE_ROUNDS)
    wait_answered(shop)
    assert lost(producer) == 0 and shop.states() == {"published": 5}
    shop.sim.faults()
    assert shop.wait_settled(90) == {"delivered": 5}
    assert shop.sim.applied() == {machines[0]: stuck}


def test_markers_outlive_a_sender_and_a_relay(shop):
    """Both die with markers on their way, and what was lost meanwhile is found by others."""
    machines = add_machines(shop, 16)
    first = shop.producer("producer-a").wait_ready()
    sender = shop.sender("sender-a").wait_ready()
    wait_answered(shop)
    sender.freeze()
    publish(shop, machines, 160)
    wait_rounds(shop, 2)
    sender.kill()
    first.kill()
    second = shop.producer("producer-b").wait_ready()
    other = shop.sender("sender-b").wait_ready()
    assert shop.wait_settled(90) == {"delivered": 160}
    wait_answered(shop)
    assert lost(second) == 0 and duplicates(check_all_arrived(shop)) == 0
    other.stop()
    with shop.connect() as pg:
        keys = [shop.emit(machine, pg=pg) for machine in machines]
    wait_for(lambda: shop.states().get("published") == len(keys), 30, "published")
    wait_rounds(shop, 2)
    purge(shop, *PARTITIONS)  # the markers too
    second.kill()
    third = shop.producer("producer-c").wait_ready()
    shop.sender("sender-c").wait_ready()
    assert shop.wait_settled(90) == {"delivered": 160 + len(keys)}
    assert lost(third) == len(keys) and duplicates(check_all_arrived(shop)) == 0


def test_outcomes_in_a_frozen_producers_hands_are_not_lost(shop):
    machines = add_machines(shop, 16)
    producers = [shop.producer(name).wait_ready() for name in ("producer-a", "producer-b")]
    shop.sender().wait_ready()
    writers = Writers(shop, machines, 6000, rate=300).start()
    turn, seen = 0, 0
    while writers.is_alive():
        seen += 400
        wait_for(lambda: shop.states().get("delivered", 0) > seen or not writers.is_alive(), 60,
                 "the flow goes on")
        producers[turn].freeze()
        wait_rounds(shop, 2)
        producers[turn].thaw()
        turn = 1 - turn
    writers.join()
    assert shop.wait_settled(90) == {"delivered": 6000}
    wait_answered(shop)
    assert lost(*producers) == 0 and duplicates(check_all_arrived(shop)) == 0


def test_outcomes_that_wait_for_a_lock_are_not_lost(shop):
    """What a ledger can't apply goes back to the broker, and is applied when it can be."""
    machines = add_machines(shop, 4)
    producer = shop.producer().wait_ready()
    sender = shop.sender().wait_ready()
    pause(shop, sender)
    publish(shop, machines, 40)
    with shop.connect() as pg:
        with pg.transaction():
            pg.execute("SELECT FROM mtc.outbox ORDER BY id LIMIT 1 FOR UPDATE")
            shop.ctl("resume")
            wait_for(lambda: total("sender_delivered", sender) == 40, 30, "delivered")
            wait_for(lambda: "outcomes go back to the broker" in producer.text(), 30, "given back")
            wait_rounds(shop, 2 * PATIENCE_ROUNDS)
            assert shop.states() == {"published": 40}
    assert shop.wait_settled(60) == {"delivered": 40}
    wait_answered(shop)
    assert lost(producer) == 0 and duplicates(check_all_arrived(shop)) == 0


def test_a_copy_that_was_put_back_and_lost_is_found(shop):
    producer = shop.producer().wait_ready()
    sender = shop.sender().wait_ready()
    shop.sim.faults({"action": "status", "status": 422})
    key = shop.emit("SR-26")
    wait_for(lambda: shop.states() == {"dead": 1}, 60, "dead")
    sender.stop()
    shop.sim.faults()
    shop.ctl("dead", "requeue", "--id", key)
    purge(shop, *PARTITIONS)
    wait_rounds(shop, 1)
    shop.sender().wait_ready()
    assert shop.wait_settled(90) == {"delivered": 1}
    assert lost(producer) == 1


def test_audit_sends_markers_of_its_own(make_stack):
    """Rounds are far apart: audit asks for one, and names just what is gone, while events flow."""
    shop = make_stack(producer__reconcile_s=86400, amqp__heartbeat_s=1)
    machines = add_machines(shop, 16)
    producer = shop.producer().wait_ready()
    sender = shop.sender().wait_ready()
    stuck = shop.emit("SR-26")
    pause(shop, sender)
    gone = [shop.emit(machine) for machine in machines]
    wait_for(lambda: shop.states().get("published", 0) >= len(gone), 30, "published")
    sender.stop()
    wait_for(lambda: all(not q.get("messages_unacknowledged") for n, q in
                         shop.servers.rabbit.queues(shop.name).items() if n in PARTITIONS), 30,
             "given back")
    purge(shop, *PARTITIONS)
    shop.sender().wait_ready()
    held = [shop.emit(machine) for machine in machines]
    told = json.loads(shop.ctl("audit", "--json", status=1))
    named = {problem["event"] for problem in told["problems"]}
    assert set(gone) <= named <= {*gone, stuck} and not named & set(held)
    assert told["partitions_unanswered"] == 0
    shop.ctl("resume")
    wait_for(lambda: shop.states().get("delivered", 0) >= len(held), 30, "delivered")
    assert lost(producer) == 0, "a first marker alone proves nothing"
    assert "missing" in shop.ctl("doctor", status=None)


def test_audit_is_not_deceived_by_what_is_on_its_way(shop):
    """A hundred events a second, and audits all the while."""
    machines = add_machines(shop, 16)
    producer = shop.producer().wait_ready()
    shop.sender().wait_ready()
    writers = Writers(shop, machines, 1500, rate=100).start()
    audits = 0
    while writers.is_alive():
        assert "every event is accounted for" in shop.ctl("audit")
        audits += 1
    writers.join()
    assert audits >= 3 and shop.wait_settled() == {"delivered": 1500}
    assert lost(producer) == 0


class Markers:
    """Rounds as the relay and the ledger make them, by hand."""

    def __init__(self, pg):
        self.pg = pg

    def published(self, stack):
        key = stack.emit("SR-26", pg=self.pg)
        row, = self.pg.execute("SELECT id FROM mtc.outbox WHERE event_id = %s", (key,)).fetchone()
        self.pg.execute("SELECT mtc.relay_step(%s, '{}', 0)", ([row],))
        return row

    def note(self):
        assert self.pg.execute("SELECT mtc.note_unsettled(0)").fetchone() == (0,)

    def send(self):
        """A marker's number and time."""
        return self.pg.execute("SELECT number, at_us FROM mtc.send_markers(1, true, 0)").fetchone()

    def answer(self, marker, held=(), patience="0 s"):
        """How many were found lost."""
        return self.pg.execute("SELECT lost FROM mtc.apply_answer(%s, %s, 0, %s::bigint[],"
                               " '{SR-26}', %s, 0)", (*marker, list(held), patience)).fetchone()[0]

    def missing(self):
        return self.pg.execute("SELECT mtc.count_missing()").fetchone()[0]


def test_what_it_takes_to_be_lost(stack):
    with stack.connect() as pg:
        markers = Markers(pg)
        first = markers.send()
        row = markers.published(stack)
        markers.note()
        assert markers.answer(first) == 0 and markers.missing() == 0, "it is behind that marker"
        second = markers.send()
        assert markers.answer(second, held=[row]) == 0 and markers.missing() == 0
        assert markers.answer(second) == 0 and markers.missing() == 1
        assert markers.answer(second) == 0, "the same marker, told twice"
        third = markers.send()
        assert markers.answer(third, held=[row]) == 0 and markers.missing() == 0, "it is there"
        assert markers.answer(third) == 0 and markers.missing() == 1
        fourth = markers.send()
        assert markers.answer(fourth, patience="1 hour") == 0, "an outcome may be in hand"
        with psycopg.connect(stack.servers.postgres.conninfo(stack.name)) as other:
            other.execute("SELECT FROM mtc.outbox FOR UPDATE")
            assert markers.answer(fourth) == 0, "somebody is changing it"
        assert markers.answer(fourth) == 1 and markers.missing() == 0
        assert stack.states() == {"waiting": 1}
        pg.execute("SELECT mtc.relay_step(%s, '{}', 0)", ([row],))
        assert markers.answer(fourth) == 0 and markers.missing() == 0, "all begins anew"
        fifth = markers.send()
        assert markers.answer(fifth) == 0 and markers.missing() == 1


def test_a_copy_that_was_put_back_begins_anew(stack):
    with stack.connect() as pg:
        markers = Markers(pg)
        row = markers.published(stack)
        key, = pg.execute("SELECT event_id::text FROM mtc.outbox").fetchone()
        markers.note()
        assert markers.answer(markers.send()) == 0 and markers.missing() == 1
        second = markers.send()
        told = [{"seq": row, "id": key, "outcome": "dead", "at_us": 1, "reason": "x"}]
        assert pg.execute("SELECT mtc.apply_outcomes(%s)", (json.dumps(told),)).fetchone() == (1,)
        assert pg.execute("SELECT mtc.put_back(%s, %s)", (row, key)).fetchone() == (1,)
        assert markers.answer(second) == 0 and markers.missing() == 0
        third = markers.send()
        assert markers.answer(third) == 0 and markers.missing() == 1, "the copy is missing now"


def test_a_row_committed_late_is_not_passed_over(stack):
    """It has a low id, and becomes visible rounds later."""
    with stack.connect() as pg, psycopg.connect(
            stack.servers.postgres.conninfo(stack.name)) as late:
        markers = Markers(pg)

        def begin():
            row, = pg.execute("SELECT ARRAY[from_row, next_floor] FROM mtc.reconcile_due('0 s')")
            markers.note()
            pg.execute("SELECT mtc.send_markers(1, true, %s)", (row[0][1],))
            return row[0]
        late.execute("SELECT mtc.emit('setup', 'SR-26', 'setup.started', '{}')")
        for _ in range(3):
            assert markers.published(stack) > 1
            assert begin() == [0, 0]
        late.commit()
        assert stack.states() == {"waiting": 1, "published": 3}
        assert begin() == [0, 0], "it waits"
        pg.execute("SELECT mtc.relay_step('{1}', '{}', 0)")
        assert begin() == [0, 4] and noted(stack) == 4
        assert begin() == [4, 4]


def test_markers_do_not_pile_up(stack):
    with stack.connect() as pg:
        sent = [n for n in range(1, 70)
                if pg.execute("SELECT count(*) FROM mtc.send_markers(1, false, 0)").fetchone()[0]]
    assert sent == [1, 2, 4, 8, 16, 32, 48, 64]
