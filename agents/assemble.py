"""The assembler's stage: fragments in, `chunk-due` out: `faust -A agents.assemble worker`.

Kafka acknowledges a decision before the table changes, and the table before the event's offset is
committed (tables/window_cache.py). After a crash in between, the event comes again and the same
decision is sent again. The joiner finds the chunk already made.
"""

import logging

from cachetools import LRUCache
from prometheus_client import Counter

from agents.signatures.checker import SignatureChecker
from domain.camera_windows import CameraWindows
from domain.errors import InvalidEventError, StoreError
from domain.events import (
    AnyEvent,
    CameraConfigured,
    ChunkDue,
    Event,
    FragmentArrived,
    FragmentRef,
    Healed,
    RunEnded,
    RunStarted,
    Tick,
)
from domain.identity import fragment_key
from domain.plausible import check_event
from domain.times import utc_ms
from domain.windows import WindowRules
from stores.stored_fragment import stored_run_end, whole_fragment
from streams import codec, topics, tracing
from streams.app import worker_app
from streams.codec import Record
from streams.handlers import handles
from streams.metrics import LATE_SECONDS, OPEN_WINDOWS, REGISTRY
from streams.storage import catalog, object_store
from tables.open_windows import open_windows
from tables.window_cache import WindowCache

log = logging.getLogger(__name__)
SEALS = Counter("vigil_windows_sealed", "Windows sealed, by reason", ("reason",), registry=REGISTRY)
FRAGMENTS = Counter(
    "vigil_fragments",
    "Fragments by kind: new, late, duplicate, differs, refused",
    ("was",),
    registry=REGISTRY,
)

MAX_REMEMBERED = 10_000
app = worker_app("assemble")
table = open_windows(app)
rules = WindowRules(
    window_ms=app.settings.window_ms,
    grace_ms=app.settings.grace_ms,
    idle_ms=app.settings.idle_ms,
    late_ms=app.settings.late_ms,
)


window_cache = WindowCache(app, table, rules)
store = object_store(app.settings)
signatures = SignatureChecker.of(catalog(app.settings).get)
"""The catalog is opened only where an end.json differs from its notice."""
_stored: LRUCache[tuple[str, str, int], FragmentRef] = LRUCache(MAX_REMEMBERED)
"""Fragments by the objects that were checked: written once, they never change."""
_asked: LRUCache[tuple[str, str, int, str], int] = LRUCache(MAX_REMEMBERED)
"""Notices of sealed windows for which the joiner was asked -> offset of the record."""


@handles(app, topics.FRAGMENT_ARRIVED, reroute=True)
async def assemble(event: AnyEvent, record: Record) -> None:
    """Apply an event to the windows of its camera, or a tick to all cameras of its partition."""
    now_ms = record.timestamp_ms
    check_event(event, now_ms)
    match event:
        case FragmentArrived():
            windows = window_cache.for_update(event.camera, record)
            was, decided = windows.on_fragment(event, now_ms)
            if was == "differs" and await _is_stored(event):
                log.warning(
                    "a notice was wrong: corrected by the object in S3",
                    extra={"camera": event.camera, "run": event.run, "seq": event.seq},
                )
                was, decided = windows.correct(event, now_ms)
            FRAGMENTS.labels(was).inc()
            if was == "late":
                LATE_SECONDS.observe(max(0, now_ms - event.end_ms) / 1_000)
            if was == "refused":
                raise InvalidEventError(
                    f"seq: its window already has {rules.max_window_fragments} fragments, more "
                    f"than any camera makes: check the recorder of {event.camera}"
                )
            if was == "differs":
                raise InvalidEventError(
                    f"sha256: fragment {event.seq} of this run was already reported with different "
                    f"bytes or times; the first report is kept, because S3 does not have these. "
                    f"Check whether two devices record {event.camera}"
                )
            if was == "duplicate":
                if windows.is_open(event.run, event.seq) or not _must_ask_joiner(event, record):
                    window_cache.hold_commit(record)  # the first report may not be written yet
                    return
                # Its window was sealed, and its hash forgotten. If the first report was wrong, its
                # chunk lacks it. The joiner checks that, and changes nothing where all is well.
                decided = [windows.due_alone(event)]
        case RunEnded():
            end = await _stored_end(event)
            windows = window_cache.for_update(event.camera, record)
            decided = windows.on_run_ended(end, now_ms)
        case CameraConfigured():
            windows = window_cache.for_update(event.camera, record)
            windows.on_configured(event)
            decided = []
        case Healed():
            windows = window_cache.for_update(event.camera, record)
            decided = windows.on_healed(event.run, event.window_start_ms, now_ms)
        case Tick():
            await _on_tick(record)
            return
        case RunStarted():
            return
        case _:
            raise InvalidEventError(f"type: {event.type} cannot be assembled")
    await _store_and_send(windows, record, decided)
    if tracing.tracer is not None and isinstance(event, FragmentArrived):
        tracing.tracer.add("assemble", event.run, event.seq, record.timestamp_ms)


async def _is_stored(event: FragmentArrived) -> bool:
    """Say whether the fragment's object in S3 has the bytes and times that the event names."""
    identity = (event.camera, event.run, event.seq)
    if (known := _stored.get(identity)) is None:
        key = fragment_key(*identity)

        async def read() -> FragmentArrived | None:
            return await whole_fragment(await store.get(), key)

        stored = await app.retry(read, what="read the fragment's object")
        if stored is None:
            return False
        known = _stored[identity] = FragmentRef.of(stored)
    return known == FragmentRef.of(event)


async def _stored_end(event: RunEnded) -> RunEnded:
    """Return the run's end as S3 has it: the recorder writes it once, before its notice."""

    async def read() -> RunEnded | None:
        return await stored_run_end(
            await store.get(), event.camera, event.run, signatures, known=event
        )

    end = await app.retry(read, what="read the run's end")
    if end is None:
        raise InvalidEventError(
            f"run: S3 has no valid end.json of this run, so it may not have ended. Check what "
            f"records {event.camera}"
        )
    if end != event:
        log.warning(
            "a notice of a run's end was wrong: corrected by its end.json",
            extra={"camera": event.camera, "run": event.run},
        )
    return end


def _must_ask_joiner(event: FragmentArrived, record: Record) -> bool:
    """Say whether the joiner has not been asked for the same notice, other than by this record."""
    identity = (event.camera, event.run, event.seq, event.sha256)
    return _asked.setdefault(identity, record.offset) == record.offset


async def _on_tick(record: Record) -> None:
    """Seal windows that are due because no fragment came, for all cameras of the partition."""
    still_open = 0
    for camera in window_cache.cameras(record.partition):
        windows = window_cache.peek(camera)
        before = len(windows.runs)
        decided = windows.on_tick(record.timestamp_ms)
        if decided or len(windows.runs) != before:
            await _store_and_send(windows, record, decided)
        still_open += windows.open_windows
    OPEN_WINDOWS.labels(str(record.partition)).set(still_open)


async def _store_and_send(windows: CameraWindows, record: Record, decided: list[Event]) -> None:
    """Store the changed windows and send the decided events."""
    await window_cache.update(windows, record, decided)
    for event in decided:
        if isinstance(event, ChunkDue):
            SEALS.labels(event.reason).inc()
            log.info(
                "sealed",
                extra={
                    "camera": event.camera,
                    "run": event.run,
                    "chunk": event.window_start_ms,
                    "reason": event.reason,
                    "fragments": len(event.fragments),
                    "gaps": len(event.gaps),
                },
            )


@app.timer(interval=app.settings.tick_ms / 1000)
async def tick() -> None:
    """Send a tick to each partition of this worker. After a failure, the next tick is sent."""
    if not app.ready:
        return
    at_ms = utc_ms()
    topic = topics.FRAGMENT_ARRIVED.full_name
    for tp in sorted(app.consumer.assignment()):
        if tp.topic == topic:
            try:
                await codec.send(app, Tick(partition=tp.partition, at_ms=at_ms))
            except StoreError as error:
                log.warning("tick not sent: %s", error, extra={"partition": tp.partition})
