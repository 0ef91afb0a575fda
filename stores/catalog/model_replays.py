"""Replays of detectors: begun, looked at chunk by chunk, done, made current, dropped.

begin ──► running ──► done ◄──► current      dropping ──► dropped
             └─────────┴───────────────────────▲
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.errors import ConfigError
from domain.models import ReplayState, Version
from domain.spans import Spans
from domain.times import format_ms
from stores.catalog.intervals import multirange, parse_multirange
from stores.catalog.pool import Catalog, Connection, Row, lock_cameras, sql

DETECTIONS = "detections"
FIRST_RUN = UUID(int=0)
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
    """Pictures in 1000 s, None: keyframes only."""
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
    """What a replay is to look for, and how: the same for all cameras."""

    version: Version
    from_ms: int
    to_ms: int
    rate_mfps: int | None
    gated: bool


@dataclass(frozen=True, slots=True)
class ReplayChunk:
    """A chunk to look at; `fragments` as in its manifest."""

    window_start_ms: int
    run: str
    digest: str
    object_key: str
    fragments: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ReplayWorkload:
    """How much there is to look at: chunks, those that are done, fragments without chunk."""

    chunks: int
    done: int
    loose: int


@dataclass(frozen=True, slots=True)
class RecentVersion:
    """A version's detections in the last day of a camera's footage. Times: UTC ms."""

    camera: str
    version: Version
    first_ms: int
    last_ms: int
    objects: int


def _replay(row: Row) -> Replay:
    same = {
        name: row[name]
        for name in Replay.__dataclass_fields__
        if name not in ("version", "covered")
    }
    version = row["model"], row["model_version"]
    return Replay(**same, version=version, covered=Spans(parse_multirange(row["looked"])))


async def begin(
    catalog: Catalog, cameras: Sequence[str], look: ModelReplaySpec, who: str, now_ms: int
) -> list[Replay]:
    """Return the replay of this look of each camera, begun now or before; all or none.

    Raises ConfigError where the version's detections would meet others of the same version: the
    edge's own, or those of another replay.
    """
    async with catalog.transaction() as connection:
        await lock_cameras(connection, DETECTIONS, cameras)
        return [await _begin(connection, camera, look, who, now_ms) for camera in cameras]


async def _begin(
    connection: Connection, camera: str, look: ModelReplaySpec, who: str, now_ms: int
) -> Replay:
    asked = camera, *look.version, look.from_ms, look.to_ms
    known = [_replay(row) for row in await connection.fetch(sql("model_overlapping"), *asked)]
    for each in known:
        if _same(each, look) and each.state != "dropping":
            return each
    if known:
        raise ConfigError(_conflict_text(known[0]))
    seen = await connection.fetchrow(sql("model_seen"), *asked)
    if seen is not None and seen["first_ms"] is not None:
        raise ConfigError(
            f"{' '.join(look.version)} has detections of {camera} already, recorded live at "
            f"{format_ms(seen['first_ms'])}: give the replay a version of its own (--version)."
        )
    row = await connection.fetchrow(
        sql("model_begin"), *asked, look.rate_mfps, look.gated, who, now_ms
    )
    assert row is not None
    return _replay(row)


def _same(replay: Replay, look: ModelReplaySpec) -> bool:
    return (replay.version, replay.from_ms, replay.to_ms, replay.rate_mfps, replay.gated) == (
        look.version,
        look.from_ms,
        look.to_ms,
        look.rate_mfps,
        look.gated,
    )


def _conflict_text(replay: Replay) -> str:
    if replay.state == "dropping":
        return f"{replay} is being dropped: end that first, with `vigil model drop`."
    how = "keyframes" if replay.rate_mfps is None else f"{replay.rate_mfps / 1000:g} a second"
    gated = ", with motion only" if replay.gated else ""
    return (
        f"{replay} stands already, over another stretch or with other pictures ({how}{gated}): "
        "repeat it as it was, give another version, or drop it with `vigil model drop`."
    )


async def next_chunks(
    catalog: Catalog, replay: Replay, after: ReplayChunk | None, page: int
) -> list[ReplayChunk]:
    """Return the next `page` chunks that are left to look at, by window and run."""
    last = (-(1 << 62), FIRST_RUN) if after is None else (after.window_start_ms, UUID(after.run))
    of = replay
    rows = await catalog.rows("model_footage", of.camera, of.from_ms, of.to_ms, of.id, *last, page)
    return [ReplayChunk(**{**dict(row), "run": str(row["run"])}) for row in rows]


async def workload(
    catalog: Catalog, camera: str, from_ms: int, to_ms: int, replay: int = 0
) -> ReplayWorkload:
    """Return how much footage touches [from, to), and how much of it a replay has looked at."""
    row = await catalog.row("model_footage_count", camera, from_ms, to_ms, replay)
    assert row is not None
    return ReplayWorkload(row["chunks"], row["done"], row["loose"])


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
    """Note that a chunk was looked at; ConfigError where the replay is being dropped."""
    async with catalog.transaction() as connection:
        state = await connection.fetchval(sql("model_lock"), replay.id)
        if state in ("dropping", "dropped"):
            raise ConfigError(f"{replay} was dropped meanwhile; nothing more is looked at.")
        await connection.execute(
            sql("model_mark"),
            *(replay.id, chunk.window_start_ms, UUID(chunk.run), chunk.digest, pictures, objects),
            *(fault, multirange(covered.spans)),
        )


async def finish(catalog: Catalog, replay: Replay, who: str, now_ms: int) -> None:
    """Note that all is looked at; a replay that is current stays so."""
    async with catalog.transaction() as connection:
        if await connection.fetchval(sql("model_lock"), replay.id) == "running":
            await write_state(connection, [replay.id], "done", who, now_ms)


async def indexed_objects(catalog: Catalog, replay: Replay) -> int:
    """Return how many of a replay's objects the catalog has."""
    of = replay
    row = await catalog.row("model_seen", of.camera, *of.version, of.from_ms, of.to_ms)
    return 0 if row is None else int(row["objects"])


async def list_replays(
    catalog: Catalog, cameras: Sequence[str] = (), version: Version | None = None
) -> list[Replay]:
    """Return the replays of cameras (none named: of all), of one version or all."""
    model, number = version or (None, None)
    rows = await catalog.rows("model_list", list(cameras) or None, model, number)
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
        for row in await catalog.rows("model_live", list(cameras))
    ]


async def set_state(
    catalog: Catalog, which: Sequence[Replay], state: ReplayState, who: str, now_ms: int
) -> None:
    """Bring replays into a state, all or none, with nobody adding to their cameras meanwhile.

    Raises ConfigError where one is in a state from which that does not follow.
    """
    async with catalog.transaction() as connection:
        await lock_cameras(connection, DETECTIONS, (each.camera for each in which))
        done = await write_state(connection, [each.id for each in which], state, who, now_ms)
        for each in which:
            if each.id not in done:
                raise ConfigError(
                    f"{each} cannot become {state} just now; look at `vigil model list`."
                )


async def write_state(
    connection: Connection, which: Sequence[int], state: ReplayState, who: str, now_ms: int
) -> set[int]:
    """Bring replays into a state, in the transaction in hand; return which of them it became."""
    rows = await connection.fetch(
        sql("model_state"), list(which), state, list(_BEFORE[state]), who, now_ms
    )
    return {row["id"] for row in rows}
