"""Values that are wrong render nothing, and the error names what is wrong with them."""
import pytest

from chart import helm, template, CHART, RELEASE, NAMESPACE

REFUSED = [
    # a name that is written wrong, at every level
    (["sender.replica=3"], "/sender", "'replica' not allowed"),
    (["senders.replicas=3"], "at ''", "'senders' not allowed"),
    (["options.sender.prefetsch=10"], "/options/sender", "'prefetsch' not allowed"),
    (["options.mail.to=x"], "/options", "'mail' not allowed"),
    (["networkPolicy.rabbit.port=1"], "/networkPolicy", "'rabbit' not allowed"),
    (["sender.resources.limits.cpus=1"], "/sender/resources/limits", "'cpus' not allowed"),
    # a password, wherever somebody may try to put one
    (["sender.password=x"], "/sender", "'password' not allowed"),
    (["rabbitmq.host=user:secret@rabbit"], "/rabbitmq/host", "does not match pattern"),
    (["producer.users.rabbitmq=producer:secret"], "/producer/users/rabbitmq", "pattern"),
    (["postgres.parameters=sslmode=require password=secret"], "/postgres/parameters", "not"),
    (["mtconnect.baseUrl=http://user:secret@mtconnect"], "/mtconnect/baseUrl", "pattern"),
    (["rabbitmq.managementUrl=http://u:secret@rabbit:15672"], "/rabbitmq/managementUrl", "pattern"),
    # what has a value of its own is no option
    (["options.amqp.url=amqp://rabbit/"], "/options/amqp", "'url' not allowed"),
    (["options.scheduler.period_s=60"], "/options/scheduler", "'period_s' not allowed"),
    (["options.receiver.use_webhook=true"], "/options/receiver", "'use_webhook' not allowed"),
    # out of range, or of another type
    (["options.sender.prefetch=0"], "/options/sender/prefetch", "minimum"),
    (["options.sender.prefetch=many"], "/options/sender/prefetch", "want integer"),
    (["options.log.level=loud"], "/options/log/level", "value must be one of"),
    (["options.sender.retry_delays_s=1;4"], "/options/sender/retry_delays_s", "pattern"),
    (["useWebhook=perhaps"], "/useWebhook", "want boolean"),
    (["partitions=257"], "/partitions", "maximum"),
    (["cycleSyncPeriod=0"], "/cycleSyncPeriod", "minimum"),
    (["rabbitmq.port=65536"], "/rabbitmq/port", "maximum"),
    (["rabbitmq.host="], "/rabbitmq/host", "pattern"),
    (["mtconnect.baseUrl=mtconnect:3000"], "/mtconnect/baseUrl", "pattern"),
    (["redis.database=16"], "/redis/database", "maximum"),
    (["image.pullPolicy=Sometimes"], "/image/pullPolicy", "value must be one of"),
    (["image.digest=sha256:0"], "/image/digest", "pattern"),
    (["sender.terminationGracePeriodSeconds=30"], "/sender/terminationGracePeriodSeconds",
     "minimum"),
    (["sender.autoscaling.type=queue"], "/sender/autoscaling/type", "value must be one of"),
    (["sender.existingSecret="], "/sender/existingSecret", "pattern"),
    (["producer.keys.rabbitmq="], "/producer/keys/rabbitmq", "pattern"),
    (["migrate.adapter=sap"], "/migrate/adapter", "value must be one of"),
    (["migrate.mirrorCycleTime=true"], "/migrate/mirrorCycleTime", "value must be one of"),
    (["sender.resources.requests.memory=many"], "/sender/resources/requests/memory", "pattern"),
    (["producer=null"], "at ''", "missing property 'producer'"),
    # values that don't go together
    (["sender.replicas=9"], "sender.replicas is 9, but partitions is 8", "idle"),
    (["sender.autoscaling.type=hpa", "sender.autoscaling.max=9"],
     "sender.autoscaling.max is 9, but partitions is 8", "idle"),
    (["sender.autoscaling.type=keda", "partitions=4"],
     "sender.autoscaling.max is 8, but partitions is 4", "idle"),
    (["sender.autoscaling.type=keda", "sender.autoscaling.min=5", "sender.autoscaling.max=4"],
     "sender.autoscaling.min is 5", "sender.autoscaling.max, 4"),
    (["sender.autoscaling.type=keda", "rabbitmq.managementUrl="], "keda",
     "set rabbitmq.managementUrl"),
    (["sender.autoscaling.type=hpa", "sender.resources.requests.cpu=null"], "hpa",
     "sender.resources.requests.cpu"),
    (["receiver.ingress.enabled=true"], "receiver.ingress.enabled is true", "useWebhook is false"),
    (["useWebhook=true", "receiver.ingress.enabled=true"], "receiver.ingress.enabled is true",
     "set receiver.ingress.host"),
    (["useWebhook=true", "receiver.keys.webhook="], "receiver.keys.webhook is empty",
     "options.receiver.require_signature"),
    (["useWebhook=true", "receiver.stopDelaySeconds=10"],
     "receiver.terminationGracePeriodSeconds is 40", "receiver.stopDelaySeconds, 10"),
]


@pytest.mark.parametrize("settings, where, why", REFUSED, ids=lambda value: str(value)[:60])
def test_a_wrong_value_is_named(settings, where, why):
    done = template(*(word for each in settings for word in ("--set", each)))
    assert done.returncode != 0 and done.stdout == ""
    assert where in done.stderr and why in done.stderr, done.stderr


def test_an_old_cluster_is_refused():
    done = template("--kube-version", "1.26.0")
    assert done.returncode != 0 and "requires kubeVersion" in done.stderr, done.stderr


def notes(*words):
    done = helm("install", RELEASE, CHART, "-n", NAMESPACE, "--dry-run=client", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_the_notes_say_what_comes_next():
    told = notes()
    assert "logs job/mtc-sync-migrate" in told and "Web-hooks: off" in told
    told = notes("--set", "useWebhook=true", "--set", "mtcctl.enabled=true")
    assert "exec deploy/mtc-sync-mtcctl -- mtcctl doctor" in told
    assert "Service mtc-sync-receiver" in told
    told = notes("--set", "migrate.enabled=false", "--set", "sender.autoscaling.type=keda")
    assert "migrate.enabled is false" in told and "2 to 8, by keda" in told
