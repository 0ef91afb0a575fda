"""faust.App with loss-free delivery: use it for faust.App."""

from collections.abc import Awaitable, Callable
from typing import Any

from faust.sensors.base import Sensor
from mode.utils.objects import cached_property
from mode.utils.queues import FlowControlEvent

from streams.delivery.consumer import Consumer
from streams.delivery.faust_private import AppBase
from streams.delivery.fence import Fence
from streams.delivery.fence_hooks import Producer
from streams.delivery.table_manager import TableManager


class FlowControl(FlowControlEvent):
    """Faust's flow control, which empties the queues whenever it is resumed.

    Table recovery resumes it up to three times, also after sources were delivered. Those
    records were then neither processed nor fetched again. Resuming a running flow does nothing
    here; the queues are emptied where positions move, in Consumer.
    """

    def resume(self) -> None:
        """Let records through, if they are not let through already."""
        if not self.is_active():
            super().resume()


class SendErrors(Sensor):
    """Remembers the first message sent in the background that was lost.

    What was processed since then may lack its table update, so nothing may be committed any
    more. Messages whose sending is awaited raise where they are awaited, and do not count.
    """

    first: BaseException | None = None

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:
        """Store the error; Faust calls this when the client has given up."""
        self.first = self.first or exc


class DeliveryApp(AppBase):
    """A Faust app whose consumer loses nothing, at least once, with or without tables."""

    consumer_class = Consumer
    producer_class = Producer

    compacted_topics: frozenset[str] = frozenset()
    """Source topics whose logs have holes by nature; in the others a hole is reported."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"TableManager": TableManager, **kwargs})
        self.send_errors = SendErrors()
        self.sensors.add(self.send_errors)
        self.before_commit: list[Callable[[], Awaitable[None]]] = []
        """Called before each commit, to write what is still in memory."""
        self.batched_topics: set[str] = set()
        """Source topics whose records are delivered in batches (record_batch.py)."""
        self.on_positioned: list[Callable[[], None]] = []
        """Called when positions move or partitions are revoked: then memory is invalid."""

    @cached_property
    def flow_control(self) -> FlowControl:
        """Flow control that does not empty queues which are in use."""
        return FlowControl(loop=self.loop)

    @cached_property
    def fence(self) -> Fence:
        """Whether this worker may write, as its consumer group sees it."""
        return Fence(self.conf.broker_session_timeout, self.conf.broker_rebalance_timeout)
