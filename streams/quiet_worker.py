"""The process around an app, as `faust worker` starts it: its log is ours, and it ends soon."""

import asyncio
import logging

from streams.delivery.faust_private import WorkerBase

CANCELLED_WITHIN_S = 1.0


class QuietWorker(WorkerBase):
    """Faust's worker without its spinner; `-l` has no effect on our log lines.

    It ends as soon as its tasks have: until then no process works on its partitions.
    """

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Keep the handler as streams/logs.py made it: Faust would raise its level to `-l`."""
        self.spinner = None

    def say(self, msg: str) -> None:
        """Print nothing between the log's lines."""

    async def before_close(self) -> None:
        """Wait for the tasks that were cancelled."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=CANCELLED_WITHIN_S)
