"""The command snapshot: a keyframe of a camera now as JPEG, with its privacy masks."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from domain.errors import ConfigError, MediaError
from domain.link_messages import CommandMessage
from domain.live_stream import LiveKind
from domain.times import utc_ms
from edge_bridge.link.handler import CommandFailedError, CommandOutcome
from edge_bridge.live.manager import LiveManager
from edge_bridge.recorders import RecorderManager

WIDTH = 1_280
KEYFRAME_S = 12.0
FRESH_MS = 2_000
"""The keyframe that the device keeps is taken if it is not older; else the next one is."""


async def take_snapshot(
    command: CommandMessage,
    live: LiveManager,
    recorders: RecorderManager,
    now_ms: Callable[[], int] = utc_ms,
) -> CommandOutcome:
    """Return the camera's newest keyframe, or the next one. Raises CommandFailedError."""
    camera = command.camera or ""
    status = next((each for each in recorders.statuses if each.camera == camera), None)
    if status is None:
        raise CommandFailedError(f"This device does not record {camera}.")
    found: tuple[bytes, bytes, int] | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(KEYFRAME_S):
            found = await _keyframe(camera, live, now_ms)
    if found is None:
        why = f"It is {status.state}" + (f": {status.detail}" if status.detail else "")
        raise CommandFailedError(f"The camera sends no picture now. {why}.")
    init, segment, at_ms = found
    data = await asyncio.to_thread(_jpeg, init + segment, camera, recorders)
    return CommandOutcome("A picture of the camera now.", {"at_ms": at_ms}, data)


async def _keyframe(
    camera: str, live: LiveManager, now_ms: Callable[[], int]
) -> tuple[bytes, bytes, int]:
    init = b""
    is_next = False
    try:
        async with live.watch(camera, "main") as viewer:
            while True:
                message = await viewer.next()
                if message.kind is LiveKind.INIT and isinstance(message.data, bytes):
                    init = message.data[1:]
                elif message.kind is LiveKind.KEYFRAME and isinstance(message.data, bytes):
                    if is_next or now_ms() - message.utc_ms <= FRESH_MS:
                        return init, message.data[9:], message.utc_ms
                    is_next = True
    except ConfigError as error:
        raise CommandFailedError(str(error)) from None


def _jpeg(data: bytes, camera: str, recorders: RecorderManager) -> bytes:
    # OpenCV and NumPy take 30 MiB, which a device that is not asked saves.
    from media.thumbnail import jpeg  # noqa: PLC0415
    from vision.privacy import black_out  # noqa: PLC0415

    masks = recorders.privacy_masks(camera)
    try:
        return jpeg(data, WIDTH, lambda frame: black_out(frame, masks), container="mp4")
    except MediaError as error:
        raise CommandFailedError(f"The picture cannot be decoded: {error}") from None
