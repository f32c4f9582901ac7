"""Fixtures: what each of the files in values/ makes of the chart."""
import pytest

from chart import names_of_values, rendered
# pylint: disable-next=unused-import
from lib.fixtures import make_stack, pytest_configure, servers, stack


@pytest.fixture(scope="session")
def all_rendered():
    return {name: rendered(name) for name in names_of_values()}


@pytest.fixture(params=names_of_values())
def objects(request, all_rendered):
    return all_rendered[request.param]
