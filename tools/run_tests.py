#!/usr/bin/python3
"""Runs every part of ./dev test, shows how it goes, and ends with a line "N passed, N failed".

  tools/run_tests.py --contract installed|unreachable|failed [PYTEST-WORDS...]

The build folders, and build/contract with the tools of the contract tests, are there already: see
dev. What is counted are the test cases of the JUnit files that meson and pytest write. A runner
that ends badly with no failed case to show for it counts as one failure, and so does a JUnit file
that is missing, unreadable or empty. With PYTEST-WORDS there may be a part in which nothing has
such a name: that is no failure.

The exit status is 0 if something passed and nothing failed.
"""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

TOP = pathlib.Path(__file__).resolve().parents[1]
NOTHING_SELECTED = 5  # pytest's exit status

# Lines of pytest -q that are shown as they come: dots, and what a test has to tell.
PROGRESS = re.compile(rb"[.FEsxX]+( +\[ *\d+%\])?|    \d.*")


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def add(self, passed, failed):
        self.passed += passed
        self.failed += failed
        return failed


def read_junit(path):
    """The numbers of passed, failed and skipped cases; None if the file says nothing."""
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return None
    failed = sum(1 for case in cases
                 if case.find("failure") is not None or case.find("error") is not None)
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    return len(cases) - failed - skipped, failed, skipped


def judge(path, status, nothing_is_fine=False, status_counts=False):
    """(passed, failed, remark) by a runner's JUnit file and exit status.

    nothing_is_fine: the runner may have found nothing to run. status_counts: its exit status is the
    number of tests that did not pass.
    """
    counts = read_junit(path)
    if counts is None:
        return 0, 1, f"no results: {path.relative_to(TOP)} is missing or unreadable"
    passed, failed, skipped = counts
    if nothing_is_fine and status == NOTHING_SELECTED and passed + failed + skipped == 0:
        return 0, 0, None
    if passed + failed + skipped == 0:
        return 0, 1, f"no results: {path.relative_to(TOP)} has no test cases"
    if status_counts and status > failed:
        missed = min(status - failed, passed)
        passed, failed = passed - missed, failed + missed
    if status != 0 and failed == 0:
        return passed, 1, f"the runner ended with status {status}, though no case failed"
    return passed, failed, None


class Screen:
    """What a runner prints: all of it is kept, its progress is shown at once."""

    def __init__(self):
        self.text = bytearray()
        self.line = b""
        self.shown = 0
        self.over = False

    def take(self, piece):
        self.text += piece
        for part in piece.splitlines(keepends=True):
            self.line += part
            self.over = self.over or self.line.startswith(b"=")  # reports begin, progress is over
            if not self.over and PROGRESS.fullmatch(self.line.rstrip(b"\n")):
                self.show((b"" if self.shown else b"    ") + self.line[self.shown:])
                self.shown = len(self.line)
            if part.endswith(b"\n"):
                self.end_line()

    def end_line(self):
        if self.shown and self.shown < len(self.line) or self.shown and self.line[-1:] != b"\n":
            self.show(b"\n")
        self.line, self.shown = b"", 0

    @staticmethod
    def show(text):
        sys.stdout.buffer.write(text)
        sys.stdout.flush()


def run(words, environment, cwd, screen):
    """A runner's exit status. It is given the time to end its servers when we are told to end."""
    try:
        child = subprocess.Popen(words, cwd=cwd, env={**os.environ, **environment},
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
    except OSError as error:
        screen.take(f"{error}\n".encode())
        return 127
    try:
        while piece := os.read(child.stdout.fileno(), 65536):
            screen.take(piece)
        return child.wait()
    except SystemExit:  # SIGTERM; at SIGINT the terminal has told the child too
        child.send_signal(signal.SIGINT)
        raise
    finally:
        screen.end_line()
        child.wait()


def report(remark, screen):
    sys.stdout.flush()
    sys.stdout.buffer.write(bytes(screen.text))
    if remark:
        print(f"  {remark}")
    sys.stdout.flush()


def unit_tests(tally, folder, name):
    print(f"  {f'unit tests, {name}':44} ", end="", flush=True)
    begun = time.monotonic()
    junit = TOP / folder / "meson-logs/testlog.junit.xml"
    junit.unlink(missing_ok=True)
    screen = Screen()
    screen.over = True
    status = run(["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs"], {}, TOP,
                 screen)
    # Meson's JUnit file takes a test that ran out of time for passed; its exit status does not.
    passed, failed, remark = judge(junit, status, status_counts=True)
    if tally.add(passed, failed):
        print("FAILED")
        report(remark, screen)
    else:
        print(f"ok ({time.monotonic() - begun:.0f} s)", flush=True)


def integration_tests(tally, folder, name, tests, options, words):
    print(f"  integration tests, {name}", flush=True)
    junit = TOP / folder / "junit" / f"{pathlib.Path(tests).name}.xml"
    junit.parent.mkdir(exist_ok=True)
    junit.unlink(missing_ok=True)
    screen = Screen()
    status = run([sys.executable, "-m", "pytest", "--color=no", "-q", "-rN", "--tb=short",
                  *options, *words, f"--junitxml={junit}"],
                 {"MTC_BUILD": str(TOP / folder), "PYTHONDONTWRITEBYTECODE": "1",
                  "MTC_CONTRACT_TOOLS": str(TOP / "build/contract")}, TOP / tests, screen)
    passed, failed, remark = judge(junit, status, nothing_is_fine=bool(words))
    if tally.add(passed, failed):
        report(remark, screen)


def main():
    parser = argparse.ArgumentParser(prog="./dev test", add_help=False, allow_abbrev=False)
    parser.add_argument("--contract", choices=("installed", "unreachable", "failed"), required=True)
    options, words = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tally = Tally()
    asan = "clang, ASan and UBSan"
    unit_tests(tally, "build", "gcc")
    unit_tests(tally, "build-asan", asan)
    # The sanitizers slow the long campaigns down and add nothing to them: those run on the plain
    # build.
    integration_tests(tally, "build-asan", asan, "tests/integration", ["-m", "not campaign"], words)
    integration_tests(tally, "build", "gcc", "tests/integration", ["-m", "campaign"], words)
    if options.contract == "installed":
        integration_tests(tally, "build", "contract, gcc", "tests/contract", [], words)
    tally.failed += options.contract == "failed"
    print()
    if options.contract == "unreachable":
        print("the contract tests were NOT run: the npm registry cannot be reached from here")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 0 if tally.failed == 0 and tally.passed > 0 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
