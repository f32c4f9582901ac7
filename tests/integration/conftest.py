"""Fixtures: see lib/fixtures.py."""
# pylint: disable=unused-import
from lib.fixtures import make_stack, pytest_configure, servers, stack
