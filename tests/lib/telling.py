"""A plugin of pytest that tells how it goes, for tools/run_tests.py: with -p lib.telling and
MTC_TEST_EVENTS=DESCRIPTOR it writes there a line of JSON an event:

  {"collected": N}             so many tests are to be run
  {"begun": ID}
  {"ended": ID, "outcome": "passed" | "failed" | "skipped", "seconds": S, "told": {...}}

"told" is what the test gave to record_property. With xdist the controller tells of all workers.
"""
import json
import os

import pytest


def pytest_configure(config):
    if "MTC_TEST_EVENTS" in os.environ and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Teller(int(os.environ["MTC_TEST_EVENTS"])))


class Teller:
    def __init__(self, descriptor):
        os.set_inheritable(descriptor, False)
        self.pipe = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
        self.collected = None
        self.under_way = {}  # by id: worst outcome, seconds and what was told so far

    def tell(self, **event):
        self.pipe.write(json.dumps(event) + "\n")

    def count(self, collected):
        if self.collected is None:
            self.collected = collected
            self.tell(collected=collected)

    def pytest_collection_finish(self, session):
        if session.items:  # xdist's controller has none
            self.count(len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids):
        self.count(len(ids))

    def pytest_runtest_logstart(self, nodeid):
        self.under_way[nodeid] = {"outcome": "passed", "seconds": 0.0, "told": {}}
        self.tell(begun=nodeid)

    def pytest_runtest_logreport(self, report):
        test = self.under_way.get(report.nodeid)
        if test is None:
            return
        if report.outcome != "passed" and test["outcome"] != "failed":
            test["outcome"] = report.outcome
        test["seconds"] += report.duration
        test["told"].update(report.user_properties)
        if report.when not in ("setup", "call", "teardown"):  # its worker died
            self.end(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid):
        self.end(nodeid)

    def end(self, nodeid):
        if test := self.under_way.pop(nodeid, None):
            self.tell(ended=nodeid, **test)
