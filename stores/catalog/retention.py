"""Rules, legal holds, and what is going: `deletions` is the list of work that outlives a crash.

bury      one transaction: rows go, tombstones stand, the deletion is noted as under way
under_way what of it is still to be told and whose objects may still stand
standing  under the holds' lock: which of it no hold touches; its objects go meanwhile
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID

from domain.errors import ConfigError
from domain.events import Deleted
from domain.identity import check_camera
from domain.retention import (
    MAX_DAYS,
    REASONS,
    Footage,
    Hold,
    Margins,
    Policy,
    Reason,
    Rule,
    check_scope,
)
from domain.seqs import SeqRanges
from stores.catalog.pool import Catalog, Connection, Row, as_json, lock_cameras, sql

FIRST_RUN = UUID(int=0)


@dataclass(frozen=True, slots=True)
class SetRule:
    """A rule with who set it, and when (UTC ms)."""

    rule: Rule
    set_by: str
    set_ms: int


@dataclass(frozen=True, slots=True)
class KnownHold:
    """A hold with who ordered it, why, and when it was lifted, if it was. Times: UTC ms."""

    id: int
    hold: Hold
    added_by: str
    why: str
    added_ms: int
    lifted_by: str | None
    lifted_ms: int | None


@dataclass(frozen=True, slots=True)
class ChunkKept:
    """A chunk that may have something to delete."""

    window_start_ms: int
    run: str
    window_ms: int
    revision: int
    digest: str
    object_key: str
    size_bytes: int
    seqs: SeqRanges
    gaps: tuple[dict[str, Any], ...]
    footage: Footage


@dataclass(frozen=True, slots=True)
class FragmentKept:
    """A fragment that no chunk holds."""

    run: str
    seq: int
    size_bytes: int
    footage: Footage


@dataclass(frozen=True, slots=True)
class Deletion:
    """One decided deletion; `what` fragments: first to last seq, chunk: window and digest."""

    camera: str
    run: str
    what: Literal["fragments", "chunk"]
    cause: Reason
    from_ms: int
    to_ms: int
    size_bytes: int
    decided_ms: int
    first_seq: int | None = None
    last_seq: int | None = None
    window_start_ms: int | None = None
    digest: str | None = None
    id: int = 0
    window_ms: int | None = None
    """Of a chunk that others took the place of: while it stands, its address answers."""
    not_before_ms: int = 0
    """Its objects stay until then (UTC)."""

    def event(self) -> Deleted:
        """Return the tombstone, the same each time."""
        return Deleted(
            camera=self.camera,
            run=self.run,
            what=self.what,
            first_seq=self.first_seq,
            last_seq=self.last_seq,
            window_start_ms=self.window_start_ms,
            digest=self.digest,
            reason=f"retention: {REASONS[self.cause]}",
            deleted_ms=self.decided_ms,
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """What of a chunk's present revision goes without the chunk itself."""

    window_start_ms: int
    run: str
    joined: bool
    older: bool


# -- rules and holds


async def set_rule(catalog: Catalog, rule: Rule, who: str, now_ms: int) -> None:
    """Set how long a scope's footage is kept; ConfigError for days out of bounds."""
    if not 1 <= rule.days <= MAX_DAYS:
        raise ConfigError(f"--days must be 1 to {MAX_DAYS}.")
    async with catalog.transaction() as connection:
        await connection.execute(
            sql("retention_set"), check_scope(rule.scope), rule.days, who, now_ms
        )


async def clear_rule(catalog: Catalog, scope: str) -> int | None:
    """Remove a scope's rule; return how many days it said, None where there was none."""
    row = await catalog.row("retention_clear", check_scope(scope))
    return None if row is None else int(row["days"])


async def rules(catalog: Catalog) -> list[SetRule]:
    """Return all rules, by scope."""
    return [
        SetRule(Rule(row["scope"], row["days"]), row["set_by"], row["set_ms"])
        for row in await catalog.rows("retention_rules")
    ]


async def add_hold(
    catalog: Catalog, hold: Hold, who: str, why: str, now_ms: int
) -> tuple[int, int]:
    """Add a hold; return its number, and how many deletions in its range were decided before.

    Returns when no deletion of what it holds is in hand any more.
    """
    if hold.to_ms is not None and hold.to_ms <= hold.from_ms:
        raise ConfigError("--from must be before --to.")
    async with catalog.transaction() as connection:
        await connection.execute(sql("holds_lock"))
        row = await connection.fetchrow(
            sql("hold_add"),
            *(check_scope(hold.scope), hold.from_ms, hold.to_ms, who, why, now_ms),
        )
    assert row is not None
    return row["id"], row["under_way"]


async def lift_hold(catalog: Catalog, number: int, who: str, now_ms: int) -> str | None:
    """Lift a hold; return its scope, None where none with this number stands."""
    row = await catalog.row("hold_lift", number, who, now_ms)
    return None if row is None else str(row["scope"])


async def holds(catalog: Catalog, *, lifted: bool = False) -> list[KnownHold]:
    """Return the holds that stand, or all there ever were."""
    return [_hold(row) for row in await catalog.rows("holds", lifted)]


def _hold(row: Row) -> KnownHold:
    fields = dict(row)
    hold = Hold(fields.pop("scope"), fields.pop("from_ms"), fields.pop("to_ms"))
    return KnownHold(hold=hold, **fields)


async def policy(catalog: Catalog, margins: Margins) -> Policy:
    """Return the rules and the holds that stand."""
    async with catalog.transaction() as connection:
        return await _policy(connection, margins)


async def _policy(connection: Connection, margins: Margins) -> Policy:
    known = [
        Rule(row["scope"], row["days"]) for row in await connection.fetch(sql("retention_rules"))
    ]
    standing = [_hold(row).hold for row in await connection.fetch(sql("holds"), False)]
    return Policy(known, standing, margins)


# -- what may go


async def cameras(catalog: Catalog) -> list[str]:
    """Return the cameras that have footage or deletions under way, registered or not."""
    return [row["camera"] for row in await catalog.rows("deletions_cameras")]


async def chunks(
    catalog: Catalog, camera: str, of: Policy, now_ms: int, page: int
) -> AsyncIterator[list[ChunkKept]]:
    """Yield pages of chunks of which something may go, oldest first; `of` judges them."""
    age_ms = of.age_ms(check_camera(camera))
    after: tuple[int, UUID] = (-1, FIRST_RUN)
    while True:
        rows = await catalog.rows(
            "retention_chunks",
            *(camera, None if age_ms is None else now_ms - age_ms),
            *(now_ms - of.margins.joined_ms, now_ms - of.margins.superseded_ms),
            *(*after, page),
        )
        if rows:
            yield [_chunk(row) for row in rows]
        if len(rows) < page:
            return
        after = rows[-1]["window_start_ms"], UUID(rows[-1]["run"])


def _chunk(row: Row) -> ChunkKept:
    start_ms = row["window_start_ms"]
    return ChunkKept(
        window_start_ms=start_ms,
        run=row["run"],
        window_ms=row["window_ms"],
        revision=row["revision"],
        digest=row["digest"],
        object_key=row["object_key"],
        size_bytes=row["size_bytes"],
        seqs=SeqRanges((first, last) for first, last in row["seqs"] or ()),
        gaps=tuple(row["gaps"]),
        footage=Footage(
            from_ms=min(start_ms, row["start_ms"]),
            to_ms=max(start_ms + row["window_ms"], row["end_ms"]),
            revision=row["revision"],
            indexed_ms=row["indexed_ms"],
            joined_gone=row["joined_gone"],
            older_gone=row["older_gone"],
        ),
    )


async def fragments(
    catalog: Catalog, camera: str, until_ms: int, page: int
) -> AsyncIterator[list[FragmentKept]]:
    """Yield pages of the fragments without chunk that end up to `until_ms`, oldest first."""
    after: tuple[int, UUID, int] = (-1, FIRST_RUN, -1)
    while True:
        rows = await catalog.rows("retention_fragments", camera, until_ms, *after, page)
        if rows:
            yield [
                FragmentKept(
                    row["run"],
                    row["seq"],
                    row["size_bytes"],
                    Footage(row["start_ms"], row["end_ms"]),
                )
                for row in rows
            ]
        if len(rows) < page:
            return
        after = rows[-1]["start_ms"], UUID(rows[-1]["run"]), rows[-1]["seq"]


# -- deciding and carrying out


@asynccontextmanager
async def deciding(
    catalog: Catalog, camera: str, margins: Margins
) -> AsyncIterator[tuple[Connection, Policy]]:
    """Hold the holds and the camera's footage; yield the rules and holds as they are now."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("holds_share"))
        await lock_cameras(connection, "footage", [camera])
        yield connection, await _policy(connection, margins)


async def still(
    connection: Connection, camera: str, chunks: Iterable[ChunkKept]
) -> set[tuple[int, str]]:
    """Return (window's start, run) of those chunks that are still current as they were read."""
    given = [
        {name: getattr(each, name) for name in ("window_start_ms", "run", "revision", "digest")}
        for each in chunks
    ]
    rows = await connection.fetch(sql("retention_still"), camera, given)
    return {(row["window_start_ms"], row["run"]) for row in rows}


async def bury(
    connection: Connection, camera: str, deletions: Sequence[Deletion], marks: Sequence[Mark]
) -> None:
    """Remove rows, write tombstones, note what is under way: all in the transaction in hand."""
    await connection.execute(sql("retention_decide"), [asdict(each) for each in deletions])
    await connection.execute(sql("index_deleted"), as_json([each.event() for each in deletions]))
    await connection.execute(sql("retention_mark"), camera, [asdict(each) for each in marks])
    if any(each.cause == "age" for each in deletions):
        await connection.execute(sql("retention_reach"), camera)


async def under_way(
    catalog: Catalog, camera: str, now_ms: int, after: int = 0, most: int = 100
) -> list[Deletion]:
    """Return deletions that are decided and not carried out, in order, those after a number.

    Those whose objects stay for a while yet are not among them.
    """
    rows = await catalog.rows("deletions", camera, after, most, now_ms)
    return [Deletion(**dict(row)) for row in rows]


@asynccontextmanager
async def standing(
    catalog: Catalog, deletions: Sequence[Deletion]
) -> AsyncIterator[tuple[Connection, list[Deletion]]]:
    """Yield those deletions that no hold touches; no hold is added while they are carried out."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("holds_share"))
        of = await _policy(connection, Margins(0, 0))
        yield (
            connection,
            [each for each in deletions if not of.held(each.camera, each.from_ms, each.to_ms)],
        )


async def done(connection: Connection, deletions: Sequence[Deletion]) -> None:
    """Forget deletions whose objects are gone."""
    await connection.execute(sql("deletions_done"), [each.id for each in deletions])


async def ends_left(
    connection: Connection, camera: str, runs: Sequence[str], until_ms: int
) -> list[tuple[str, int, int]]:
    """Return those runs that ended before `until_ms` and have nothing left, with start and end."""
    rows = await connection.fetch(
        sql("retention_ends"), camera, [UUID(run) for run in runs], until_ms
    )
    return [(row["run"], row["started_ms"], row["ended_ms"]) for row in rows]
