"""Who is who in docker-compose.yml: each program its own user, with no other's secret."""
import json

from compose.project import PROGRAMS

# What each container may hold. Besides, RabbitMQ has hashes of its users' passwords.
SECRETS = {
    "rabbitmq": set(),
    "postgres": {"postgres_mtc"},
    "redis": {"redis.acl", "redis_health"},
    "migrate": {"postgres_migrate"},
    "producer": {"rabbitmq_producer", "postgres_producer"},
    "sender": {"rabbitmq_sender", "redis_sender", "mtconnect_api_key"},
    "scheduler": {"rabbitmq_scheduler", "postgres_scheduler", "mtconnect_api_key"},
    "receiver": {"rabbitmq_receiver", "postgres_receiver", "redis_receiver", "mtconnect_api_key",
                 "webhook_secret"},
    "mtconnect": {"mtconnect_api_key", "webhook_secret"},
    "shift": {"postgres_application"},
}


def check_secrets(project):
    """By what is mounted; and no secret stands in an environment or on a command line."""
    values = {name.name: name.read_text() for name in project.secrets.iterdir()
              if name.suffix == ""}
    for service, allowed in SECRETS.items():
        for container in project.ids(service):
            told = project.inspect(container)
            held = {mount["Destination"].removeprefix("/run/secrets/") for mount in told["Mounts"]
                    if mount["Destination"].startswith("/run/secrets/")}
            assert held == allowed, (service, held)
            config = json.dumps(told["Config"])
            assert not [name for name, value in values.items() if value in config], service


def check_connections(project):
    """At RabbitMQ by the container's name as well, as people read it in the management UI."""
    seen = {(told["user"], told["user_provided_name"])
            for told in json.loads(project.api("GET", "connections")[1])}
    does = {"sender": (" consumes", " publishes")}
    assert seen == {(program, f"mtc-{program} {name}{what}")
                    for program in PROGRAMS for name in project.named(program)
                    for what in does.get(program, ("",))}, seen
    users = {user for user, in project.sql(
        "SELECT usename FROM pg_stat_activity WHERE backend_type = 'client backend'")}
    assert users - {"mtc", "application"} == {"producer", "scheduler", "receiver"}, users
    users = {word.removeprefix("user=") for line in project.redis("client", "list").splitlines()
             for word in line.split() if word.startswith("user=")}
    assert users - {"mtc", "health"} == {"sender", "receiver"}, users


def check_monitoring(project):
    """May see what the management UI shows, and do nothing."""
    for path in ("overview", "nodes", "connections", "channels", "consumers", "exchanges", "queues",
                 "queues/%2F/mtc.dead", "bindings", "policies", "vhosts"):
        status, text = project.api("GET", path)
        assert status == 200, (path, status, text)
    queue = "queues/%2F/mtc.dead"
    get = json.dumps({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"})
    publish = json.dumps({"properties": {}, "routing_key": "", "payload": "",
                          "payload_encoding": "string"})
    for method, path, body in (("PUT", "queues/%2F/mtc.more", "{}"), ("DELETE", queue, None),
                               ("DELETE", f"{queue}/contents", None), ("POST", f"{queue}/get", get),
                               ("POST", "exchanges/%2F/mtc.dead/publish", publish),
                               ("PUT", "policies/%2F/more", '{"pattern": "", "definition": {}}')):
        status, text = project.api(method, path, body)
        assert status == 401 or "ACCESS_REFUSED" in text, (method, path, status, text)
