"""A catalog of its own for each test, on the session's PostgreSQL; events to fill it with."""

import random
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import asyncpg

from domain.events import (
    ChunkComplete,
    Detection,
    DetectionFrame,
    FoundObject,
    FragmentArrived,
    Gap,
    Keyframe,
    ManifestFragment,
)
from domain.identity import chunk_key, new_run_id
from stores.catalog import Catalog, migrate

T0 = 1_795_369_380_000
"""2026-11-22T17:43:00Z, a multiple of a minute."""
CAMERA = "acme/hq/gate"


@asynccontextmanager
async def fresh_database(dsn: str, template: str = "template1") -> AsyncIterator[str]:
    """Make a database on the server, empty or a copy of a template; drop it afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield dsn.rsplit("/", 1)[0] + "/" + name
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


_templates: dict[str, str] = {}
"""Server -> its database that is migrated and has no rows. Copying it is faster than migrating."""


async def _template(dsn: str) -> str:
    if dsn not in _templates:
        name = f"template_{uuid.uuid4().hex}"
        admin = await asyncpg.connect(dsn)
        try:
            await admin.execute(f"CREATE DATABASE {name}")
        finally:
            await admin.close()
        made = dsn.rsplit("/", 1)[0] + "/" + name
        await migrate(made)
        await _release_second_factor(made)
        _templates[dsn] = name
    return _templates[dsn]


async def _release_second_factor(dsn: str) -> None:
    """Let users of tests sign in without one; test_second_factor.py requires it."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("DELETE FROM second_factor_rules")
    finally:
        await connection.close()


@asynccontextmanager
async def fresh_catalog(dsn: str) -> AsyncIterator[Catalog]:
    """Make a migrated catalog in a database of its own."""
    template = await _template(dsn)
    async with fresh_database(dsn, template) as own, Catalog(own, size=8) as catalog:
        yield catalog


def run_id(started_ms: int = T0, seed: int = 0) -> str:
    return new_run_id(started_ms, random.Random(seed).randbytes(10))


def fragment(run: str, seq: int, **more: object) -> FragmentArrived:
    """Return a fragment of 4 s; by default, seq n starts 4 n s after T0."""
    given = {
        "camera": CAMERA,
        "run": run,
        "seq": seq,
        "start_ms": T0 + seq * 4_000,
        "duration_ms": 4_000,
        "start_pts": seq * 360_000,
        "arrived_ms": T0,
        "closed_ms": T0 + seq * 4_000 + 4_000,
        "frames": 40,
        "size_bytes": 1_880 + 188 * seq,
        "sha256": f"{seq:064x}",
        "video_codec": "h264",
        "width": 768,
        "height": 576,
        "keyframes": [Keyframe(pts=seq * 360_000, offset=564, size=1_000)],
    }
    return FragmentArrived.model_validate({**given, **more})


def chunk(
    fragments: Sequence[FragmentArrived],
    *,
    revision: int = 1,
    window_ms: int = 60_000,
    gaps: Sequence[Gap] = (),
    digest: str = "",
) -> ChunkComplete:
    """Return the chunk of fragments of one run in one window."""
    first = fragments[0]
    offset, held = 0, []
    for each in fragments:
        held.append(
            ManifestFragment(
                seq=each.seq,
                start_ms=each.start_ms,
                duration_ms=each.duration_ms,
                start_pts=each.start_pts,
                size_bytes=each.size_bytes,
                sha256=each.sha256,
                offset=offset,
                frames=each.frames,
                keyframes=each.keyframes or [],
            )
        )
        offset += each.size_bytes
    window = first.start_ms - first.start_ms % window_ms
    digest = digest or f"{revision:032x}"
    return ChunkComplete(
        camera=first.camera,
        run=first.run,
        window_start_ms=window,
        window_ms=window_ms,
        revision=revision,
        digest=digest,
        object_key=chunk_key(first.camera, first.run, window, window_ms, digest),
        size_bytes=offset,
        sha256="ab" * 32,
        start_ms=min(each.start_ms for each in fragments),
        end_ms=max(each.end_ms for each in fragments),
        reason="complete",
        video_codec="h264",
        width=768,
        height=576,
        fragments=held,
        gaps=list(gaps),
        joined_ms=T0,
    )


def windows(fragments: Sequence[FragmentArrived], window_ms: int = 60_000) -> list[ChunkComplete]:
    """Return the chunks of one run's fragments."""
    starts = sorted({each.start_ms - each.start_ms % window_ms for each in fragments})
    return [
        chunk(
            [each for each in fragments if start <= each.start_ms < start + window_ms],
            window_ms=window_ms,
        )
        for start in starts
    ]


async def scalar(catalog: Catalog, statement: str, *values: object) -> object:
    async with catalog.transaction() as connection:
        return await connection.fetchval(statement, *values)


async def audited(catalog: Catalog, action: str) -> list[tuple[str, dict]]:
    """Return the entries of an act in the audit log: their chain, and the state after it."""
    async with catalog.transaction() as connection:
        rows = await connection.fetch(
            "SELECT chain, entry::jsonb->'after' AS after FROM vigil_audit.entries "
            "WHERE entry::jsonb->>'action' = $1 ORDER BY chain, seq",
            action,
        )
    return [(row["chain"], row["after"]) for row in rows]


_pts = count(1)


def seen(camera: str, *labels: str, at_ms: int = T0 + 60_000, **more: object) -> Detection:
    """Return a detection of these objects in a frame that no other one has."""
    found = [FoundObject(label=each, score=0.5, box=(0.25, 0.25, 0.5, 0.5)) for each in labels]
    given = {
        "camera": camera,
        "run": run_id(),
        "model": "people",
        "model_version": "1",
        "frames": [DetectionFrame(pts=next(_pts), at_ms=at_ms, objects=found)],
    }
    return Detection.model_validate({**given, **more})
