"""The ledger of one partition: what was processed, and so what may be committed. No I/O."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """Floor, acknowledgements above it, and stretches that are not in the log.

    floor      every offset below it is processed or not in the log

    committed  what the broker has, or where the log began when nothing was committed yet

    acked      processed offsets at or above the floor

    skips      first absent offset -> next present offset

    held       processed offsets whose effects are still only in memory

    Only the floor is committed. So no commit passes an offset that was delivered and not
    acknowledged, however many above it are. No commit passes one that is held.
    """

    floor: int | None = None
    committed: int | None = None
    acked: set[int] = field(default_factory=set)
    skips: dict[int, int] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)

    @classmethod
    def at(cls, offset: int | None) -> "Ledger":
        """Return the ledger of a partition that was positioned at this offset."""
        return cls(floor=offset, committed=offset)

    def first(self, offset: int) -> None:
        """Note the first record of a partition whose position was not known."""
        if self.floor is None:
            self.floor = self.committed = offset

    def skip(self, absent: int, present: int) -> None:
        """Note that the log holds nothing from `absent` up to `present`, exclusive."""
        self.skips[absent] = present

    def ack(self, offset: int) -> bool:
        """Note an offset as processed; False where that was known or it is below the floor."""
        if self.floor is None or offset < self.floor or offset in self.acked:
            return False
        self.acked.add(offset)
        return True

    def hold(self, offset: int) -> None:
        """Let no commit pass an offset, processed or not, until it is released."""
        if self.floor is None or offset >= self.floor:
            self.held.add(offset)

    def release(self, offset: int) -> None:
        """Let commits pass it once it is processed."""
        self.held.discard(offset)

    def advance(self) -> int | None:
        """Move the floor over all that is processed without a hole, and return it."""
        floor = self.floor
        if floor is None:
            return None
        while floor not in self.held:
            if floor in self.acked:
                self.acked.discard(floor)
                floor += 1
            elif floor in self.skips:
                floor = self.skips.pop(floor)
            else:
                break
        self.floor = floor
        return floor

    def due(self) -> int | None:
        """Return what is to be committed now, None where the broker knows it already."""
        floor = self.advance()
        if floor is None or (self.committed is not None and floor <= self.committed):
            return None
        return floor

    def commit(self, offset: int) -> None:
        """Note that the broker took this commit."""
        if self.committed is None or offset > self.committed:
            self.committed = offset
