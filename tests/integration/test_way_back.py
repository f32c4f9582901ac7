"""The ways back of docs/operations.md: a restored PostgreSQL, a flushed Redis, a new RabbitMQ."""
import json
import subprocess

import psycopg

from lib.flow import Writers, add_machines, check_all_arrived, duplicates, wait_emptied
from lib.processes import wait_for

QUICK = {"producer__reconcile_s": 1, "amqp__heartbeat_s": 1}


def total(metric, *services):
    return sum(service.metrics()[f"mtc_{metric}_total"] for service in services)


def pause(stack, sender):
    stack.ctl("pause")
    wait_for(lambda: sender.metrics()["mtc_sender_paused"] == 1, 10, "paused")


def dump(stack):
    """As a backup is made: of the whole database, while everything runs."""
    path = stack.folder / "backup"
    subprocess.run([f"{stack.servers.postgres.bin}/pg_dump", "-Fc", "-f", path, "-d",
                    stack.servers.postgres.conninfo(stack.name)], check=True)
    return path


def restore(stack, path):
    with psycopg.connect(stack.servers.postgres.conninfo("postgres"), autocommit=True) as pg:
        pg.execute(f"DROP DATABASE {stack.name} WITH (FORCE)")
        pg.execute(f"CREATE DATABASE {stack.name}")
    subprocess.run([f"{stack.servers.postgres.bin}/pg_restore", "-d",
                    stack.servers.postgres.conninfo(stack.name), path], check=True)


def exchanges(stack):
    _, text = stack.servers.rabbit.api("GET", f"/api/exchanges/{stack.name}")
    return {one["name"] for one in json.loads(text) if one["name"].startswith("mtc.relay.")}


def test_postgresql_is_restored_from_a_backup(make_stack):
    """At the backup some events were delivered, some published, some waiting. Since then all of
    them were delivered, and so were some that the backup does not know; one is in a partition."""
    stack = make_stack(**QUICK)
    machines = add_machines(stack, 8)
    producer = stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    Writers(stack, machines, 80).start().join()
    assert stack.wait_settled() == {"delivered": 80}
    pause(stack, sender)
    Writers(stack, machines, 80).start().join()
    wait_for(lambda: stack.states() == {"delivered": 80, "published": 80}, 30, "published")
    producer.kill()
    Writers(stack, machines, 40).start().join()
    backup = dump(stack)
    known = stack.outbox_order()

    producer.start().wait_ready()
    stack.ctl("resume")
    assert stack.wait_settled() == {"delivered": 200}
    with stack.connect() as pg:
        unknown = {stack.emit(machine, pg=pg) for machine in machines}
    assert stack.wait_settled() == {"delivered": 208}
    for _ in range(3):  # terms the backup knows nothing of
        producer.kill()
        producer.start().wait_ready()
        wait_for(lambda: producer.metrics()["mtc_producer_active"] == 1, 20, "active")
    pause(stack, sender)
    waiting = stack.emit(machines[0])
    wait_for(lambda: stack.states().get("published") == 1, 30, "published")
    of_old = wait_for(lambda: exchanges(stack), 20, "the term's exchange")
    applied = stack.sim.stats()["record"]["applied"]
    assert applied == 208

    assert "a relay is active" in stack.ctl("restored", status=1)
    producer.stop()
    restore(stack, backup)
    assert "up to date" in stack.ctl("migrate", "--adapter", "production_tracking")
    assert json.loads(stack.ctl("restored", "--json")) == {"waiting": 40, "published": 80}
    producer.start().wait_ready()
    stack.ctl("resume")

    assert stack.wait_settled(90) == {"delivered": 200}
    new = [stack.emit(machine) for machine in machines]
    assert stack.wait_settled(90) == {"delivered": 208}
    record = stack.sim.stats()["record"]
    assert duplicates(record) == 0 and record["applied"] == applied + 1 + len(new)
    assert total("sender_skipped", sender) == 120
    arrived = stack.sim.applied()
    for machine, keys in known.items():
        assert [key for key in arrived[machine] if key in keys] == keys
        rest = [key for key in arrived[machine] if key not in keys]
        assert all(key in unknown or key == waiting or key in new for key in rest)
    with stack.connect() as pg:
        terms = pg.execute("SELECT value::bigint FROM mtc.setting WHERE name = 'relay_term'")
        assert terms.fetchone()[0] > max(int(name.rpartition(".")[2]) for name in of_old)
        assert pg.execute("SELECT min(id) FROM mtc.outbox WHERE event_id = ANY (%s)",
                          (new,)).fetchone()[0] > 10 ** 7
    assert exchanges(stack).isdisjoint(of_old)
    assert "every event is accounted for" in stack.ctl("audit")
    wait_emptied(stack)


def test_redis_is_flushed_on_purpose(make_stack):
    """Nothing is half done when it is flushed, so nothing is done twice."""
    stack = make_stack(**QUICK)
    machines = add_machines(stack, 16)
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    writers = Writers(stack, machines, 1000, rate=200).start()
    wait_for(lambda: stack.sim.stats()["record"]["applied"] > 100, 30, "flow")
    pause(stack, sender)

    def is_at_rest():
        status = json.loads(stack.ctl("status", "--json"))
        queues = {queue["name"]: queue for queue in status["rabbitmq"]["queues"]}
        return (sender.metrics()["mtc_sender_in_flight"] == 0
                and all(one.get("in_flight", 0) == 0 for one in status["programs"])
                and queues["mtc.outcomes"]["ready"] == 0)
    wait_for(is_at_rest, 30, "nothing is in flight, and no outcome waits")
    stack.empty_redis()
    stack.ctl("resume")
    writers.join()
    assert stack.wait_settled() == {"delivered": 1000}
    assert duplicates(check_all_arrived(stack)) == 0


def test_redis_is_lost_at_the_worst_moment(make_stack):
    """The sender is killed with outcomes untold, and the sent keys are gone: MTConnect is asked
    again, with the same keys, and applies nothing twice."""
    stack = make_stack(**QUICK, sender__outcome_delay_ms=5000, sender__outcome_batch=5000)
    machines = add_machines(stack, 8)
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    Writers(stack, machines, 200).start().join()
    wait_for(lambda: sender.metrics()["mtc_sender_delivered_total"] == 200, 30, "answers read")
    sender.kill()
    stack.empty_redis()
    stack.sender(mtc_sender_outcome_delay_ms=10).wait_ready()
    assert stack.wait_settled() == {"delivered": 200}
    assert 0 < duplicates(check_all_arrived(stack)) <= 200


def test_rabbitmq_is_made_anew(make_stack):
    """All of it: events in partitions, outcomes, dead letters, a pause. The programs run on."""
    stack = make_stack(**QUICK, sender__retry_delays_s='"0.1,0.1,0.1,0.1"')
    machines = add_machines(stack, 16)
    producer = stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    stack.sim.faults({"action": "status", "status": 422})
    dead = stack.emit(machines[0])
    wait_for(lambda: stack.states() == {"dead": 1}, 30, "dead")
    stack.sim.faults()
    pause(stack, sender)
    Writers(stack, machines, 160).start().join()
    wait_for(lambda: stack.states() == {"dead": 1, "published": 160}, 30, "published")
    stack.servers.rabbit.drop_vhost(stack.name)
    stack.servers.rabbit.make_vhost(stack.name)
    assert stack.wait_settled(90) == {"dead": 1, "delivered": 160}
    assert total("producer_lost", producer) == 160
    assert duplicates(check_all_arrived(stack, dead=1)) == 0
    assert dead in stack.ctl("audit", status=1)
    assert dead in stack.ctl("events", "--state", "dead")
    stack.ctl("replay", "--id", dead)
    wait_for(lambda: dead in stack.sim.applied()[machines[0]], 30, "replayed")
