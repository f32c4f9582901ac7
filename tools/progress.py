"""How the tests go, for a person: on a terminal a line that is written anew and names what is under
way, with failures above it; elsewhere a line for each test that ends."""
import shutil
import sys
import threading
import time


def short(test):
    """The name by which -k finds a test."""
    return test.rsplit("::", 1)[-1]


class Progress:
    """Told by several threads."""

    def __init__(self, stream=None, live=None, clock=time.monotonic):
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty() if live is None else live
        self.clock, self.begun = clock, clock()
        self.lock = threading.RLock()
        self.total = self.ended = self.failed = 0
        self.under_way = {}  # test -> when it began
        self.shown = False  # a line that is to be written anew

    def take(self, event):
        """An event of lib/telling.py."""
        with self.lock:
            if "collected" in event:
                self.total += event["collected"]
            elif "begun" in event:
                self.under_way[event["begun"]] = self.clock()
            elif "ended" in event:
                self.end(event)
            self.show()

    def end(self, event):
        test, outcome = event["ended"], event["outcome"]
        self.under_way.pop(test, None)
        self.ended += 1
        self.failed += outcome == "failed"
        word = {"passed": "ok", "failed": "FAILED"}.get(outcome, outcome)
        if not self.live or outcome == "failed":
            self.say(f"  {self.count()} {word:7} {event['seconds']:5.1f} s  {test}")
        for value in event["told"].values():
            self.say(f"      {value}")

    def count(self):
        width = len(str(self.total))
        return f"{self.ended:{width}}/{self.total}"

    def elapsed(self):
        minutes, seconds = divmod(int(self.clock() - self.begun), 60)
        return f"{minutes}:{seconds:02}"

    def line(self):
        oldest = sorted(self.under_way, key=self.under_way.get)
        failed = f"  {self.failed} FAILED" if self.failed else ""
        return f"  {self.count()}  {self.elapsed()}{failed}  {', '.join(map(short, oldest))}"

    def show(self):
        with self.lock:
            if self.live:
                width = shutil.get_terminal_size().columns
                self.write(f"\r\033[K{self.line()[:width - 1]}")
                self.shown = True

    def say(self, text):
        """A line that stays."""
        with self.lock:
            self.write(("\r\033[K" if self.shown else "") + text + "\n")
            self.shown = False

    def close(self):
        with self.lock:
            if self.shown:
                self.write("\r\033[K")
                self.shown = False

    def write(self, text):
        self.stream.write(text)
        self.stream.flush()
