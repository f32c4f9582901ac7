#!/usr/bin/python3
"""Runs every part of ./dev test, shows how it goes, and ends with a line "N passed, N failed".

  PYTHONPATH=tests tools/run_tests.py --contract installed|unreachable|failed [PYTEST-WORDS...]

The build folders, and build/contract with the tools of the contract tests, are there already: see
dev. What is counted are the test cases of the JUnit files that meson and pytest write. A runner
that ends badly with no failed case to show for it counts as one failure, and so does one that ran
fewer tests than it had, or whose JUnit file is missing, unreadable or empty. With PYTEST-WORDS
there may be a part in which nothing has such a name: that is no failure.

The exit status is 0 if something passed and nothing failed.
"""
import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

from junit import judge_meson, judge_pytest
from progress import Progress
from lib.keeper import keep

TOP = pathlib.Path(__file__).resolve().parents[1]
ASAN = "clang, ASan and UBSan"
# Tests wait as much as they compute, so there are more workers than processors. Each worker has its
# own servers, some 400 MiB.
WORKERS = min(os.cpu_count() + 2, 8)


class Part:
    """A runner with its own JUnit file; what it prints is shown if something failed."""

    def __init__(self, name):
        self.name = name
        self.passed = self.failed = 0
        self.remark, self.output = None, ""

    def close(self, verdict, output):
        self.passed, self.failed, self.remark = verdict
        self.output = output

    def report(self):
        if self.failed:
            print(f"\n--- {self.name} ---\n{self.output}", end="")
            if self.remark:
                print(f"  {self.remark}")


def run_quietly(words, junit, **options):
    """A runner's exit status and what it printed."""
    junit.parent.mkdir(parents=True, exist_ok=True)
    junit.unlink(missing_ok=True)
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                              **options)
    except OSError as error:
        return 127, f"{error}\n"
    return done.returncode, done.stdout


class UnitTests(Part):
    def __init__(self, folder, name):
        super().__init__(f"unit tests, {name}")
        self.folder = folder

    def run(self, progress):
        begun = time.monotonic()
        junit = TOP / self.folder / "meson-logs/testlog.junit.xml"
        status, output = run_quietly(["meson", "test", "-C", self.folder, "--no-rebuild",
                                      "--print-errorlogs"], junit, cwd=TOP)
        self.close(judge_meson(junit, status), output)
        result = "FAILED" if self.failed else f"ok ({time.monotonic() - begun:.0f} s)"
        progress.say(f"  {self.name:44} {result}")


class Pytest(Part):
    """words: chosen by the user."""

    def __init__(self, name, folder, words, options=(), build="build"):
        super().__init__(name)
        self.command = [sys.executable, "-m", "pytest", "-p", "lib.telling", "--color=no", "-q",
                        "-rN", "--tb=short", *options, *words, folder]
        self.junit = TOP / build / "junit" / f"{pathlib.Path(folder).name}.xml"
        self.chosen, self.collected = bool(words), None
        self.environment = {**os.environ, "MTC_BUILD": str(TOP / build),
                            "MTC_CONTRACT_TOOLS": str(TOP / "build/contract"),
                            "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, progress):
        events, into = os.pipe()
        listener = threading.Thread(target=self.listen, args=(events, progress), daemon=True)
        listener.start()
        self.environment["MTC_TEST_EVENTS"] = str(into)
        status, output = run_quietly([*self.command, f"--junitxml={self.junit}"], self.junit,
                                     cwd=TOP, env=self.environment, pass_fds=[into])
        os.close(into)
        listener.join()
        self.close(judge_pytest(self.junit, status, self.collected, self.chosen), output)

    def listen(self, events, progress):
        with os.fdopen(events, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                self.collected = event.get("collected", self.collected)
                progress.take(event)


def run_all(parts, progress):
    for part in parts:
        part.run(progress)


def run_together(lanes, progress):
    """At the same time; the line on a terminal goes on counting while nothing happens."""
    threads = [threading.Thread(target=run_all, args=(lane, progress), daemon=True)
               for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(1)
            progress.show()
    progress.close()


def lanes_of(contract, words):
    """Lists of parts. The lists go on at the same time, the parts of each one after the other."""
    # The sanitizers slow the long campaigns down and add nothing to them: those run on the plain
    # build, one after the other, beside what is shared out to the workers.
    shared_out = [Pytest(f"integration tests, {ASAN}", "tests/integration", words,
                         ["-m", "not campaign", "-n", str(WORKERS)],
                         "build-asan")]
    in_turn = [Pytest("tools", "tools", words),
               Pytest("campaigns, gcc", "tests/integration", words, ["-m", "campaign"])]
    if contract == "installed":
        in_turn.append(Pytest("contract, gcc", "tests/contract", words))
        in_turn.append(Pytest("Helm chart, gcc", "tests/helm", words))
    return [shared_out, in_turn]


def main():
    parser = argparse.ArgumentParser(prog="./dev test", add_help=False, allow_abbrev=False)
    parser.add_argument("--contract", choices=("installed", "unreachable", "failed"), required=True)
    options, words = parser.parse_known_args()
    keep()
    units = [UnitTests("build", "gcc"), UnitTests("build-asan", ASAN)]
    lanes = lanes_of(options.contract, words)
    progress = Progress()
    try:
        run_all(units, progress)
        run_together(lanes, progress)
    except (KeyboardInterrupt, SystemExit) as end:
        progress.close()
        print(f"interrupted after {progress.elapsed()}: {progress.count()} tests were run, "
              f"{progress.failed} failed", flush=True)
        return end.code if isinstance(end, SystemExit) else 130
    parts = [*units, *itertools.chain(*lanes)]
    for part in parts:
        part.report()
    passed = sum(part.passed for part in parts)
    failed = sum(part.failed for part in parts) + (options.contract == "failed")
    print()
    if options.contract == "unreachable":
        print("contract and chart tests were NOT run: the npm registry can't be reached from here")
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
