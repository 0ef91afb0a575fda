"""Verify a provider's signed tokens: an explicit list of algorithms, keys of its JWKS only.

joserfc verifies the signature. Before that, the header is read here: it chooses one key, and the
key's type must fit the algorithm. A key that the token brings along is never used.
"""

import base64
import binascii
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from domain.errors import OidcError
from domain.oidc import ALGORITHMS, FORBIDDEN_HEADERS, same

MAX_TOKEN = 64 << 10
MAX_KEYS = 100
RSA_BITS = range(2_048, 8_193)
"""Shorter keys are weak; longer ones cost much to verify."""
MAX_RSA_EXPONENT = 1 << 33

# Providers name Ed25519 as "EdDSA", as RFC 8037 did.
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)

VerificationKey = RSAKey | ECKey | OKPKey


class UnknownKeyError(OidcError):
    """The token's key is not among those known: the provider may have a new one."""

    def __init__(self) -> None:
        super().__init__("key", "The provider's token is signed with a key that it does not list.")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One usable key of a JWKS."""

    kid: str | None
    kind: str
    """RSA, EC or OKP."""
    curve: str | None
    algorithm: str | None
    """The only algorithm it is for; None: any of its kind."""
    key: VerificationKey

    def fits(self, algorithm: str) -> bool:
        """Return whether the key may verify signatures by an algorithm."""
        kind, curve = ALGORITHMS[algorithm]
        return (
            self.kind == kind
            and curve in {None, self.curve}
            and self.algorithm in {None, algorithm}
        )


def read_keys(document: Mapping[str, Any]) -> tuple[PublicKey, ...]:
    """Return the usable keys of a JWKS; others are left out. Raises OidcError for no JWKS."""
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise OidcError("answer", "The provider's list of keys cannot be read, or is too long.")
    return tuple(key for each in listed if (key := _read_key(each)) is not None)


def _read_key(given: object) -> PublicKey | None:
    if not isinstance(given, dict) or given.get("use", "sig") != "sig":
        return None
    kind, curve = given.get("kty"), given.get("crv")
    known = {(each, name) for each, name in ALGORITHMS.values()}
    if (kind, curve if kind != "RSA" else None) not in known:
        return None
    kid, algorithm = given.get("kid"), given.get("alg")
    if not isinstance(kid, str | None) or not isinstance(algorithm, str | None):
        return None
    # Only what a public key consists of: no private part, no reference to another place.
    parts = {name: given[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in given}
    try:
        if kind == "RSA" and not _is_usable_rsa(str(parts["n"]), str(parts["e"])):
            return None
        key = JWKRegistry.import_key(parts)
    except (JoseError, ValueError, TypeError, KeyError, OverflowError):
        return None
    if not isinstance(key, RSAKey | ECKey | OKPKey):
        return None
    return PublicKey(kid, str(kind), curve, algorithm, key)


def _is_usable_rsa(modulus: str, exponent: str) -> bool:
    """Return whether an RSA key is neither weak nor slow, by its numbers in base64url."""
    bits = int.from_bytes(decode_segment(modulus)).bit_length()
    return bits in RSA_BITS and 3 <= int.from_bytes(decode_segment(exponent)) < MAX_RSA_EXPONENT


def verified_claims(token: str, keys: Sequence[PublicKey], types: frozenset[str]) -> dict[str, Any]:
    """Return the claims of a token with a valid signature; raise OidcError.

    `types`: allowed values of the header `typ`, in lower case; "" for none.
    """
    header = _header(token, types)
    algorithm = header["alg"]
    key = _choose(keys, algorithm, header.get("kid"))
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = 4_096
    registry.max_signature_length = 2_048
    try:
        verified = jws.deserialize_compact(token, key.key, [algorithm], registry)
        claims = json.loads(verified.payload)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise OidcError(
            "signature", f"The provider's token has no valid signature ({type(error).__name__})."
        ) from None
    if not isinstance(claims, dict):
        raise OidcError("token", "The provider's token cannot be read.")
    return claims


def _header(token: str, types: frozenset[str]) -> dict[str, Any]:
    unreadable = OidcError("token", "The provider's token cannot be read.")
    if len(token) > MAX_TOKEN or not token.isascii() or token.count(".") != 2:
        raise unreadable
    try:
        header = json.loads(decode_segment(token.partition(".")[0]))
    except (ValueError, RecursionError):
        raise unreadable from None
    if not isinstance(header, dict):
        raise unreadable
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise OidcError("algorithm", "The provider's token is signed by a forbidden algorithm.")
    if FORBIDDEN_HEADERS & header.keys():
        raise OidcError("header", "The provider's token has a header that is not accepted.")
    kind, kid = header.get("typ", ""), header.get("kid")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in types:
        raise OidcError("header", "The provider's token is of another type.")
    if not isinstance(kid, str | None):
        raise OidcError("header", "The provider's token has a header that is not accepted.")
    return header


def _choose(keys: Sequence[PublicKey], algorithm: str, kid: str | None) -> PublicKey:
    """Return the one key that a token means. A name that several keys have is refused."""
    named = [key for key in keys if kid is None or key.kid == kid]
    if not named:
        raise UnknownKeyError
    fitting = [key for key in named if key.fits(algorithm)]
    if len(fitting) != 1:
        raise OidcError("key", "The provider's list of keys has no single key for its token.")
    return fitting[0]


def check_access_token_hash(claims: Mapping[str, Any], token: str, algorithm: str) -> None:
    """Raise OidcError where an ID token names another access token (`at_hash`)."""
    given = claims.get("at_hash")
    if given is None:
        return
    size = {"256": hashlib.sha256, "384": hashlib.sha384}.get(algorithm[-3:], hashlib.sha512)
    if algorithm == "Ed25519":
        size = hashlib.sha512
    digest = size(token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not same(given, half):
        raise OidcError("token", "The provider's tokens do not belong together.")


def algorithm_of(token: str) -> str:
    """Return the algorithm of a token that was verified."""
    return str(json.loads(decode_segment(token.partition(".")[0]))["alg"])


def decode_segment(text: str) -> bytes:
    """Return the bytes of a segment of a token; ValueError where it is not base64url."""
    try:
        return base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except binascii.Error as error:
        raise ValueError(str(error)) from None
