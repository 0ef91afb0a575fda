"""Deleting detections: whole minutes, batch by batch, never what a hold touches.

Each batch is one transaction in which nobody adds a hold and nobody indexes the camera's
detections. What is gone does not come back: replays' detections are refused by the state of their
replay, older ones than retention allows by `detections_gone`.
"""

from domain.models import MINUTE_MS, Version, whole_minutes
from domain.retention import Margins, RetentionPolicy, covers
from domain.spans import FOREVER_MS, Span, Spans
from stores.catalog.intervals import multirange, parse_multirange
from stores.catalog.model_replays import DETECTIONS, Replay, write_state
from stores.catalog.pool import Catalog, Connection, lock_cameras, sql
from stores.catalog.retention import locked_policy

BATCH = 5_000
"""Detections that go at once; the rest of the last one's minute goes with them."""
_NO_MARGINS = Margins(0, 0)


def minutes_on_hold(policy: RetentionPolicy, camera: str) -> Spans:
    """Return the minutes of a camera that holds touch."""
    return Spans(
        whole_minutes(hold.from_ms, FOREVER_MS if hold.to_ms is None else hold.to_ms)
        for hold in policy.holds
        if covers(hold.scope, camera)
    )


async def drop_replay(catalog: Catalog, replay: Replay, who: str, now_ms: int) -> tuple[int, bool]:
    """Delete the detections of a replay that is being dropped.

    Returns how many went, and whether all are gone: a hold keeps what it touches, and then the
    replay stays as it is, to be dropped again once the hold is lifted.
    """
    gone = await _delete(catalog, replay.camera, replay.from_ms, replay.to_ms, replay.version)
    async with locked_policy(catalog, replay.camera, _NO_MARGINS) as (connection, policy):
        span = Spans([(replay.from_ms, replay.to_ms)])
        left = minutes_on_hold(policy, replay.camera) & span
        for from_ms, to_ms in left.spans:
            asked = replay.camera, *replay.version, from_ms, to_ms
            row = await connection.fetchrow(sql("model_seen"), *asked)
            if row is not None and row["objects"]:
                return gone, False
        await connection.execute(sql("model_forget_marks"), replay.id)
        await write_state(connection, [replay.id], "dropped", who, now_ms)
    return gone, True


async def delete_old_detections(catalog: Catalog, camera: str, until_ms: int) -> int:
    """Delete a camera's detections before `until_ms` (UTC) that no hold touches; return how many.

    From the first batch on, older ones are refused.
    """
    until_ms -= until_ms % MINUTE_MS
    if until_ms <= 0:
        return 0
    known = await catalog.row("forget_known", camera)
    from_ms = 0
    if known is not None and not parse_multirange(known["kept"]):
        from_ms = min(known["until_ms"], until_ms)
    return await _delete(catalog, camera, from_ms, until_ms, None, note=True)


async def _delete(
    catalog: Catalog,
    camera: str,
    from_ms: int,
    to_ms: int,
    version: Version | None,
    *,
    note: bool = False,
) -> int:
    gone, at_ms = 0, from_ms
    while at_ms < to_ms:
        async with locked_policy(catalog, camera, _NO_MARGINS) as (connection, policy):
            await lock_cameras(connection, DETECTIONS, [camera])
            held = minutes_on_hold(policy, camera)
            if note:
                await connection.execute(sql("forget_note"), camera, to_ms, multirange(held.spans))
            free = Spans([(at_ms, to_ms)]) - held
            if not free:
                break
            went, at_ms = await _delete_batch(connection, camera, free.spans[0], version)
            gone += went
    return gone


async def _delete_batch(
    connection: Connection, camera: str, span: Span, version: Version | None
) -> tuple[int, int]:
    """Delete the first BATCH detections of a span, or a few more; return how many, up to when."""
    from_ms, to_ms = span
    model, number = version or (None, None)
    asked = camera, from_ms, to_ms, model, number
    cut_ms = await connection.fetchval(sql("forget_until"), *asked, BATCH)
    if cut_ms is not None:
        to_ms = cut_ms - cut_ms % MINUTE_MS + MINUTE_MS
    went = await connection.fetchval(sql("forget"), camera, from_ms, to_ms, model, number)
    return int(went), to_ms
