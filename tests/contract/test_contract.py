"""The real programs, and the simulator, against contract/*.yaml, by tools that others wrote:
Spectral for the documents, Prism for what goes over the wire."""
import http.client
import json
import subprocess
import uuid

import pytest

from lib.hooks import send, sign, status_of
from lib.prism import TOOLS
from lib.processes import wait_for
from lib.stack import ROOT


API_KEY = "the key of the shop"


def test_the_documents_are_clean():
    done = subprocess.run([TOOLS / "spectral", "lint", "-r", ROOT / "tests/contract/spectral.yaml",
                           "--fail-severity=warn", ROOT / "contract/mtconnect.yaml",
                           ROOT / "contract/webhook.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def shift(stack):
    """Setups and another event, as an application writes them."""
    with stack.connect() as pg:
        for status in ("pending_qc", "allowed", "started", "completed"):
            pg.execute("UPDATE setup_jobs SET status = %s WHERE machine_id = 2", (status,))
        pg.execute(
            "INSERT INTO setup_jobs (machine_id, employee_id, planned_quantity, status, created_at)"
            " VALUES (12, 1, 5, 'created', now())")
        pg.execute("SELECT mtc.emit('event', 'SR-26', 'shift.note', '{\"by\": 7, \"text\": "
                   "\"Ölwechsel\"}', NULL, NULL,"
                   " '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')")


def run_all(stack, base_url):
    """All four programs, with MTConnect at base_url."""
    options = {"mtc_mtconnect_base_url": base_url}
    stack.producer()
    stack.sender(**options).wait_ready()
    stack.receiver(**options)
    scheduler = stack.scheduler(**options, mtc_scheduler_period_s=1).wait_ready()
    shift(stack)
    wait_for(lambda: stack.states().get("delivered", 0) >= 6, 60, "the events are there", pause=0.2)
    assert not stack.states().get("dead"), stack.describe()
    return scheduler


def test_events_and_pulls_against_the_document_alone(stack, prism):
    """Prism plays MTConnect: it knows the document, and nothing of us."""
    mock = prism("mtconnect.yaml")
    scheduler = run_all(stack, mock.url)
    wait_for(lambda: len(stack.cycle_times()) == 16, 30, "pulled")
    assert set(stack.cycle_times().values()) == {298.2}
    assert scheduler.metrics()['mtc_scheduler_answers_total{answer="failed"}'] == 0
    receiver = stack.services[2]
    wait_for(lambda: receiver.metrics()["mtc_receiver_registered"] == 1, 30, "registered")


def test_the_mock_would_have_said_so(prism):
    """What breaks the contract is refused: the test above can fail."""
    mock = prism("mtconnect.yaml")
    event = {"machineId": "SR-26", "eventType": "setup.started",
             "timestamp": "2025-12-28T12:12:33.213Z", "data": {}}
    headers = {"Content-Type": "application/json", "X-API-Key": API_KEY,
               "X-Idempotency-Key": str(uuid.uuid4())}

    def status(body, **changes):

        connection = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=20)
        wanted = {name: value for name, value in {**headers, **changes}.items() if value}
        connection.request("POST", "/api/ext/setup", json.dumps(body), wanted)
        answer = connection.getresponse().status
        connection.close()
        return answer

    assert status(event) == 200
    assert status({"edgeGatewayId": "mtc-sync", "machines": ["SR-26"]}) == 200
    for bad in ({**event, "machineId": ""}, {**event, "machineId": 7},
                {**event, "eventType": "shift.note"}, {**event, "timestamp": "today"},
                {**event, "more": 1}, {**event, "data": []}, {"machines": ["SR-26"]}, []):
        assert status(bad) in (400, 422), bad
    assert status(event, **{"X-Idempotency-Key": None}) in (400, 422)
    assert status(event, **{"X-Idempotency-Key": "not-a-uuid"}) in (400, 422)
    assert status(event, **{"X-API-Key": None}) == 401


@pytest.mark.parametrize("mode,cycle",
                         [("plan", "plan"), ("deployed", "deployed"), ("plan", "deployed")])
def test_the_programs_and_the_simulator_keep_the_contract(make_stack, prism, mode, cycle):
    """Prism stands between them, and lets nothing pass that the document does not have, in either
    direction."""
    stack = make_stack(sim_options=["--mode", mode, "--cycle", cycle],
                       migrate_options=["--setup-endpoint", mode])
    with stack.connect() as pg:
        names = [name for name, in pg.execute("SELECT machine FROM mtc.active_machine")]
    for n, name in enumerate(names):
        stack.sim.call("POST", "/cycle",
                       {"machine": name, "cycle_time": 0 if name == "K-16" and cycle == "deployed"
                        else 50.5 + n})
    proxy = prism("mtconnect.yaml", stack.sim.url)
    scheduler = run_all(stack, proxy.url)
    wait_for(lambda: scheduler.metrics()['mtc_scheduler_answers_total{answer="unchanged"}'] >= 16,
             30, "and asked again")
    assert scheduler.metrics()['mtc_scheduler_answers_total{answer="failed"}'] == 0
    assert len(stack.cycle_times()) == (15 if cycle == "deployed" else 16)
    wait_for(lambda: stack.sim.stats()["webhooks"]["registered"] == 1, 30, "registered")
    stats = stack.sim.stats()["record"]
    assert stats["violations"] == 0 and stats["applied"] == (7 if mode == "deployed" else 6), stats


def test_web_hooks_keep_the_contract(stack, prism):
    """Simulator -> Prism -> receiver, whatever the receiver answers."""
    proxy = prism("webhook.yaml", f"http://127.0.0.1:{stack.hook_port}")
    receiver = stack.receiver(
        mtc_receiver_public_url=f"{proxy.url}/api/hooks/cycle-time").wait_ready()
    wait_for(lambda: stack.sim.stats()["webhooks"]["registered"] == 1, 30, "registered")

    def tell(**words):
        stack.sim.call("POST", "/webhook", {"machine_id": 12, "cycle_time": 20.5, **words})
        wait_for(lambda: not stack.sim.stats()["webhooks"]["under_way"], 30, "answered")

    tell(key="a")
    tell(key="a")
    tell(key="a", cycle_time=9)
    tell(machine_id="SR-26", observed_at="2026-01-01T12:00:00+03:00", signature="plain")
    tell(signature="bad")
    tell(signature="none")
    tell(machine_id="nobody")
    stack.servers.rabbit.process.freeze()
    try:
        tell()
    finally:
        stack.servers.rabbit.process.thaw()
    stats = stack.sim.stats()["webhooks"]
    # An answer that is not in the document would have been turned into a 500 by Prism: refused.
    assert {name: stats[name]
            for name in ("accepted", "duplicate", "unprocessable", "unauthorized", "unavailable",
                         "refused")} == {"accepted": 2, "duplicate": 1, "unprocessable": 2,
                                         "unauthorized": 2, "unavailable": 1, "refused": 0}, stats
    assert receiver.metrics()["mtc_receiver_seconds_count"] >= 6


def test_what_the_document_allows_the_receiver_takes(stack, prism):
    stack.receiver().wait_ready()
    mock = prism("webhook.yaml")
    good = [{"machine_id": 12, "cycle_time": 298.2}, {"machine_id": "SR-26", "cycle_time": 1},
            {"cycle_time": 0.001, "machine_id": 1}, {"machine_id": 16, "cycle_time": 86400},
            {"machine_id": 12, "cycle_time": 5e1},
            {"machine_id": 12, "cycle_time": 5, "observed_at": "2025-12-28T12:12:33.123456Z"},
            {"machine_id": 12, "cycle_time": 5, "observed_at": "2025-12-28T12:12:33-04:30"}]
    bad = [{"machine_id": 0, "cycle_time": 1}, {"machine_id": 12},
           {"machine_id": 12, "cycle_time": "5"}, {"machine_id": "", "cycle_time": 1},
           {"machine_id": 12, "cycle_time": 0}, {"machine_id": 12, "cycle_time": 86401},
           {"machine_id": 12, "cycle_time": 1, "x": 1},
           {"machine_id": 12, "cycle_time": 5, "observed_at": "today"},
           {"machine_id": 12.5, "cycle_time": 5}, [], None]
    for body, fine in [(b, True) for b in good] + [(b, False) for b in bad]:
        ours = status_of(stack, body)
        data, key = json.dumps(body).encode(), str(uuid.uuid4())
        headers = {"Content-Type": "application/json", "X-Idempotency-Key": key, **sign(data, key)}
        theirs = send(type("there", (), {"hook_port": mock.port}), data, headers)[0]
        assert (ours == 202) == fine and (theirs // 100 == 2) == fine, (body, ours, theirs)
