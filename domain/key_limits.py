"""Limits of API keys: how long they live, and from which networks they may be used."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from domain.access import Grant, Role
from domain.errors import InvalidTextError
from domain.identity import check_site

MAX_LIFETIME_MS = 366 * 86_400_000
MAX_NETWORKS = 100
MAX_GRANTS = 100
LONGEST_OVERLAP_MS = 31 * 86_400_000
"""How long the old key may stay valid after a rotation."""
CONFIRMED_MS = 30 * 86_400_000
"""How long a person's keys work after his OpenID provider last confirmed him."""


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """The person whose key it is. Times: UTC ms."""

    id: str
    grants: tuple[Grant, ...]
    """What he may do now; the key may do no more."""
    exists: bool = True
    disabled_ms: int | None = None
    by_provider: bool = False
    """Whether he signs in by an OpenID provider."""
    confirmed_ms: int | None = None
    refused_ms: int | None = None

    def may_use_keys(self, now_ms: int) -> bool:
        """Return whether his keys work: he is enabled, and his provider knows him.

        The provider is asked only while he is signed in. So his keys stop where he has not
        signed in for CONFIRMED_MS.
        """
        if not self.exists or self.disabled_ms is not None:
            return False
        if not self.by_provider:
            return True
        if self.refused_ms is not None or self.confirmed_ms is None:
            return False
        return now_ms < self.confirmed_ms + CONFIRMED_MS


def check_networks(networks: Iterable[str]) -> tuple[str, ...]:
    """Return networks in their canonical form; raise InvalidTextError."""
    found = []
    for text in networks:
        try:
            found.append(str(ip_network(text)))
        except ValueError as error:
            raise InvalidTextError(
                f"{text[:60]!r} is not a network ({str(error)[:200]}). Write 10.1.0.0/16 or "
                "2001:db8::/32."
            ) from None
    return tuple(found)


def check_expiry(expires_ms: int, now_ms: int) -> int:
    """Return when a key expires (UTC ms); raise InvalidTextError where that is out of bounds."""
    if not 0 < expires_ms - now_ms <= MAX_LIFETIME_MS:
        raise InvalidTextError("A key must expire in the future, within 366 days.")
    return expires_ms


def check_within(
    expires_ms: int | None,
    networks: Sequence[str] | None,
    own_expires_ms: int | None,
    own_networks: Sequence[str] | None,
) -> None:
    """Raise InvalidTextError where a key would outlive the key that creates it, or reach further.

    The last two are the creator's. None: without a limit.
    """
    if own_expires_ms is not None and (expires_ms is None or expires_ms > own_expires_ms):
        raise InvalidTextError("Your own key expires: a key that it creates expires no later.")
    if own_networks is None:
        return
    allowed = [ip_network(each) for each in own_networks]
    for each in map(ip_network, networks or ["0.0.0.0/0", "::/0"]):
        if not any(
            each.version == other.version and each.subnet_of(other)  # type: ignore[arg-type]
            for other in allowed
        ):
            raise InvalidTextError(
                "Your own key is limited to networks: a key that it creates is limited to these "
                f"({', '.join(own_networks)})."
            )


def site_of_edge_key(grants: Sequence[Grant]) -> str | None:
    """Return the site of a device's key; None: a key of people and programs.

    Raises InvalidTextError where a key has the role edge and anything else.
    """
    if all(grant.role is not Role.EDGE for grant in grants):
        return None
    if len(grants) != 1:
        raise InvalidTextError("The key of an edge has one grant only, such as edge:acme/hq.")
    return check_site(grants[0].scope)
