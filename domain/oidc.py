"""OpenID Connect: the rules of a sign-in. What a token must say, which groups give which roles.

    start      state, nonce, code verifier ──► authorization request
    callback   state, iss, code ──► token request ──► ID token ──► Identity ──► grants
    renewal    groups are read again every CHECK_EVERY_MS; without an answer the session ends later

Nothing here verifies a signature or sends a request: web/oidc/ does. Rules by OpenID Connect
Core 1.0 (3.1.3.7), RFC 9207 (`iss`), RFC 7636 (PKCE), Back-Channel Logout 1.0.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from domain.access import Grant
from domain.errors import OidcError
from domain.printable import printable

Reason = Literal[
    "cookie",  # no sign-in was begun in this browser, or too long ago
    "state",  # the answer belongs to another sign-in
    "reused",  # this answer was used before
    "issuer",  # the answer or the token is of another provider
    "request",  # parameters are missing or twice
    "cancelled",  # the person or the provider ended it
    "refused",  # the provider refuses the code or our credentials
    "unreachable",  # the provider does not answer, or not in time
    "answer",  # the provider's answer is too large or is not what the standard says
    "token",  # the ID token cannot be read
    "algorithm",  # it is signed by an algorithm that is not allowed
    "header",  # its header has what we do not accept
    "key",  # no single key of the provider fits
    "signature",
    "audience",  # it is for another program
    "time",  # it has expired, or is of the future
    "nonce",  # it belongs to another sign-in
    "subject",  # it names no one, or another person than before
    "groups",  # the groups cannot be read
    "no-access",  # no group has a role here
    "second-factor",  # the provider does not say that the person used one
    "disabled",  # the person is disabled here
    "busy",  # too many sign-ins at the same time
    "limited",  # too many that failed from one network
]

ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
"""Algorithm of a signature -> type and curve of its key. No `none`, no HS*: nothing else is."""

FORBIDDEN_HEADERS = frozenset({"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "cty", "enc"})
"""They name a key of the token's own, or a rule that we do not know. Keys come from the JWKS."""

LEEWAY_S = 60
"""How far the clocks of the provider and of this server may differ."""
MAX_GROUPS = 2_000
MAX_GROUP_LENGTH = 256
MAX_SUBJECT_LENGTH = 255

SIGN_IN_MS = 10 * 60_000
"""How long a sign-in may take, from the button to the callback."""
CHECK_EVERY_MS = 4 * 60_000
"""A session that is used longer than this without a check waits for one."""
RETRY_AFTER_MS = 30_000
"""The provider did not answer: the next request after this time asks again."""

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in. The issuer and the subject together are the person, never the e-mail."""

    issuer: str
    subject: str
    name: str
    """For people only: it may change and need not be unique."""


@dataclass(frozen=True, slots=True)
class ExpectedToken:
    """What an ID token must agree with."""

    issuer: str
    client_id: str
    nonce: str | None
    """None at a renewal: such a token needs no nonce."""
    subject: str | None = None
    """At a renewal: the person who signed in."""


@dataclass(frozen=True, slots=True)
class LogoutTarget:
    """Whose sessions the provider ended: all of a person, or one session of the provider."""

    token_id: str
    subject: str | None
    provider_session: str | None
    until_ms: int
    """When the token can no longer be replayed."""


def check_id_token(claims: Mapping[str, object], expected: ExpectedToken, now_ms: int) -> Identity:
    """Return who the claims of a verified ID token name; raise OidcError where one is wrong."""
    _check_issuer_and_audience(claims, expected.issuer, expected.client_id)
    _check_times(claims, now_ms)
    if expected.nonce is not None and not same(claims.get("nonce"), expected.nonce):
        raise OidcError("nonce", "The provider's token belongs to another sign-in.")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH:
        raise OidcError("subject", "The provider's token does not say who signed in.")
    if not subject.isprintable():
        raise OidcError("subject", "The provider's token names a person that is not text.")
    if expected.subject is not None and not same(subject, expected.subject):
        raise OidcError("subject", "The provider's token is of another person.")
    return Identity(expected.issuer, subject, display_name(claims) or subject)


def check_second_factor(
    claims: Mapping[str, object], methods: Sequence[str], classes: Sequence[str]
) -> None:
    """Raise OidcError where an ID token does not say that the person used a second factor.

    `methods`: values of `amr` (RFC 8176), such as mfa; `classes`: values of `acr`. One is enough;
    where both are empty, nothing is asked for.
    """
    used = claims.get("amr")
    reached = claims.get("acr")
    if isinstance(used, list) and any(each in methods for each in used if isinstance(each, str)):
        return
    if isinstance(reached, str) and reached in classes:
        return
    if methods or classes:
        raise OidcError(
            "second-factor",
            "The provider does not say that you signed in with a second factor. Set one up there, "
            "and sign in again.",
        )


def _check_issuer_and_audience(claims: Mapping[str, object], issuer: str, client_id: str) -> None:
    if claims.get("iss") != issuer:
        raise OidcError("issuer", "The provider's token is of another provider.")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences or not all(isinstance(each, str) for each in audiences):
        raise OidcError("audience", "The provider's token is for another program.")
    party = claims.get("azp")
    # One token for several programs must say which of them asked for it.
    if (len(audiences) > 1 or party is not None) and party != client_id:
        raise OidcError("audience", "The provider's token was given to another program.")


def _check_times(claims: Mapping[str, object], now_ms: int) -> None:
    expires, issued = _time_ms(claims, "exp"), _time_ms(claims, "iat")
    leeway = LEEWAY_S * 1_000
    if expires is None or issued is None:
        raise OidcError("time", "The provider's token does not say when it is valid.")
    if now_ms >= expires + leeway:
        raise OidcError(
            "time", "The provider's token has expired. Check the clocks of both servers."
        )
    not_before = _time_ms(claims, "nbf") if "nbf" in claims else issued
    if not_before is None or max(issued, not_before) > now_ms + leeway:
        raise OidcError(
            "time", "The provider's token is of the future. Check the clocks of both servers."
        )


def _time_ms(claims: Mapping[str, object], name: str) -> int | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < 1e11:  # nor is it infinite, or not a number
        return None
    return int(value * 1_000)


def display_name(claims: Mapping[str, object]) -> str:
    """Return a name for people, in one line; empty where the claims have none."""
    for claim in ("name", "preferred_username", "email"):
        value = claims.get(claim)
        if isinstance(value, str) and value.strip():
            return printable(value, 100)
    return ""


def same(given: object, expected: str) -> bool:
    """Return whether a value is this text; the time does not depend on where they differ."""
    if not isinstance(given, str):
        return False
    return hmac.compare_digest(
        given.encode("utf-8", "replace"), expected.encode("utf-8", "replace")
    )


def groups_in(claims: Mapping[str, object], path: Sequence[str]) -> tuple[str, ...] | None:
    """Return the groups that a claim lists; None where there is no such claim.

    `path`: the claim's name, or the names of a claim within claims. Raises OidcError.
    """
    value: object = claims
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    groups = [value] if isinstance(value, str) else value
    if not isinstance(groups, list) or not all(isinstance(each, str) for each in groups):
        raise OidcError("groups", f"The provider's claim {'.'.join(path)} is not a list of names.")
    if len(groups) > MAX_GROUPS:
        raise OidcError("groups", f"The provider names more than {MAX_GROUPS} groups.")
    # A longer name cannot be in the map.
    return tuple(sorted({each for each in groups if len(each) <= MAX_GROUP_LENGTH}))


def grants_for(groups: Sequence[str], roles: Mapping[str, Sequence[Grant]]) -> tuple[Grant, ...]:
    """Return the grants of some groups by the configured map; a group it does not name has none."""
    found = {grant for group in groups for grant in roles.get(group, ())}
    return tuple(sorted(found, key=lambda grant: (grant.scope, grant.role)))


def check_logout_token(
    claims: Mapping[str, object], issuer: str, client_id: str, now_ms: int
) -> LogoutTarget:
    """Return whose sessions a verified logout token ends; raise OidcError where it is wrong."""
    _check_issuer_and_audience(claims, issuer, client_id)
    _check_times(claims, now_ms)
    events = claims.get("events")
    # A nonce would make it an ID token, which anybody with a session at the provider has.
    if not isinstance(events, Mapping) or LOGOUT_EVENT not in events or "nonce" in claims:
        raise OidcError("token", "This is not a logout token.")
    token_id = claims.get("jti")
    subject, session = claims.get("sub"), claims.get("sid")
    if not isinstance(token_id, str) or not 0 < len(token_id) <= MAX_SUBJECT_LENGTH:
        raise OidcError("token", "The logout token has no jti.")
    for value in (subject, session):
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= 255):
            raise OidcError("subject", "The logout token does not say whose sessions end.")
    if subject is None and session is None:
        raise OidcError("subject", "The logout token does not say whose sessions end.")
    expires = _time_ms(claims, "exp")
    assert expires is not None, "checked above"
    return LogoutTarget(
        token_id,
        subject if isinstance(subject, str) else None,
        session if isinstance(session, str) else None,
        expires + LEEWAY_S * 1_000,
    )


@dataclass(frozen=True, slots=True)
class CheckTimes:
    """When the provider was asked about a session's person."""

    confirmed_ms: int
    """The last time it confirmed that the person may sign in."""
    tried_ms: int
    """The last time it was asked; later than `confirmed_ms` where it did not answer."""


def check_due(
    times: CheckTimes, now_ms: int, unreachable_ms: int
) -> Literal["fresh", "due", "unreachable", "too-old"]:
    """Return whether a session may be used without asking its provider first.

    fresh        confirmed a short time ago
    due          ask the provider before the request is answered
    unreachable  the provider did not answer a short time ago: go on
    too-old      no one confirmed the person for `unreachable_ms`: ask, and refuse without an answer
    """
    if now_ms < times.confirmed_ms + CHECK_EVERY_MS:
        return "fresh"
    recently_tried = now_ms < times.tried_ms + RETRY_AFTER_MS
    if now_ms >= times.confirmed_ms + unreachable_ms:
        return "too-old"
    return "unreachable" if recently_tried else "due"


def code_challenge(verifier: str) -> str:
    """Return the S256 challenge of a code verifier (RFC 7636)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorization_url(endpoint: str, parameters: Mapping[str, str]) -> str:
    """Return the address that the browser is sent to. The endpoint's own parameters stay."""
    parts = urlsplit(endpoint)
    kept = [
        pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in parameters
    ]
    query = urlencode([*kept, *parameters.items()])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,511}|/")


def own_path(text: str) -> str:
    """Return a path of our own page, where `text` is one; else "/". Never another host."""
    return text if _PATH.fullmatch(text) else "/"
