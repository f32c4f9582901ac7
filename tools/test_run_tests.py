"""The whole of run_tests.py over a small suite: what it prints, and how it ends."""
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

TOOLS = pathlib.Path(__file__).resolve().parent

SUITE = """
import os, pathlib, time
def test_good(): pass
def test_bad(): assert 1 == 2, "for this reason"
def test_endless():
    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(600)
"""
# Its parts are this suite alone, twice at the same time.
RUNNER = """
import pathlib, sys
import run_tests
run_tests.TOP = pathlib.Path.cwd()
run_tests.UnitTests = lambda folder, name: run_tests.Part(name)
run_tests.run_all = lambda parts, progress: [p.run(progress) for p in parts if hasattr(p, "junit")]
run_tests.lanes_of = lambda contract, words: [
    [run_tests.Pytest("one", "suite", words, ["-n", "2"], "one")],
    [run_tests.Pytest("two", "suite", words, [], "two")]]
sys.exit(run_tests.main())
"""


def heed_interrupts():
    """A shell has what it runs in the background ignore SIGINT, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite/test_suite.py").write_text(SUITE)

    def start(*words):
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith(("MTC_", "PYTEST_"))}
        environment["PYTHONPATH"] = f"{TOOLS}:{TOOLS.parent / 'tests'}"
        return subprocess.Popen(
            [sys.executable, "-c", RUNNER, "--contract", "unreachable", "-p", "no:cacheprovider",
             *words], cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, preexec_fn=heed_interrupts)
    return start


def test_the_last_line_counts_both_and_reports_come_before_it(start):
    runner = start("-k", "good or bad")
    output, _ = runner.communicate(timeout=60)
    lines = output.splitlines()
    assert lines[-1] == "2 passed, 2 failed" and runner.returncode == 1, output
    assert output.count("for this reason") >= 2
    assert "--- one ---" in lines and "--- two ---" in lines
    assert "contract and chart tests were NOT run" in output
    assert sum(" ok " in line and "test_suite.py::test_good" in line for line in lines) == 2


def test_a_choice_of_none_is_no_success(start):
    runner = start("-k", "no_such_name")
    output, _ = runner.communicate(timeout=60)
    assert output.splitlines()[-1] == "0 passed, 0 failed" and runner.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
                         ids=lambda number: number.name)
def test_told_to_end_it_says_how_far_it_was_and_leaves_nothing(start, tmp_path, number):
    runner, pid = start(), tmp_path / "pid"
    end = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < end, "the endless test has not begun"
        time.sleep(0.05)
    os.kill(runner.pid, number)
    output, _ = runner.communicate(timeout=30)
    assert runner.returncode == 128 + number
    assert "interrupted after 0:" in output.splitlines()[-1] and " passed," not in output, output
    assert not pathlib.Path("/proc", pid.read_text()).exists()
