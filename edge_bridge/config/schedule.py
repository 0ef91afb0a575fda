"""The bandwidth limit of uploads, by time of day at the site."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo


@dataclass(frozen=True, slots=True)
class TimeSlot:
    """A part of each day, from `begin` up to `end`; past midnight if `end` is before `begin`."""

    begin: time
    end: time
    kbit: int
    """1,000 bits a second; 0: fragments wait, messages are sent."""

    def contains(self, at: time) -> bool:
        """Return whether a time of day is in the slot. A slot with equal ends is the whole day."""
        if self.begin < self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end


@dataclass(frozen=True, slots=True)
class Schedule:
    """The limit by time: the first slot that contains it, else `limit_kbit` (None: no limit)."""

    limit_kbit: int | None = None
    slots: Sequence[TimeSlot] = ()
    zone: tzinfo = UTC

    def kbit(self, utc_ms: int) -> int | None:
        """Return the limit at a time."""
        at = datetime.fromtimestamp(utc_ms / 1_000, self.zone).time()
        for slot in self.slots:
            if slot.contains(at):
                return slot.kbit
        return self.limit_kbit
