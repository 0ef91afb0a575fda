"""The `spool` section, and the limits that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from edge_bridge.config.section import ByteSize, ConfigSection

DEFAULT_PRIORITY = 5


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much of the disk the spool may use."""

    max_bytes: int = 50 << 30
    free_floor_bytes: int = 2 << 30
    outbox_max_bytes: int = 64 << 20
    free_floor_s: int = 3_600
    """At least what all cameras bring in this time stays free, up to a quarter of the disk."""
    priorities: Mapping[str, int] = field(default_factory=dict)
    """Camera -> 0 to 9; a higher number is kept longer. Default: 5."""
    pending_max_bytes: int = 256 << 20
    """Bytes of fragments that may wait in memory for a disk that is too slow."""

    def min_free_bytes(self, hour_bytes: int, total_bytes: int) -> int:
        """Return the bytes of the disk that stay free."""
        measured = min(hour_bytes * self.free_floor_s // 3_600, total_bytes // 4)
        return max(self.free_floor_bytes, measured)

    def priority(self, camera: str) -> int:
        """Return a camera's priority."""
        return self.priorities.get(camera, DEFAULT_PRIORITY)


class SpoolConfig(ConfigSection):
    """The disk that stores fragments until they are in the cloud, and longer if there is room."""

    dir: Path = Field(description="folder on a disk that survives a reboot")
    max_bytes: ByteSize = Field(50 << 30, ge=1 << 20, description="maximum bytes of fragments")
    free_floor_bytes: ByteSize = Field(
        2 << 30, ge=0, description="bytes of the disk to leave free, at least"
    )
    free_floor_s: int = Field(
        3_600, ge=0, le=86_400,
        description="also left free: what all cameras record in so many seconds, as measured; "
        "at most a quarter of the disk",
    )  # fmt: skip
    outbox_max_bytes: ByteSize = Field(
        64 << 20, ge=1 << 16, description="maximum bytes of messages"
    )
    pending_max_bytes: ByteSize = Field(
        256 << 20, ge=8 << 20,
        description="maximum bytes of fragments that wait in memory while the disk is too slow or "
        "hangs; the oldest waiting are given up for more",
    )  # fmt: skip
    own_disk: bool = Field(
        False,
        description="true: do not start if `dir` is on the root disk: its own disk is missing",
    )

    def limits(self, priorities: Mapping[str, int]) -> SpoolLimits:
        """Return the spool's limits; `priorities` are the cameras'."""
        return SpoolLimits(
            self.max_bytes, self.free_floor_bytes, self.outbox_max_bytes, self.free_floor_s,
            priorities, self.pending_max_bytes,
        )  # fmt: skip
