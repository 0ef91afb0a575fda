"""Waits until the table updates of what is to be committed were sent."""

import asyncio
from typing import Any


class Barrier:
    """Goes through the producer's buffer like a message; done once all before it were sent.

    Faust's own flush of that buffer gives up after 0.1 s without a message sent. Offsets could
    then be committed before the changelog that belongs to them.
    """

    def __init__(self) -> None:
        self.message = self.channel = self  # what the buffer reads of a message
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def publish_message(self, fut: Any, wait: bool = False) -> None:
        """Called by the buffer when its turn comes."""
        if not self.done.done():
            self.done.set_result(None)


async def all_sent(buffer: Any, timeout_s: float) -> bool:
    """Return once what the producer's buffer holds now was handed to the client.

    False when that takes longer than `timeout_s`: then nothing may be committed.
    A buffer that does not run sends nothing, and is left to its own flush.
    """
    if buffer.state != "running":
        return True
    barrier = Barrier()
    buffer.pending.put_nowait(barrier)
    try:
        async with asyncio.timeout(timeout_s):
            await barrier.done
    except TimeoutError:
        return False
    return True
