"""Which model's detections are shown: the edge's own, or those of a replay.

    live      v1 v1 v1 v1 v1 v2 v2 v2     the edge's detections, by the version it ran
    replay a     [--- v3 ---)             current
    replay b           [--- v4 ---)       made current after a
    replay c  [-- v5 --)                  done, not current: never shown
    shown     v1 v3 v3 v4 v4 v4 v2 v2

A current replay replaces all other detections in the time that it covered, and none outside.
Live detections of the replay's own version are hidden in the whole time that it was given.
Outside of that time the version is shown as live.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from domain.errors import ConfigError
from domain.spans import FOREVER_MS, Spans

MINUTE_MS = 60_000
SLUG = r"[a-z0-9][a-z0-9._-]{0,99}"

ReplayState = Literal["running", "done", "current", "dropping", "dropped"]
"""running: not all pictures are analysed; done: all are; current: done, and shown; dropping: its
detections are being deleted; dropped: they are deleted."""
Version = tuple[str, str]
"""Model and version."""


@dataclass(frozen=True, slots=True)
class ReplayedModel:
    """One replay of a version over [from, to) of one camera, UTC ms."""

    version: Version
    from_ms: int
    to_ms: int
    covered: Spans = field(default_factory=Spans)
    """The time that it analysed."""
    current: int | None = None
    """Its rank among the current ones, the latest has the highest; None: it is not current."""


@dataclass(frozen=True, slots=True)
class ShownModels:
    """When which version is shown."""

    live: Spans
    """When versions without any replay are shown."""
    versions: dict[Version, Spans]
    """When each version with a replay is shown."""

    def shows(self, version: Version, at_ms: int) -> bool:
        """Say whether a version's detection at a time is shown."""
        return at_ms in self.versions.get(version, self.live)

    def changing_minutes(self, from_ms: int, to_ms: int) -> list[int]:
        """Return the starts of the minutes of [from, to) in which the shown version changes."""
        found = {
            edge - edge % MINUTE_MS
            for spans in (self.live, *self.versions.values())
            for edge in spans.edges()
            if edge % MINUTE_MS
        }
        return sorted(at for at in found if from_ms < at + MINUTE_MS and at < to_ms)


def shown_models(replays: Iterable[ReplayedModel]) -> ShownModels:
    """Return when which version is shown of a camera with these replays."""
    known = list(replays)
    taken: dict[Version, Spans] = {}
    hidden: dict[Version, Spans] = {}
    ranked = [(each.current, each) for each in known if each.current is not None]
    for _, each in sorted(ranked, key=lambda pair: pair[0]):
        taken = {version: spans - each.covered for version, spans in taken.items()}
        taken[each.version] = taken.get(each.version, Spans()) | each.covered
    live = Spans.always()
    for spans in taken.values():
        live -= spans
    for each in known:
        before = hidden.get(each.version, Spans())
        hidden[each.version] = before | Spans([(each.from_ms, each.to_ms)])
    return ShownModels(
        live,
        {
            version: taken.get(version, Spans()) | (live - spans)
            for version, spans in hidden.items()
        },
    )


def check_version(model: str, version: str) -> Version:
    """Return a model's name and version; raise ConfigError if one of them is invalid."""
    for what, text in (("model", model), ("version", version)):
        if not re.fullmatch(SLUG, text):
            raise ConfigError(
                f"{text!r} is not a {what}: write lower-case letters, digits, '.', '_' and '-', "
                "starting with a letter or digit, at most 100 characters."
            )
    return model, version


def whole_minutes(from_ms: int, to_ms: int) -> tuple[int, int]:
    """Return the shortest time of whole minutes that contains [from, to)."""
    return from_ms - from_ms % MINUTE_MS, min(FOREVER_MS, to_ms + -to_ms % MINUTE_MS)
