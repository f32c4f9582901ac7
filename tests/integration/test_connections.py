"""A sender consumes by one connection and publishes by another; each may be lost alone."""
import json
from urllib.parse import quote

import pytest

from lib.flow import Writers, add_machines, check_all_arrived, duplicates
from lib.processes import wait_for


def connections(stack, does):
    """By the end of their names, as the management UI has them."""
    status, rows = stack.servers.rabbit.api("GET", f"/api/vhosts/{stack.name}/connections")
    assert status == 200, rows
    return [row["name"] for row in json.loads(rows)
            if row.get("user_provided_name", "").endswith(does)]


def cut(stack, does):
    name, = wait_for(lambda: connections(stack, does), 20, f"a connection that {does}")
    status, text = stack.servers.rabbit.api("DELETE", f"/api/connections/{quote(name)}")
    assert status == 204, text


@pytest.mark.parametrize("does", ["consumes", "publishes"])
def test_one_of_two_connections_is_cut(make_stack, does):
    """Requests are under way and outcomes wait for company meanwhile, again and again."""
    stack = make_stack(sender__outcome_delay_ms=300)
    machines = add_machines(stack, 8)
    stack.sim.faults({"action": "delay", "ms": 40})
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    writers = Writers(stack, machines, 2400, rate=100).start()
    for n in range(3):
        goal = stack.sim.stats()["record"]["applied"] + 50
        wait_for(lambda goal=goal: stack.sim.stats()["record"]["applied"] > goal, 30, "it flows")
        cut(stack, does)
        wait_for(lambda n=n: sender.text().count("lost RabbitMQ") > n, 20, "it noticed")
    writers.join()
    stack.wait_settled()
    assert duplicates(check_all_arrived(stack)) == 0, "sent keys were written, and found"
    assert sender.ready() and len(connections(stack, "sender-2 consumes")) == 1
