"""Which signed configurations a device takes.

rotation   a ──signs──► b ──signs──► c       pinned: a; signed with c is taken, and c is pinned
versions   seen 7:  6 refused   7 same: taken   7 other: refused   8 taken
"""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from domain.signed_config import (
    check_offer,
    follow_successors,
    sign_config,
    sign_successor,
    signed_bytes,
)
from domain.site_config import (
    ConfigRefusedError,
    OfferedConfig,
    SiteVersion,
    Successor,
    canonical,
    digest_of,
)

SITE, NOW_MS = "acme/berlin", 1_700_000_000_000
A, B, C, EVIL = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3, 9))


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def offer(
    number: int = 7,
    *,
    site: str = SITE,
    key: Ed25519PrivateKey = A,
    camera: str = "gate",
    from_ms: int = 0,
    successors: tuple[Successor, ...] = (),
) -> OfferedConfig:
    text = canonical({"cameras": [{"id": camera}]})
    signature = sign_config(key, site, number, from_ms, text)
    version = SiteVersion(number, digest_of(text), text)
    return OfferedConfig(version, signature, successors=successors)


SEEN = offer(7).version
GOOD = offer(7)


@pytest.mark.parametrize(
    ("offered", "code"),
    [
        (GOOD, None),
        (offer(8), None),
        (offer(6), "older"),
        (offer(7, camera="door"), "changed"),
        (offer(8, site="acme/munich"), "forged"),
        (offer(8, key=EVIL), "unknown-key"),
        (replace(GOOD, signature=None), "unsigned"),
        (replace(offer(8), version=offer(8, camera="door").version), "forged"),
        (replace(offer(8), version=replace(offer(8).version, version=9)), "forged"),
        (replace(offer(8), signature=replace(offer(8).signature, not_before_ms=1)), "forged"),
        (replace(offer(8), signature=replace(offer(8).signature, value=b"x" * 64)), "forged"),
        (replace(offer(8), signature=replace(offer(8).signature, value=b"")), "forged"),
        (offer(8, from_ms=NOW_MS), None),
        (offer(8, from_ms=NOW_MS + 1), "early"),
    ],
)
def test_what_is_refused(offered: OfferedConfig, code: str | None) -> None:
    newest = SEEN.version, SEEN.digest
    if code is None:
        assert check_offer(offered, SITE, public(A), newest, NOW_MS) == public(A)
        return
    with pytest.raises(ConfigRefusedError) as caught:
        check_offer(offered, SITE, public(A), newest, NOW_MS)
    assert caught.value.code == code


def test_without_a_key_or_a_clock() -> None:
    with pytest.raises(ConfigRefusedError, match="enrol"):
        check_offer(GOOD, SITE, None, None, NOW_MS)
    assert check_offer(offer(8, from_ms=NOW_MS), SITE, public(A), None, None)


def test_the_digest_of_the_newest_may_be_unknown() -> None:
    assert check_offer(offer(7, camera="door"), SITE, public(A), (7, ""), NOW_MS)
    with pytest.raises(ConfigRefusedError, match="older"):
        check_offer(offer(6), SITE, public(A), (7, ""), NOW_MS)


B_BY_A, C_BY_B = sign_successor(A, public(B)), sign_successor(B, public(C))
EVIL_BY_A = replace(sign_successor(EVIL, public(EVIL)), signed_by=B_BY_A.signed_by)


@pytest.mark.parametrize(
    ("chain", "trusted"),
    [
        ((), [A]),
        ((B_BY_A, C_BY_B), [A, B, C]),
        ((C_BY_B,), [A]),  # the middle one is missing
        ((C_BY_B, B_BY_A), [A, B]),
        ((EVIL_BY_A, B_BY_A), [A, B]),
        ((replace(B_BY_A, public_key=b"short"),), [A]),
    ],
)
def test_only_a_signed_rotation_is_followed(
    chain: tuple[Successor, ...], trusted: list[Ed25519PrivateKey]
) -> None:
    assert follow_successors(public(A), chain) == [public(key) for key in trusted]


def test_a_rotated_key_is_pinned_and_the_old_one_signs_nothing_more() -> None:
    chain = (B_BY_A, C_BY_B)
    assert check_offer(offer(key=C, successors=chain), SITE, public(A), None, 0) == public(C)
    with pytest.raises(ConfigRefusedError) as caught:
        check_offer(offer(key=A, successors=chain), SITE, public(C), None, 0)
    assert caught.value.code == "unknown-key"


VALUES = st.tuples(
    st.sampled_from(["a/b", "a/b2"]), st.integers(1, 300), st.integers(0, 300), st.text("\0 23ab")
)


@given(VALUES, VALUES)
def test_different_configurations_never_have_the_same_signed_bytes(
    one: tuple[str, int, int, str], other: tuple[str, int, int, str]
) -> None:
    assert (signed_bytes(*one) == signed_bytes(*other)) == (one == other)
