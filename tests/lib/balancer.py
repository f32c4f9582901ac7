"""A load balancer before the nodes of a cluster, on a loopback port of its own."""
import asyncio

from .loop_thread import LoopThread

AMQP = b"AMQP\x00\x00\x09\x01"
CHECK_S = 3.0


class Balancer(LoopThread):
    """A new connection goes to the first of the ports, in their order, behind which somebody is
    well: answers what is said to it as a check, or, without one, accepts. ports may be changed; a
    connection stays where it is, for as long as both ends want it."""

    def __init__(self, ports, check=b""):
        super().__init__("balancer")
        self.ports, self.check = list(ports), check
        self.server = self.run(asyncio.start_server(self.accept, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]

    async def is_well(self, port):
        """A frozen node's kernel accepts, so that alone says nothing."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        try:
            writer.write(self.check)
            return not self.check or await asyncio.wait_for(reader.read(1), CHECK_S) != b""
        except (OSError, asyncio.TimeoutError):
            return False
        finally:
            writer.close()

    async def accept(self, reader, writer):
        try:
            for port in list(self.ports):
                if await self.is_well(port):
                    far_reader, far = await asyncio.open_connection("127.0.0.1", port)
                    await asyncio.gather(self.pump(reader, far), self.pump(far_reader, writer))
                    break
        except OSError:
            pass  # gone since it was asked
        finally:
            writer.close()

    @staticmethod
    async def pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the other end hears of it
        finally:
            writer.close()

    def closing(self):
        self.server.close()
