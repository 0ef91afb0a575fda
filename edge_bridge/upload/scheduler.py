"""Which fragment is uploaded next.

live     what was recorded in the last minute goes first, in order; of what the line carries,
         a stated share goes to the backlog all the same, so that it drains
oldest   strictly in order

The backlog drains from its oldest end: that is what is given up first where the disk is too small.
"""

from collections.abc import Callable, Container
from typing import Literal

from domain.identity import FragmentId
from domain.times import utc_ms
from edge_bridge.config.upload import UploadConfig
from edge_bridge.spool.rows import SpooledFragment
from edge_bridge.spool.spool import Spool

_REMEMBERED_BYTES = 64 << 20
"""The share is kept over about so many bytes."""


class UploadScheduler:
    """Keeps count of what each side got."""

    def __init__(
        self,
        order: Literal["live", "oldest"],
        *,
        live_s: int = 60,
        backlog_share: float = 0.2,
        now_ms: Callable[[], int] = utc_ms,
    ) -> None:
        """`backlog_share` of the bytes goes to the backlog while both wait; 0..1."""
        self._order, self._live_ms, self._share = order, live_s * 1_000, backlog_share
        self._now_ms = now_ms
        self._owed = 0.0
        """Bytes that the backlog has to its good."""

    @classmethod
    def from_config(cls, config: UploadConfig) -> "UploadScheduler":
        """Return the order that the configuration sets."""
        return cls(config.order, live_s=config.live_s, backlog_share=config.backlog_share)

    def look(self, spool: Spool, taken: int) -> list[SpooledFragment]:
        """Return candidates where `taken` are in hand already; runs on the spool's thread."""
        if self._order == "oldest":
            return spool.waiting(taken + 1)
        border_ms = self._now_ms() - self._live_ms
        return spool.waiting(taken + 1, from_ms=border_ms) + spool.waiting(
            taken + 1, to_ms=border_ms
        )

    def pick(
        self, rows: list[SpooledFragment], in_hand: Container[FragmentId]
    ) -> SpooledFragment | None:
        """Return the next one that is not in hand, and book it; None: nothing waits."""
        free = [row for row in rows if row.id not in in_hand]
        if self._order == "oldest" or not free:
            return free[0] if free else None
        border_ms = self._now_ms() - self._live_ms
        live = [row for row in free if row.start_ms >= border_ms]
        backlog = [row for row in free if row.start_ms < border_ms]
        if not live or not backlog:
            self._owed = 0.0
            return free[0]
        if self._owed > 0:
            self._owed -= (1 - self._share) * backlog[0].size
            return backlog[0]
        self._owed = min(self._owed + self._share * live[0].size, _REMEMBERED_BYTES)
        return live[0]
