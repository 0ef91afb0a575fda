"""Telling the stream how each camera's footage is cut, as the catalog has it.

The catalog's row stands first, then the event is sent, then the row is marked as told. What was
not told in time gets a later border; all of it can be told again at any time, which changes
nothing where it is known: after topics were made anew it is what the assembler has to hear.
"""

from collections.abc import Sequence
from dataclasses import replace

from stores.catalog import Catalog
from stores.catalog.camera_windows import (
    CameraWindows,
    cameras_with_windows,
    mark_published,
    set_camera_windows,
)
from streams.sender import EventSender


async def publish(
    catalog: Catalog, sender: EventSender, decided: CameraWindows, now_ms: int
) -> CameraWindows:
    """Tell the stream of one camera; returns what was told, whose last border may have moved."""
    in_time = decided.with_future_boundary(now_ms)
    if in_time != decided:
        await set_camera_windows(catalog, in_time, decided)
    await sender.send(in_time.event())
    await mark_published(catalog, in_time)
    return replace(in_time, published=True)


async def publish_all(
    catalog: Catalog, sender: EventSender, now_ms: int, only: Sequence[str] = ()
) -> list[CameraWindows]:
    """Tell the stream of all cameras of which something was decided, or of `only` these."""
    return [
        await publish(catalog, sender, decided, now_ms)
        for decided in await cameras_with_windows(catalog)
        if not only or decided.camera in only
    ]
