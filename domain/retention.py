"""Retention and legal hold: what of a camera's footage may go, and why.

ages      acme: 30 days, acme/hq: 7, acme/hq/gate: 90   the most specific counts; none: for ever
footage   [--- chunk ---)  goes when its end is older than that, its fragments' own objects when
                           the chunk is current and checked, older revisions when nobody can have
                           an address to them any more
hold      .......[==)      touches it: then nothing of it goes, whatever the age
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from domain.errors import InvalidIdError
from domain.identity import SLUG

DAY_MS = 86_400_000
SHORTEST_AGE_MS = DAY_MS
"""Rules are in whole days: nothing younger is deleted for its age."""
MAX_DAYS = 36_500

Reason = Literal["age", "joined", "superseded"]
REASONS: dict[Reason, str] = {
    "age": "older than its retention",
    "joined": "its chunk is current and checked and holds it",
    "superseded": "a newer revision is current",
}


def check_scope(scope: str) -> str:
    """Return `scope` when it is tenant, tenant/site or tenant/site/camera; else InvalidIdError."""
    if not re.fullmatch(rf"{SLUG}(?:/{SLUG}){{0,2}}", scope):
        raise InvalidIdError(
            f"{scope!r} names no footage: write tenant, tenant/site or tenant/site/camera."
        )
    return scope


def covers(scope: str, camera: str) -> bool:
    """Say whether a tenant, site or camera is the camera or holds it."""
    return f"{camera}/".startswith(f"{scope}/")


@dataclass(frozen=True, slots=True)
class Rule:
    """How many days footage of a tenant, site or camera is kept."""

    scope: str
    days: int


@dataclass(frozen=True, slots=True)
class Hold:
    """An order that suspends deletion of [from, to), UTC ms; to None: without end."""

    scope: str
    from_ms: int
    to_ms: int | None = None

    def holds(self, camera: str, from_ms: int, to_ms: int) -> bool:
        """Say whether footage of [from, to) is touched; an instant counts as a millisecond."""
        return (
            covers(self.scope, camera)
            and (self.to_ms is None or from_ms < self.to_ms)
            and max(to_ms, from_ms + 1) > self.from_ms
        )


@dataclass(frozen=True, slots=True)
class Margins:
    """How long what is no longer needed still stands after its successor was indexed, ms."""

    joined_ms: int
    superseded_ms: int


@dataclass(frozen=True, slots=True)
class Footage:
    """What is judged: a chunk, or a fragment that no chunk holds. [from, to) in UTC ms."""

    from_ms: int
    to_ms: int
    """End of its window or of its last picture, whichever is later."""
    revision: int = 0
    """Of a chunk, from 1; 0: a fragment without chunk."""
    indexed_ms: int = 0
    """When this revision became current."""
    joined_gone: int = 0
    """The revision whose fragments' own objects were deleted, 0: none."""
    older_gone: int = 1
    """The revision whose predecessors were deleted."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What may go now, and whether a hold keeps it."""

    may_go: frozenset[Reason] = frozenset()
    held: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules, and the holds that are not lifted."""

    rules: Sequence[Rule] = ()
    holds: Sequence[Hold] = ()
    margins: Margins = field(default_factory=lambda: Margins(3_600_000, 3_600_000))

    def age_ms(self, camera: str) -> int | None:
        """Return the age from which on a camera's footage goes, None: it stays for ever."""
        matching = [rule for rule in self.rules if covers(rule.scope, camera)]
        if not matching:
            return None
        return max(matching, key=lambda rule: rule.scope.count("/")).days * DAY_MS

    def held(self, camera: str, from_ms: int, to_ms: int) -> bool:
        """Say whether a hold touches footage of [from, to)."""
        return any(hold.holds(camera, from_ms, to_ms) for hold in self.holds)

    def judge(self, camera: str, footage: Footage, now_ms: int) -> Judgement:
        """Return what of a piece of footage may go. What goes for its age goes whole."""
        reasons = frozenset(self._reasons(camera, footage, now_ms))
        if reasons and self.held(camera, footage.from_ms, footage.to_ms):
            return Judgement(held=True)
        return Judgement(reasons)

    def _reasons(self, camera: str, footage: Footage, now_ms: int) -> Iterable[Reason]:
        age_ms = self.age_ms(camera)
        if age_ms is not None and footage.to_ms + age_ms <= now_ms:
            yield "age"
            return
        since_ms = now_ms - footage.indexed_ms
        if footage.revision > footage.joined_gone and since_ms >= self.margins.joined_ms:
            yield "joined"
        if footage.revision > footage.older_gone and since_ms >= self.margins.superseded_ms:
            yield "superseded"
