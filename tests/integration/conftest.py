"""Fixtures: one set of real servers for the session, one installation of mtc-sync for each test."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.servers import Servers  # noqa: E402
from lib.stack import Stack  # noqa: E402


@pytest.fixture(scope="session")
def servers():
    servers = Servers()
    try:
        yield servers.start()
    finally:
        servers.stop()


@pytest.fixture
def make_stack(servers, request):
    """Makes installations; ends them, and fails the test if a sanitizer had something to say."""
    stacks = []

    def make(plant=True, **options):
        stack = Stack(servers, **options)
        stacks.append(stack)
        return stack.set_up(plant)

    yield make
    reports = []
    for stack in stacks:
        reports += stack.tear_down()
    assert not reports, "\n".join(reports)


@pytest.fixture
def stack(make_stack):
    return make_stack()
