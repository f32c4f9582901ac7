"""Fixtures: see lib/fixtures.py."""
from lib.fixtures import make_stack, servers, stack  # pylint: disable=unused-import
