"""A server in MTConnect's place whose answers are large, and slow to end."""
import asyncio
import urllib.parse

from .loop_thread import LoopThread


class LargeAnswers(LoopThread):
    """GET .../machines/NAME/cycle-time: a good answer of `size` bytes, or of sizes[NAME]. Its last
    byte comes after `pause` seconds, so that many answers are under way at once."""

    def __init__(self, size, pause=0.5, sizes=None):
        super().__init__("large answers")
        self.size, self.pause, self.sizes = size, pause, sizes or {}
        self.under_way = self.most = 0
        self.server = self.run(asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1000))
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                name = urllib.parse.unquote(head.split(b" ")[1].decode().split("/")[-2])
                self.under_way += 1
                self.most = max(self.most, self.under_way)
                try:
                    await self.answer(writer, self.sizes.get(name, self.size))
                finally:
                    self.under_way -= 1
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, writer, size):
        start, end = b'{"last_cycle_time": 12.5, "pad": "', b'"}'
        body = start + b"x" * (size - len(start) - len(end)) + end
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body))
        writer.write(body[:-1])
        await writer.drain()
        await asyncio.sleep(self.pause)
        writer.write(body[-1:])
        await writer.drain()

    def closing(self):
        self.server.close()
