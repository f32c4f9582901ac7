"""Stoplight's tools, which ./dev installs from the npm registry for the contract tests."""
import os
import pathlib

from .ports import free_port
from .processes import Process, wait_for
from .stack import ROOT

_installed = os.environ.get("MTC_CONTRACT_TOOLS", ROOT / "build/contract")
TOOLS = pathlib.Path(_installed) / "node_modules/.bin"


class Prism(Process):
    """Prism with one of our documents: in the place of a server (mock), or before one (proxy).

    --errors makes it answer breaches of the contract with an error, whichever side they come from.
    """

    def __init__(self, folder, document, upstream=None):
        self.port = free_port()
        words = [TOOLS / "prism", "proxy" if upstream else "mock", "-h", "127.0.0.1",
                 "-p", self.port, "--errors", ROOT / "contract" / document,
                 *([upstream] if upstream else [])]
        super().__init__("prism", words, folder / f"prism-{self.port}.log")

    def start(self):
        super().start()
        wait_for(lambda: "Prism is listening" in self.text(), 60, "Prism listens")
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"
