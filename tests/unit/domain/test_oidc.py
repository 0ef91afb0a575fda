"""What a token must say, by tables; which groups give which roles; when a person is asked about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access import Grant, Role
from domain.errors import OidcError
from domain.oidc import (
    CHECK_EVERY_MS,
    LOGOUT_EVENT,
    RETRY_AFTER_MS,
    CheckTimes,
    ExpectedToken,
    authorization_url,
    check_due,
    check_id_token,
    check_logout_token,
    code_challenge,
    grants_for,
    groups_in,
    own_path,
)

ISSUER, CLIENT = "https://id.example.com", "vigil"
NOW_MS = 1_800_000_000_000
NOW = NOW_MS // 1_000
EXPECTED = ExpectedToken(ISSUER, CLIENT, "n-1")
GOOD = {
    "iss": ISSUER,
    "sub": "ann",
    "aud": CLIENT,
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": "n-1",
    "name": "Ann",
}


def test_a_right_token_names_the_person() -> None:
    who = check_id_token(GOOD, EXPECTED, NOW_MS)
    assert (who.issuer, who.subject, who.name) == (ISSUER, "ann", "Ann")
    several = {**GOOD, "aud": ["other", CLIENT], "azp": CLIENT}
    assert check_id_token(several, EXPECTED, NOW_MS).subject == "ann"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": {CLIENT: 1}}, "audience"),
        ({"aud": [CLIENT, 5], "azp": CLIENT}, "audience"),
        ({"aud": [CLIENT, "other"]}, "audience"),  # azp is missing
        ({"aud": [CLIENT, "other"], "azp": "other"}, "audience"),
        ({"azp": "other"}, "audience"),
        ({"exp": NOW - 60}, "time"),
        ({"exp": None}, "time"),
        ({"exp": True}, "time"),
        ({"exp": str(NOW + 300)}, "time"),
        ({"exp": float("inf")}, "time"),
        ({"exp": float("nan")}, "time"),
        ({"exp": 10**400}, "time"),
        ({"iat": None}, "time"),
        ({"iat": NOW + 61}, "time"),
        ({"nbf": NOW + 61}, "time"),
        ({"nbf": "soon"}, "time"),
        ({"nonce": "n-2"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ["n-1"]}, "nonce"),
        ({"nonce": "n-1\ud800"}, "nonce"),
        ({"sub": None}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": 7}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"sub": "a\0b"}, "subject"),
        ({"sub": "a\ud800b"}, "subject"),
    ],
)
def test_a_wrong_token_names_no_one(change: dict[str, object], reason: str) -> None:
    with pytest.raises(OidcError) as caught:
        check_id_token({**GOOD, **change}, EXPECTED, NOW_MS)
    assert caught.value.reason == reason


def test_clocks_may_differ_by_a_minute() -> None:
    for change in ({"exp": NOW - 59}, {"iat": NOW + 60}, {"nbf": NOW + 60}):
        assert check_id_token({**GOOD, **change}, EXPECTED, NOW_MS).subject == "ann"


def test_a_renewal_needs_the_same_person_and_no_nonce() -> None:
    again = ExpectedToken(ISSUER, CLIENT, None, subject="ann")
    token = {name: value for name, value in GOOD.items() if name != "nonce"}
    assert check_id_token(token, again, NOW_MS).subject == "ann"
    with pytest.raises(OidcError, match="another person"):
        check_id_token({**token, "sub": "bob"}, again, NOW_MS)


def test_the_name_is_one_line_of_text() -> None:
    odd = {**GOOD, "name": "An\x1b[2Jn\n" + "x" * 500}
    name = check_id_token(odd, EXPECTED, NOW_MS).name
    assert name.isprintable()
    assert len(name) <= 100
    for change in ({"name": 5}, {"name": ""}):
        assert check_id_token({**GOOD, **change}, EXPECTED, NOW_MS).name == "ann"


@given(st.dictionaries(st.text(max_size=5) | st.sampled_from(sorted(GOOD)), st.integers()))
def test_only_the_claims_themselves_let_somebody_in(change: dict[str, int]) -> None:
    claims = {**GOOD, **change}
    try:
        check_id_token(claims, EXPECTED, NOW_MS)
    except OidcError:
        return
    for name in ("iss", "aud", "nonce", "sub"):
        assert claims[name] == GOOD[name]


def test_groups_by_a_claim_or_a_claim_within_claims() -> None:
    assert groups_in({"groups": ["b", "a", "a"]}, ("groups",)) == ("a", "b")
    assert groups_in({"groups": "a"}, ("groups",)) == ("a",)
    assert groups_in({"realm_access": {"roles": ["a"]}}, ("realm_access", "roles")) == ("a",)
    assert groups_in({"realm_access": ["roles"]}, ("realm_access", "roles")) is None
    assert groups_in({}, ("groups",)) is None
    assert groups_in({"groups": ["x" * 257]}, ("groups",)) == ()
    for wrong in (5, {"a": 1}, [1], ["a", None], ["g"] * 2_001):
        with pytest.raises(OidcError) as caught:
            groups_in({"groups": wrong}, ("groups",))
        assert caught.value.reason == "groups"


def test_only_the_map_gives_roles() -> None:
    viewer, admin = Grant(Role.VIEWER, "acme/hq"), Grant(Role.ADMIN, "*")
    roles = {"guards": (viewer,), "it": (admin, viewer)}
    assert grants_for(("guards", "other"), roles) == (viewer,)
    assert grants_for(("guards", "it"), roles) == (admin, viewer)
    assert grants_for(("Guards", "guards ", "", "*"), roles) == ()
    assert grants_for((), roles) == ()


def test_when_a_person_is_asked_about() -> None:
    """confirmed ──4 min── due ──not answered── unreachable ──30 s── due ── … ──1 h── too old"""
    hour = 3_600_000
    asked = NOW_MS + CHECK_EVERY_MS
    table = [
        (CheckTimes(NOW_MS, NOW_MS), NOW_MS, "fresh"),
        (CheckTimes(NOW_MS, NOW_MS), asked - 1, "fresh"),
        (CheckTimes(NOW_MS, NOW_MS), asked, "due"),
        (CheckTimes(NOW_MS, asked), asked + 1, "unreachable"),
        (CheckTimes(NOW_MS, asked), asked + RETRY_AFTER_MS, "due"),
        (CheckTimes(NOW_MS, NOW_MS + hour - 1), NOW_MS + hour, "too-old"),
        (CheckTimes(NOW_MS, NOW_MS), NOW_MS + 9 * hour, "too-old"),
    ]
    for times, now_ms, expected in table:
        assert check_due(times, now_ms, hour) == expected, (times, now_ms)


def test_a_disabled_person_is_asked_about_within_five_minutes() -> None:
    assert CHECK_EVERY_MS + RETRY_AFTER_MS <= 5 * 60_000


LOGOUT = {
    "iss": ISSUER,
    "aud": CLIENT,
    "iat": NOW,
    "exp": NOW + 120,
    "jti": "j-1",
    "sub": "ann",
    "events": {LOGOUT_EVENT: {}},
}


def test_a_logout_token_names_a_person_or_a_session() -> None:
    target = check_logout_token(LOGOUT, ISSUER, CLIENT, NOW_MS)
    assert (target.token_id, target.subject, target.provider_session) == ("j-1", "ann", None)
    only_session = {**LOGOUT, "sub": None, "sid": "s-1"}
    assert check_logout_token(only_session, ISSUER, CLIENT, NOW_MS).provider_session == "s-1"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"events": None}, "token"),
        ({"events": {}}, "token"),
        ({"events": [LOGOUT_EVENT]}, "token"),
        ({"nonce": "n"}, "token"),
        ({"jti": None}, "token"),
        ({"jti": 5}, "token"),
        ({"sub": None}, "subject"),
        ({"sub": 5}, "subject"),
        ({"sid": ""}, "subject"),
        ({"iss": "https://other"}, "issuer"),
        ({"aud": "other"}, "audience"),
        ({"exp": NOW - 61}, "time"),
    ],
)
def test_a_wrong_logout_token_ends_nothing(change: dict[str, object], reason: str) -> None:
    with pytest.raises(OidcError) as caught:
        check_logout_token({**LOGOUT, **change}, ISSUER, CLIENT, NOW_MS)
    assert caught.value.reason == reason


def test_the_challenge_is_that_of_rfc_7636() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_endpoint_keeps_its_own_parameters_but_not_ours() -> None:
    url = authorization_url("https://id/a?p=1&state=theirs#x", {"state": "a b&c=d"})
    assert url == "https://id/a?p=1&state=a+b%26c%3Dd"


@pytest.mark.parametrize(
    "path",
    ["//evil", "/\\evil", "/\t/evil", "https://evil", "", "/a\nb", "/" + "a" * 600, "javascript:1"],
)
def test_no_one_is_sent_to_another_host(path: str) -> None:
    assert own_path(path) == "/"


def test_a_page_of_ours_is_kept() -> None:
    assert own_path("/camera/acme/hq/gate?at=5") == "/camera/acme/hq/gate?at=5"
