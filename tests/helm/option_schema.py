#!/usr/bin/python3
"""The options' part of the chart's values.schema.json, made from what `mtcctl options` tells.

  tests/helm/option_schema.py MTCCTL    writes that part anew; a test holds it current
"""
import json
import pathlib
import re
import subprocess
import sys

CHART = pathlib.Path(__file__).resolve().parents[2] / "deploy/helm/mtc-sync"
SCHEMA = CHART / "values.schema.json"

# These have values of their own in the chart, or follow from them. So do addresses and files.
OWN = {"amqp.url", "postgres.conninfo", "redis.url", "mtconnect.base_url", "topology.partitions",
       "worker.name", "scheduler.period_s", "receiver.use_webhook", "receiver.public_url",
       "ctl.programs", "ctl.management_url"}
OWN_NAME = re.compile(r"_file$|listen$")


def is_own(option):
    return f"{option['section']}.{option['name']}" in OWN or OWN_NAME.search(option["name"])


def schema_of(option):
    told = {"description": option["meaning"]}
    if "least" in option:
        return {**told, "type": "integer", "minimum": option["least"], "maximum": option["most"]}
    if option["default"] in ("true", "false"):
        return {**told, "type": "boolean"}
    if option["name"].endswith("_delays_s"):
        return {**told, "type": "string", "pattern": "^[0-9]+(,[0-9]+)*$"}
    if option["name"].endswith("_path"):
        return {**told, "type": "string", "pattern": "^(/.*)?$"}
    if "choices" in option:
        return {**told, "enum": option["choices"].split("|")}
    raise ValueError(f"{option['section']}.{option['name']}: of what type is it?")


def read_options(mtcctl):
    done = subprocess.run([mtcctl, "options", "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def options_schema(options):
    sections = {}
    for option in options:
        if not is_own(option):
            sections.setdefault(option["section"], {})[option["name"]] = schema_of(option)
    return {"type": "object", "additionalProperties": False, "required": list(sections),
            "properties": {section: {"type": "object", "additionalProperties": False,
                                     "properties": properties}
                           for section, properties in sections.items()}}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schema["properties"]["options"] = options_schema(read_options(sys.argv[1]))
    SCHEMA.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
