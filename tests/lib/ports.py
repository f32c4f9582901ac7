"""Ports for servers, of which several runs and workers side by side never get the same.

They come in blocks below the range from which the kernel takes ports for outgoing connections, so
that a server that is down for a while finds its port free when it comes back. A block belongs to
the process that has its first port bound: the kernel takes it back however that process ends.
"""
import socket
import threading

FIRST, END, BLOCK = 10000, 32000, 200


def hold(port):
    """A socket bound to the port, or None if somebody has it."""
    probe = socket.socket()
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        probe.close()
        return None
    return probe


class Ports:
    def __init__(self):
        self.lock = threading.Lock()
        self.leases = []  # sockets: open as long as this process lives
        self.block = iter(())

    def lease(self):
        """The ports of a block that nobody else has leased."""
        for first in range(FIRST, END, BLOCK):
            if held := hold(first):
                self.leases.append(held)
                return iter(range(first + 1, first + BLOCK))
        raise RuntimeError(f"all blocks of ports from {FIRST} to {END} are taken")

    def free(self):
        with self.lock:
            while True:
                for port in self.block:
                    if probe := hold(port):
                        probe.close()
                        return port
                self.block = self.lease()


_ports = Ports()


def free_port():
    """A loopback port nobody has now, and that is given to nobody else who asks here."""
    return _ports.free()
