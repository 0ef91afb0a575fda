"""The ways in which the line, S3 and SQS fail, one after the other, each felt at least once."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.errors import VigilError
from domain.times import utc_ms
from harness.fault_proxy import Fault, FaultProxy
from harness.numbered_edge import NumberedEdge

OTHERS: tuple[tuple[Fault, float], ...] = (
    ("flaky", 0.3), ("slow", 1.0), ("hang", 1.0), ("error", 1.0), ("busy", 1.0), ("expired", 1.0),
)  # fmt: skip
"""What comes after the cut, and the share that is hit."""
CALM_S = 5.0
_OF_EACH = 0.6
"""The part of its time that a fault lasts; the rest is calm."""
_HIT_WITHIN_S = 60.0
"""A fault lasts until the clients of S3 and SQS have noticed it, at most this long."""
_RENEWED_WITHIN_S = 300.0


@dataclass(slots=True)
class Failing:
    """Lets two proxies fail while an edge runs behind them."""

    to_s3: FaultProxy
    to_sqs: FaultProxy
    say: Callable[[str], None]
    renew: Callable[[], None]
    """Writes credentials that are good."""
    hit: dict[str, dict[str, int]] = field(default_factory=dict)
    """Fault -> how often it was felt on the way to S3 and to SQS."""
    cut_end_ms: int = 0
    """UTC; 0: the cut is not over."""
    renewed_s: float | None = None
    """From new credentials to answers from S3 and SQS."""

    async def run(self, edge: NumberedEdge, cut_s: float, each_s: float) -> None:
        """Fail in all ways; what lasts longer than planned takes its time from the calm after."""
        due_s = time.monotonic() + CALM_S
        plan: list[tuple[Fault, float, float]] = [("cut", 1.0, cut_s)]
        plan += [(fault, share, each_s * _OF_EACH) for fault, share in OTHERS]
        for fault, share, for_s in plan:
            await asyncio.sleep(max(due_s - time.monotonic(), 0))
            due_s += for_s + each_s * (1 - _OF_EACH)
            self.say(f"{fault} for {for_s:.0f} s")
            before = self._done(fault)
            for proxy in (self.to_s3, self.to_sqs):
                proxy.begin(fault, share)
            if fault == "expired":
                await asyncio.sleep(for_s / 2)
                await self._felt(fault, before)
                self.renew()
                await self._renewed(edge)
            else:
                await asyncio.sleep(for_s)
                await self._felt(fault, before)
                for proxy in (self.to_s3, self.to_sqs):
                    proxy.end()
            self.hit[fault] = self._since(fault, before)
            if fault == "cut":
                self.cut_end_ms = utc_ms()

    def unfelt(self) -> list[str]:
        """Return in words which faults had no effect."""
        return [
            f"{fault} never hit the way to {where}"
            for fault, hits in self.hit.items()
            for where, times in hits.items()
            if not times
        ]

    async def _felt(self, fault: Fault, before: dict[str, int]) -> None:
        deadline_s = time.monotonic() + _HIT_WITHIN_S
        while time.monotonic() < deadline_s:
            if all(self._since(fault, before).values()):
                return
            await asyncio.sleep(0.1)

    async def _renewed(self, edge: NumberedEdge) -> None:
        began_s = time.monotonic()
        while not edge.parts.links_up:
            if edge.stopping or time.monotonic() - began_s > _RENEWED_WITHIN_S:
                raise VigilError("the edge did not read its new credentials, or was stopped.")
            await asyncio.sleep(0.1)
        self.renewed_s = time.monotonic() - began_s

    def _done(self, fault: Fault) -> dict[str, int]:
        return {"s3": self.to_s3.done[fault], "sqs": self.to_sqs.done[fault]}

    def _since(self, fault: Fault, before: dict[str, int]) -> dict[str, int]:
        return {where: now - before[where] for where, now in self._done(fault).items()}
