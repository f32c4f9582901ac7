"""One relay at a time, woken when there is something to do."""
import json
import signal
import time

import pytest

from faults.proxy import Proxy
from lib.flow import Writers, add_machines, check_all_arrived, duplicates
from lib.processes import wait_for


def active(*producers):
    return [p for p in producers if p.is_running() and p.metrics()["mtc_producer_active"] == 1]


def test_a_standby_takes_over(stack):
    first = stack.producer("first").wait_ready()
    wait_for(lambda: active(first), 10, "the first is active")
    second = stack.producer("second").wait_ready()
    stack.sender().wait_ready()
    assert active(first, second) == [first]
    first.kill()
    begun = time.monotonic()
    wait_for(lambda: active(second), 10, "the second is active", pause=0.02)
    assert time.monotonic() - begun < 5
    stack.emit("SR-26")
    assert stack.wait_settled() == {"delivered": 1}


def test_a_frozen_relay_is_replaced(stack):
    """SIGSTOP: its session is silent, so the server ends it; nothing is published twice over when
    it wakes."""
    first = stack.producer("first").wait_ready()
    wait_for(lambda: active(first), 10, "the first is active")
    second = stack.producer("second").wait_ready()
    stack.sender().wait_ready()
    machines = add_machines(stack, 8)
    writers = Writers(stack, machines, 4000, rate=500).start()
    wait_for(lambda: stack.sim.stats()["record"]["applied"] > 200, 20, "the flow has begun")
    first.send(signal.SIGSTOP)
    try:
        wait_for(lambda: active(second), 10, "the second is active")
    finally:
        first.send(signal.SIGCONT)
    writers.join()
    stack.wait_settled()
    stats = check_all_arrived(stack)
    assert duplicates(stats) == 0
    assert active(first, second) == [second], first.text() + second.text()


def test_notify_only_while_asleep(stack):
    producer = stack.producer().wait_ready()
    wait_for(lambda: active(producer), 10, "active")
    stack.sender().wait_ready()

    def awake():
        with stack.connect() as pg:
            return pg.execute("SELECT asleep_until < now() FROM mtc.relay").fetchone()[0]
    assert awake() is False
    # It takes one second of many small reads, which a slow machine doesn't give at once.
    writers = Writers(stack, add_machines(stack, 8), 10 ** 9, threads=4, rate=1500).start()
    wait_for(awake, 240, "a busy relay reads by itself")
    writers.stop()
    writers.join()
    stack.wait_settled()
    wait_for(lambda: not awake(), 10, "asleep again")
    check_all_arrived(stack)


def test_what_no_notify_announced_is_found(stack):
    """The race: an emit that saw "awake" and committed after the relay fell asleep."""
    stack.producer().wait_ready()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("SELECT mtc.relay_awake(true)")
        pg.execute("LISTEN mtc_outbox")
        key = stack.emit("SR-26", pg=pg)
    assert stack.wait_settled(10) == {"delivered": 1}
    assert stack.sim.applied() == {"SR-26": [key]}


def test_no_notify_without_a_relay(stack):
    """A NOTIFY nobody waits for would make the application's commits queue for the lock it
    takes."""
    def notified():
        with stack.connect() as pg:
            heard = []
            pg.add_notify_handler(heard.append)
            pg.execute("LISTEN mtc_outbox")
            stack.emit("SR-26", pg=pg)
            pg.execute("SELECT 1")  # what was notified comes with the next answer at the latest
            return bool(heard)
    assert not notified()
    producer = stack.producer().wait_ready()
    wait_for(lambda: active(producer), 10, "active")
    assert notified()
    producer.kill()
    wait_for(lambda: not notified(), 30, "a dead relay is soon no longer asked for", pause=1)


def test_retention_sweeps_the_ledger(make_stack):
    stack = make_stack(producer__retention_s=60)
    stack.producer()
    stack.sender().wait_ready()
    keys = [stack.emit("SR-26") for _ in range(20)]
    stack.wait_settled()
    with stack.connect() as pg:
        pg.execute("UPDATE mtc.outbox SET outcome_at = outcome_at - interval '1 hour'"
                   " WHERE event_id = ANY(%s::uuid[])", (keys[:15],))
    wait_for(lambda: stack.states() == {"delivered": 5}, 30, "old rows are gone, young ones stay")


def test_a_large_ledger_is_swept_at_once(make_stack):
    """Bite after bite, over what must stay: dead letters, and what is not delivered yet."""
    stack = make_stack(producer__retention_s=60)
    with stack.connect() as pg:
        pg.execute("INSERT INTO mtc.outbox (event_id, created_at, occurred_at, kind, machine,"
                   " type, path, body, published_at, outcome, outcome_at, note)"
                   " SELECT gen_random_uuid(), t, t, 'setup', 'SR-26', 'setup.started', '/x', '{}',"
                   " t, CASE WHEN n % 100 < 2 THEN 'dead' WHEN n % 100 = 2 THEN NULL"
                   " ELSE 'delivered' END, t,"
                   " CASE WHEN n % 100 = 1 THEN 'dropped' END"
                   " FROM (SELECT n, now() - CASE WHEN n < 20000 THEN interval '1 hour'"
                   " ELSE interval '1 s' END AS t"
                   " FROM generate_series(0, 24999) n) s")
        # what is published and open went out by this rule: nothing is to be waited for
        pg.execute("INSERT INTO mtc.setting VALUES ('partitioning', 'fnv1a-murmur3/8')")
    stack.producer()
    # A bite of a thousand rows at each tick of 5 s would not be done by then.
    wait_for(lambda: stack.states() == {"delivered": 4850, "dead": 200 + 50 + 50, "published": 250},
             60, "swept")


def test_idle_programs_do_next_to_nothing(stack):
    producer, sender = stack.producer().wait_ready(), stack.sender().wait_ready()
    wait_for(lambda: active(producer), 10, "active")
    reads = producer.metrics()["mtc_producer_reads_total"]
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() - begun > 5, 10, "five idle seconds")
    assert producer.metrics()["mtc_producer_reads_total"] - reads <= 12, "about one read a second"
    assert sender.is_running()


def test_answers_of_every_size_are_read_whole(stack):
    """PostgreSQL sends 8 KiB at a time: the end of a statement may come apart from its result. The
    session must live on."""
    producer = stack.producer().wait_ready()
    wait_for(lambda: active(producer), 10, "active")
    stack.sender().wait_ready()
    with stack.connect() as pg:
        for size in range(7600, 8400):
            pg.execute("SELECT mtc.emit('setup', 'SR-26', 'setup.started', "
                       "json_build_object('a', repeat('x', %s::int)))", (size,))
    assert stack.wait_settled() == {"delivered": 800}
    check_all_arrived(stack)
    assert "lost PostgreSQL" not in producer.text(), producer.text()


def test_a_relay_stopped_in_the_middle_of_a_large_answer_loses_its_lock(stack):
    """PostgreSQL is then blocked in sending it, which no idle_session_timeout ends."""
    with stack.connect() as pg:
        for n in range(60):
            pg.execute("SELECT mtc.emit('setup', 'SR-26', 'setup.started',"
                       " json_build_object('n', %s::int, 'x', repeat('x', 4000000)))", (n,))
    first = stack.producer("first")
    wait_for(lambda: first.rss_kib() > 25000, 30, "the answer is on its way", pause=0.002)
    first.freeze()
    try:
        with stack.connect() as pg:
            wait_for(lambda: pg.execute("SELECT FROM pg_stat_activity WHERE state = 'active'"
                                        " AND datname = current_database()"
                                        " AND wait_event = 'ClientWrite'").fetchone() is not None,
                     10, "PostgreSQL is blocked: it was stopped neither too early nor too late")
        second = stack.producer("second").wait_ready()
        wait_for(lambda: active(second), 60, "another took over")
    finally:
        first.thaw()


def amqp_link(proxy, stack):
    """A link to RabbitMQ, and the URL that leads through it."""
    port = stack.servers.rabbit.port
    link = proxy.link("amqp", port)
    return link, stack.servers.rabbit.url(stack.name).replace(f":{port}/", f":{link.port}/")


def relay_exchanges(stack):
    listed = stack.servers.rabbit.api("GET", f"/api/exchanges/{stack.name}")[1]
    return [exchange["name"] for exchange in json.loads(listed)
            if exchange["name"].startswith("mtc.relay.")]


def wait_for_a_read_that_is_held_up(pg):
    """Until the relay's step waits for a lock on the outbox."""
    wait_for(lambda: pg.execute("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                " AND datname = current_database()"
                                " AND query LIKE '%%mtc.relay_step%%'").fetchone() is not None, 20,
             "a read is under way")


def wait_for_its_term(stack):
    """Until the first relay may publish: by then the broker has answered all that it asked."""
    with stack.connect() as pg:
        wait_for(lambda: pg.execute("SELECT FROM mtc.setting WHERE name = 'relay_fenced'")
                 .fetchone() is not None, 20, "its term has begun")


def test_a_read_that_outlives_its_channel_is_dropped(make_stack):
    """Rows 1 to 3 are unconfirmed and a read of 4 to 6 is under way, when the channel is lost and
    back before PostgreSQL answers: 1 to 3 come first all the same."""
    proxy = Proxy()
    try:
        stack = make_stack()
        link, url = amqp_link(proxy, stack)
        producer = stack.producer(mtc_amqp_url=url).wait_ready()
        wait_for_its_term(stack)
        stack.sender().wait_ready()
        link.set("stall")
        for _ in range(3):
            stack.emit("SR-26")
        wait_for(lambda: producer.metrics()["mtc_producer_published_total"] == 3, 10, "1 to 3")
        with stack.connect() as pg, stack.connect() as looker:
            with pg.transaction():
                pg.execute("LOCK TABLE mtc.outbox")
                for _ in range(3):
                    stack.emit("SR-26", pg=pg)
                wait_for_a_read_that_is_held_up(looker)
                link.set("cut")
                link.set("pass")
                wait_for(lambda: producer.text().count("connected to RabbitMQ") == 2, 20, "back")
                producer.wait_ready()
        assert stack.wait_settled() == {"delivered": 6}
        check_all_arrived(stack)
        assert producer.metrics()["mtc_producer_repeats_total"] == 3
    finally:
        proxy.stop()


def test_what_a_replaced_relay_still_had_on_its_way_goes_nowhere(make_stack):
    """It is stopped while its link to the broker is slow: events are in the network, in its
    kernel and in its own memory. Another takes over and relays them all; when the first wakes, what
    it had on its way comes to the broker, which refuses it. A sender that came later, without a
    memory of the first copies and without sent keys, gets none of them."""
    proxy = Proxy()
    try:
        # a request that is given up and repeated would look like a copy that has come late
        stack = make_stack(mtconnect__timeout_ms=30000)
        link, url = amqp_link(proxy, stack)
        # a broker that does not miss the heartbeats of the stopped one meanwhile
        first = stack.producer("first", mtc_amqp_url=url, mtc_amqp_heartbeat_s=120).wait_ready()
        wait_for_its_term(stack)
        link.set("stall")
        with stack.connect() as pg:  # more than the kernel takes of a link that takes nothing
            pg.execute("SELECT count(mtc.emit('setup', machine, 'setup.started',"
                       " json_build_object('n', n, 'x', repeat('x', 98000))))"
                       " FROM generate_series(1, 120) n, unnest(ARRAY['SR-25', 'SR-26']) machine")
        wait_for(lambda: first.metrics()["mtc_producer_published_total"] > 100, 20, "on their way")
        first.freeze()
        try:
            with stack.connect() as pg:  # a broker that was made anew has none of these exchanges
                pg.execute("UPDATE mtc.setting SET value = -3 WHERE name = 'relay_fenced'")
            second = stack.producer("second").wait_ready()
            wait_for(lambda: active(second), 20, "the second is active")
            sender = stack.sender().wait_ready()
            # told to the ledger they may not be: the first holds outcomes too
            wait_for(lambda: stack.sim.stats()["record"]["applied"] == 240, 60, "delivered")
            sender.stop()
            stack.empty_redis()
        finally:
            first.thaw()
        link.set("pass")
        wait_for(lambda: first.text().count("connected to RabbitMQ") == 2, 30,
                 "the first had to connect anew")
        stack.sender().wait_ready()
        for machine in ("SR-25", "SR-26"):
            stack.emit(machine)  # behind whatever their partitions hold
        assert stack.wait_settled() == {"delivered": 242}
        assert duplicates(check_all_arrived(stack)) == 0, first.text() + sender.text()
        assert active(first, second) == [second]
        assert "no exchange 'mtc.relay.1'" in first.text()
        assert relay_exchanges(stack) == ["mtc.relay.2"], "the first one's exchange is gone"
    finally:
        proxy.stop()


def suspend(stack, partition, verb="suspend"):
    """Has a partition's leader do nothing, or do its work again: it confirms nothing meanwhile."""
    stack.servers.rabbit.suspend(stack.name, f"mtc.events.{partition}", verb)


def partition_of(stack, machine):
    """Where its events go: the one queue that has something after one of them."""
    stack.emit(machine)
    def found():
        return [name for name, queue in stack.servers.rabbit.queues(stack.name).items()
                if name.startswith("mtc.events.") and queue.get("messages")]
    return int(wait_for(found, 20, "in its partition")[0].removeprefix("mtc.events."))


def test_a_partition_that_confirms_nothing_stops_alone(make_stack):
    """Its queue is there, and does nothing, as without a majority of its nodes. Its events wait,
    in their order, and those of other machines go on; the connection stays."""
    stack = make_stack(producer__window=40)
    producer = stack.producer().wait_ready()
    wait_for(lambda: active(producer), 10, "active")
    stuck = partition_of(stack, "SR-26")
    stack.sender().wait_ready()
    assert stack.wait_settled() == {"delivered": 1}
    suspend(stack, stuck)
    try:
        for n in range(200):  # five times the window
            stack.emit("SR-26")
            stack.emit("SR-25")
            if n == 20:
                wait_for(lambda: producer.metrics()["mtc_producer_stopped_partitions"] == 1, 20,
                         "one is stopped")
        wait_for(lambda: stack.states().get("delivered") == 201, 30, "the others go on")
        assert stack.states()["waiting"] == 200
        assert producer.text().count("connected to RabbitMQ") == 1
        assert f"its events wait queue=mtc.events.{stuck}" in producer.text().replace('"', "")
    finally:
        suspend(stack, stuck, "resume")
    assert stack.wait_settled() == {"delivered": 401}
    assert duplicates(check_all_arrived(stack)) == 0
    assert producer.metrics()["mtc_producer_stopped_partitions"] == 0


def test_a_broker_that_confirms_nothing_at_all_is_given_up(make_stack):
    """And nothing of what was published on the way is delivered twice, or out of order."""
    stack = make_stack(producer__confirm_ms=1000)
    producer = stack.producer().wait_ready()
    wait_for(lambda: active(producer), 10, "active")
    stuck = partition_of(stack, "SR-26")
    stack.sender().wait_ready()
    assert stack.wait_settled() == {"delivered": 1}
    suspend(stack, stuck)
    try:
        for _ in range(20):
            stack.emit("SR-26")
        wait_for(lambda: producer.text().count("the broker confirms nothing") == 2, 30, "given up")
        # what was stopped gets one row at a time on a new connection, to see
        assert producer.metrics()["mtc_producer_published_total"] <= 1 + 20 + 2
    finally:
        suspend(stack, stuck, "resume")
    assert stack.wait_settled() == {"delivered": 21}
    assert duplicates(check_all_arrived(stack)) == 0


def test_an_alarm_is_no_silence_and_a_takeover_under_it_repeats_nothing(make_stack):
    """The broker has said that it takes nothing, and leaves unread what the relay has written. The
    relay waits; when it is stopped, another one can begin all the same. What the first had written
    is refused once the broker reads it."""
    stack = make_stack(producer__confirm_ms=1000)
    first = stack.producer("first", mtc_amqp_heartbeat_s=120).wait_ready()
    wait_for(lambda: active(first), 10, "the first is active")
    stack.sender().wait_ready()
    rabbit = stack.servers.rabbit
    rabbit.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        writers = Writers(stack, ["SR-25", "SR-26"], 1000).start()
        wait_for(lambda: "RabbitMQ blocks publishers" in first.text(), 20, "it is blocked")
        writers.join()
        begun = time.monotonic()
        wait_for(lambda: time.monotonic() - begun > 4, 10, "more than the time for a confirm")
        assert "confirms nothing" not in first.text()
        assert first.metrics()["mtc_producer_stopped_partitions"] == 0
        first.freeze()
        second = stack.producer("second").wait_ready()
        wait_for(lambda: active(second), 20, "the second is active")
        wait_for(lambda: second.metrics()["mtc_producer_published_total"] > 0, 20, "it has begun")
    finally:
        rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")
        first.thaw()
    assert stack.wait_settled() == {"delivered": 1000}
    assert duplicates(check_all_arrived(stack)) == 0
    assert active(first, second) == [second]


@pytest.mark.campaign
@pytest.mark.parametrize("memory_mib", [8, 64])
def test_memory_is_bounded_in_bytes(make_stack, memory_mib, record_property):
    """240 MB of large bodies wait, most of them of one machine. What is held besides the bound is
    one answer of PostgreSQL (a quarter of it and one row) and libpq's own buffer."""
    stack = make_stack(producer__memory_mib=memory_mib)
    with stack.connect() as pg:
        pg.execute("SELECT count(mtc.emit('setup', CASE n % 10 WHEN 0 THEN 'SR-25' ELSE 'SR-26'"
                   " END, 'setup.started', json_build_object('n', n, 'x', repeat('x', 4000000))))"
                   " FROM generate_series(1, 60) n")
    producer = stack.producer().wait_ready()
    most = 0

    def confirmed():
        nonlocal most
        metrics = producer.metrics()
        most = max(most, metrics["mtc_producer_unconfirmed_bytes"])
        return metrics["mtc_producer_confirmed_total"] == 60
    wait_for(confirmed, 120, "all are with the broker")
    peak = producer.rss_kib(peak=True) / 1024
    record_property("rss", f"{peak:.0f} MiB at the most, {most / 2**20:.0f} MiB unconfirmed")
    assert most <= memory_mib * 2**20
    assert peak < memory_mib + 48
