"""Replays of detectors: begun, analysed chunk by chunk, done, made current, dropped.

begin ──► running ──► done ◄──► current      dropping ──► dropped
             └─────────┴───────────────────────▲
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.audit import BY_SYSTEM, AuditOrigin
from domain.errors import ConfigError
from domain.models import ReplayState, Version
from domain.spans import Spans
from domain.times import format_ms
from stores.catalog.audit import write_audits
from stores.catalog.chunk_days import chunk_day_ranges
from stores.catalog.intervals import multirange, parse_multirange
from stores.catalog.pool import Catalog, Connection, Row, lock_cameras, sql

DETECTIONS = "detections"
FIRST_RUN = UUID(int=0)
LONGEST_MS = 7_200_000
"""A window and its last fragment end at most so long after the window's start."""
_BEFORE: dict[ReplayState, tuple[ReplayState, ...]] = {
    "running": (),
    "done": ("running", "current"),
    "current": ("done", "current"),
    "dropping": ("running", "done", "dropping"),
    "dropped": ("dropping",),
}


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay of a version over [from, to) of one camera. Times: UTC ms."""

    id: int
    camera: str
    version: Version
    from_ms: int
    to_ms: int
    rate_mfps: int | None
    """Frames in 1000 s; None: keyframes only."""
    gated: bool
    state: ReplayState
    covered: Spans
    chunks: int
    pictures: int
    objects: int
    changed_by: str
    changed_ms: int

    def __str__(self) -> str:
        return (
            f"replay {self.id} ({' '.join(self.version)} of {self.camera}, "
            f"{format_ms(self.from_ms)} to {format_ms(self.to_ms)})"
        )


@dataclass(frozen=True, slots=True)
class ModelReplaySpec:
    """What a replay analyses, and how: the same for all cameras."""

    version: Version
    from_ms: int
    to_ms: int
    rate_mfps: int | None
    gated: bool


@dataclass(frozen=True, slots=True)
class ReplayChunk:
    """A chunk to analyse; `fragments` as in its manifest."""

    window_start_ms: int
    run: str
    digest: str
    object_key: str
    fragments: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ReplayWorkload:
    """How much there is to analyse: chunks, those that are done, fragments without a chunk."""

    chunks: int
    done: int
    fragments: int


@dataclass(frozen=True, slots=True)
class RecentVersion:
    """A version's detections in the last day of a camera's footage. Times: UTC ms."""

    camera: str
    version: Version
    first_ms: int
    last_ms: int
    objects: int


def _replay(row: Row) -> Replay:
    columns = {
        name: row[name]
        for name in Replay.__dataclass_fields__
        if name not in ("version", "covered")
    }
    version = row["model"], row["model_version"]
    return Replay(**columns, version=version, covered=Spans(parse_multirange(row["covered_text"])))


async def begin(
    catalog: Catalog, cameras: Sequence[str], spec: ModelReplaySpec, who: str, now_ms: int
) -> list[Replay]:
    """Return the replay with this spec for each camera, begun now or before; all or none.

    Raises ConfigError where there are other detections of the same version in the range: the edge's
    own, or those of another replay.
    """
    async with catalog.transaction() as connection:
        await lock_cameras(connection, DETECTIONS, cameras)
        return [await _begin(connection, camera, spec, who, now_ms) for camera in cameras]


async def _begin(
    connection: Connection, camera: str, spec: ModelReplaySpec, who: str, now_ms: int
) -> Replay:
    key = camera, *spec.version, spec.from_ms, spec.to_ms
    known = [_replay(row) for row in await connection.fetch(sql("overlapping_model_replays"), *key)]
    for each in known:
        if _matches(each, spec) and each.state != "dropping":
            return each
    if known:
        raise ConfigError(_conflict_text(known[0]))
    seen = await connection.fetchrow(sql("version_detections"), *key)
    if seen is not None and seen["first_ms"] is not None:
        raise ConfigError(
            f"{' '.join(spec.version)} has detections of {camera} already, recorded live at "
            f"{format_ms(seen['first_ms'])}: give the replay a version of its own (--version)."
        )
    row = await connection.fetchrow(
        sql("begin_model_replay"), *key, spec.rate_mfps, spec.gated, who, now_ms
    )
    assert row is not None
    return _replay(row)


def _matches(replay: Replay, spec: ModelReplaySpec) -> bool:
    return (replay.version, replay.from_ms, replay.to_ms, replay.rate_mfps, replay.gated) == (
        spec.version,
        spec.from_ms,
        spec.to_ms,
        spec.rate_mfps,
        spec.gated,
    )


def _conflict_text(replay: Replay) -> str:
    if replay.state == "dropping":
        return f"{replay} is being dropped. Finish that first with `vigil model drop`."
    how = "keyframes" if replay.rate_mfps is None else f"{replay.rate_mfps / 1000:g} a second"
    gated = ", only with motion" if replay.gated else ""
    return (
        f"{replay} already exists with another time range or frame rate ({how}{gated}). "
        "Repeat it unchanged, choose another version, or drop it with `vigil model drop`."
    )


async def next_chunks(
    catalog: Catalog, replay: Replay, after: ReplayChunk | None, page: int
) -> list[ReplayChunk]:
    """Return the next `page` chunks to analyse, by window and run."""
    last = (-(1 << 62), FIRST_RUN) if after is None else (after.window_start_ms, UUID(after.run))
    since_ms = max(replay.from_ms - LONGEST_MS, last[0])
    found: list[ReplayChunk] = []
    for span in await chunk_day_ranges(
        catalog, replay.camera, from_ms=since_ms, to_ms=replay.to_ms
    ):
        rows = await catalog.rows(
            "next_replay_chunks",
            *(replay.camera, replay.from_ms, replay.to_ms, replay.id),
            *(*last, page - len(found), *span),
        )
        found += [ReplayChunk(**{**dict(row), "run": str(row["run"])}) for row in rows]
        if len(found) == page:
            break
    return found


async def workload(
    catalog: Catalog, camera: str, from_ms: int, to_ms: int, replay: int = 0
) -> ReplayWorkload:
    """Return how much footage is in [from, to), and how much of it a replay has analysed."""
    chunks = done = 0
    for span in await chunk_day_ranges(catalog, camera, from_ms=from_ms - LONGEST_MS, to_ms=to_ms):
        row = await catalog.row("replay_workload", camera, from_ms, to_ms, replay, *span)
        assert row is not None
        chunks += row["chunks"]
        done += row["done"]
    waiting = await catalog.row("count_waiting_fragments", camera, from_ms, to_ms)
    assert waiting is not None
    return ReplayWorkload(chunks, done, waiting["fragments"])


async def mark_analysed(
    catalog: Catalog,
    replay: Replay,
    chunk: ReplayChunk,
    *,
    pictures: int,
    objects: int,
    covered: Spans,
    fault: str | None,
) -> None:
    """Mark a chunk as analysed; ConfigError where the replay is being dropped."""
    async with catalog.transaction() as connection:
        state = await connection.fetchval(sql("lock_model_replay"), replay.id)
        if state in ("dropping", "dropped"):
            raise ConfigError(f"{replay} was dropped during the analysis, which stops here.")
        await connection.execute(
            sql("mark_chunk_analysed"),
            *(replay.id, chunk.window_start_ms, UUID(chunk.run), chunk.digest, pictures, objects),
            *(fault, multirange(covered.spans)),
        )


async def finish(catalog: Catalog, replay: Replay, who: str, now_ms: int) -> None:
    """Set a running replay to `done`; a current one stays current."""
    async with catalog.transaction() as connection:
        if await connection.fetchval(sql("lock_model_replay"), replay.id) == "running":
            await write_state(connection, [replay.id], "done", who, now_ms)


async def indexed_objects(catalog: Catalog, replay: Replay) -> int:
    """Return how many of a replay's objects the catalog has."""
    row = await catalog.row(
        "version_detections", replay.camera, *replay.version, replay.from_ms, replay.to_ms
    )
    return 0 if row is None else int(row["objects"])


async def list_replays(
    catalog: Catalog, cameras: Sequence[str] = (), version: Version | None = None
) -> list[Replay]:
    """Return the replays of cameras (empty: all), of one version or of all."""
    model, number = version or (None, None)
    rows = await catalog.rows("list_model_replays", list(cameras) or None, model, number)
    return [_replay(row) for row in rows]


async def recent_versions(catalog: Catalog, cameras: Sequence[str]) -> list[RecentVersion]:
    """Return which versions have detections in the last day of the cameras' footage."""
    return [
        RecentVersion(
            row["camera"],
            (row["model"], row["model_version"]),
            row["first_ms"],
            row["last_ms"],
            row["objects"],
        )
        for row in await catalog.rows("recent_versions", list(cameras))
    ]


async def set_state(
    catalog: Catalog,
    which: Sequence[Replay],
    state: ReplayState,
    who: str,
    now_ms: int,
    *,
    origin: AuditOrigin = BY_SYSTEM,
) -> None:
    """Bring replays into a state, all or none, under their cameras' detections lock.

    Raises ConfigError where one is in a state that does not allow it.
    """
    async with catalog.transaction() as connection:
        await lock_cameras(connection, DETECTIONS, (each.camera for each in which))
        done = await write_state(connection, [each.id for each in which], state, who, now_ms)
        for each in which:
            if each.id not in done:
                raise ConfigError(
                    f"{each} cannot become {state} now. Check its state with `vigil model list`."
                )
        await write_audits(
            connection,
            [
                origin.entry(
                    now_ms,
                    "model:state",
                    each.camera,
                    before={"replay": each.id, "state": each.state},
                    after={"state": state, "model": list(each.version)},
                )
                for each in which
            ],
        )


async def write_state(
    connection: Connection, which: Sequence[int], state: ReplayState, who: str, now_ms: int
) -> set[int]:
    """Bring replays into a state in the open transaction; return the ids that changed."""
    rows = await connection.fetch(
        sql("set_model_replay_state"), list(which), state, list(_BEFORE[state]), who, now_ms
    )
    return {row["id"] for row in rows}
