"""How long each camera's windows are, as it was decided; the stream is told by an event."""

from dataclasses import dataclass, replace

from domain.errors import ConfigError
from domain.events import CameraConfigured, WindowsFrom
from domain.identity import check_camera
from domain.window_lengths import LEAD_MS, WindowLengths
from stores.catalog.pool import Catalog, Row


@dataclass(frozen=True, slots=True)
class CameraWindowSettings:
    """What a camera was set to; grace and idle None: as the settings say. Times: UTC ms."""

    camera: str
    lengths: WindowLengths
    grace_ms: int | None = None
    idle_ms: int | None = None
    changed_ms: int | None = None
    """When it was decided; None: nothing ever was."""
    published: bool = False
    """Whether the stream was told."""

    def event(self) -> CameraConfigured:
        """Return what the stream is told."""
        assert self.changed_ms is not None
        return CameraConfigured(
            camera=self.camera,
            windows=[
                WindowsFrom(from_ms=from_ms, window_ms=window_ms)
                for from_ms, window_ms in self.lengths.steps
            ],
            grace_ms=self.grace_ms,
            idle_ms=self.idle_ms,
            changed_ms=self.changed_ms,
        )

    def with_future_boundary(self, now_ms: int) -> "CameraWindowSettings":
        """Return it with its last border moved ahead, where nobody was told of it in time."""
        steps = self.lengths.steps
        if self.published or len(steps) == 1 or steps[-1][0] >= now_ms + LEAD_MS // 2:
            return self
        lengths = WindowLengths(steps[:-1]).changed(steps[-1][1], now_ms + LEAD_MS)
        return replace(self, lengths=lengths, changed_ms=now_ms)

    def extra_wait_ms(self, window_ms: int) -> int:
        """Return how much longer than by the settings a fragment may wait for its chunk, at most.

        `window_ms` is the length that the settings say.
        """
        longest_ms = max(length_ms for _, length_ms in self.lengths.steps)
        return max(0, longest_ms - window_ms) + (self.grace_ms or 0) + (self.idle_ms or 0)


async def camera_windows(catalog: Catalog, camera: str, window_ms: int) -> CameraWindowSettings:
    """Return what counts for a camera; always `window_ms` where nothing was decided."""
    row = await catalog.row("camera_windows", check_camera(camera))
    if row is None:
        return CameraWindowSettings(camera, WindowLengths.always(window_ms))
    return _set(row)


async def cameras_with_windows(catalog: Catalog) -> list[CameraWindowSettings]:
    """Return the cameras of which something was decided, by id."""
    return [_set(row) for row in await catalog.rows("camera_windows", None)]


async def set_camera_windows(
    catalog: Catalog, now: CameraWindowSettings, before: CameraWindowSettings
) -> None:
    """Keep a decision in the place of `before`, not yet told.

    ConfigError where the camera is not registered, or somebody else decided meanwhile.
    """
    values = (now.grace_ms, now.idle_ms, now.changed_ms, before.changed_ms)
    steps = [list(step) for step in now.lengths.steps]
    if await catalog.row("camera_windows_set", now.camera, steps, *values) is None:
        raise ConfigError(
            f"{now.camera} is not registered, or its windows were changed just now; see "
            "`vigil camera list`, then try again."
        )


async def mark_published(catalog: Catalog, told: CameraWindowSettings) -> None:
    """Note that the stream was told of a decision."""
    await catalog.rows("camera_windows_told", told.camera, told.changed_ms)


def _set(row: Row) -> CameraWindowSettings:
    return CameraWindowSettings(
        row["id"],
        WindowLengths(tuple((from_ms, window_ms) for from_ms, window_ms in row["windows"])),
        row["grace_ms"],
        row["idle_ms"],
        row["changed_ms"],
        row["told"],
    )
