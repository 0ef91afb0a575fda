"""How much of the line uploads may use, by the site's own time of day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo


@dataclass(frozen=True, slots=True)
class TimeSlot:
    """Part of each day, from `begin` up to `end`; one that ends before it begins spans midnight."""

    begin: time
    end: time
    kbit: int
    """1,000 bits a second; 0: footage waits, messages go."""

    def holds(self, at: time) -> bool:
        """Return whether a time of day lies in it; one that ends when it begins is all day."""
        if self.begin < self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end


@dataclass(frozen=True, slots=True)
class Schedule:
    """The cap by time: the first slot that holds, else `limit_kbit` (None: no cap)."""

    limit_kbit: int | None = None
    slots: Sequence[TimeSlot] = ()
    zone: tzinfo = UTC

    def kbit(self, utc_ms: int) -> int | None:
        """Return the cap at a time."""
        at = datetime.fromtimestamp(utc_ms / 1_000, self.zone).time()
        for slot in self.slots:
            if slot.holds(at):
                return slot.kbit
        return self.limit_kbit
