"""Delete detections: whole minutes, in batches, never those under a legal hold.

Each batch is one transaction. During it no hold can be added and no detections of the camera can
be indexed. Deleted detections do not come back: the indexer rejects those of a dropped replay, and
those older than `detections_gone` says.
"""

from domain.models import MINUTE_MS, Version, whole_minutes
from domain.retention import Margins, RetentionPolicy, covers
from domain.spans import FOREVER_MS, Span, Spans
from stores.catalog.intervals import multirange, parse_multirange
from stores.catalog.model_replays import DETECTIONS, Replay, write_state
from stores.catalog.pool import Catalog, Connection, lock_cameras, sql
from stores.catalog.retention import locked_policy

BATCH = 5_000
"""Detections in one batch; a batch ends at the end of a minute."""
_NO_MARGINS = Margins(0, 0)


def minutes_on_hold(policy: RetentionPolicy, camera: str) -> Spans:
    """Return the minutes of a camera that are under a hold."""
    return Spans(
        whole_minutes(hold.from_ms, FOREVER_MS if hold.to_ms is None else hold.to_ms)
        for hold in policy.holds
        if covers(hold.scope, camera)
    )


async def drop_replay(catalog: Catalog, replay: Replay, who: str, now_ms: int) -> tuple[int, bool]:
    """Delete the detections of a replay in state `dropping`.

    Returns how many were deleted, and whether none is left. Where a hold keeps some, the replay
    stays in its state: drop it again after the hold is lifted.
    """
    deleted = await _delete(catalog, replay.camera, replay.from_ms, replay.to_ms, replay.version)
    async with locked_policy(catalog, replay.camera, _NO_MARGINS) as (connection, policy):
        span = Spans([(replay.from_ms, replay.to_ms)])
        left = minutes_on_hold(policy, replay.camera) & span
        for from_ms, to_ms in left.spans:
            key = replay.camera, *replay.version, from_ms, to_ms
            row = await connection.fetchrow(sql("version_detections"), *key)
            if row is not None and row["objects"]:
                return deleted, False
        await connection.execute(sql("delete_replay_marks"), replay.id)
        await write_state(connection, [replay.id], "dropped", who, now_ms)
    return deleted, True


async def delete_old_detections(catalog: Catalog, camera: str, until_ms: int) -> int:
    """Delete a camera's detections before `until_ms` (UTC), except those under a hold.

    Returns how many were deleted. From the first batch on, the indexer rejects older detections.
    """
    until_ms -= until_ms % MINUTE_MS
    if until_ms <= 0:
        return 0
    known = await catalog.row("detections_gone", camera)
    from_ms = 0
    if known is not None and not parse_multirange(known["kept"]):
        from_ms = min(known["until_ms"], until_ms)
    return await _delete(catalog, camera, from_ms, until_ms, None, record=True)


async def _delete(
    catalog: Catalog,
    camera: str,
    from_ms: int,
    to_ms: int,
    version: Version | None,
    *,
    record: bool = False,
) -> int:
    total = 0
    at_ms = from_ms
    while at_ms < to_ms:
        async with locked_policy(catalog, camera, _NO_MARGINS) as (connection, policy):
            await lock_cameras(connection, DETECTIONS, [camera])
            held = minutes_on_hold(policy, camera)
            if record:
                await connection.execute(
                    sql("record_detections_gone"), camera, to_ms, multirange(held.spans)
                )
            free = Spans([(at_ms, to_ms)]) - held
            if not free:
                break
            deleted, at_ms = await _delete_batch(connection, camera, free.spans[0], version)
            total += deleted
    return total


async def _delete_batch(
    connection: Connection, camera: str, span: Span, version: Version | None
) -> tuple[int, int]:
    """Delete the first BATCH detections of a span, to the end of a minute; return how many, and
    that end.
    """
    from_ms, to_ms = span
    model, number = version or (None, None)
    scope = camera, from_ms, to_ms, model, number
    cut_ms = await connection.fetchval(sql("end_of_batch"), *scope, BATCH)
    if cut_ms is not None:
        to_ms = cut_ms - cut_ms % MINUTE_MS + MINUTE_MS
    deleted = await connection.fetchval(
        sql("delete_detections"), camera, from_ms, to_ms, model, number
    )
    return int(deleted), to_ms
