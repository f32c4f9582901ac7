"""The deployed MTConnect: /setup registers a gateway's machines, setup events go to /event."""
import json

from lib.flow import check_all_arrived
from lib.processes import wait_for


def registrations(stack):
    return [json.loads(row["type"]) for row in stack.sim.record() if row["machine"] == "plant-7"
            and row["applied"]]


def test_deployed_setting(make_stack):
    stack = make_stack(sim_options=("--mode", "deployed"),
                       migrate_options=("--setup-endpoint", "deployed", "--gateway-id", "plant-7"))
    stack.producer()
    stack.sender().wait_ready()
    first = wait_for(lambda: registrations(stack), 20, "the gateway registers")
    assert len(first) == 1 and len(first[0]) == 16 and "SR-26" in first[0]
    with stack.connect() as pg:
        pg.execute("UPDATE setup_jobs SET status = 'completed' WHERE machine_id = 1")
        pg.execute("UPDATE machines SET is_active = false WHERE name = 'XD-20'")
        pg.execute("UPDATE machines SET notes = 'changes nothing'")
    second = wait_for(lambda: registrations(stack)[1:], 20, "it registers again")
    assert len(second) == 1 and sorted(set(first[0]) - set(second[0])) == ["XD-20"]
    with stack.connect() as pg:
        pg.execute("INSERT INTO mtc.machine_name VALUES (13, 'B-38')")
    third = wait_for(lambda: registrations(stack)[2:], 20, "a changed name counts")
    assert "B-38" in third[0] and "BT-38" not in third[0]
    stack.wait_settled()
    check_all_arrived(stack)
    assert [row["type"] for row in stack.sim.record()
            if row["machine"] == "SR-25"] == ["setup.completed"]


def test_the_simulator_refuses_the_other_setting(make_stack):
    """plan against a deployed service: refused loudly, nothing silently lost."""
    stack = make_stack(sim_options=("--mode", "deployed"), sender__retry_delays_s='"0.05"')
    stack.producer()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("UPDATE setup_jobs SET status = 'completed' WHERE machine_id = 1")
    wait_for(lambda: "machines that wait" in stack.ctl("status"), 30, "status says that it waits")
    assert stack.states() == {"published": 1}
