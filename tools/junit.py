"""What a runner of tests has done, by its JUnit file, its exit status and what it set out to do."""
import xml.etree.ElementTree as ElementTree

NOTHING_SELECTED = 5  # pytest's exit status


class Counts:
    def __init__(self, cases):
        def having(*names):
            return sum(1 for case in cases if any(case.find(name) is not None for name in names))
        self.failed = having("failure", "error")
        self.skipped = having("skipped")
        self.passed = len(cases) - self.failed - self.skipped
        # A test that fails and whose teardown fails as well has two cases.
        self.tests = len({(case.get("classname"), case.get("name")) for case in cases})


def read(path):
    """The Counts of a file; None if it says nothing."""
    try:
        return Counts(list(ElementTree.parse(path).iter("testcase")))
    except (OSError, ElementTree.ParseError):
        return None


def judge_meson(path, status):
    """(passed, failed, remark) of meson test, whose exit status is the number of tests that did not
    pass. Its JUnit file takes a test that ran out of time for passed; its exit status does not."""
    counts = read(path)
    if counts is None:
        return 0, 1, f"no results: {path} is missing or unreadable"
    if counts.tests == 0:
        return 0, 1, f"no results: {path} has no test cases"
    missed = min(max(0, status - counts.failed), counts.passed)
    return ended(counts.passed - missed, counts.failed + missed, status)


def judge_pytest(path, status, collected, may_be_nothing=False):
    """(passed, failed, remark) of pytest, which told that it collected so many tests; None: it
    never did. may_be_nothing: a choice of tests may leave it without any."""
    counts = read(path)
    if counts is None:
        return 0, 1, f"no results: {path} is missing or unreadable"
    if may_be_nothing and status == NOTHING_SELECTED and counts.tests == 0:
        return 0, 0, None
    if counts.tests == 0:
        return 0, 1, f"no results: {path} has no test cases"
    if counts.failed == 0 and collected is None:
        return counts.passed, 1, "it never told how many tests it has"
    if counts.failed == 0 and counts.tests < collected:
        return counts.passed, 1, f"of {collected} tests only {counts.tests} were run"
    return ended(counts.passed, counts.failed, status)


def ended(passed, failed, status):
    if status != 0 and failed == 0:
        return passed, 1, f"the runner ended with status {status}, though no case failed"
    return passed, failed, None
