"""Whatever way a run ends, by SIGKILL included, nothing it started stays alive.

keep() makes three processes of the calling one:

  front   what its user started and knows. It passes signals on and waits.
  keeper  in a session of its own, so that no terminal and no kill of a process group reaches it.
          Whatever is orphaned below it becomes its child (PR_SET_CHILD_SUBREAPER).
  run     returns from keep() and does the work.

Only the front holds the write end of a pipe: the keeper reads its end however the front dies. As
soon as the front or the run is gone the keeper kills its children. What these leave behind becomes
its child and is killed as well, until there is none: servers that fork, daemonize or change their
user included. Then it removes the throw-away folder, where all temporary files of the run are
(TMPDIR). It needs no rights beyond those of the run. If the keeper itself is killed, the front does
its work; only who kills both at once leaves something behind.
"""
import contextlib
import ctypes
import os
import pathlib
import select
import shutil
import signal
import sys
import tempfile
import traceback

KEPT = "MTC_KEPT_FOLDER"  # in the environment of whatever runs under a keeper
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PR_SET_CHILD_SUBREAPER = 36
IPC_RMID = 0
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans():
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children():
    """Pids of this process' children, zombies among them."""
    found, mine = [], str(os.getpid())
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[1] == mine:
            found.append(int(stat.parent.name))
    return found


def kill_children():
    """Kills and reaps until nothing descends from this process; returns the pids. A child stays a
    zombie until it is reaped here, so none of these pids can mean somebody else by now."""
    killed = set()
    while found := children():
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        for pid in found:
            os.waitpid(pid, 0)
        killed.update(found)
    return killed


def remove_segment(identity, owner):
    """As its owner: in a container root may not remove what is another user's."""
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setresuid(owner, owner, owner)
            _libc.shmctl(identity, IPC_RMID, None)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def remove_shared_memory(creators):
    """System V segments outlive their process; PostgreSQL has one."""
    table = pathlib.Path("/proc/sysvipc/shm")
    for line in table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else []:
        _, identity, _, _, creator, _, attached, owner = line.split()[:8]
        if int(creator) in creators and attached == "0":
            remove_segment(int(identity), int(owner))


def clean(folder):
    remove_shared_memory(kill_children())
    shutil.rmtree(folder, ignore_errors=True)


def exit_code(status):
    """As a shell has it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def be_front(keeper, to_keeper, folder):
    adopt_orphans()
    ended = 0
    while not ended:
        told = signal.sigwaitinfo([*PASSED_ON, signal.SIGCHLD])
        if told.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(keeper, os.WNOHANG)
        elif told.si_code <= 0:  # from a process; what a terminal sends, the run has as well
            with contextlib.suppress(BrokenPipeError):  # the keeper's end is told next
                os.write(to_keeper, bytes([told.si_signo]))
    if os.WIFSIGNALED(status):
        clean(folder)
    return exit_code(status)


def keep_watch(run, from_front):
    """Until the run has ended, whose exit code it returns, or the front: then None."""
    awake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    while True:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == run:
                return exit_code(ended[1])
        ready, _, _ = select.select([from_front, awake], [], [])
        if awake in ready:
            os.read(awake, 4096)
        if from_front in ready:
            numbers = os.read(from_front, 64)
            if not numbers:
                return None
            for number in numbers:
                os.kill(run, number)


def be_keeper(run, from_front, folder, leave_if_good):
    os.setsid()
    code = keep_watch(run, from_front)
    if not (leave_if_good and code == 0):
        clean(folder)
    return 1 if code is None else code


def kept_folder():
    """Where everything temporary of this run is; None without a keeper."""
    return os.environ.get(KEPT)


def end_as(part, *arguments):
    """Ends this process with what the part returns; never lets it go on as the run."""
    code = 1
    try:
        code = part(*arguments)
    except BaseException:  # told, whatever it is
        traceback.print_exc()
    finally:
        os._exit(code)


def keep(leave_if_good=False):
    """Returns in the run only, and at once if a keeper watches already. To be called before there
    are threads. leave_if_good: what a run with exit status 0 has started goes on, on purpose."""
    if KEPT in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="mtc-sync.")
    os.chmod(folder, 0o755)  # servers run as another user
    sys.stdout.flush()
    sys.stderr.flush()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [*PASSED_ON, signal.SIGCHLD])
    from_front, to_keeper = os.pipe()
    if keeper := os.fork():
        os.close(from_front)
        end_as(be_front, keeper, to_keeper, folder)
    os.close(to_keeper)
    adopt_orphans()
    if run := os.fork():
        end_as(be_keeper, run, from_front, folder, leave_if_good)
    os.close(from_front)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.environ[KEPT] = os.environ["TMPDIR"] = folder
    tempfile.tempdir = None
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
