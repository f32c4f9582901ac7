"""A private RabbitMQ cluster of three nodes, and the load balancer through which programs reach
it."""
import concurrent.futures
import json

from .balancer import AMQP, Balancer
from .processes import give_away, wait_for
from .servers import Rabbit

NODES = 3
# How soon a node that is frozen is taken for gone: after 1 to 1.25 times this. Erlang's own is 60.
NET_TICK_S = 8
COOKIE = "THREENODESOFTHETESTS"
CONF = ("cluster_partition_handling = pause_minority\n"
        "queue_leader_locator = balanced\n"
        "cluster_formation.peer_discovery_backend = classic_config\n")


class Node(Rabbit):
    """One of them. Each has its own data, ports and cookie file; the first one's epmd is there for
    all."""

    def __init__(self, folder, number):
        folder.mkdir(exist_ok=True)
        super().__init__(folder)
        self.node = f"mtc{number}@localhost"
        self.is_frozen = False
        # the first knows of none, so it waits for none; the others find it
        self.extra_conf = CONF + "".join(
            f"cluster_formation.classic_config.nodes.{n} = mtc{n}@localhost\n"
            for n in sorted({1, number}))
        self.extra_erl_args = " +S 1:1 +SDio 1 +A 4"
        self.extra_advanced = f"{{kernel, [{{net_ticktime, {NET_TICK_S}}}]}},\n "

    def configure(self):
        super().configure()
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(COOKIE)
            cookie.chmod(0o400)
            give_away(cookie)

    def start_as_a_service(self):
        """A node gives up if it does not find the others as it left them; whoever runs one as a
        service starts it again."""
        for _ in range(2):
            try:
                return self.start()
            except RuntimeError:
                self.process.kill()
        return self.start()

    def freeze(self):
        self.process.freeze()
        self.is_frozen = True

    def thaw(self):
        self.process.thaw()
        self.is_frozen = False

    def answers_soon(self):
        return self.process is not None and self.process.is_running() and not self.is_frozen


class Cluster:
    """Stands where a Rabbit does: its url() leads to the first node of `nodes` that is well, and
    its api() asks the first that runs."""

    make_vhost, drop_vhost, queues = Rabbit.make_vhost, Rabbit.drop_vhost, Rabbit.queues

    def __init__(self, folder):
        folder.mkdir()
        folder.chmod(0o755)
        self.nodes = [Node(folder / str(n), n) for n in range(1, NODES + 1)]
        self.amqp = Balancer([node.port for node in self.nodes], AMQP)
        self.http = Balancer([node.management for node in self.nodes],
                             b"GET / HTTP/1.0\r\n\r\n")
        self.starts = 0

    @property
    def management(self):
        return self.http.port

    def start(self):
        first, *others = self.nodes
        first.start()
        for node in others:
            node.epmd, node.epmd_port = first.epmd, first.epmd_port
        self.start_nodes(*others)
        self.wait_whole()
        return self

    def start_nodes(self, *nodes):
        """Together: one that was the last to stop is waited for by the others."""
        self.starts += 1
        with concurrent.futures.ThreadPoolExecutor() as threads:
            for started in [threads.submit(node.start_as_a_service) for node in nodes]:
                started.result()

    def lead_to(self, *nodes):
        """New connections go to these, in their order, and then to the others."""
        order = [*nodes, *(node for node in self.nodes if node not in nodes)]
        self.amqp.ports = [node.port for node in order]
        self.http.ports = [node.management for node in order]

    def api(self, method, path, body=None, timeout=10):
        for node in self.nodes:
            if node.answers_soon():
                return node.api(method, path, body, timeout)
        raise ConnectionError("no node runs")

    def control(self, *words):
        """rabbitmqctl against the first node that runs."""
        next(node for node in self.nodes if node.answers_soon()).control(*words)

    def set_cookie(self, node, cookie):
        """What a node and the others must agree upon to talk."""
        others = ", ".join(f"'{other.node}'" for other in self.nodes if other is not node)
        node.control("eval", f"[begin erlang:set_cookie(Node, '{cookie}'),"
                             f" erlang:disconnect_node(Node) end || Node <- [{others}]].")

    def cut_off(self, node):
        """From the other nodes, as by a broken network; programs still reach it."""
        self.set_cookie(node, "OF NO OTHER")

    def rejoin(self, node):
        self.set_cookie(node, COOKIE)

    def wait_whole(self):
        """Until all nodes run, and see each other."""
        def whole():
            try:
                nodes = json.loads(self.api("GET", "/api/nodes")[1])
            except OSError:
                return False
            return (len(nodes) == NODES
                    and all(node["running"] and node.get("partitions") == [] for node in nodes))
        wait_for(whole, 60, "the cluster is whole")

    def url(self, vhost):
        return f"amqp://guest:guest@127.0.0.1:{self.amqp.port}/{vhost}"

    def end(self):
        self.amqp.stop()
        self.http.stop()
        for node in self.nodes:
            node.end()
