"""Bodies nobody should send: each ends as a clear dead letter and costs nothing else."""
import json

import pika
import pytest

from lib.flow import wait_emptied
from lib.processes import wait_for
from lib.stack import QUICK_RETRIES


def publish(stack, body, headers=None, message_id="11111111-2222-3333-4444-555555555555",
            **properties):
    """Past the outbox, straight to the exchange."""
    parameters = pika.URLParameters(stack.servers.rabbit.url(stack.name))
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    headers = {"machine": "SR-26", "path": "/api/ext/setup"} if headers is None else headers
    channel.basic_publish("mtc.partitions", "mtc.events.0", body, mandatory=True,
                          properties=pika.BasicProperties(content_type="application/json",
                                                          delivery_mode=2, message_id=message_id,
                                                          headers=headers, **properties))
    connection.close()


def dead_letter(stack):
    letters = wait_for(stack.dead_letters, 20, "a dead letter")
    wait_emptied(stack)
    assert len(letters) == 1
    return letters[0]


def event(data):
    return (b'{"machineId":"SR-26","eventType":"setup.started",'
            b'"timestamp":"2025-12-28T12:12:33Z","data":' + data + b"}")


@pytest.mark.parametrize("name,body,status", [
    ("NUL", event(b'{"a":"x\x00y"}'), 400),
    ("escaped NUL", event(b'{"a":"x\\u0000y"}'), 400),
    ("1 MiB", event(b'{"a":"' + b"x" * (1 << 20) + b'"}'), 413),
    ("invalid UTF-8", event(b'{"a":"\xff\xfe"}'), 400),
    ("deeply nested", event(b'{"a":' + b"[" * 20000 + b"]" * 20000 + b"}"), 400),
    ("no JSON", b"hello", 400),
    ("empty", b"", 400),
    ("an array", b"[]", 400),
])
def test_bad_body_is_a_dead_letter_and_the_next_event_goes_on(make_stack, name, body, status):
    stack = make_stack(**QUICK_RETRIES)
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    publish(stack, body)
    good = stack.emit("SR-26")
    stack.wait_settled()
    letter = dead_letter(stack)
    headers = letter["properties"]["headers"]
    assert headers["reason"] == f"5 attempts failed, the last: HTTP {status}"
    assert headers["attempts"] == 5
    assert headers["response"]
    assert letter["payload_bytes"] == len(body)
    assert [row["key"] for row in stack.sim.record() if row["applied"]] == [good]
    assert sender.is_running()


@pytest.mark.parametrize("name,headers,message_id,reason", [
    ("no machine", {"path": "/api/ext/setup"}, "k1", "header machine"),
    ("no path", {"machine": "SR-26"}, "k1", "header path"),
    ("a path elsewhere", {"machine": "SR-26", "path": "http://evil/"}, "k1", "header path"),
    ("header injection", {"machine": "SR-26", "path": "/api/ext/setup HTTP/1.1\r\nX: y"}, "k1",
     "header path"),
    ("no key", {"machine": "SR-26", "path": "/api/ext/setup"}, None, "message_id"),
    ("a key with a line end", {"machine": "SR-26", "path": "/api/ext/setup"}, "a\r\nb",
     "message_id"),
    ("nothing at all", {}, None, "message_id"),
])
def test_bad_envelope_is_a_dead_letter(stack, name, headers, message_id, reason):
    stack.producer().wait_ready()
    sender = stack.sender().wait_ready()
    publish(stack, b"{}", dict(headers, mine="kept"), message_id)
    letter = dead_letter(stack)
    assert reason in letter["properties"]["headers"]["reason"]
    assert letter["properties"]["headers"]["mine"] == "kept"
    assert sender.is_running() and stack.sim.record() == []


def test_large_and_odd_payloads_through_the_outbox(make_stack):
    """As above, by way of mtc.emit: the application's transaction succeeds whatever it says."""
    stack = make_stack(**QUICK_RETRIES)
    stack.producer()
    stack.sender().wait_ready()
    big = stack.emit("SR-26", data=json.dumps({"a": "x" * (1 << 20)}))
    nul = stack.emit("SR-26", data='{"a":"\\u0000"}')
    huge = stack.emit("SR-26", data=json.dumps({"a": "x" * (9 << 20)}))
    good = stack.emit("SR-26", data='{"a":"äöü 漢字 \\"quoted\\""}')
    assert stack.wait_settled() == {"dead": 3, "delivered": 1}
    with stack.connect() as pg:
        reasons = dict(pg.execute("SELECT event_id::text, reason FROM mtc.event"
                                  " WHERE state = 'dead'").fetchall())
    assert "the last: HTTP 413" in reasons[big] and "the last: HTTP 400" in reasons[nul]
    assert "larger than 8 MiB" in reasons[huge]
    buried = {letter["properties"]["message_id"] for letter in stack.dead_letters()}
    assert buried == {big, nul, huge}
    assert [row["key"] for row in stack.sim.record() if row["applied"]] == [good]
    wait_emptied(stack)


def test_unformed_events_are_recorded_not_raised(stack):
    stack.producer()
    stack.sender().wait_ready()
    with stack.connect() as pg:
        pg.execute("ALTER TABLE setup_jobs DROP CONSTRAINT setup_jobs_machine_id_fkey")
        pg.execute("INSERT INTO setup_jobs (machine_id, status) VALUES (4711, 'queued')")
        pg.execute("INSERT INTO setup_jobs (machine_id, status) VALUES (NULL, NULL)")
        pg.execute("SELECT mtc.emit('setup', 'B-38', 'setup.started', '{}')")
        pg.execute("SELECT mtc.emit('elsewhere', 'SR-26', 'setup.started', '{}')")
        pg.execute("SELECT mtc.emit('setup', 'SR-26', NULL, '{}')")
        pg.execute("SELECT mtc.emit('setup', 'SR-26', 'setup.started', '[1]')")
        pg.execute("SELECT mtc.emit('setup', NULL, 'setup.started', '{}')")
    assert stack.wait_settled() == {"dead": 7}
    with stack.connect() as pg:
        reasons = [reason for (reason,) in pg.execute("SELECT reason FROM mtc.event ORDER BY id")]
    for reason, wanted in zip(reasons,
                              ["machine number 4711 is not in machines", "machine number NULL",
                               "'B-38' is unknown", "'elsewhere' goes nowhere", "type is missing",
                               "payload is no JSON object", "machine is missing"]):
        assert wanted in reason
    assert len(stack.dead_letters()) == 7 and stack.sim.record() == []
