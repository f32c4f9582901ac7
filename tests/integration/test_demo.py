"""The demo's line a second, by a clock of the test's own: nobody here waits for a second."""
import io
import threading

import pytest

from screen import Screen, Source, Ticker, ask


class Time:
    """A clock that goes on only while it is waited for, and `late` seconds more."""

    def __init__(self, late=0):
        self.now, self.late = 1000.0, late

    def __call__(self):
        return self.now

    def wait(self, seconds):
        assert seconds >= 0
        self.now += seconds + self.late


def tick(line, seconds, time):
    """What is shown in `seconds` calls of line()."""
    out = io.StringIO()
    calls = []

    def counted(n):
        calls.append(n)
        if len(calls) == seconds:
            ticker.over.set()
            ticker.screen.show(line(n))  # the last one is not shown once it is over
            return None
        return line(n)

    ticker = Ticker(Screen(out), counted, time, time.wait)
    ticker.start()
    ticker.join()
    ticker.stop()
    return out.getvalue().splitlines()


@pytest.fixture
def stuck():
    """A source that does not answer, and how often it was asked."""
    asked, release = [], threading.Event()

    def read():
        asked.append(1)
        release.wait()
        return 7

    source = Source(read)
    yield source, asked, release
    release.set()


def test_each_second_has_its_line_however_slow_a_source_is(stuck):
    source, asked, release = stuck
    good = Source(lambda: "good")

    def line(n):
        good.ask()
        source.ask()
        return f"{n} {good.value(30)} {source.value(0)}"

    assert tick(line, 5, Time()) == [f"{n} good None" for n in range(5)]
    assert len(asked) == 1  # a question that still stands is not asked again
    release.set()
    assert source.value(30) == 7


def test_a_clock_that_drifts_costs_no_second():
    assert tick(str, 20, Time(late=0.01)) == [str(n) for n in range(20)]


def test_what_was_slept_through_is_not_made_up_for():
    assert tick(str, 4, Time(late=2.5)) == ["0", "3", "6", "9"]


def test_what_cant_be_reached_has_no_value():
    def refuse():
        raise ConnectionRefusedError

    assert ask([Source(refuse), Source(lambda: 3)], patience=30) == [None, 3]


def test_errors_of_ours_are_not_hidden():
    def mistake(_=None):
        raise KeyError("mistake")

    with pytest.raises(KeyError):
        ask([Source(mistake)], patience=30)
    ticker = Ticker(Screen(io.StringIO()), mistake)
    ticker.start()
    with pytest.raises(KeyError):
        ticker.stop()


def test_a_terminal_keeps_what_was_said_and_the_figures_at_a_fault():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Screen(Terminal())
    screen.show("1 s")
    screen.say("a word")
    screen.show("2 s")
    screen.say("a fault", keep=True)
    screen.say("another", keep=True)
    screen.show("3 s")
    assert screen.out.getvalue() == (
        "\r\033[K1 s\r\033[Ka word\n\r\033[K2 s\na fault\n\r\033[Kanother\n\r\033[K3 s")
