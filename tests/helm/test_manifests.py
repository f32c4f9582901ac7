"""What no schema sees: do the objects fit each other, the programs and the project?"""
import json
import os
import pathlib
import re
import stat
import subprocess

import pytest
import yaml

from chart import (CHART, NAMESPACE, PROGRAMS, container_of, env_of, named, of_kind, pod_of,
                   rendered, template, workloads)
from lib.stack import BUILD, ROOT
from option_schema import SCHEMA, is_own, options_schema, read_options

OPTIONS = read_options(BUILD / "mtcctl")
# Which of an installation's secrets each program may see; see the code, and docs/kubernetes.md.
MAY_SEE = {"producer": {"rabbitmq", "postgres"},
           "sender": {"rabbitmq", "redis", "mtconnect"},
           "scheduler": {"rabbitmq", "postgres", "mtconnect"},
           "receiver": {"rabbitmq", "postgres", "redis", "mtconnect", "webhook", "webhookSecond"},
           "mtcctl": {"rabbitmq", "postgres", "redis", "mtconnect", "webhook"},
           "migrate": {"postgres"}}
# Ports of the servers in the values file "everything".
MAY_REACH = {"producer": {5673, 5433}, "sender": {5673, 6380, 3000},
             "scheduler": {5673, 5433, 3000}, "receiver": {5673, 5433, 6380, 3000},
             "mtcctl": {5673, 5433, 6380, 3000, 15672}, "migrate": {5433}}


def pod_labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def selected(objects, selector):
    return {program for program, workload in workloads(objects).items()
            if selector.items() <= pod_labels(workload).items()}


def selector_of(each):
    spec = each["spec"]
    if each["kind"] == "Service":
        return spec["selector"]
    return spec.get("selector", spec.get("podSelector"))["matchLabels"]


def test_selectors_match_the_pods_of_one_program(objects):
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"):
        for each in of_kind(objects, kind):
            own = each["metadata"]["labels"]["app.kubernetes.io/component"]
            assert selected(objects, selector_of(each)) == {own}, (kind, each["metadata"]["name"])
    for workload in workloads(objects).values():
        for spread in pod_of(workload).get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"].items() <= pod_labels(workload).items()


def ports_of(workload):
    return {port["name"]: port["containerPort"]
            for port in container_of(workload).get("ports", [])}


def test_ports_exist_where_they_are_named(objects):
    running = workloads(objects)
    for program, workload in running.items():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if program in PROGRAMS:
                assert container_of(workload)[probe]["httpGet"]["port"] in ports_of(workload)
            else:
                assert probe not in container_of(workload)
        for name in ports_of(workload):
            assert re.fullmatch("[a-z0-9-]{1,15}", name)
    for service in of_kind(objects, "Service"):
        program = service["metadata"]["labels"]["app.kubernetes.io/component"]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports_of(running[program])
    for policy in of_kind(objects, "NetworkPolicy"):
        program = policy["metadata"]["labels"]["app.kubernetes.io/component"]
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= set(ports_of(running[program]))


def test_programs_listen_on_the_ports_of_their_containers(objects):
    for program, workload in workloads(objects).items():
        if program not in PROGRAMS:
            continue
        env, ports = env_of(workload), ports_of(workload)
        assert env[f"MTC_{program.upper()}_LISTEN"].endswith(f":{ports['metrics']}")
        assert ("hooks" in ports) == (program == "receiver")
        if program == "receiver":
            assert env["MTC_RECEIVER_HOOK_LISTEN"].endswith(f":{ports['hooks']}")


def test_the_ingress_leads_to_the_receiver(all_rendered):
    objects = all_rendered["webhook"]
    ingress, = of_kind(objects, "Ingress")
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    service = named(objects, "Service", backend["name"])
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    assert selected(objects, selector_of(service)) == {"receiver"}
    env = env_of(workloads(objects)["receiver"])
    assert env["MTC_RECEIVER_PUBLIC_URL"] == "https://shop.example/api/hooks/cycle-time"
    assert env["USE_WEBHOOK"] == "true"


def test_variables_are_options(objects):
    known = {option["environment"] for option in OPTIONS}
    known |= {option["alias"] for option in OPTIONS if "alias" in option}
    for workload in workloads(objects).values():
        assert set(env_of(workload)) <= known


def test_the_programs_take_what_they_are_given(objects, tmp_path):
    """Each program itself, with the environment of its container, and files for its secrets."""
    for program, workload in workloads(objects).items():
        if program not in PROGRAMS:
            continue
        done = subprocess.run([BUILD / f"mtc-{program}", "--print-config"], capture_output=True,
                              text=True, cwd=tmp_path, env={"PATH": os.environ["PATH"],
                                                            **env_of(workload)}, check=False)
        assert (done.returncode, done.stderr) == (0, ""), program


def test_large_numbers_stay_numbers(all_rendered):
    running = workloads(all_rendered["everything"])
    assert env_of(running["receiver"])["MTC_RECEIVER_PENDING_MAX"] == "1000000"
    assert env_of(running["producer"])["MTC_PRODUCER_RETENTION_S"] == "315360000"
    scaled, = of_kind(all_rendered["everything"], "ScaledObject")
    assert scaled["spec"]["triggers"][0]["metadata"]["value"] == "1000000"


def test_options_reach_those_who_read_them(all_rendered):
    running = {program: env_of(workload)
               for program, workload in workloads(all_rendered["everything"]).items()}
    having = {name: {program for program, env in running.items() if name in env}
              for name in ("MTC_SENDER_PREFETCH", "MTC_SENDER_RETRY_AFTER_MAX_S",
                           "MTC_MTCONNECT_TIMEOUT_MS", "MTC_LOG_LEVEL", "CYCLE_SYNC_PERIOD")}
    assert having == {
        "MTC_SENDER_PREFETCH": {"sender"},
        "MTC_SENDER_RETRY_AFTER_MAX_S": {"sender", "scheduler", "receiver", "mtcctl"},
        "MTC_MTCONNECT_TIMEOUT_MS": {"sender", "scheduler", "receiver", "mtcctl"},
        "MTC_LOG_LEVEL": set(running), "CYCLE_SYNC_PERIOD": {"scheduler"}}


def test_the_schema_knows_the_options():
    """Else: tests/helm/option_schema.py build/mtcctl"""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema["properties"]["options"] == options_schema(OPTIONS)
    assert {option["section"] for option in OPTIONS if not is_own(option)} == set(
        yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["options"])


def test_a_program_gets_its_own_secrets_only(objects):
    secrets = set()
    for program, workload in workloads(objects).items():
        volumes = {volume["name"]: volume for volume in pod_of(workload)["volumes"]}
        mounts = {mount["name"]: mount for mount in container_of(workload)["volumeMounts"]}
        assert set(mounts) == set(volumes)
        secret = volumes["secrets"]["secret"]
        assert secret["secretName"] == f"mtc-sync-{program}"
        secrets.add(secret["secretName"])
        files = {item["path"] for item in secret["items"]}
        assert files <= MAY_SEE[program]
        assert mounts["secrets"]["readOnly"] is True
        assert secret["defaultMode"] & (stat.S_IRWXO | stat.S_IWGRP) == 0
        named_files = {pathlib.PurePath(value) for name, value in env_of(workload).items()
                       if name.endswith("_FILE")}
        assert named_files == {pathlib.PurePath(mounts["secrets"]["mountPath"]) / name
                               for name in files}
        assert not any("secretKeyRef" in json.dumps(each) for each in container_of(workload)["env"])
    assert len(secrets) == len(workloads(objects))


def test_a_program_has_users_of_its_own(all_rendered):
    running = workloads(all_rendered["everything"])
    users = [re.search(r"//([^:@/]+)@", env_of(workload)["MTC_AMQP_URL"]).group(1)
             for program, workload in running.items() if program != "migrate"]
    assert len(set(users)) == len(users) == 5


def test_the_chart_holds_no_secret(objects):
    assert not of_kind(objects, "Secret")
    for name, value in ((name, value) for workload in workloads(objects).values()
                        for name, value in env_of(workload).items()):
        assert not re.search(r"password=|//[^/@]*:[^/@]*@", value), name


def test_without_redis_nobody_asks_for_it(all_rendered):
    for program, workload in workloads(all_rendered["bare"]).items():
        assert env_of(workload)["MTC_REDIS_URL"] == "", program


def test_policies_allow_what_the_program_uses(all_rendered):
    objects = all_rendered["everything"]
    policies = {each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]
                for each in of_kind(objects, "NetworkPolicy")}
    assert set(policies) == set(workloads(objects))
    for program, policy in policies.items():
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        dns, *servers = policy["egress"]
        assert {(port["protocol"], port["port"]) for port in dns["ports"]} == {("UDP", 5353),
                                                                               ("TCP", 5353)}
        reached = [port["port"] for rule in servers for port in rule["ports"]]
        assert len(reached) == len(set(reached)) and set(reached) == MAY_REACH[program], program
        to = {rule["ports"][0]["port"]: rule.get("to") for rule in policy["egress"]}
        named_peers = {5353: [{"ipBlock": {"cidr": "169.254.20.10/32"}}],
                       5673: [{"podSelector": {"matchLabels": {"app": "rabbitmq"}}}],
                       5433: [{"ipBlock": {"cidr": "10.0.0.0/24"}}],
                       3000: [{"namespaceSelector": {"matchLabels": {"name": "mtconnect"}}}]}
        assert to == {port: named_peers.get(port) for port in to}


def test_nobody_else_may_read_metrics(objects):
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            if rule["ports"] == [{"protocol": "TCP", "port": "metrics"}]:
                assert rule["from"]
            else:
                assert rule["ports"] == [{"protocol": "TCP", "port": "hooks"}]


def test_a_node_can_be_drained(objects):
    budgets = of_kind(objects, "PodDisruptionBudget")
    assert {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in budgets} == \
        set(workloads(objects)) & set(PROGRAMS)
    for each in budgets:
        assert each["spec"]["maxUnavailable"] == 1 and "minAvailable" not in each["spec"]
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def drain_limit_s():
    text = (ROOT / "common/suite/service.c").read_text(encoding="utf-8")
    return int(re.search(r"#define DRAIN_LIMIT_MS +(\d+)", text).group(1)) / 1000


def test_a_pod_is_given_the_time_to_drain(objects):
    for program, workload in workloads(objects).items():
        if program in PROGRAMS:
            hook = container_of(workload).get("lifecycle", {}).get("preStop")
            delay = float(hook["exec"]["command"][1]) if hook else 0
            assert pod_of(workload)["terminationGracePeriodSeconds"] > drain_limit_s() + delay


def test_an_outage_restarts_no_pod(objects):
    for program, workload in workloads(objects).items():
        if program in PROGRAMS:
            paths = {probe: container_of(workload)[probe]["httpGet"]["path"]
                     for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
            assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz",
                             "readinessProbe": "/readyz"}


def test_pods_have_no_rights(objects):
    accounts = {each["metadata"]["name"]: each for each in of_kind(objects, "ServiceAccount")}
    for workload in workloads(objects).values():
        pod, container = pod_of(workload), container_of(workload)
        assert pod["automountServiceAccountToken"] is False
        assert accounts[pod["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {"allowPrivilegeEscalation": False,
                                                "readOnlyRootFilesystem": True,
                                                "capabilities": {"drop": ["ALL"]}}
        assert {"requests", "limits"} <= set(container["resources"])
        assert "cpu" not in container["resources"]["limits"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"--uid (\d+)", dockerfile).group(1) == \
        str(pod["securityContext"]["runAsUser"])


def test_the_migration_goes_first_and_needs_nothing_that_comes_later(all_rendered):
    for name in set(all_rendered) - {"bare"}:
        objects = all_rendered[name]
        hooks = {each["kind"]: each["metadata"]["annotations"] for each in objects
                 if "helm.sh/hook" in each["metadata"].get("annotations", {})}
        assert set(hooks) == {"ServiceAccount", "NetworkPolicy", "Job"}
        assert {hook["helm.sh/hook"] for hook in hooks.values()} == {"pre-install,pre-upgrade"}
        weights = {kind: int(hook["helm.sh/hook-weight"]) for kind, hook in hooks.items()}
        assert max(weights["ServiceAccount"], weights["NetworkPolicy"]) < weights["Job"]
        for hook in hooks.values(): # a second upgrade finds the place free
            assert "before-hook-creation" in hook["helm.sh/hook-delete-policy"]
        pod = pod_of(workloads(objects)["migrate"])
        assert not any("configMap" in volume for volume in pod["volumes"]
                       if volume["name"] != "ca-bundle")
        assert "envFrom" not in pod["containers"][0]
    assert "migrate" not in workloads(all_rendered["bare"])


def test_the_migration_is_told_what_to_do(all_rendered):
    container = container_of(workloads(all_rendered["everything"])["migrate"])
    assert container["command"] == ["mtcctl", "migrate"]
    options = dict(zip(container["args"][::2], container["args"][1::2]))
    assert options == {"--adapter": "production_tracking", "--setup-endpoint": "deployed",
                       "--gateway-id": "shop-1", "--mirror-cycle-time": "on"}
    help_text = subprocess.run([BUILD / "mtcctl", "migrate", "--help"], capture_output=True,
                               text=True, check=True).stdout
    assert all(option in help_text for option in options)
    adapters = {path.stem for path in (ROOT / "sql/adapters").glob("*.sql")} | {""}
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert set(schema["properties"]["migrate"]["properties"]["adapter"]["enum"]) == adapters


def test_a_hook_outlasts_no_helm(objects):
    for job in of_kind(objects, "Job"):
        assert job["spec"]["activeDeadlineSeconds"] < 300


def test_versions_are_the_projects():
    version = re.search(r"version: '([^']+)'",
                        (ROOT / "meson.build").read_text(encoding="utf-8")).group(1)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == version
    for workload in workloads(rendered("default")).values():
        assert container_of(workload)["image"].endswith(f":{version}")


def test_objects_go_where_the_release_goes(objects):
    """No namespace is written down: the one of -n counts, for hooks too."""
    assert all("namespace" not in each["metadata"] for each in objects)
    assert NAMESPACE in (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")


def test_names_fit_into_a_label():
    done = template("--set", "fullnameOverride=" + "x" * 63, "--set", "useWebhook=true")
    assert done.returncode == 0, done.stderr
    for each in yaml.safe_load_all(done.stdout):
        assert len(each["metadata"]["name"]) <= 63


def test_senders_follow_the_flow_and_no_backlog(all_rendered):
    scaled, = of_kind(all_rendered["keda"], "ScaledObject")
    trigger, = scaled["spec"]["triggers"]
    told = trigger["metadata"]
    assert told["mode"] == "MessageRate" and told["protocol"] == "http"
    assert told["useRegex"] == "true" and told["operation"] == "sum"
    partitions = [f"mtc.events.{number}" for number in range(16)]
    assert all(re.search(told["queueName"], name) for name in partitions)
    assert not any(re.search(told["queueName"], name)
                   for name in ("mtc.events", "mtc.outcomes", "mtc.dead", "mtc.events.0.old"))
    assert int(told["pageSize"]) >= 16
    assert told["host"] == "http://rabbitmq.production-tracking.svc:15672/rabbit/"
    assert told["vhostName"] == "shop"
    assert scaled["spec"]["minReplicaCount"] >= 1 # at 0 the backlog would decide when to begin
    behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 300
    authentication, = of_kind(all_rendered["keda"], "TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    assert {each["parameter"] for each in authentication["spec"]["secretTargetRef"]} == \
        {"username", "password"}


@pytest.mark.parametrize("name, kind", [("hpa", "HorizontalPodAutoscaler"),
                                        ("keda", "ScaledObject")])
def test_one_alone_says_how_many_senders(all_rendered, name, kind):
    objects = all_rendered[name]
    sender = workloads(objects)["sender"]
    assert "replicas" not in sender["spec"]
    scaler, = of_kind(objects, kind)
    assert scaler["spec"]["scaleTargetRef"]["name"] == sender["metadata"]["name"]
    other = {"HorizontalPodAutoscaler", "ScaledObject"} - {kind}
    assert not of_kind(objects, other.pop())


def test_prometheus_finds_every_program(all_rendered):
    objects = all_rendered["everything"]
    monitor, = of_kind(objects, "ServiceMonitor")
    port = monitor["spec"]["endpoints"][0]["port"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = {each["metadata"]["labels"]["app.kubernetes.io/component"]
             for each in of_kind(objects, "Service") if wanted <= each["metadata"]["labels"].items()
             and port in {each["name"] for each in each["spec"]["ports"]}}
    assert found == set(PROGRAMS)
    relabeling, = monitor["spec"]["endpoints"][0]["relabelings"]
    assert relabeling["targetLabel"] == "job" and relabeling["replacement"] == "mtc-$1"


def test_the_rules_are_the_projects(all_rendered):
    text = (ROOT / "deploy/prometheus/rules.yml").read_text(encoding="utf-8")
    assert (CHART / "files/rules.yml").read_text(encoding="utf-8") == text
    rule, = of_kind(all_rendered["everything"], "PrometheusRule")
    assert rule["spec"]["groups"] == yaml.safe_load(text)["groups"]


def test_no_rule_waits_for_what_is_not_meant_to_be():
    rule, = of_kind(rendered("default", "--set", "prometheusRule.enabled=true"), "PrometheusRule")
    alerts = {each["alert"]: each for group in rule["spec"]["groups"] for each in group["rules"]}
    assert "mtc-sender" in alerts["MtcProgramDown"]["expr"]
    assert "mtc-receiver" not in alerts["MtcProgramDown"]["expr"]
    assert not [name for name in alerts if "Rabbitmq" in name]
