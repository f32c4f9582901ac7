"""Fixtures: one set of real servers for the session, one installation of mtc-sync for each test."""
import pytest

from .keeper import keep
from .servers import Servers
from .stack import Stack


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # xdist's workers descend from what is kept
        keep()


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
