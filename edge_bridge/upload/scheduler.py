"""Which fragment is uploaded next.

live     footage of the last minute first, in order; a fixed share of the bytes goes to the backlog
         even then, so that it drains
oldest   strictly in order

The backlog drains from its oldest end: where the disk is too small, that end is discarded first.
"""

from collections.abc import Callable, Container
from typing import Literal

from domain.identity import FragmentId
from domain.times import utc_ms
from edge_bridge.config.upload import UploadConfig
from edge_bridge.spool.access import SpoolAccess
from edge_bridge.spool.rows import SpooledFragment

_MAX_CREDIT_BYTES = 64 << 20
"""Bound of the backlog's credit: the share holds over about so many bytes."""


class UploadScheduler:
    """Shares the line between live footage and backlog, by a byte credit as in deficit round robin.

    Live footage earns the backlog a credit; while there is one, the backlog is next and spends it.
    """

    def __init__(
        self,
        order: Literal["live", "oldest"],
        *,
        live_s: int = 60,
        backlog_share: float = 0.2,
        now_ms: Callable[[], int] = utc_ms,
    ) -> None:
        """`backlog_share` of the bytes goes to the backlog while both wait; 0..1."""
        self._order = order
        self._live_ms = live_s * 1_000
        self._backlog_share = backlog_share
        self._now_ms = now_ms
        self._backlog_credit = 0.0
        """Bytes that the backlog may send before live footage is next."""

    @classmethod
    def from_config(cls, config: UploadConfig) -> "UploadScheduler":
        """Return the order that the configuration sets."""
        return cls(config.order, live_s=config.live_s, backlog_share=config.backlog_share)

    def candidates(self, spool: SpoolAccess, excluded: int) -> list[SpooledFragment]:
        """Return enough fragments to pick one where `excluded` are not to be picked.

        Runs on the spool's thread.
        """
        if self._order == "oldest":
            return spool.waiting(excluded + 1)
        live_from_ms = self._now_ms() - self._live_ms
        return spool.waiting(excluded + 1, from_ms=live_from_ms) + spool.waiting(
            excluded + 1, to_ms=live_from_ms
        )

    def pick(
        self, rows: list[SpooledFragment], excluded: Container[FragmentId]
    ) -> SpooledFragment | None:
        """Return the next fragment that is not excluded, and charge it; None: nothing waits."""
        free = [row for row in rows if row.id not in excluded]
        if self._order == "oldest" or not free:
            return free[0] if free else None
        live_from_ms = self._now_ms() - self._live_ms
        live = [row for row in free if row.start_ms >= live_from_ms]
        backlog = [row for row in free if row.start_ms < live_from_ms]
        if not live or not backlog:
            # Nothing to share: a credit from now on would only delay live footage later.
            self._backlog_credit = 0.0
            return free[0]
        if self._backlog_credit > 0:
            self._backlog_credit -= (1 - self._backlog_share) * backlog[0].size
            return backlog[0]
        earned = self._backlog_share * live[0].size
        self._backlog_credit = min(self._backlog_credit + earned, _MAX_CREDIT_BYTES)
        return live[0]
