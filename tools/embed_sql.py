"""Turns SQL files into a C table: embed_sql.py FILE.sql ... OUT.c; core files are named
NNN_what.sql, an adapter's first line says its version."""
import os
import re
import sys

*inputs, output = sys.argv[1:]
rows = []
for path in inputs:
    text = open(path, encoding="utf-8").read()
    name = os.path.basename(path).removesuffix(".sql")
    core = re.fullmatch(r"(\d{3})_(\w+)", name)
    if core:
        component, version, title = "core", int(core[1]), core[2]
    else:
        version = int(re.match(r"-- version: (\d+)\n", text)[1])
        component, title = name, name
    data = ",".join(str(b) for b in text.encode()) + ",0"
    rows.append((component, version, title, data))

with open(output, "w", encoding="utf-8") as out:
    out.write('#include "migrate.h"\n\n')
    for i, (_, _, _, data) in enumerate(rows):
        out.write(f"static const char sql_{i}[] = {{{data}}};\n")
    out.write("\nconst struct migration migrations[] = {\n")
    for i, (component, version, title, _) in enumerate(rows):
        out.write(f'    {{"{component}", {version}, "{title}", sql_{i}}},\n')
    out.write(f"}};\nconst size_t migration_count = {len(rows)};\n")
