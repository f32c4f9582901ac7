"""Fixtures: see lib/fixtures.py."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.fixtures import make_stack, servers, stack  # noqa: E402,F401
