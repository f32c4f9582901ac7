"""A name server of the campaign's own, and programs that ask it: each lives in a mount namespace
with its own resolv.conf."""
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import threading

DOMAIN = "mtc.test"
TYPE_A = 1


def available():
    """Whether this machine lets us: root, and mount namespaces."""
    return os.geteuid() == 0 and shutil.which("unshare") is not None and subprocess.run(
        ["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


def start(folder):
    """A server, or None where this machine does not let us have one."""
    try:
        return NameServer(folder) if available() else None
    except OSError:
        return None


class NameServer:
    """Answers every name with 127.0.0.1, or, when broken, not at all."""

    def __init__(self, folder):
        pid = os.getpid()
        self.address = f"127.53.{pid >> 8 & 255}.{pid & 255 or 1}"
        self.broken = set()  # names of programs; told apart by the label before the domain
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 53))
        self.resolv_conf = pathlib.Path(folder) / "resolv.conf"
        self.resolv_conf.write_text(f"nameserver {self.address}\noptions timeout:1 attempts:1\n")
        threading.Thread(target=self.serve, daemon=True, name="names").start()

    def host(self, program):
        return f"{program}.{DOMAIN}"

    def serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(512)
            except OSError:
                return
            answer = self.answer(query)
            if answer:
                self.socket.sendto(answer, peer)

    def answer(self, query):
        """RFC 1035, 4.1: the question again, and an A record that points at its name."""
        at, labels = 12, []
        while at < len(query) and query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii", "replace").lower())
            at += 1 + query[at]
        kind, = struct.unpack_from("!H", query, at + 1)
        if not labels or labels[0] in self.broken:
            return None
        question = query[12:at + 5]
        found = kind == TYPE_A
        head = query[:2] + struct.pack("!HHHHH", 0x8580, 1, 1 if found else 0, 0, 0)
        record = b"\xc0\x0c" + struct.pack("!HHIH", TYPE_A, 1, 0, 4) + socket.inet_aton("127.0.0.1")
        return head + question + (record if found else b"")

    def command(self, command):
        """The words that run a command where this server is the one to ask."""
        script = f'mount --bind {self.resolv_conf} /etc/resolv.conf && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, "sh", *command]

    def stop(self):
        self.socket.close()
