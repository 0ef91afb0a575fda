"""Two people edit one thing: the second learns it, and overwrites nothing (RFC 9110, If-Match).

read     the answer has the version's tag
edit     ExpectedVersion.check(current), in the transaction that changes the row
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import VigilError


@dataclass(frozen=True, slots=True)
class RowVersion:
    """A version of something that people edit. `tag`: the opaque part of its ETag."""

    tag: str
    changed_ms: int | None = None
    """UTC ms of the last change, where it is known."""
    changed_by: str | None = None
    current: Mapping[str, Any] | None = None
    """What it says now, as the API shows it: the second person compares it with his own."""


class StaleVersionError(VigilError):
    """The row was changed since it was read, or it exists already, or it does not exist."""

    def __init__(self, current: RowVersion | None) -> None:
        if current is None:
            text = "It does not exist any more."
        else:
            by = f" by {current.changed_by}" if current.changed_by else ""
            text = f"It was changed{by} since you read it. Read it again, then repeat your change."
        super().__init__(text)
        self.current = current


@dataclass(frozen=True, slots=True)
class ExpectedVersion:
    """The versions that an edit may replace."""

    tags: frozenset[str] | None
    """None: any version."""
    absent: bool = False
    """Whether it must not exist yet."""

    def check(self, current: RowVersion | None) -> None:
        """Raise StaleVersionError unless this version is expected; None: the row does not exist."""
        if self.absent:
            if current is not None:
                raise StaleVersionError(current)
            return
        if current is None or (self.tags is not None and current.tag not in self.tags):
            raise StaleVersionError(current)


def content_tag(*parts: object) -> str:
    """Return the tag of a version that has no number: a hash of everything that can be edited."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
