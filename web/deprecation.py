"""Operations that will be removed say so: the headers Deprecation (RFC 9745) and Sunset (RFC 8594).

docs/reference/api-policy.md has the rules. The OpenAPI document marks the same operations.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from domain.errors import ConfigError

MIN_NOTICE = timedelta(days=365)
POLICY = "/api/v1/docs"


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Since when an operation is deprecated, and from when on it may be gone."""

    since: date
    sunset: date
    instead: str
    """What to use, in a sentence."""

    def __post_init__(self) -> None:
        """Raise ConfigError where the notice is too short."""
        if self.sunset - self.since < MIN_NOTICE:
            raise ConfigError(
                f"A deprecation of {self.since} ends on {self.sunset}: clients need "
                f"{MIN_NOTICE.days} days."
            )

    def headers(self) -> dict[str, str]:
        """Return the headers of each response."""
        return {
            "Deprecation": f"@{_midnight(self.since).timestamp():.0f}",
            "Sunset": format_datetime(_midnight(self.sunset), usegmt=True),
            "Link": f'<{POLICY}>; rel="deprecation"; type="text/html"',
        }

    def text(self) -> str:
        """Return the sentences of the reference."""
        return f"Deprecated since {self.since}, gone from {self.sunset} on. {self.instead}"


DeprecationTable = Mapping[tuple[str, str], Deprecation]
"""By the pattern of the path and the method."""


def deprecation_table(
    operations: Iterable[tuple[str, Mapping[str, Any]]],
) -> dict[tuple[str, str], Deprecation]:
    """Return the deprecations of (pattern, operations by method)."""
    return {
        (pattern, method.upper()): operation.deprecated
        for pattern, by_method in operations
        for method, operation in by_method.items()
        if operation.deprecated is not None
    }


def deprecation_headers(
    table: DeprecationTable,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a signal that adds the headers to each response of a deprecated operation."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        resource = request.match_info.route.resource
        method = "GET" if request.method == "HEAD" else request.method
        found = table.get((resource.canonical, method)) if resource is not None else None
        if found is not None:
            response.headers.update(found.headers())

    return add


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
