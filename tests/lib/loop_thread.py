"""An event loop in a thread of its own, for what serves a test beside it."""
import asyncio
import threading


class LoopThread:
    """Runs until stop(). What is to be closed first stands in closing()."""

    def __init__(self, name):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True, name=name)
        self.thread.start()

    def run(self, coroutine):
        """Its value; from any thread but the loop's."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def closing(self):
        """In the loop's thread, before all that goes on there is cancelled."""

    async def end(self):
        self.closing()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self):
        self.run(self.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
