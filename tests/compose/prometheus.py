"""The profile "monitoring" of docker-compose.yml: Prometheus finds everybody, and every rule can be
computed."""
import json

from lib.processes import wait_for
from lib.servers import http

JOBS = {"producer": "mtc-producer", "sender": "mtc-sender", "scheduler": "mtc-scheduler",
        "receiver": "mtc-receiver"}


def ask(project, path):
    status, text = http("GET", f"http://127.0.0.1:{project.prometheus}/api/v1/{path}")
    assert status == 200, (path, status, text)
    return json.loads(text)["data"]


def targets(project):
    """How many answer, by job."""
    found = {}
    for target in ask(project, "targets")["activeTargets"]:
        if target["health"] == "up":
            job = target["labels"]["job"]
            found[job] = found.get(job, 0) + 1
    return found


def check_prometheus(project):
    """Returns how many containers it asks, and how many rules it has."""
    wanted = {job: len(project.ids(service)) for service, job in JOBS.items()}
    wanted |= {"rabbitmq": 1, "rabbitmq-queues": 1}
    wait_for(lambda: targets(project) == wanted, 90, f"Prometheus sees {wanted}", pause=1)
    consumers = ask(project, "query?query=rabbitmq_detailed_queue_consumers")["result"]
    assert sum(row["metric"]["queue"].startswith("mtc.events.") for row in consumers) == 8

    def rules():
        return [rule for group in ask(project, "rules")["groups"] for rule in group["rules"]]
    wait_for(lambda: {rule["health"] for rule in rules()} == {"ok"}, 60, "rules are computed",
             pause=1)
    wrong = [rule["name"] for rule in rules() if rule["state"] == "firing"
             and rule["labels"]["severity"] == "critical"]
    assert not wrong, wrong
    return sum(wanted.values()), len(rules())
