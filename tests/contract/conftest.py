"""Fixtures: Prism before, or in the place of, a program; see test_contract.py."""
import os
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "integration"))

from lib.fixtures import make_stack, servers, stack  # noqa: E402,F401
from lib.processes import Process, free_port, wait_for  # noqa: E402

ROOT = TESTS.parent
TOOLS = pathlib.Path(os.environ["MTC_CONTRACT_TOOLS"]) / "node_modules/.bin"


class Prism(Process):
    """Stoplight Prism with one of our documents: in the place of a server (mock), or before one (proxy). --errors makes it
    answer breaches of the contract with an error, whichever side they come from."""

    def __init__(self, folder, document, upstream=None):
        self.port = free_port()
        words = [TOOLS / "prism", "proxy" if upstream else "mock", "-h", "127.0.0.1", "-p", self.port, "--errors",
                 ROOT / "contract" / document, *([upstream] if upstream else [])]
        super().__init__("prism", words, folder / f"prism-{self.port}.log")

    def start(self):
        super().start()
        wait_for(lambda: "Prism is listening" in self.text(), 60, "Prism listens")
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def prism(tmp_path):
    running = []

    def start(document, upstream=None):
        running.append(Prism(tmp_path, document, upstream).start())
        return running[-1]

    yield start
    for process in running:
        process.stop()
