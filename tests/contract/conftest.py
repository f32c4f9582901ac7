"""Fixtures: Prism before, or in the place of, a program; the others are in lib/fixtures.py."""
import pytest

# pylint: disable=unused-import
from lib.fixtures import make_stack, pytest_configure, servers, stack
from lib.prism import Prism


@pytest.fixture
def prism(tmp_path):
    running = []

    def start(document, upstream=None):
        running.append(Prism(tmp_path, document, upstream).start())
        return running[-1]

    yield start
    for process in running:
        process.stop()
