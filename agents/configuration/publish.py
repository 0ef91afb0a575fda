"""Publishes each camera's window settings from the catalog to the stream, as `camera-configured`.

The catalog's row is written first, then the event is sent, then the row is marked as published.
If the event is too late, the window length changes at a later boundary. Publishing again changes
nothing. It is needed after topics were created again: the assembler must read the settings again.
"""

from collections.abc import Sequence
from dataclasses import replace

from stores.catalog import Catalog
from stores.catalog.camera_windows import (
    CameraWindowSettings,
    cameras_with_windows,
    mark_published,
    set_camera_windows,
)
from streams.sender import EventSender


async def publish(
    catalog: Catalog, sender: EventSender, decided: CameraWindowSettings, now_ms: int
) -> CameraWindowSettings:
    """Publish one camera's settings; return them. The last boundary may have moved to later."""
    in_time = decided.with_future_boundary(now_ms)
    if in_time != decided:
        await set_camera_windows(catalog, in_time, decided)
    await sender.send(in_time.event())
    await mark_published(catalog, in_time)
    return replace(in_time, published=True)


async def publish_all(
    catalog: Catalog, sender: EventSender, now_ms: int, only: Sequence[str] = ()
) -> list[CameraWindowSettings]:
    """Publish the settings of all cameras that have their own, or of `only` these."""
    return [
        await publish(catalog, sender, decided, now_ms)
        for decided in await cameras_with_windows(catalog)
        if not only or decided.camera in only
    ]
