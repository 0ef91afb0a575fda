"""The queues' depth: a queue that does not answer has no series."""

import pytest

from agents.relay.queue_depth import measure
from domain.errors import StoreError
from stores.queue import QueueDepth
from streams.metrics import REGISTRY


class CountedQueue:
    """Answers with a depth, or fails."""

    def __init__(self, depth: QueueDepth | None) -> None:
        self.answer = depth

    async def depth(self) -> QueueDepth:
        if self.answer is None:
            raise StoreError("SQS does not answer.")
        return self.answer


def shown(queue: str, state: str) -> float | None:
    return REGISTRY.get_sample_value("vigil_queue_messages", {"queue": queue, "state": state})


async def test_a_queue_that_does_not_answer_has_no_series(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events, dead = CountedQueue(QueueDepth(17, 4)), CountedQueue(QueueDepth(2, 0))
    queues = {"events": events, "dead-letter": dead}
    await measure(queues)  # type: ignore[arg-type]
    assert (shown("events", "visible"), shown("events", "in-flight")) == (17, 4)
    assert shown("dead-letter", "visible") == 2
    dead.answer = None
    await measure(queues)  # type: ignore[arg-type]
    assert shown("events", "visible") == 17
    assert shown("dead-letter", "visible") is None
    assert "the queue dead-letter holds is unknown" in caplog.text
