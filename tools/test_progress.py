"""What a person sees while the tests run: progress.py."""
import io

from progress import Progress


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def story(live):
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, live=live, clock=clock)
    progress.take({"collected": 12})
    progress.take({"begun": "a.py::test_one"})
    clock.now += 65
    progress.take({"begun": "a.py::test_two[x]"})
    progress.take({"ended": "a.py::test_one", "outcome": "passed", "seconds": 65.2,
                   "told": {"seen": "42 events"}})
    progress.take({"ended": "a.py::test_two[x]", "outcome": "failed", "seconds": 0.5, "told": {}})
    progress.close()
    return stream.getvalue()


def test_on_a_pipe_a_line_for_each_that_ends():
    assert story(live=False).splitlines() == [
        "   1/12 ok       65.2 s  a.py::test_one",
        "      42 events",
        "   2/12 FAILED    0.5 s  a.py::test_two[x]"]


def test_on_a_terminal_one_line_names_what_is_under_way():
    text = story(live=True)
    lines = [line.split("\033[K")[-1] for line in text.split("\r")]
    assert "   0/12  1:05  test_one, test_two[x]" in lines
    assert text.count("\n") == 2 and "FAILED    0.5 s  a.py::test_two[x]\n" in text
    assert text.endswith("\r\033[K"), "nothing of it stays"
