"""The joiner against a real object store: what is left out, how, and how often it is read."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from agents.joining.join_errors import NothingToJoinError
from agents.joining.joiner import Joiner
from domain.chunks import digest_of
from domain.events import ChunkComplete, FragmentArrived
from domain.identity import fragment_key, manifest_key
from stores.objects import ObjectStore
from streams.settings import Settings
from streams.storage import make_object_store
from tests.conftest import Services
from tests.integration.consistency_support import START_MS, due_of, now_ms
from tests.recorder import Recorder

Put = Callable[..., Awaitable[list[FragmentArrived]]]


@pytest_asyncio.fixture
async def store(services: Services) -> AsyncIterator[ObjectStore]:
    async with make_object_store(Settings()) as opened:
        yield opened


@pytest_asyncio.fixture
async def put(store: ObjectStore, request: pytest.FixtureRequest) -> Put:
    """Return a coroutine function that records so many fragments but those to be left out."""
    recorder = Recorder(f"acme/joiner/{abs(hash(request.node.name)) % 10**9}", START_MS)

    async def record(
        count: int, *, missing: tuple[int, ...] = (), bad: dict[int, bytes] | None = None
    ) -> list[FragmentArrived]:
        events = []
        for seq in range(count):
            event, data = recorder.film(seq)
            if bad and seq in bad:
                data = bad[seq]
                sha256 = hashlib.sha256(data).hexdigest()
                event = event.model_copy(update={"size_bytes": len(data), "sha256": sha256})
            if seq not in missing:
                key = fragment_key(event.camera, event.run, seq)
                await store.put_once(key, data, sha256=event.sha256, metadata={})
            events.append(event)
        return events

    return record


class Counting:
    """A store that counts what is read."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.keys: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, key: str, **options: Any) -> memoryview:
        self.keys.append(key)
        return await self._store.read(key, **options)

    async def read_with_metadata(
        self, key: str, **options: Any
    ) -> tuple[memoryview, dict[str, str]]:
        self.keys.append(key)
        return await self._store.read_with_metadata(key, **options)


async def test_the_chunk_is_its_fragments_in_order(store: ObjectStore, put: Put) -> None:
    events = await put(30)
    chunk = await Joiner(store, now_ms).join(due_of(events, 60_000))
    data = await store.get(chunk.object_key)
    assert len(data) == chunk.size_bytes == sum(event.size_bytes for event in events)
    assert hashlib.sha256(data).hexdigest() == chunk.sha256
    assert chunk.digest == digest_of(chunk.camera, chunk.run, chunk.fragments)
    for event, placed in zip(events, chunk.fragments, strict=True):
        part = data[placed.offset : placed.offset + placed.size_bytes]
        assert hashlib.sha256(part).hexdigest() == event.sha256
        assert placed.keyframes[0].pts == event.start_pts
    stored = await store.get(manifest_key(chunk.object_key))
    assert ChunkComplete.model_validate_json(stored) == chunk


async def test_all_that_is_missing_is_found_in_one_pass(store: ObjectStore, put: Put) -> None:
    """However many are missing, what can be read is read twice at most."""
    missing = (1, 4, 5, 11)
    counting: Any = Counting(store)
    chunk = await Joiner(counting, now_ms).join(due_of(await put(12, missing=missing), 60_000))
    assert [each.seq for each in chunk.fragments] == [0, 2, 3, 6, 7, 8, 9, 10]
    assert [gap.first_seq for gap in chunk.gaps] == list(missing)
    assert len(counting.keys) == 12 + 8


@pytest.mark.parametrize(
    "bad",
    [b"\x47" + bytes(187), b"no video at all" * 40, bytes(188)],
    ids=["a packet", "text", "zeros"],
)
async def test_expected_bytes_that_are_not_video_are_left_out(
    store: ObjectStore, put: Put, bad: bytes
) -> None:
    chunk = await Joiner(store, now_ms).join(due_of(await put(3, bad={1: bad}), 60_000))
    assert [each.seq for each in chunk.fragments] == [0, 2]
    assert "not a readable video" in chunk.gaps[0].reason


async def test_an_object_larger_than_its_event_says_is_left_out(
    store: ObjectStore, put: Put
) -> None:
    events = await put(3)
    shorter = events[1].size_bytes - 188
    events[1] = events[1].model_copy(update={"size_bytes": shorter})
    chunk = await Joiner(store, now_ms).join(due_of(events, 60_000))
    assert f"more than the expected {shorter} bytes" in chunk.gaps[0].reason


async def test_nothing_readable_is_reported_with_all_reasons(store: ObjectStore, put: Put) -> None:
    events = await put(3, missing=(0, 2), bad={1: bytes(188)})
    with pytest.raises(
        NothingToJoinError, match=r"0: its object.*1: it is not a readable.*2: its object"
    ):
        await Joiner(store, now_ms).join(due_of(events, 60_000))
    prefix = f"chunks/{events[0].camera}/"
    assert [info.key async for info in store.list(prefix)] == []
