"""Every malformed web-hook gets the right 4xx, which names what is wrong; nothing comes of it."""
import json
import time

import pytest

from lib.hooks import keys, post, send, sign, sign_plain, waiting
from lib.processes import wait_for

GOOD = {"machine_id": 12, "cycle_time": 298.2}


def body(**changes):
    """The good one, changed; a member of None goes."""
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not None}


FUTURE = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))

# body, status, field
BODIES = [
    # no JSON
    ("", 400, "body"), ("{", 400, "body"), ("hello", 400, "body"),
    ("{'machine_id': 12}", 400, "body"),
    ('{"machine_id": 12, "cycle_time": 298.2,}', 400, "body"),
    ('{"machine_id": 12 "cycle_time": 1}', 400, "body"),
    ('{"machine_id": 12, "cycle_time": 298.2} {}', 400, "body"),
    ('{"machine_id": 12, "cycle_time": NaN}', 400, "body"),
    ('{"machine_id": 12, "cycle_time": Infinity}', 400, "body"),
    ('{"machine_id": 12, "cycle_time": 1e999}', 400, "body"),
    ('{"machine_id": 12, "cycle_time": 01}', 400, "body"),
    ('{"machine_id": 012, "cycle_time": 1}', 400, "body"),
    ('{"machine_id": 12, "cycle_time": 0x10}', 400, "body"),
    ('{"machine_id": 12, "cycle_time": 1.}', 400, "body"),
    ('{"machine_id": 12, "machine_id": 13, "cycle_time": 1}', 400, "body"),
    ('{"machine_id": 12, "cycle_time": 1, "cycle_time": 1}', 400, "body"),
    ('{"machine_id": "SR\\u0000-26", "cycle_time": 1}', 400, "body"),
    (b'{"machine_id": "\xff\xfe", "cycle_time": 1}', 400, "body"),
    (b'\x00\x01\x02', 400, "body"), ("[" * 5000, 400, "body"),
    ('{"machine_id": 99999999999999999999, "cycle_time": 1}', 400, "body"),
    ("\ufeff" + json.dumps(GOOD), 400, "body"),
    # JSON, but no object
    ("null", 422, "body"), ("12", 422, "body"), ('"SR-26"', 422, "body"), ("[]", 422, "body"),
    ("true", 422, "body"),
    (json.dumps([GOOD]), 422, "body"),
    # machine_id
    (body(machine_id=None), 422, "machine_id"),
    ('{"machine_id": null, "cycle_time": 1}', 422, "machine_id"),
    (body(machine_id=0), 422, "machine_id"), (body(machine_id=-1), 422, "machine_id"),
    (body(machine_id=12.0), 422, "machine_id"), (body(machine_id=True), 422, "machine_id"),
    (body(machine_id=""), 422, "machine_id"), (body(machine_id="x" * 201), 422, "machine_id"),
    (body(machine_id="SR-26\n"), 422, "machine_id"),
    (body(machine_id=["SR-26"]), 422, "machine_id"),
    (body(machine_id={"id": 12}), 422, "machine_id"), (body(machine_id=2**31), 422, "machine_id"),
    (body(machine_id="B-38"), 422, "machine_id"), (body(machine_id=9999), 422, "machine_id"),
    (body(machine_id="12"), 422, "machine_id"), (body(machine_id="sr-26"), 422, "machine_id"),
    # cycle_time
    (body(cycle_time=None), 422, "cycle_time"),
    ('{"machine_id": 12, "cycle_time": null}', 422, "cycle_time"),
    (body(cycle_time="298.2"), 422, "cycle_time"), (body(cycle_time=0), 422, "cycle_time"),
    (body(cycle_time=-1), 422, "cycle_time"), (body(cycle_time=0.0004), 422, "cycle_time"),
    (body(cycle_time=86401), 422, "cycle_time"), (body(cycle_time=1e300), 422, "cycle_time"),
    (body(cycle_time=False), 422, "cycle_time"), (body(cycle_time=[1]), 422, "cycle_time"),
    ('{"machine_id": 12, "cycle_time": -0.0}', 422, "cycle_time"),
    # observed_at
    (body(observed_at=1766923953), 422, "observed_at"),
    (body(observed_at="yesterday"), 422, "observed_at"),
    (body(observed_at=""), 422, "observed_at"),
    (body(observed_at="2025-12-28"), 422, "observed_at"),
    (body(observed_at="2025-12-28T12:12:33"), 422, "observed_at"),
    (body(observed_at="2025-02-29T12:12:33Z"), 422, "observed_at"),
    (body(observed_at="1999-12-31T23:59:59Z"), 422, "observed_at"),
    (body(observed_at=FUTURE), 422, "observed_at"),
    ('{"machine_id": 12, "cycle_time": 1, "observed_at": null}', 422, "observed_at"),
    # what the contract does not have
    (body(cycleTime=1), 422, "cycleTime"), (body(machineId="SR-26"), 422, "machineId"),
    (body(note="hi"), 422, "note"),
]


def test_the_table_is_long_enough():
    assert len(BODIES) >= 40


def test_bodies(stack):
    receiver = stack.receiver().wait_ready()
    wrong = []
    for text, status, field in BODIES:
        got, headers, answer = post(stack, text)
        if got != status or answer["field"] != field or answer["status"] != status or not answer[
            "detail"] or headers["Content-Type"] != "application/problem+json":
            wrong.append((text, status, field, got, answer))
    assert not wrong
    assert waiting(stack) == 0 and not keys(stack).keys("mtc:hook:*")
    assert receiver.metrics()['mtc_receiver_hooks_total{answer="refused"}'] == len(BODIES)
    assert post(stack, GOOD)[0] == 202  # and it is as well as before


def test_requests(stack):
    """What is wrong with a request besides its body."""
    stack.receiver().wait_ready()
    data = json.dumps(GOOD).encode()
    assert post(stack, GOOD)[0] == 202
    signed = {"Content-Type": "application/json", "X-Idempotency-Key": "k", **sign(data, "k")}

    def refused(status, field, method="POST", path="/api/hooks/cycle-time", data=data, **changes):
        headers = {name: value for name, value in {**signed, **changes}.items()
                   if value is not None}
        got, answer_headers, answer = send(stack, data, headers, method, path)
        assert (got, answer.get("field")) == (status, field), (changes, got, answer)
        return answer_headers

    refused(404, None, path="/")
    refused(404, None, path="/api/hooks/cycle-time/")
    refused(404, None, path="/api/hooks")
    assert refused(405, None, method="PUT")["Allow"] == "POST"
    refused(405, None, method="GET")
    refused(415, "Content-Type", **{"Content-Type": None})
    refused(415, "Content-Type", **{"Content-Type": "text/plain"})
    refused(415, "Content-Type", **{"Content-Type": "application/jsonx"})
    refused(400, "X-Idempotency-Key", **{"X-Idempotency-Key": None})
    refused(400, "X-Idempotency-Key", **{"X-Idempotency-Key": ""})
    refused(400, "X-Idempotency-Key", **{"X-Idempotency-Key": "k" * 129})
    refused(400, "X-Idempotency-Key", **{"X-Idempotency-Key": "two words"})
    refused(413, None, data=b" " * 20000)
    refused(401, "X-Signature", **{"webhook-signature": None})
    refused(401, "webhook-signature", **{"webhook-timestamp": None})
    refused(401, "webhook-signature", **{"webhook-id": "another"})
    refused(401, "webhook-signature", **{"webhook-signature": "v1,AAAA"})
    refused(401, "webhook-signature", data=data + b" ")
    refused(401, "webhook-signature", **sign(data, "k", secret="another secret"))
    refused(401, "X-Signature",
            **{"webhook-signature": None, **sign_plain(data, secret="another secret")})
    refused(401, "X-Signature", **{"webhook-signature": None, "X-Signature": "sha256=00"})
    assert send(stack, data,
                {**signed, "Content-Type": "application/json; charset=utf-8"})[0] == 202
    assert send(stack, data,
                {"Content-Type": "application/json", "X-Idempotency-Key": "plain",
                 **sign_plain(data)})[0] == 202


@pytest.mark.parametrize("sign_as", [sign, lambda data, key, at: sign_plain(data, at)])
def test_clocks_may_differ_by_the_tolerance_and_no_more(stack, sign_as):
    stack.receiver().wait_ready()
    data, now = json.dumps(GOOD).encode(), time.time()
    # Some seconds off the edge: the test itself takes time.
    for off, status in ((-290, 202), (290, 202), (-320, 401), (320, 401)):
        key = f"off{off}"
        headers = {"Content-Type": "application/json", "X-Idempotency-Key": key,
                   **sign_as(data, key, now + off)}
        assert send(stack, data, headers)[0] == status, off


def test_secrets_can_be_changed_without_a_gap(stack):
    old, new = stack.secret_path, stack.folder / "new.secret"
    new.write_text("whsec_bmV3IHNlY3JldA==\n")  # "new secret"
    receiver = stack.receiver(mtc_receiver_second_secret_file=new).wait_ready()
    data = json.dumps(GOOD).encode()

    def status(secret, key):
        headers = {"Content-Type": "application/json", "X-Idempotency-Key": key,
                   **sign(data, key, secret=secret)}
        return send(stack, data, headers)[0]

    assert status("the secret of the web-hooks", "a") == 202 and status("new secret", "b") == 202
    old.write_text("nobody knows this one\n")
    receiver.send(1)  # SIGHUP
    wait_for(lambda: status("the secret of the web-hooks", f"c{time.time()}") == 401, 10,
             "the old secret is gone")
    assert status("new secret", "d") == 202
    old.write_text("")
    receiver.send(1)
    wait_for(lambda: "secret not read; going on with the one before" in receiver.text(), 10,
             "a bad file is refused")
    assert status("new secret", "e") == 202
