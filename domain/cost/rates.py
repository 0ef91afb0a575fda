"""What one camera causes in an hour: requests, messages, bytes, rows.

Nothing here was measured. A camera's windows (domain/camera_windows.py) are fed with fragments of
some minutes. What they decide is counted and encoded. So a change of a setting,
of an event or of a rule changes these rates. tests/acceptance/test_cost.py compares them with a
real run.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from domain.camera_windows import CameraWindows
from domain.chunks import digest_of
from domain.cost.workload import Workload
from domain.events import (
    ChunkComplete,
    ChunkDue,
    Deleted,
    Event,
    FragmentArrived,
    Healed,
    HealRequested,
    Heartbeat,
    Keyframe,
    ManifestFragment,
    RunEnded,
    RunStarted,
    encode,
)
from domain.events.detections import Detection, DetectionFrame, FoundObject
from domain.events.edge import CameraStatus
from domain.identity import chunk_key
from domain.manifests import Manifest, SignedNotice, encode_manifest
from domain.retention import REASONS

CAMERA = "tenant/site-01/camera-01"
RUN = "01a20451-80e0-7c3a-9f41-5d2b8a6e1f07"
START_MS = 1_795_368_000_000
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SIGNATURE = f"v1 tenant/site-01/edge-1 1 {'0' * 32} {'A' * 86}"
"""It has the length of a real one."""
UPLOAD_DELAY_MS = 500
WINDOWS = 10
"""So many windows are fed, after the first."""
RECONCILE_DAYS = 30
"""How far back `vigil reconcile` goes."""
LIST_PAGE = 1_000
"""Keys of one LIST."""


def _zeros() -> defaultdict[str, float]:
    return defaultdict(float)


@dataclass(slots=True)
class Rates:
    """For one camera and an hour that is uploaded whole. Kinds of S3 requests have names."""

    put: defaultdict[str, float] = field(default_factory=_zeros)
    """PUT and POST, by what is written. S3 bills them alike, with LIST."""
    list: defaultdict[str, float] = field(default_factory=_zeros)
    get: defaultdict[str, float] = field(default_factory=_zeros)
    """GET and HEAD."""
    messages: defaultdict[str, float] = field(default_factory=_zeros)
    """Messages to SQS, by event type."""
    records: defaultdict[str, float] = field(default_factory=_zeros)
    """Records in Kafka, by event type. `open-windows`: the assembler's table. `deleted`: of chunks,
    `deleted-fragments`: of fragments that are in chunks."""
    record_bytes: defaultdict[str, float] = field(default_factory=_zeros)
    """Keys, values and headers of them, before replication."""
    rows: defaultdict[str, float] = field(default_factory=_zeros)
    """Rows that PostgreSQL keeps as long as the footage."""
    manifest_bytes: float = 0.0
    """Of one chunk's manifest in S3."""


def hourly(workload: Workload) -> Rates:
    """Return the rates of one camera and its share of the device, while it uploads."""
    return _hourly(workload)


@lru_cache(maxsize=64)
def _hourly(workload: Workload) -> Rates:
    window_s = workload.rules.window_ms / 1_000
    fed_hours = WINDOWS * window_s / 3_600
    rates = Rates()
    counted = _Counted(workload, rates, 1 / fed_hours)
    _feed(workload, counted)
    chunks = 3_600 / window_s
    runs = workload.runs_per_day / 24
    _count_runs(workload, counted, runs)
    _count_requests(workload, rates, chunks, runs)
    beats = 3_600 / workload.heartbeat_s / workload.cameras_per_site * workload.devices_per_site
    counted.site_event(_heartbeat(workload), beats)
    counted.site_event(_detection(), workload.detections_per_hour)
    rates.rows["chunks"] = chunks
    rates.rows["detections"] = workload.detections_per_hour
    rates.rows["runs"] = runs
    return rates


class _Counted:
    """Adds events to the rates: each counts `share` an hour."""

    def __init__(self, workload: Workload, rates: Rates, share: float) -> None:
        self._signed = workload.signed
        self._rates = rates
        self.share = share

    def record(self, name: str, size: int, count: float | None = None) -> None:
        """Count a record in Kafka."""
        count = self.share if count is None else count
        self._rates.records[name] += count
        self._rates.record_bytes[name] += count * size

    def event(self, event: Event, count: float | None = None) -> None:
        """Count an event that a worker sends to Kafka."""
        self.record(event.type, len(encode(event)) + len(event.key), count)

    def site_event(self, event: Event, count: float | None = None) -> None:
        """Count an event of a device: a message in SQS, then a record in Kafka."""
        count = self.share if count is None else count
        self._rates.messages[event.type] += count
        header = len("signature") + len(SIGNATURE) if self._signed else 0
        self.record(event.type, len(encode(event)) + len(event.key) + header, count)


def _feed(workload: Workload, counted: _Counted) -> None:
    """Feed the windows of a camera with fragments, and count what they decide."""
    rules, fragment_ms = workload.rules, round(workload.fragment_s * 1_000)
    start_ms = START_MS - START_MS % rules.window_ms
    windows = CameraWindows(CAMERA, rules)
    # The first window starts the run, and the last ones wait for their grace: both are outside.
    first_ms = start_ms + rules.window_ms
    last_ms = first_ms + WINDOWS * rules.window_ms
    end_ms = last_ms + rules.grace_ms + rules.window_ms
    waiting: list[Event] = []
    for seq in range(math.ceil((end_ms - start_ms) / fragment_ms)):
        event = _fragment(workload, seq, start_ms + seq * fragment_ms, fragment_ms)
        now_ms = event.end_ms + UPLOAD_DELAY_MS
        inside = first_ms <= event.start_ms < last_ms
        if inside:
            counted.site_event(event)
        waiting += windows.on_fragment(event, now_ms)[1]
        while waiting:
            decided = waiting.pop(0)
            counts = first_ms <= getattr(decided, "window_start_ms", 0) < last_ms
            if counts:
                counted.event(decided)
            if isinstance(decided, HealRequested):
                waiting += _healed(windows, decided, counted, counts=counts, now_ms=now_ms)
            elif isinstance(decided, ChunkDue) and counts:
                _count_chunk(workload, decided, counted)
        if inside:
            state = json.dumps(windows.snapshot(), separators=(",", ":"))
            writes = min(1.0, workload.fragment_s / workload.commit_interval_s)
            counted.record("open-windows", len(state) + len(CAMERA), counted.share * writes)


def _healed(
    windows: CameraWindows, request: HealRequested, counted: _Counted, *, counts: bool, now_ms: int
) -> Iterable[Event]:
    """Answer as the healer does where nothing is missing: one LIST."""
    answer = Healed(camera=CAMERA, run=RUN, window_start_ms=request.window_start_ms, found=0)
    if counts:
        counted.event(answer)
        counted._rates.list["heal: run"] += counted.share
    return windows.on_healed(RUN, request.window_start_ms, now_ms)


def _count_chunk(workload: Workload, due: ChunkDue, counted: _Counted) -> None:
    """Count the chunk that the joiner makes, its manifest, and its deletion events."""
    complete = _complete(workload, due)
    counted.event(complete)
    signed = [
        SignedNotice(seq=each.seq, notice=_notice(workload, each.seq), signature=SIGNATURE)
        for each in due.fragments
        if workload.signed
    ]
    size = len(encode_manifest(Manifest.of(complete, signed)))
    counted._rates.manifest_bytes += size / WINDOWS
    counted.event(_deleted(due, "chunk"))
    if due.window_start_ms == START_MS - START_MS % due.window_ms + due.window_ms:
        # A pass of retention names all fragments of a run, one after another, in one event.
        event = _deleted(due, "fragments")
        size = len(encode(event)) + len(event.key)
        counted.record("deleted-fragments", size, 1 / workload.retention_every_h)


def _count_runs(workload: Workload, counted: _Counted, runs: float) -> None:
    """Count what a run's start and end cause."""
    counted.site_event(RunStarted(camera=CAMERA, run=RUN, started_ms=START_MS, edge="edge-1"), runs)
    ended = RunEnded(
        camera=CAMERA, run=RUN, ended_ms=START_MS, last_seq=21_599, reason="the device stopped"
    )
    counted.site_event(ended, runs)


def _count_requests(workload: Workload, rates: Rates, chunks: float, runs: float) -> None:
    """Count the requests to S3 that follow from fragments, chunks and runs."""
    fragments = 3_600 / workload.fragment_s
    chunk_bytes = workload.mbit_s * 1e6 / 8 * workload.rules.window_ms / 1_000
    parts = 1 if chunk_bytes <= workload.max_put_bytes else (
        2 + math.ceil(chunk_bytes / workload.part_bytes)
    )  # fmt: skip
    rates.put.update({
        "edge: fragment": fragments, "edge: run's end": runs,
        "join: chunk": chunks * parts, "join: manifest": chunks,
    })  # fmt: skip
    rates.get.update({
        "join: fragment": fragments, "assemble: run's end": runs, "index: run's end": runs,
        "retention: chunk": chunks, "retention: manifest": chunks,
    })  # fmt: skip
    rates.list.update({
        "join: window": chunks, "retention: window": chunks,
        "retention: runs": 1 / workload.retention_every_h,
        # Versions of the fragments, and of the chunks, that one pass deletes.
        "retention: versions": 2 / workload.retention_every_h,
        "reconcile: runs": 1 / workload.reconcile_every_h,
        "reconcile: fragments": _listed_fragments(workload) / workload.reconcile_every_h,
    })  # fmt: skip


def _listed_fragments(workload: Workload) -> float:
    """Return the LISTs of one pass of `vigil reconcile` over a camera's runs.

    A run is listed while it records, and afterwards while it is younger than a day past its end's
    check: fragments are deleted soon after their chunk, so one page is enough but for the newest.
    """
    kept_s = (workload.joined_margin_h + workload.retention_every_h) * 3_600
    newest = math.ceil((kept_s / workload.fragment_s + 2) / LIST_PAGE)
    days = min(workload.retention_days, RECONCILE_DAYS)
    older = max(0.0, workload.runs_per_day * days - 1)
    return newest + older


def _fragment(workload: Workload, seq: int, start_ms: int, duration_ms: int) -> FragmentArrived:
    size = round(workload.mbit_s * 1e6 / 8 * workload.fragment_s)
    keyframes = max(1, round(workload.fragment_s / workload.keyframe_s))
    event = FragmentArrived(
        camera=CAMERA,
        run=RUN,
        seq=seq,
        start_ms=start_ms,
        duration_ms=duration_ms,
        start_pts=90_000 + seq * duration_ms * 90,
        arrived_ms=start_ms + 35,
        closed_ms=start_ms + duration_ms + 60,
        frames=round(workload.fragment_s * 25),
        size_bytes=size,
        sha256=_SHA256,
        video_codec="h264",
        audio_codec="aac" if workload.audio else None,
        width=1_920,
        height=1_080,
        keyframes=_keyframes(seq, duration_ms, keyframes, size),
    )
    return event.with_previous(_SHA256) if workload.signed else event


def _keyframes(seq: int, duration_ms: int, count: int, size: int) -> list[Keyframe]:
    first = 90_000 + seq * duration_ms * 90
    return [
        Keyframe(
            pts=first + at * duration_ms * 90 // count,
            offset=564 + at * size // count,
            size=max(188, size // count // 4),
        )
        for at in range(count)
    ]


def _notice(workload: Workload, seq: int) -> str:
    fragment_ms = round(workload.fragment_s * 1_000)
    event = _fragment(workload, seq, START_MS + seq * fragment_ms, fragment_ms)
    return encode(event.without_keyframes).decode()


def _complete(workload: Workload, due: ChunkDue) -> ChunkComplete:
    digest = digest_of(CAMERA, RUN, due.fragments)
    fragment_ms = round(workload.fragment_s * 1_000)
    keyframes = max(1, round(workload.fragment_s / workload.keyframe_s))
    size = due.fragments[0].size_bytes
    return ChunkComplete(
        camera=CAMERA,
        run=RUN,
        window_start_ms=due.window_start_ms,
        window_ms=due.window_ms,
        revision=1,
        digest=digest,
        object_key=chunk_key(CAMERA, RUN, due.window_start_ms, due.window_ms, digest),
        size_bytes=size * len(due.fragments),
        sha256=_SHA256,
        start_ms=due.fragments[0].start_ms,
        end_ms=due.fragments[-1].start_ms + fragment_ms,
        reason=due.reason,
        **due.form.model_dump(),
        fragments=[
            ManifestFragment(
                **each.model_dump(),
                offset=at * size,
                frames=round(workload.fragment_s * 25),
                keyframes=_keyframes(each.seq, fragment_ms, keyframes, size),
            )
            for at, each in enumerate(due.fragments)
        ],
        gaps=[],
        joined_ms=due.window_start_ms + due.window_ms + 5_000,
    )


def _deleted(due: ChunkDue, what: Literal["fragments", "chunk"]) -> Deleted:
    """Return the tombstone of a chunk with all its revisions, or of fragments that it holds."""
    reason = REASONS["joined" if what == "fragments" else "age"]
    fragments = what == "fragments"
    return Deleted(
        camera=CAMERA,
        run=RUN,
        what=what,
        first_seq=due.fragments[0].seq if fragments else None,
        last_seq=due.fragments[-1].seq if fragments else None,
        window_start_ms=None if fragments else due.window_start_ms,
        reason=f"retention: {reason}",
        deleted_ms=due.window_start_ms + 7_200_000,
    )


def _heartbeat(workload: Workload) -> Heartbeat:
    cameras = max(1, math.ceil(workload.cameras_per_site / workload.devices_per_site))
    return Heartbeat(
        site="tenant/site-01",
        edge="edge-1",
        sent_ms=START_MS,
        software="0.1.0",
        spool_bytes=40_156_800_000,
        spool_waiting=1,
        spool_oldest_ms=START_MS,
        disk_free_bytes=212_600_000_000,
        disk_state="good",
        disk_since_ms=START_MS,
        given_up=0,
        clock_state="synchronised",
        clock_error_ms=34,
        cameras=[
            CameraStatus(camera=CAMERA, state="recording", since_ms=START_MS)
            for _ in range(min(256, cameras))
        ],
    )


def _detection() -> Detection:
    """A batch of ten frames with one object each, as a camera with some motion sends."""
    found = FoundObject(label="person", score=0.93, box=(0.4123, 0.2234, 0.0812, 0.3105),
                        track="t-17")  # fmt: skip
    return Detection(
        camera=CAMERA,
        run=RUN,
        model="people",
        model_version="2026.11",
        frames=[
            DetectionFrame(pts=90_000 * at, at_ms=START_MS + at * 1_000, objects=[found])
            for at in range(10)
        ],
    )
