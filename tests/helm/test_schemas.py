"""Every object against Kubernetes' own schemas, KEDA's and the Prometheus operator's.

Two tools read the same definitions: a validator of values, and the TypeScript compiler, to which a
field that its type does not know is an error, at any depth. So an object with a field in the wrong
place does not pass for one that has it.
"""
import copy
import json
import pathlib
import subprocess

import pytest

from chart import CHART, MODULES, TOOLS, helm, names_of_values, named, values_file

HERE = pathlib.Path(__file__).parent
PACKAGES = {"keda.sh/v1alpha1": "@kubernetes-models/keda/",
            "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/"}


def values_fit(objects):
    """None, or what the validator says."""
    script = TOOLS / "validate.js" # beside node_modules, where node looks for what it requires
    script.write_text((HERE / "validate.js").read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(["node", script], input=json.dumps(objects), capture_output=True,
                          text=True, check=False)
    return None if done.returncode == 0 else done.stdout + done.stderr


def fields_fit(objects):
    """None, or what the compiler says."""
    lines = []
    for number, each in enumerate(objects):
        module = f"{PACKAGES.get(each['apiVersion'], 'kubernetes-models/')}{each['apiVersion']}"
        lines.append(f'import {{ I{each["kind"]} as T{number} }} from "{module}/{each["kind"]}";')
        lines.append(f"export const o{number}: T{number} = {json.dumps(each, indent=1)};")
    source = TOOLS / "objects.ts"
    source.write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run(["node", MODULES / "typescript/bin/tsc", "--noEmit", "--strict",
                           "--skipLibCheck", "--module", "nodenext", source.name],
                          cwd=TOOLS, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stdout + done.stderr


def test_values_fit_the_schemas(objects):
    assert values_fit(objects) is None


def test_fields_are_known_to_the_schemas(all_rendered):
    assert fields_fit([each for objects in all_rendered.values() for each in objects]) is None


def put(value, *path):
    def change(broken):
        for step in path[:-1]:
            broken = broken[step]
        broken[path[-1]] = value
    return change


POD = ("spec", "template", "spec")


@pytest.mark.parametrize("change, said", [
    (put(3, *POD, "containers", 0, "livenessProb"), "livenessProb"),
    (put("yes", *POD, "securityContext", "runAsNonroot"), "runAsNonroot"),
    (put({}, "spec", "selectors"), "selectors"),
])
def test_an_unknown_field_is_found(all_rendered, change, said):
    broken = copy.deepcopy(named(all_rendered["default"], "Deployment", "mtc-sync-sender"))
    change(broken)
    assert said in fields_fit([broken])


@pytest.mark.parametrize("change, said", [
    (put("two", "spec", "replicas"), "spec/replicas"),
    (put("8080/tcp", *POD, "containers", 0, "ports"), "containers/0/ports"),
])
def test_a_wrong_value_is_found(all_rendered, change, said):
    broken = copy.deepcopy(named(all_rendered["default"], "Deployment", "mtc-sync-sender"))
    change(broken)
    found = values_fit([broken])
    assert said in found


@pytest.mark.parametrize("name", names_of_values())
def test_helm_finds_nothing_to_say(name):
    done = helm("lint", "--strict", CHART, *values_file(name))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout and "[ERROR]" not in done.stdout, done.stdout
