"""What counts as passed and failed: junit.py, and a pytest with xdist that tells how it goes."""
import json
import os
import subprocess
import sys

import pytest

from junit import NOTHING_SELECTED, judge_meson, judge_pytest

PASSED = '<testcase classname="t" name="{}"/>'
FAILED = '<testcase classname="t" name="{}"><failure/></testcase>'
ERROR = '<testcase classname="t" name="{}"><error/></testcase>'
SKIPPED = '<testcase classname="t" name="{}"><skipped/></testcase>'


@pytest.fixture
def junit(tmp_path):
    def write(*cases):
        path = tmp_path / "junit.xml"
        path.write_text("<testsuites><testsuite>" + "".join(
            case.format(n) for n, case in enumerate(cases)) + "</testsuite></testsuites>")
        return path
    return write


def test_all_passed(junit):
    assert judge_pytest(junit(PASSED, PASSED, SKIPPED), 0, 3) == (2, 0, None)
    assert judge_meson(junit(PASSED, PASSED), 0) == (2, 0, None)


def test_failures_and_errors(junit):
    assert judge_pytest(junit(PASSED, FAILED, ERROR), 1, 3) == (1, 2, None)
    assert judge_meson(junit(PASSED, FAILED), 1) == (1, 1, None)


def test_a_file_that_says_nothing(junit, tmp_path):
    broken = tmp_path / "broken.xml"
    broken.write_text("<testsuites><testsu")
    for path in (tmp_path / "missing.xml", broken):
        for passed, failed, remark in (judge_meson(path, 0), judge_pytest(path, 0, 3)):
            assert (passed, failed) == (0, 1) and f"{path} is missing or unreadable" in remark
    for passed, failed, remark in (judge_meson(junit(), 0), judge_pytest(junit(), 0, 0)):
        assert (passed, failed) == (0, 1) and "has no test cases" in remark


def test_a_bad_end_without_a_failed_case(junit):
    for status in (1, 2, 127, -9):
        passed, failed, remark = judge_pytest(junit(PASSED), status, 1)
        assert (passed, failed) == (1, 1) and f"status {status}" in remark


def test_fewer_were_run_than_collected(junit):
    assert judge_pytest(junit(PASSED, PASSED), 0, 3) == (2, 1, "of 3 tests only 2 were run")
    assert judge_pytest(junit(PASSED), 0, None)[:2] == (1, 1)
    # With -x the rest is left out, and the failure is counted already.
    assert judge_pytest(junit(PASSED, FAILED), 2, 9) == (1, 1, None)


def test_two_cases_of_one_test_do_not_stand_for_another(junit):
    twice = PASSED.replace("{}", "same")
    assert judge_pytest(junit(twice, twice), 0, 2)[1] == 1


def test_a_choice_of_tests_may_be_of_none(junit):
    assert judge_pytest(junit(), NOTHING_SELECTED, None, may_be_nothing=True) == (0, 0, None)
    assert judge_pytest(junit(), NOTHING_SELECTED, None)[1] == 1
    assert judge_pytest(junit(), 4, None, may_be_nothing=True)[1] == 1


def test_meson_takes_a_timeout_for_passed(junit):
    assert judge_meson(junit(PASSED, PASSED, FAILED), 2) == (1, 2, None)
    assert judge_meson(junit(PASSED), 9) == (0, 1, None)


SUITE = """
import os
def test_good(record_property): record_property("seen", "42 events")
def test_bad(): assert False
def test_deadly(): os._exit(3)
def test_other(): pass
"""


@pytest.fixture
def run_pytest(tmp_path):
    """Runs a suite as ./dev test does: its verdict and its events."""
    def run(text, *options):
        (tmp_path / "test_suite.py").write_text(text)
        path, (reader, writer) = tmp_path / "junit.xml", os.pipe()
        environment = {**os.environ, "MTC_TEST_EVENTS": str(writer),
                       "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-m", "pytest", "-p", "lib.telling", "-q",
                               "-p", "no:cacheprovider", *options, f"--junitxml={path}",
                               "test_suite.py"], cwd=tmp_path, env=environment, pass_fds=[writer],
                              capture_output=True, text=True, timeout=60, check=False)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as lines:
            events = [json.loads(line) for line in lines]
        collected = next((e["collected"] for e in events if "collected" in e), None)
        return judge_pytest(path, done.returncode, collected), events, done.stdout
    return run


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_worker_that_dies_is_a_failure_and_the_others_are_run(run_pytest, workers):
    (passed, failed, _), events, output = run_pytest(SUITE, "-n", workers)
    assert (passed, failed) == (2, 2), output
    ended = {event["ended"].split("::")[1]: event for event in events if "ended" in event}
    assert {name: event["outcome"] for name, event in ended.items()} == {
        "test_good": "passed", "test_bad": "failed", "test_deadly": "failed",
        "test_other": "passed"}
    assert ended["test_good"]["told"] == {"seen": "42 events"}
    assert {event["collected"] for event in events if "collected" in event} == {4}


def test_without_workers_it_tells_the_same(run_pytest):
    (passed, failed, _), events, output = run_pytest(SUITE.replace("os._exit(3)", "1 / 0"))
    assert (passed, failed) == (2, 2), output
    assert sum("begun" in event for event in events) == 4 == sum("ended" in e for e in events)


def test_a_runner_that_dies_is_a_failure(run_pytest):
    (passed, failed, remark), _, _ = run_pytest(SUITE)  # test_deadly ends pytest itself
    assert (passed, failed) == (0, 1) and "missing" in remark


def test_a_file_that_cannot_be_imported_is_a_failure(run_pytest):
    for options in ((), ("-n", "2")):
        (passed, failed, _), _, output = run_pytest("import nonsense", *options)
        assert (passed, failed) == (0, 1), output
