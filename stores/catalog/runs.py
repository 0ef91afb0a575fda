"""The capture sessions of a camera, as people read them."""

from dataclasses import dataclass
from uuid import UUID

from stores.catalog.pool import Catalog

FIRST_RUN = UUID(int=0)


@dataclass(frozen=True, slots=True)
class CameraRun:
    """A run. Times: UTC ms; None where the event that says it has not arrived."""

    run: str
    started_ms: int
    ended_ms: int | None
    reason: str | None
    last_seq: int | None
    given_up: int
    """Fragments that the device deleted before they were uploaded."""
    edge: str | None
    stream: str | None


async def find_runs(
    catalog: Catalog,
    camera: str,
    from_ms: int,
    to_ms: int,
    *,
    after: str | None = None,
    limit: int = 1_000,
) -> list[CameraRun]:
    """Return the runs that overlap [from, to), by start: `after` this run, at most `limit`."""
    first = FIRST_RUN if after is None else UUID(after)
    rows = await catalog.rows("find_runs", camera, from_ms, to_ms, first, limit)
    return [CameraRun(**dict(row)) for row in rows]
