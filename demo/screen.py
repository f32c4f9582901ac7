"""What the demo shows: a line a second, whatever it has to wait for.

A Ticker calls a function for each second and shows what it returns. The numbers in that line come
from Sources, each asked on a thread of its own: one that is slow, or can't be asked at all, costs
the line a number, which is then "-", but not its second.
"""
import http.client
import shutil
import sys
import threading
import time

import psycopg


class Screen:
    """say() prints lines that stay. show() prints the line of this second; on a terminal the next
    one takes its place, unless say() is told to keep it."""

    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.live = self.out.isatty()
        self.shown = False
        self.lock = threading.Lock()

    def print(self, text, shown=False, keep=False):
        with self.lock:
            if self.live:
                self.out.write("\n" if keep and self.shown else "\r\033[K")
            self.out.write(text)
            self.out.flush()
            self.shown = shown

    def say(self, text="", keep=False):
        self.print(text + "\n", keep=keep)

    def show(self, text):
        if self.live:
            self.print(text[:shutil.get_terminal_size().columns - 1], shown=True)
        else:
            self.print(text + "\n")


class Source:
    """Something that is read once a second. What can't be reached has no value; any other error is
    ours, and is raised where the value is asked for."""

    UNREACHABLE = (OSError, http.client.HTTPException, psycopg.Error)

    def __init__(self, read):
        self.read = read
        self.thread = None
        self.result = self.error = None

    def ask(self):
        """A question that still stands is not asked again."""
        if self.thread is None or not self.thread.is_alive():
            self.result = None
            self.thread = threading.Thread(target=self.run, daemon=True)
            self.thread.start()

    def run(self):
        try:
            self.result = self.read()
        except self.UNREACHABLE:
            pass
        except Exception as error:  # raised by value()
            self.error = error

    def value(self, timeout):
        """The answer to the last question; None if there is none within `timeout` seconds."""
        self.thread.join(timeout)
        if self.error:
            raise self.error
        return None if self.thread.is_alive() else self.result


def ask(sources, patience=0.5):
    """The value of each, all within `patience` seconds."""
    until = time.monotonic() + patience
    for source in sources:
        source.ask()
    return [source.value(max(0, until - time.monotonic())) for source in sources]


class Ticker(threading.Thread):
    """Shows line(n) at second n, until it is stopped. A second that the whole machine slept through
    is left out rather than made up for."""

    def __init__(self, screen, line, clock=time.monotonic, wait=None):
        super().__init__(daemon=True)
        self.screen, self.line, self.clock = screen, line, clock
        self.over = threading.Event()
        self.wait = wait or self.over.wait
        self.error = None

    def run(self):
        try:
            begun, n = self.clock(), 0
            while not self.over.is_set():
                text = self.line(n)
                if text is not None and not self.over.is_set():
                    self.screen.show(text)
                n += 1
                self.wait(max(0, begun + n - self.clock()))
                n = max(n, int(self.clock() - begun))
        except Exception as error:  # raised by stop()
            self.error = error

    def stop(self):
        self.over.set()
        self.join()
        if self.error:
            raise self.error
