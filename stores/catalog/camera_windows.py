"""The window settings of each camera. An event publishes them to the stream."""

from dataclasses import dataclass, replace

from domain.audit import BY_SYSTEM, AuditOrigin
from domain.errors import ConfigError
from domain.events import CameraConfigured, WindowsFrom
from domain.identity import check_camera
from domain.window_lengths import LEAD_MS, WindowLengths
from stores.catalog.audit import write_audit
from stores.catalog.pool import Catalog, Row, sql


@dataclass(frozen=True, slots=True)
class CameraWindowSettings:
    """A camera's window settings; grace and idle None: the worker's settings. Times: UTC ms."""

    camera: str
    lengths: WindowLengths
    grace_ms: int | None = None
    idle_ms: int | None = None
    changed_ms: int | None = None
    """When they were set; None: never."""
    published: bool = False
    """Whether an event published them."""

    def event(self) -> CameraConfigured:
        """Return the event that publishes the settings."""
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

    def audited(self) -> dict[str, object]:
        """Return what the audit log has of them."""
        steps = [list(step) for step in self.lengths.steps]
        return {"windows": steps, "grace_ms": self.grace_ms, "idle_ms": self.idle_ms}

    def with_future_boundary(self, now_ms: int) -> "CameraWindowSettings":
        """Return the settings with the last change of length in the future.

        A change that is not published early enough moves LEAD_MS ahead of `now_ms`.
        """
        steps = self.lengths.steps
        if self.published or len(steps) == 1 or steps[-1][0] >= now_ms + LEAD_MS // 2:
            return self
        lengths = WindowLengths(steps[:-1]).changed(steps[-1][1], now_ms + LEAD_MS)
        return replace(self, lengths=lengths, changed_ms=now_ms)

    def extra_wait_ms(self, window_ms: int) -> int:
        """Return how much longer (ms) than the worker's settings a fragment may wait for its chunk.

        `window_ms` is the window length of the worker's settings.
        """
        longest_ms = max(length_ms for _, length_ms in self.lengths.steps)
        return max(0, longest_ms - window_ms) + (self.grace_ms or 0) + (self.idle_ms or 0)


async def camera_windows(catalog: Catalog, camera: str, window_ms: int) -> CameraWindowSettings:
    """Return a camera's window settings; windows of `window_ms` where none were set."""
    row = await catalog.row("camera_windows", check_camera(camera))
    if row is None:
        return CameraWindowSettings(camera, WindowLengths.always(window_ms))
    return _set(row)


async def cameras_with_windows(catalog: Catalog) -> list[CameraWindowSettings]:
    """Return the settings of all cameras that have some, by id."""
    return [_set(row) for row in await catalog.rows("camera_windows", None)]


async def set_camera_windows(
    catalog: Catalog,
    now: CameraWindowSettings,
    before: CameraWindowSettings,
    *,
    origin: AuditOrigin = BY_SYSTEM,
) -> None:
    """Replace the settings `before` by `now`, which are not published yet.

    Raises ConfigError where the camera is not registered, or another process changed the settings.
    """
    values = (now.grace_ms, now.idle_ms, now.changed_ms, before.changed_ms)
    steps = [list(step) for step in now.lengths.steps]
    async with catalog.transaction() as connection:
        found = await connection.fetchrow(sql("set_camera_windows"), now.camera, steps, *values)
        if found is None:
            raise ConfigError(
                f"{now.camera} is not registered, or its windows were just changed. Check with "
                "`vigil camera list`, then try again."
            )
        entry = origin.entry(
            now.changed_ms or 0,
            "camera:windows",
            now.camera,
            before=before.audited(),
            after=now.audited(),
        )
        await write_audit(connection, entry)


async def mark_published(catalog: Catalog, settings: CameraWindowSettings) -> None:
    """Record that an event published these settings."""
    await catalog.rows("mark_windows_published", settings.camera, settings.changed_ms)


def _set(row: Row) -> CameraWindowSettings:
    return CameraWindowSettings(
        row["id"],
        WindowLengths(tuple((from_ms, window_ms) for from_ms, window_ms in row["windows"])),
        row["grace_ms"],
        row["idle_ms"],
        row["changed_ms"],
        row["published"],
    )
