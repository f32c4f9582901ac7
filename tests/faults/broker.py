"""What an operator may do to the queues of a running installation: delete one, suspend one, set a
policy."""
import json
import time

import psycopg

from lib.processes import wait_for

POLICIES = {  # pattern, definition, and what mtcctl doctor calls it
    "RabbitMQ policy: partitions hold 5": (r"^mtc\.events\.", {"max-length": 5}, "queue length"),
    "RabbitMQ policy: mtc.outcomes holds 1": (r"^mtc\.outcomes$", {"max-length": 1},
                                              "queue length"),
    "RabbitMQ policy: drop-head past 100000": (r"^mtc\.events\.", {"max-length": 100000,
                                                                   "overflow": "drop-head"},
                                               "queue length"),
    "RabbitMQ policy: expiry after an hour": (r"^mtc\.(events|outcomes)",
                                              {"message-ttl": 3600000}, "message expiry"),
    "RabbitMQ policy: delivery limit 50": (r"^mtc\.", {"delivery-limit": 50}, "delivery limit"),
}
SETTLE_S = 240
# RabbitMQ 3.10.8 must not be asked to delete a queue sooner after its start, nor be killed sooner
# after a queue was made: docs/operations.md says what comes of it.
YOUNG_S, MADE_S = 20, 5


def partition_of(machine, partitions):
    """As common/base/hash.c computes it."""
    rest = 2 ** 64 - 1
    value = 14695981039346656037
    for byte in [*machine.encode(), 0, 0, 0, 0]:
        value = (value ^ byte) * 1099511628211 & rest
    value = (value ^ value >> 33) * 0xff51afd7ed558ccd & rest
    value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53 & rest
    return (value ^ value >> 33) % partitions


class Queues:
    """The queues of a plant. What deletes one waits until nothing would be lost with it, and has
    the shop hold the events that would go there back meanwhile."""

    def __init__(self, plant, shop):
        self.rabbit, self.stack, self.shop = plant.servers.rabbit, plant.stack, shop
        self.changed = time.monotonic()  # the broker was started

    def set_policy(self, kind, seconds):
        """In force for so long; true if doctor has named it."""
        pattern, definition, what = POLICIES[kind]
        path = f"/api/policies/{self.stack.name}/an-operators"
        status, text = self.rabbit.api("PUT", path, json.dumps(
            {"pattern": pattern, "definition": definition, "apply-to": "queues", "priority": 9}))
        assert status in (201, 204), (status, text)
        try:
            end = time.monotonic() + seconds
            wait_for(lambda: self.is_named(what), 60, f"doctor names: {kind}", pause=0.5)
            time.sleep(max(0, end - time.monotonic()))
        finally:
            status, text = self.rabbit.api("DELETE", path)
        assert status == 204, (status, text)

    def is_named(self, what):
        try:
            findings = json.loads(self.stack.ctl("doctor", "--json", status=None))
        except json.JSONDecodeError:  # another fault is under way
            return False
        return any(finding["what"] == what and finding["verdict"] != "ok" for finding in findings)

    def suspend(self, queue, seconds):
        self.rabbit.suspend(self.stack.name, queue)
        try:
            time.sleep(seconds)
        finally:
            self.rabbit.suspend(self.stack.name, queue, "resume")

    def delete_settled(self, queue, machines):
        """Its messages are those of these machines: none is on its way when it is deleted."""
        with self.shop.hold(machines):
            wait_for(lambda: self.is_settled(machines), SETTLE_S, f"{queue} has nothing to lose",
                     pause=1)
            self.delete(queue)

    def is_settled(self, machines):
        try:
            with self.stack.connect() as pg:
                return not pg.execute(
                    "SELECT count(*) FROM mtc.event WHERE state NOT IN ('delivered', 'dead')"
                    " AND machine = ANY(%s)", (machines,)).fetchone()[0]
        except psycopg.OperationalError:  # another fault is under way
            return False

    def delete(self, queue):
        """And waits until a program has made it again."""
        path = f"/api/queues/{self.stack.name}/{queue}"
        time.sleep(max(0, self.changed + YOUNG_S - time.monotonic()))
        status, text = self.rabbit.api("DELETE", path)
        assert status == 204, (status, text)
        wait_for(lambda: self.rabbit.api("GET", path)[0] == 200, 60, f"{queue} is there again")
        time.sleep(MADE_S)
