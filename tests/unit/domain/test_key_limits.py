"""Limits of API keys: a table of cases with reasons."""

import pytest

from domain.access import Grant, Role
from domain.errors import InvalidIdError, InvalidTextError
from domain.key_limits import MAX_LIFETIME_MS, check_expiry, check_networks, site_of_edge_key


def test_networks_are_canonical() -> None:
    assert check_networks(["10.1.0.0/16", "2001:DB8::/32", "10.0.0.7"]) == (
        "10.1.0.0/16",
        "2001:db8::/32",
        "10.0.0.7/32",
    )
    for wrong in ("10.1.0.1/16", "10.1", "", "evil", "x" * 10_000, "10.0.0.0/99"):
        with pytest.raises(InvalidTextError):
            check_networks([wrong])


def test_a_key_expires_within_a_year() -> None:
    assert check_expiry(1_001, 1_000) == 1_001
    for wrong in (1_000, 999, 1_001 + MAX_LIFETIME_MS):
        with pytest.raises(InvalidTextError):
            check_expiry(wrong, 1_000)


def test_the_key_of_an_edge_has_one_grant_on_a_site() -> None:
    viewer, edge = Grant(Role.VIEWER, "acme"), Grant(Role.EDGE, "acme/hq")
    assert site_of_edge_key([viewer]) is None
    assert site_of_edge_key([edge]) == "acme/hq"
    with pytest.raises(InvalidTextError):
        site_of_edge_key([edge, viewer])
    with pytest.raises(InvalidIdError):
        site_of_edge_key([Grant(Role.EDGE, "acme")])
