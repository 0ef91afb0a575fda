"""RTSP authentication: Basic (RFC 2617) and Digest (RFC 7616).

Cameras lock a user out after several wrong attempts. So a rejected password is never sent again on
the same connection. An accepted one is sent again only with a new nonce of the camera.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edge_bridge.rtsp.errors import (
    BASIC_NOT_ALLOWED,
    CREDENTIALS_REQUIRED,
    REJECTED,
    CameraRefusedError,
    UnsupportedStreamError,
    unsupported_algorithm,
)

_HASHES = {"MD5": "md5", "MD5-SESS": "md5", "SHA-256": "sha256", "SHA-256-SESS": "sha256"}
SUPPORTED_ALGORITHMS = tuple(_HASHES)
"""Digest's algorithms that are supported, the strongest last."""
_MAX_PROVEN_RETRIES = 2
"""With a password that was accepted: some nonces are valid for a second only."""
_MAX_HEADER_VALUE = 4 << 10
_PARAMETER = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_SCHEME = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One authentication scheme that a camera offers."""

    scheme: str
    """In lower case: basic, digest."""
    parameters: Mapping[str, str]
    """By lower-case name, without quotes; escapes are kept."""

    @property
    def algorithm(self) -> str:
        """The hash algorithm's name in upper case."""
        return self.parameters.get("algorithm", "MD5").upper()


class Authenticator:
    """Authenticates the requests of one connection."""

    def __init__(
        self,
        username: str | None,
        password: str | None,
        *,
        encrypted: bool,
        allow_basic: bool = True,
    ) -> None:
        """`encrypted`: whether the connection uses TLS, so that no one else can read it.

        `allow_basic`: whether the camera may get the password itself.
        """
        self._username = username
        self._password = password or ""
        self._encrypted = encrypted
        self._allow_basic = allow_basic
        self._challenge: Challenge | None = None
        self._client_nonce = ""
        self._nonce_count = 0
        self._proven = False
        """Whether the camera accepted the password once."""
        self._retries = 0
        """How often the last request was sent again, with a new nonce."""
        self._rejected = False

    @property
    def has_nonce(self) -> bool:
        """Whether requests use a nonce of the camera, which may expire."""
        return self._challenge is not None and self._challenge.scheme == "digest"

    def authorization(self, method: str, url: str) -> str | None:
        """Return the next request's Authorization header.

        None if the camera requires none so far, or has rejected the password.
        """
        if self._challenge is None or self._rejected:
            return None
        self._nonce_count += 1
        if self._challenge.scheme == "basic":
            pair = f"{self._username}:{self._password}".encode()
            return f"Basic {base64.b64encode(pair).decode()}"
        return digest(
            self._challenge,
            username=str(self._username),
            password=self._password,
            method=method,
            url=url,
            nonce_count=self._nonce_count,
            client_nonce=self._client_nonce,
        )

    def accepted(self) -> None:
        """Record that a request was not rejected."""
        self._proven = self._proven or self._challenge is not None
        self._retries = 0

    def challenged(self, headers: Iterable[str]) -> None:
        """Handle a 401 and its WWW-Authenticate headers; then send the request again.

        Raises CameraRefusedError if the password was rejected, or must not be sent. Raises
        UnsupportedStreamError for a scheme that FFmpeg may support.
        """
        if self._username is None:
            raise CameraRefusedError(CREDENTIALS_REQUIRED)
        new = self._choose([one for value in headers for one in challenges(value)])
        if self._challenge is not None:
            # Only a new nonce is a reason to send the password again.
            stale = new.parameters.get("stale", "").lower() == "true"
            new_nonce = new.parameters.get("nonce") != self._challenge.parameters.get("nonce")
            may_retry = stale or (self._proven and new_nonce)
            most = _MAX_PROVEN_RETRIES if self._proven else 1
            if self._rejected or self._retries >= most or not may_retry:
                self._rejected = True
                raise CameraRefusedError(REJECTED)
            self._retries += 1
        self._challenge = new
        self._nonce_count = 0
        self._client_nonce = secrets.token_urlsafe(24)

    def _choose(self, offered: list[Challenge]) -> Challenge:
        digests = [one for one in offered if one.scheme == "digest"]
        supported = [one for one in digests if one.algorithm in _HASHES and _has_auth_qop(one)]
        if supported:
            return max(supported, key=lambda one: SUPPORTED_ALGORITHMS.index(one.algorithm))
        basic = [one for one in offered if one.scheme == "basic"]
        if basic and (self._encrypted or not digests):
            if not self._allow_basic:
                raise CameraRefusedError(BASIC_NOT_ALLOWED)
            return basic[0]
        unsupported = [one for one in digests if one.algorithm not in _HASHES]
        if unsupported:
            remedy = "which is not supported: allow MD5 or SHA-256 in its settings"
            raise CameraRefusedError(unsupported_algorithm(unsupported[-1].algorithm, remedy))
        raise UnsupportedStreamError("its authentication scheme is not supported")


def digest(
    challenge: Challenge,
    *,
    username: str,
    password: str,
    method: str,
    url: str,
    nonce_count: int,
    client_nonce: str,
) -> str:
    """Return Digest's Authorization header (RFC 7616, 3.4); `nonce_count` starts at 1."""
    parameters = challenge.parameters
    algorithm = challenge.algorithm
    realm = parameters.get("realm", "")
    nonce = parameters.get("nonce", "")

    # A camera's texts hold its bytes as Latin-1; a user's texts are sent as UTF-8.
    username = username.encode().decode("latin-1")
    password = password.encode().decode("latin-1")

    def hashed(*parts: str) -> str:
        text = ":".join(parts).encode("latin-1")
        return hashlib.new(_HASHES[algorithm], text, usedforsecurity=False).hexdigest()

    has_qop = bool(parameters.get("qop"))
    a1 = hashed(username, realm, password)
    if algorithm.endswith("-SESS"):
        a1 = hashed(a1, nonce, client_nonce)
    a2 = hashed(method, url)
    nc = f"{nonce_count:08x}"
    qop_parts = (nc, client_nonce, "auth") if has_qop else ()
    quoted_name = re.sub(r'(["\\])', r"\\\1", username)
    fields = [
        f'username="{quoted_name}", realm="{realm}", nonce="{nonce}", uri="{url}"',
        f'response="{hashed(a1, nonce, *qop_parts, a2)}"',
    ]
    if "algorithm" in parameters:
        fields.append(f"algorithm={parameters['algorithm']}")
    if "opaque" in parameters:
        fields.append(f'opaque="{parameters["opaque"]}"')
    if has_qop:
        fields.append(f"qop=auth, nc={nc}")
    if has_qop or algorithm.endswith("-SESS"):
        fields.append(f'cnonce="{client_nonce}"')
    return "Digest " + ", ".join(fields)


def challenges(header: str) -> Iterator[Challenge]:
    """Yield the challenges of a WWW-Authenticate header: `Digest a="b", c=d, Basic realm="e"`."""
    header = header[:_MAX_HEADER_VALUE]
    offset = 0
    scheme: str | None = None
    parameters: dict[str, str] = {}
    while offset < len(header):
        if found := _PARAMETER.match(header, offset):
            parameters.setdefault(found[1].lower(), found[3] if found[2] is None else found[2])
        elif found := _SCHEME.match(header, offset):
            if scheme is not None:
                yield Challenge(scheme, parameters)
            scheme = found[0].lower()
            parameters = {}
        offset = found.end() if found else offset + 1
    if scheme is not None:
        yield Challenge(scheme, parameters)


def _has_auth_qop(challenge: Challenge) -> bool:
    """Return whether `auth` is a quality of protection (qop) that the camera accepts."""
    qop = challenge.parameters.get("qop")
    return not qop or "auth" in [one.strip().lower() for one in qop.split(",")]
