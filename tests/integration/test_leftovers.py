"""Whatever way a run ends, nothing it started stays: see lib/keeper.py."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from lib.keeper import KEPT
from lib.processes import give_away, unprivileged, wait_for
from lib.stack import ROOT

SECONDS = 90  # until all must be gone; on a quiet machine they take one or two

# A run: servers, a process that has left its parent, session and group, and a child that waits.
RUN = """
import json, os, signal, subprocess, sys
from lib.keeper import keep, kept_folder
keep()
from lib.servers import Servers
servers = Servers()
if "servers" in sys.argv:
    servers.start()
if "stack" in sys.argv:
    from lib.stack import Stack
    stack = Stack(servers).set_up()
    stack.producer().wait_ready()
subprocess.run(["sh", "-c", "setsid sh -c 'sleep 1000 & exec sleep 1000' & "], check=True)
print(json.dumps({"folder": kept_folder(), "run": os.getpid(), "keeper": os.getppid()}), flush=True)
if "end" in sys.argv:
    sys.exit(7)
signal.pause()
"""


def processes():
    """{pid: (ppid, start time)}: the two together name a process for ever."""
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            found[int(stat.parent.name)] = int(fields[1]), fields[19]
    return found


def descendants(pid):
    all_processes, found = processes(), {pid}
    while more := {child for child, (parent, _) in all_processes.items()
                   if parent in found and child not in found}:
        found |= more
    return {(child, all_processes[child][1]) for child in found if child in all_processes}


def segments(creators):
    """System V segments of shared memory that these pids have made."""
    table = pathlib.Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return [line for line in table if int(line.split()[4]) in creators]


def heed_interrupts():
    """A shell has what it runs in the background ignore SIGINT, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Run:
    def __init__(self, folder, *words, user=()):
        """user: the words that make it another user's, which cannot read this tree."""
        lib = folder / "lib"
        shutil.copytree(ROOT / "tests/lib", lib)
        others = {KEPT, "MTC_TEST_RABBIT"}  # its servers are its own, a broker too
        environment = {key: value for key, value in os.environ.items() if key not in others}
        environment |= {"PYTHONPATH": str(folder if user else ROOT / "tests"), "HOME": str(folder),
                        "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        give_away(folder)
        self.front = subprocess.Popen([*user, sys.executable, "-c", RUN, *words], env=environment,
                                      cwd="/", stdout=subprocess.PIPE, text=True,
                                      preexec_fn=heed_interrupts)
        self.told = json.loads(self.front.stdout.readline())
        self.folder = pathlib.Path(self.told["folder"])
        self.all = descendants(self.front.pid)

    def living(self):
        now = processes()
        return [pid for pid, begun in self.all if pid in now and now[pid][1] == begun]

    def must_be_gone(self):
        with self.front.stdout:
            wait_for(lambda: self.front.poll() is not None, SECONDS, "it ends")
            wait_for(lambda: not self.living(), SECONDS, "all it started ends")
            wait_for(lambda: not self.folder.exists(), SECONDS, "its folder goes")
        assert not segments({pid for pid, _ in self.all})
        return self.front.returncode


@pytest.fixture
def folder():
    """One that everybody may enter; pytest closes its own to others whenever a worker begins."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="leftovers."))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
                         ids=lambda number: number.name)
def test_servers_and_programs_end_with_the_run(folder, number):
    run = Run(folder, "servers", "stack")
    assert len(run.all) > 20 and segments({pid for pid, _ in run.all})
    os.kill(run.front.pid, number)
    assert run.must_be_gone() == (-number if number == signal.SIGKILL else 128 + number)


def test_servers_of_an_ordinary_user_end_with_the_run(folder):
    run = Run(folder, "servers", user=unprivileged())
    assert len(run.all) > 15
    os.kill(run.front.pid, signal.SIGKILL)
    run.must_be_gone()


@pytest.mark.parametrize("victim", ["run", "keeper"])
def test_whichever_is_killed_the_others_see_to_it(folder, victim):
    run = Run(folder)
    os.kill(run.told[victim], signal.SIGKILL)
    assert run.must_be_gone() == 128 + signal.SIGKILL


def test_a_whole_process_group_is_killed(folder):
    run = Run(folder)
    assert os.getpgid(run.front.pid) == os.getpgid(run.told["run"])
    for pid in (run.front.pid, run.told["run"]):  # our own group is the same
        os.kill(pid, signal.SIGKILL)
    run.must_be_gone()


def test_a_run_that_ends_keeps_its_exit_status(folder):
    run = Run(folder, "end")
    assert run.must_be_gone() == 7
