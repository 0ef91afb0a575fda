"""Retention and legal hold: which of a camera's footage may be deleted, and why.

ages      acme: 30 days, acme/hq: 7, acme/hq/gate: 90   the most specific rule is used;
                                                        without a rule footage is kept forever
footage   [--- chunk ---)  age         its end is older than its rule allows
                           joined      its fragments' own objects: the chunk is current and
                                       verified
                           superseded  its older revisions: no one can still have their address
hold      .......[==)      overlaps it: then nothing of it is deleted, at any age
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
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
    """Say whether a scope (tenant, site or camera) contains the camera."""
    return f"{camera}/".startswith(f"{scope}/")


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How many days footage of a tenant, site or camera is kept."""

    scope: str
    days: int


@dataclass(frozen=True, slots=True)
class LegalHold:
    """An order that suspends deletion of [from, to), UTC ms; to None: without end."""

    scope: str
    from_ms: int
    to_ms: int | None = None

    def applies_to(self, camera: str, from_ms: int, to_ms: int) -> bool:
        """Say whether it overlaps footage of [from, to); an instant counts as a millisecond."""
        return (
            covers(self.scope, camera)
            and (self.to_ms is None or from_ms < self.to_ms)
            and max(to_ms, from_ms + 1) > self.from_ms
        )


@dataclass(frozen=True, slots=True)
class Margins:
    """How long objects are kept after their successor was indexed, ms."""

    joined_ms: int
    superseded_ms: int


@dataclass(frozen=True, slots=True)
class RetainedFootage:
    """What is judged: a chunk, or a fragment that is in no chunk. [from, to) in UTC ms."""

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
    """What may be deleted now, and whether a legal hold keeps it."""

    deletable: frozenset[Reason] = frozenset()
    held: bool = False


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """All rules, and the legal holds that are in force."""

    rules: Sequence[RetentionRule] = ()
    holds: Sequence[LegalHold] = ()
    margins: Margins = field(default_factory=lambda: Margins(3_600_000, 3_600_000))

    def age_ms(self, camera: str) -> int | None:
        """Return the age at which a camera's footage is deleted; None: it is kept forever."""
        rule = self.rule_for(camera)
        return None if rule is None else rule.days * DAY_MS

    def with_rule(self, scope: str, days: int | None) -> "RetentionPolicy":
        """Return this policy with another rule for a scope; None: without a rule for it."""
        rules = [rule for rule in self.rules if rule.scope != scope]
        if days is not None:
            rules.append(RetentionRule(scope, days))
        return replace(self, rules=rules)

    def rule_for(self, scope: str) -> RetentionRule | None:
        """Return the rule that a scope follows, its own or a wider one; None: there is none."""
        matching = [rule for rule in self.rules if covers(rule.scope, scope)]
        return max(matching, key=lambda rule: rule.scope.count("/"), default=None)

    def is_held(self, camera: str, from_ms: int, to_ms: int) -> bool:
        """Say whether a legal hold overlaps footage of [from, to)."""
        return any(hold.applies_to(camera, from_ms, to_ms) for hold in self.holds)

    def judge(self, camera: str, footage: RetainedFootage, now_ms: int) -> Judgement:
        """Return what of a piece of footage may be deleted now."""
        reasons = frozenset(self._reasons(camera, footage, now_ms))
        if reasons and self.is_held(camera, footage.from_ms, footage.to_ms):
            return Judgement(held=True)
        return Judgement(reasons)

    def _reasons(self, camera: str, footage: RetainedFootage, now_ms: int) -> Iterable[Reason]:
        age_ms = self.age_ms(camera)
        if age_ms is not None and footage.to_ms + age_ms <= now_ms:
            yield "age"  # the whole chunk is deleted, so the other reasons do not matter
            return
        since_ms = now_ms - footage.indexed_ms
        if footage.revision > footage.joined_gone and since_ms >= self.margins.joined_ms:
            yield "joined"
        if footage.revision > footage.older_gone and since_ms >= self.margins.superseded_ms:
            yield "superseded"
