"""What a sender holds is bounded in bytes, and nothing of it is lost or overtaken by that."""
import pytest

from lib.flow import add_machines, check_all_arrived, duplicates
from lib.processes import wait_for

MIB = 2 ** 20
LARGE = {"sim_options": ("--body-limit", "16000000"),
         "mtconnect__timeout_ms": 30000}  # large bodies take their time on a busy machine
DOWN = {"action": "status", "status": 503}


def emit_large(stack, count, megabytes, machines=("SR-26", "SR-25")):
    """One after the other; of two machines the first has nine of ten."""
    with stack.connect() as pg:
        pg.execute("SELECT count(mtc.emit('setup', (%(machines)s::text[])[CASE WHEN %(number)s <> 2"
                   " THEN 1 + n %% %(number)s WHEN n %% 10 = 0 THEN 2 ELSE 1 END], 'setup.started',"
                   " json_build_object('n', n, 'x', repeat('x', %(size)s))))"
                   " FROM generate_series(1, %(count)s) n",
                   {"machines": list(machines), "number": len(machines), "count": count,
                    "size": int(megabytes * 1e6)})


def stands_in_broker(stack, count):
    producer = stack.producer().wait_ready()
    wait_for(lambda: producer.metrics()["mtc_producer_confirmed_total"] == count, 180,
             "all are with the broker")


def is_full(sender):
    return sender.metrics()["mtc_sender_unread"] == 1


def settles(stack, count):
    assert stack.wait_settled(120) == {"delivered": count}
    assert duplicates(check_all_arrived(stack)) == 0, stack.describe()


def holds_all_it_may(stack):
    """A sender that reads nothing more, since MTConnect takes nothing, and no body can be put
    aside: each is its machine's first."""
    emit_large(stack, 16, 1.0, add_machines(stack, 16))
    stack.sim.faults(DOWN)
    stands_in_broker(stack, 16)
    sender = stack.sender().wait_ready()
    wait_for(lambda: is_full(sender), 60, "the sender reads nothing more")
    return sender


@pytest.mark.campaign
@pytest.mark.parametrize("memory_mib", [16, 64])
def test_what_a_sender_holds_is_bounded_in_bytes(make_stack, memory_mib, record_property):
    """600 MB wait, most of one machine, and MTConnect is slow: each answer takes a second at first.
    Beside the bound there is one event at most, and what the program takes by itself."""
    stack = make_stack(sender__memory_mib=memory_mib, **LARGE)
    emit_large(stack, 150, 4)
    stack.sim.faults({"action": "delay", "ms": 1000})
    stands_in_broker(stack, 150)
    sender = stack.sender().wait_ready()
    wait_for(lambda: is_full(sender), 60, "the sender reads nothing more")
    stack.sim.faults({"action": "delay", "ms": 50})
    most = 0

    def delivered():
        nonlocal most
        metrics = sender.metrics()
        most = max(most, metrics["mtc_sender_held_bytes"])
        return metrics["mtc_sender_delivered_total"] >= 150
    wait_for(delivered, 240, "all are delivered")
    peak = sender.rss_kib(peak=True) / 1024
    record_property("rss", f"{peak:.0f} MiB at the most, {most / MIB:.0f} MiB held")
    settles(stack, 150)
    assert most < memory_mib * MIB + 4.1e6
    assert peak < memory_mib + 32, sender.text()[-2000:]


def test_a_body_larger_than_the_bound_goes_alone(make_stack):
    stack = make_stack(sender__memory_mib=1, **LARGE)
    emit_large(stack, 12, 3)
    stands_in_broker(stack, 12)
    sender = stack.sender().wait_ready()
    settles(stack, 12)
    assert sender.metrics()["mtc_sender_reading_stopped_total"] >= 11


def test_a_sender_that_reads_nothing_keeps_its_connection(make_stack):
    """For many times the heartbeat, and less than RabbitMQ lets a write wait."""
    stack = make_stack(sender__memory_mib=2, amqp__heartbeat_s=1, **LARGE)
    sender = holds_all_it_may(stack)
    stops = sender.metrics()["mtc_sender_reading_stopped_total"]
    with pytest.raises(TimeoutError):
        wait_for(lambda: not sender.ready() or not is_full(sender), 12, "it reads on")
    assert sender.metrics()["mtc_sender_reading_stopped_total"] == stops
    stack.sim.faults()
    settles(stack, 16)
    assert "lost RabbitMQ" not in sender.text()


def test_a_sender_that_reads_nothing_for_long_hands_back(make_stack):
    """RabbitMQ would reset the connection after 30 s."""
    stack = make_stack(sender__memory_mib=2, **LARGE)
    sender = holds_all_it_may(stack)
    wait_for(lambda: "for want of memory" in sender.text(), 60, "it hands back")
    wait_for(lambda: sender.ready() and is_full(sender), 60, "and holds as much again")
    stack.sim.faults()
    settles(stack, 16)
    assert "lost RabbitMQ" not in sender.text()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_sender_that_reads_nothing_may_go_at_any_time(make_stack, how):
    stack = make_stack(sender__memory_mib=2, **LARGE)
    sender = holds_all_it_may(stack)
    getattr(sender, how)()
    stack.sim.faults()
    stack.sender("next").wait_ready()
    stack.wait_settled(120)
    # A killed sender costs at most its requests in flight: one for each event that had come.
    assert duplicates(check_all_arrived(stack)) <= (4 if how == "kill" else 0)


def test_a_machine_that_waits_does_not_hold_up_the_others(make_stack):
    """All the bytes are its own. Its bodies go, its events stay, and when it is taken again they
    come anew, in order."""
    stack = make_stack(sender__memory_mib=4, **LARGE)
    machines = add_machines(stack, 8)
    waits, others = machines[0], machines[1:]
    stack.sim.call("POST", "/cycle", {"machine": "SR-25", "cycle_time": 1})  # doctor asks for it
    stack.sim.faults({**DOWN, "machine": waits})
    emit_large(stack, 30, 1.0, [waits])
    emit_large(stack, 70, 0.001, others)
    stands_in_broker(stack, 100)
    sender = stack.sender().wait_ready()
    wait_for(lambda: sum(len(keys) for keys in stack.sim.applied().values()) == 70, 60,
             "the others' events are delivered")
    wait_for(lambda: sender.metrics()["mtc_sender_held"] == 30, 30, "it has read all there is")
    metrics = sender.metrics()
    assert metrics["mtc_sender_aside"] >= 26 and metrics["mtc_sender_unread"] == 0
    assert metrics["mtc_sender_held_bytes"] < 4 * MIB
    told = stack.ctl("status")
    assert f"most by machine {waits} (28 MiB)" in told and "events put aside" in told, told
    assert f"events aside, most of machine {waits}" in stack.ctl("doctor", status=None)
    stack.sim.faults()
    settles(stack, 100)
    assert "the next event was put aside" in sender.text()


def test_an_alarm_while_events_are_held(make_stack, servers):
    """Outcomes can't be published, so partitions can't be acked; what is held is bounded, and comes
    once and in order when the alarm is over."""
    stack = make_stack(sender__memory_mib=2, **LARGE)
    emit_large(stack, 30, 0.4)
    stack.sim.faults({"action": "delay", "ms": 20})
    stands_in_broker(stack, 30)
    servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        sender = stack.sender()
        wait_for(lambda: "blocks publishers" in sender.text() or sender.ready(), 30, "it is there")
    finally:
        servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")
    sender.wait_ready()
    wait_for(lambda: stack.sim.stats()["record"]["applied"] >= 3, 30, "it flows")
    servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        wait_for(lambda: is_full(sender) or sender.metrics()["mtc_sender_held"] == 0, 30,
                 "it holds what it may")
    finally:
        servers.rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")
    settles(stack, 30)
