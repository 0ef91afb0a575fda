"""Which model's detections are shown: the edge's own, or those that a replay made.

live      v1 v1 v1 v1 v1 v2 v2 v2     what the edge saw, with whatever version it had
replay a     [--- v3 ---)             current
replay b           [--- v4 ---)       made current after a
replay c  [-- v5 --)                  done, not current: never shown
shown     v1 v3 v3 v4 v4 v4 v2 v2

A replay takes the place of all others in the time that it covered, and of none outside. Of its own
version, nothing else is shown from where to where it looked; elsewhere the version is live.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from domain.errors import ConfigError
from domain.spans import FOREVER_MS, Spans

MINUTE_MS = 60_000
SLUG = r"[a-z0-9][a-z0-9._-]{0,99}"

State = Literal["running", "done", "current", "dropping", "dropped"]
"""running: not all is looked at; done: it is; current: and shown; dropping, dropped: its
detections go, are gone."""
Version = tuple[str, str]
"""Model and version."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One replay of a version over [from, to) of one camera, UTC ms."""

    version: Version
    from_ms: int
    to_ms: int
    covered: Spans = field(default_factory=Spans)
    """What it looked at."""
    current: int | None = None
    """Its turn among those that were made current, the later the higher; None: it is not."""


@dataclass(frozen=True, slots=True)
class Shown:
    """When which version is shown."""

    live: Spans
    """Versions of which no replay is known."""
    versions: dict[Version, Spans]
    """Versions that were replayed."""

    def shows(self, version: Version, at_ms: int) -> bool:
        """Say whether a version's detection at a moment is shown."""
        return at_ms in self.versions.get(version, self.live)

    def cut_minutes(self, from_ms: int, to_ms: int) -> list[int]:
        """Return the starts of those minutes of [from, to) in which what is shown changes."""
        found = {
            edge - edge % MINUTE_MS
            for spans in (self.live, *self.versions.values())
            for edge in spans.edges()
            if edge % MINUTE_MS
        }
        return sorted(at for at in found if from_ms < at + MINUTE_MS and at < to_ms)


def shown(replays: Iterable[Replayed]) -> Shown:
    """Return what is shown of a camera whose replays these are."""
    known = list(replays)
    taken: dict[Version, Spans] = {}
    hidden: dict[Version, Spans] = {}
    turns = [(each.current, each) for each in known if each.current is not None]
    for _, each in sorted(turns, key=lambda turn: turn[0]):
        taken = {version: spans - each.covered for version, spans in taken.items()}
        taken[each.version] = taken.get(each.version, Spans()) | each.covered
    live = Spans.always()
    for spans in taken.values():
        live -= spans
    for each in known:
        before = hidden.get(each.version, Spans())
        hidden[each.version] = before | Spans([(each.from_ms, each.to_ms)])
    return Shown(
        live,
        {
            version: taken.get(version, Spans()) | (live - spans)
            for version, spans in hidden.items()
        },
    )


def check_version(model: str, version: str) -> Version:
    """Return a model's name and version; ConfigError where they cannot be any."""
    for what, text in (("model", model), ("version", version)):
        if not re.fullmatch(SLUG, text):
            raise ConfigError(
                f"{text!r} is no {what}: write lower-case letters, digits, '.', '_' and '-', "
                "beginning with a letter or digit, at most 100 characters."
            )
    return model, version


def whole_minutes(from_ms: int, to_ms: int) -> tuple[int, int]:
    """Return the least stretch of whole minutes that holds [from, to)."""
    return from_ms - from_ms % MINUTE_MS, min(FOREVER_MS, to_ms + -to_ms % MINUTE_MS)
