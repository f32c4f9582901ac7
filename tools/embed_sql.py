"""Turns the folder sql/ into a C table: embed_sql.py SQL_FOLDER OUT.c OUT.d

core/NNN_what.sql     a migration of the tables, run once
functions/FAMILY.sql  a family of functions, run again whenever its text has changed
grants.sql            who may call them
adapters/NAME.sql     an adapter; its first line says its version

See sql/README.md for what they hold. OUT.d tells ninja which files and folders were read: a new
file makes its folder newer, so it is picked up at the next build.
"""
import hashlib
import pathlib
import re
import sys


def core(path):
    number, title = re.fullmatch(r"(\d{3})_(\w+)", path.stem).groups()
    return "core", int(number), title


def function(path):
    return "functions", 0, path.stem


def adapter(path):
    version = re.match(r"-- version: (\d+)\n", path.read_text(encoding="utf-8"))
    if not version or path.stem in ("core", "functions") or not re.fullmatch(r"\w+", path.stem):
        sys.exit(f"{path}: an adapter has a name of its own and begins with '-- version: N'")
    return path.stem, int(version[1]), path.stem


folder, output, depfile = (pathlib.Path(word) for word in sys.argv[1:])
rows = []
read = [folder]
for part, describe in (("core", core), ("functions", function), (".", function),
                       ("adapters", adapter)):
    read.append(folder / part)
    for path in sorted((folder / part).glob("*.sql")):
        read.append(path)
        data = path.read_bytes()
        rows.append((*describe(path), hashlib.sha256(data).hexdigest(),
                     ",".join(str(byte) for byte in data) + ",0"))

with open(output, "w", encoding="utf-8") as out:
    out.write('#include "migrations.h"\n\n')
    for i, row in enumerate(rows):
        out.write(f"static const char sql_{i}[] = {{{row[-1]}}};\n")
    out.write("\nconst struct migration migrations[] = {\n")
    for i, (component, version, title, digest, _) in enumerate(rows):
        out.write(f'    {{"{component}", {version}, "{title}", "{digest}", sql_{i}}},\n')
    out.write(f"}};\nconst size_t migration_count = {len(rows)};\n")

watched = " ".join(str(path).replace(" ", "\\ ") for path in read)
depfile.write_text(f"{output}: {watched}\n", encoding="utf-8")
