"""Child processes: started, watched, ended by pid."""
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import time


def wait_for(condition, seconds=30, what="condition", pause=0.05):
    """Polls until condition() is true and returns its value; fails with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(pause)


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def unprivileged():
    """The words that run a command as an ordinary user: servers refuse root."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def give_away(path):
    """Hands a folder to the user of unprivileged()."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.chown(path, user.pw_uid, user.pw_gid)


class Process:
    """A child with its own log file. `command` is a list of words."""

    def __init__(self, name, command, log, env=None, cwd=None):
        self.name = name
        self.command = [str(word) for word in command]
        self.log = pathlib.Path(log)
        self.env = env
        self.cwd = cwd
        self.child = None

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, env=self.env, cwd=self.cwd,
                                          start_new_session=True)
        return self

    @property
    def pid(self):
        return self.child.pid

    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def send(self, number):
        self.child.send_signal(number)

    def freeze(self):
        """SIGSTOP to it and whatever it started: there, but deaf and dumb. thaw() ends it."""
        os.killpg(self.child.pid, signal.SIGSTOP)

    def thaw(self):
        os.killpg(self.child.pid, signal.SIGCONT)

    def kill(self):
        """SIGKILL to it and whatever it started, and reaped."""
        if self.child is None:
            return
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def stop(self, number=signal.SIGTERM, seconds=35):
        """Asks it to end and returns its exit status; kills it when it does not."""
        if self.is_running():
            self.send(number)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise TimeoutError(f"{self.name} did not end within {seconds} s") from None
        status = self.child.returncode if self.child else 0
        self.kill()  # what it may have left behind
        return status

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def rss_kib(self, peak=False):
        key = "VmHWM:" if peak else "VmRSS:"
        for line in open(f"/proc/{self.pid}/status", encoding="ascii"):
            if line.startswith(key):
                return int(line.split()[1])
        return 0

    def cpu_seconds(self):
        fields = open(f"/proc/{self.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
