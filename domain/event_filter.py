"""Which events of a stream a caller gets: what he asks for, within what he may see."""

from collections.abc import Iterable

from domain.access import covers


def narrow(scopes: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that are both visible and wanted: sorted, none within another.

    Nothing wanted: all that is visible. Of a wanted scope that is visible in parts, these parts.
    """
    visible, asked = set(scopes), set(wanted)
    if not asked:
        found = visible
    else:
        found = {each for each in asked if any(covers(scope, each) for scope in visible)}
        found |= {scope for scope in visible if any(covers(each, scope) for each in asked)}
    return tuple(
        sorted(
            each
            for each in found
            if not any(other != each and covers(other, each) for other in found)
        )
    )


def scopes_above(resource: str) -> tuple[str, ...]:
    """Return every scope that covers a resource: *, its tenant, its site, itself."""
    parts = resource.split("/")
    return ("*", *("/".join(parts[: n + 1]) for n in range(len(parts))))
