"""A RabbitMQ of three nodes, reached through a load balancer: what is lost with a node is nothing
but time."""
import json
import os

import pytest

from lib.cluster import NODES, Cluster
from lib.flow import Writers, add_machines, check_all_arrived, duplicates
from lib.processes import wait_for
from lib.servers import Servers
from lib.stack import ROOT

pytestmark = pytest.mark.campaign


@pytest.fixture(scope="module")
def servers():
    """As in lib/fixtures.py, with a cluster in the place of the one broker."""
    if os.environ.get("MTC_TEST_RABBIT"):
        pytest.skip("a cluster of our own, not the broker of others")
    private = Servers()
    private.rabbit = Cluster(private.folder / "cluster")
    try:
        yield private.start()
    finally:
        private.stop()


@pytest.fixture
def cluster(servers):
    """Whole, and programs are led to the first of its nodes."""
    yield servers.rabbit
    for node in servers.rabbit.nodes:
        assert node.answers_soon(), node.node
    servers.rabbit.wait_whole()
    servers.rabbit.lead_to()


def connections(producer):
    return producer.text().count("connected to RabbitMQ")


def partitions(stack):
    return {name: queue for name, queue in stack.servers.rabbit.queues(stack.name).items()
            if name.startswith("mtc.events.")}


def start_flow(stack, events, rate):
    writers = Writers(stack, add_machines(stack, 16), events, rate=rate).start()
    wait_for(lambda: stack.sim.stats()["record"]["applied"] > 100, 30, "the flow has begun")
    return writers


def test_every_queue_has_three_members(stack, cluster):
    stack.producer().wait_ready()
    queues = {name: queue for name, queue in cluster.queues(stack.name).items()
              if queue["durable"]}  # the others end with the program they belong to
    assert len(queues) >= 8 + 5
    for name, queue in queues.items():
        assert queue["type"] == "quorum", name
        assert sorted(queue["members"]) == [node.node for node in cluster.nodes], name
    leaders = {queue["leader"] for queue in partitions(stack).values()}
    assert len(leaders) == NODES, "no node leads them all"


def test_a_node_that_is_killed_loses_nothing(stack, cluster):
    """Programs are connected to it, and it leads some partitions. They go on with another node
    while it is away."""
    first = cluster.nodes[0]
    producer = stack.producer().wait_ready()
    stack.sender().wait_ready()
    assert first.node in {queue["leader"] for queue in partitions(stack).values()}
    writers = start_flow(stack, 1000, 200)
    first.crash()
    try:
        writers.join()
        assert stack.wait_settled() == {"delivered": 1000}
        assert duplicates(check_all_arrived(stack)) == 0
        assert connections(producer) > 1
    finally:
        cluster.start_nodes(first)


def set_members(cluster, queue, nodes, verb):
    """Has a queue's members on some nodes do nothing, or do their work again."""
    process = f"{queue['vhost']}_{queue['name']}"
    nodes = ", ".join(f"'{node}'" for node in nodes)
    cluster.control("eval", f"[ok = sys:{verb}({{'{process}', Node}}) || Node <- [{nodes}]].")


def partition_of(stack, machine):
    """Where its events go: the one queue that has something after one of them."""
    stack.emit(machine)
    return wait_for(lambda: [queue for queue in partitions(stack).values()
                             if queue.get("messages")], 20, "in its partition")[0]


def test_a_partition_without_a_majority_stops_alone(make_stack, cluster):
    """Its leader takes events and can't confirm them: both followers do nothing."""
    stack = make_stack(producer__window=40)
    producer = stack.producer().wait_ready()
    stuck = partition_of(stack, "SR-26")
    stack.sender().wait_ready()
    assert stack.wait_settled() == {"delivered": 1}
    lost = [node for node in stuck["members"] if node != stuck["leader"]]
    set_members(cluster, stuck, lost, "suspend")
    try:
        for n in range(100):  # more than twice the window
            stack.emit("SR-26")
            stack.emit("SR-25")
            if n == 20:
                wait_for(lambda: producer.metrics()["mtc_producer_stopped_partitions"] == 1, 30,
                         "one is stopped")
        wait_for(lambda: stack.states().get("delivered") == 101, 30, "the others go on")
        assert stack.states()["waiting"] == 100
        assert connections(producer) == 1
        assert f"its events wait queue={stuck['name']}" in producer.text().replace('"', "")
    finally:
        set_members(cluster, stuck, lost, "resume")
    assert stack.wait_settled() == {"delivered": 201}
    assert duplicates(check_all_arrived(stack)) == 0
    assert producer.metrics()["mtc_producer_stopped_partitions"] == 0


def finding(stack, what):
    """Its verdict and detail, of doctor."""
    told = json.loads(stack.ctl("doctor", "--json", status=None))
    return next(((found["verdict"], found["detail"]) for found in told if found["what"] == what),
                None)


def test_without_two_nodes_everything_waits(make_stack, cluster):
    """The first is ended, and programs go on with the last. The second is killed: then the last has
    no majority, and pauses."""
    # doctor asks the cycle time of a machine
    stack = make_stack(sim_options=["--cycle-times", str(ROOT / "demo/cycle-times.json")])
    first, second, last = cluster.nodes
    cluster.lead_to(first, last)
    producer = stack.producer().wait_ready()
    stack.sender().wait_ready()
    writers = start_flow(stack, 1600, 100)
    first.stop()
    try:
        wait_for(lambda: connections(producer) > 1, 60, "connected to the last")
        wait_for(lambda: stack.states().get("delivered", 0) > 800, 60, "it goes on")
        second.crash()
        wait_for(lambda: producer.text().count("lost RabbitMQ") > 1, 60, "the last pauses")
        confirmed = producer.metrics()["mtc_producer_confirmed_total"]
        writers.join()
        assert producer.metrics()["mtc_producer_confirmed_total"] == confirmed
        assert stack.states()["waiting"] > 0
        assert not producer.ready()
        assert finding(stack, "RabbitMQ")[0] == "ill"
        assert "RabbitMQ    DOWN" in stack.ctl("status", status=1)
    finally:
        cluster.start_nodes(first, second)
    assert stack.wait_settled() == {"delivered": 1600}
    assert duplicates(check_all_arrived(stack)) == 0


def test_a_node_cut_off_from_the_others_is_left(stack, cluster):
    """Programs are connected to it. It pauses, being the minority, and they go on with another; it
    comes back by itself."""
    first = cluster.nodes[0]
    producer = stack.producer().wait_ready()
    stack.sender().wait_ready()
    writers = start_flow(stack, 1600, 100)
    cluster.cut_off(first)
    try:
        wait_for(lambda: connections(producer) > 1, 60, "connected to another")
        writers.join()
        assert stack.wait_settled() == {"delivered": 1600}
        assert duplicates(check_all_arrived(stack)) == 0
    finally:
        cluster.rejoin(first)


def seen_by_second(cluster, node):
    """Whether a node runs, as the second node sees it, or the word "partitioned"."""
    told = {told["name"]: told for told in json.loads(cluster.nodes[1].api("GET", "/api/nodes")[1])}
    if node.node in told[cluster.nodes[1].node]["partitions"]:
        return "partitioned"
    return told[node.node]["running"]


def test_a_frozen_node_is_gone_around(make_stack, cluster):
    """It leads some partitions, and programs are connected to it: its kernel takes what they send,
    and nobody answers. They find another node while it is frozen. What it had unread comes to
    nothing when it wakes."""
    first = cluster.nodes[0]
    stack = make_stack(producer__confirm_ms=3000)
    producer = stack.producer().wait_ready()
    stack.sender().wait_ready()
    machines = add_machines(stack, 16)
    Writers(stack, machines, 200).start().join()
    assert stack.wait_settled() == {"delivered": 200}
    first.freeze()
    try:
        Writers(stack, machines, 200).start().join()
        wait_for(lambda: producer.metrics()["mtc_producer_published_total"] == 400, 20, "unread")
        assert stack.wait_settled(120) == {"delivered": 400}
        wait_for(lambda: not seen_by_second(cluster, first), 60, "it is taken for gone")
    finally:
        first.thaw()
    # With Mnesia it comes back with a view of its own, and an operator restarts it.
    if wait_for(lambda: seen_by_second(cluster, first), 60, "it is back") == "partitioned":
        first.stop()
        cluster.start_nodes(first)
    cluster.wait_whole()
    for machine in ("SR-25", "SR-26"):
        stack.emit(machine)
    assert stack.wait_settled() == {"delivered": 402}
    assert duplicates(check_all_arrived(stack)) == 0
