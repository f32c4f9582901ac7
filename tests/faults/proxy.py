"""TCP links that can be cut, stalled, half-opened and slowed. One event loop in a thread of its own
serves them all."""
import asyncio
import itertools
import socket
import struct

from lib.loop_thread import LoopThread

RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends a reset


def reset(writer):
    sock = writer.get_extra_info("socket")
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass  # closed already
    writer.transport.abort()


class Link:
    """What a program takes for a server. Its mode is changed from any thread by set()."""

    MODES = ("pass", "cut", "stall", "half-open", "slow")

    def __init__(self, loop, name, target_port):
        self.loop, self.name, self.target_port = loop, name, target_port
        self.mode = "pass"
        self.pairs = {}    # connections that go through, by number
        # ends of half-open ones: kept open for as long as their programs believe in them
        self.orphans = []
        self.numbers = itertools.count()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.delay = 0.0
        self.answer_delay = 0.0  # of what comes from the server; late counts how often
        self.late = 0
        self.port = None
        self.server = None

    async def listen(self):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def accept(self, reader, writer):
        pair = {"near": writer, "dead": False}
        try:
            await self.flowing.wait()
            if self.mode == "cut":
                return reset(writer)
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            return reset(writer)  # what a closed port does
        number = next(self.numbers)
        pair["far"] = far
        self.pairs[number] = pair
        await asyncio.gather(self.pump(pair, reader, far),
                             self.pump(pair, far_reader, writer, answers=True))
        self.pairs.pop(number, None)

    async def pump(self, pair, reader, writer, answers=False):
        try:
            while data := await reader.read(65536):
                await self.flowing.wait()
                if pair["dead"]:
                    return
                if self.delay:
                    await asyncio.sleep(self.delay)
                if answers and self.answer_delay:
                    self.late += 1
                    await asyncio.sleep(self.answer_delay)
                writer.write(data)
                await writer.drain()
            await self.flowing.wait()
        except (ConnectionError, OSError):
            pass
        if not pair["dead"]:
            for side in ("near", "far"):
                pair[side].close()

    async def change(self, mode, delay):
        self.mode, self.delay = mode, delay if mode == "slow" else 0.0
        pairs = list(self.pairs.values())
        if mode == "cut":
            for pair in pairs:
                reset(pair["near"])
                reset(pair["far"])
        if mode == "half-open":
            # The server sees the connection end. The program hears nothing, now or later: its
            # packets are for nobody.
            for pair in pairs:
                pair["dead"] = True
                reset(pair["far"])
                pair["near"].transport.pause_reading()
                self.orphans.append(pair["near"])
            self.pairs.clear()
        if mode in ("stall", "half-open"):
            self.flowing.clear()
        else:
            self.flowing.set()

    def set(self, mode, delay=0.0):
        asyncio.run_coroutine_threadsafe(self.change(mode, delay), self.loop).result(10)


class Proxy(LoopThread):
    """All links of a campaign."""

    def __init__(self):
        super().__init__("proxy")

    def link(self, name, target_port):
        async def make():
            return await Link(self.loop, name, target_port).listen()
        return self.run(make())
