"""What the web-hook tests have in common: signed requests, and what Redis and PostgreSQL know."""
import base64
import hashlib
import hmac
import http.client
import json
import time
import uuid

import redis

from .stack import SECRET


def sign(body, key, at=None, secret=SECRET):
    """Headers of the Standard Webhooks scheme."""
    at = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"{key}.{at}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": key, "webhook-timestamp": at,
            "webhook-signature": "v1," + base64.b64encode(digest).decode()}


def sign_plain(body, at=None, secret=SECRET):
    at = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Timestamp": at, "X-Signature": f"sha256={digest}"}


def send(stack, body, headers, method="POST", path="/api/hooks/cycle-time", timeout=20):
    """Status, headers and parsed answer."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.hook_port, timeout=timeout)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, dict(answer.getheaders()), json.loads(text) if text else None
    finally:
        connection.close()


def post(stack, body, key=None, **headers):
    """A signed web-hook; body is text, bytes, or what becomes JSON."""
    key = key or str(uuid.uuid4())
    data = (body if isinstance(body, bytes)
            else (body if isinstance(body, str) else json.dumps(body)).encode())
    wanted = {"Content-Type": "application/json", "X-Idempotency-Key": key, **sign(data, key),
              **headers}
    return send(stack, data, {name: value for name, value in wanted.items() if value is not None})


def status_of(stack, body, key=None, **headers):
    return post(stack, body, key, **headers)[0]


def keys(stack):
    return redis.Redis(port=stack.servers.redis.port, db=stack.redis_database,
                       decode_responses=True)


def record_of(stack, key):
    """What Redis holds of a key; {} if nothing."""
    return keys(stack).hgetall(f"mtc:hook:{key}")


def waiting(stack):
    """Messages in mtc.cycle-times, taken or not."""
    return stack.servers.rabbit.queues(stack.name)["mtc.cycle-times"].get("messages", 0)
