"""An app, its consumer and batches, in place of Kafka's."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from domain.errors import StoreError
from domain.events import DeadLetter, encode, parse
from streams.interruption import Interruption
from streams.retry import RetryDelays, retry
from tests.integration.delivery import fragment

CAMERA = "test/site/cam1"


class App:
    """What handling needs of an app and its consumer."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.ended: list[Any] = []
        self.sent: list[tuple[str, DeadLetter]] = []
        self.refusals = 0
        self.commits: list[list[int]] = []
        self.interrupted = Interruption()
        self.consumer = self

    def begin(self, batch: Any) -> list[Any]:
        return list(batch.records)

    def processed(self, _batch: Any, offsets: Iterable[int]) -> None:
        self.done += offsets

    def end(self, batch: Any) -> None:
        self.ended.append(batch)

    async def commit(self) -> None:
        self.commits.append(list(self.done))

    async def maybe_start_producer(self) -> "App":
        return self

    async def send_and_wait(self, topic: str, _key: bytes, value: bytes, *_: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreError("down")
        letter = parse(value)
        assert isinstance(letter, DeadLetter)
        self.sent.append((topic, letter))

    async def retry(self, action: Any, *, what: str) -> Any:
        return await retry(
            action, what=what, interrupted=Interruption(), backoff=RetryDelays(0.0, 0.0)
        )


def message(value: bytes, offset: int = 5) -> Any:
    return SimpleNamespace(
        topic="fragment-arrived",
        partition=1,
        offset=offset,
        key=CAMERA.encode(),
        value=value,
        timestamp=1_500,
    )


def batch(*values: bytes) -> Any:
    return SimpleNamespace(
        records=[message(value, 5 + at) for at, value in enumerate(values)], acked=False
    )


def events(*seqs: int) -> Any:
    return batch(*(encode(fragment(CAMERA, seq)) for seq in seqs))
