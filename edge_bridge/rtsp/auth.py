"""User and password as a camera wants them: Basic and Digest (RFC 2617, RFC 7616).

Cameras lock out who is wrong too often: a password that was refused is never shown again on the
same connection, and one that was taken only where the camera has given a new nonce.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edge_bridge.rtsp.errors import (
    REFUSED,
    WANTS_USER,
    CameraRefusedError,
    UnsupportedStreamError,
    unspoken,
)

_HASHES = {"MD5": "md5", "MD5-SESS": "md5", "SHA-256": "sha256", "SHA-256-SESS": "sha256"}
SPOKEN = tuple(_HASHES)
"""Digest's algorithms that are known here, the strongest last."""
_MOST_VALUE = 4 << 10
_PARAMETER = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_SCHEME = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in which a camera takes a password."""

    scheme: str
    """In lower case: basic, digest."""
    given: Mapping[str, str]
    """Its parameters by lower-case name, without quotes, escapes as they stand."""

    @property
    def algorithm(self) -> str:
        """The hash's name in upper case."""
        return self.given.get("algorithm", "MD5").upper()


class Authenticator:
    """Signs one connection's requests."""

    def __init__(self, username: str | None, password: str | None, *, encrypted: bool) -> None:
        """`encrypted`: whether nobody else can read the connection."""
        self._username = username
        self._password = password or ""
        self._encrypted = encrypted
        self._challenge: Challenge | None = None
        self._client_nonce = ""
        self._count = 0
        self._proven = False
        self._again = self._given_up = False

    def header(self, verb: str, url: str) -> str | None:
        """Return the next request's Authorization; None while none is asked for, or was refused."""
        if self._challenge is None or self._given_up:
            return None
        self._count += 1
        if self._challenge.scheme == "basic":
            pair = f"{self._username}:{self._password}".encode()
            return f"Basic {base64.b64encode(pair).decode()}"
        return digest(
            self._challenge, username=str(self._username), password=self._password,
            verb=verb, url=url, count=self._count, client_nonce=self._client_nonce,
        )  # fmt: skip

    def accepted(self) -> None:
        """Note that a request was not refused."""
        self._proven = self._proven or self._challenge is not None
        self._again = False

    def challenged(self, headers: Iterable[str]) -> None:
        """Take what came with a 401 (its WWW-Authenticate); afterwards the request is sent again.

        Raises CameraRefusedError if the password was rejected. Raises UnsupportedStreamError for a
        scheme that FFmpeg may support.
        """
        if self._username is None:
            raise CameraRefusedError(WANTS_USER)
        new = self._chosen([one for value in headers for one in challenges(value)])
        if self._challenge is not None:
            stale = new.given.get("stale", "").lower() == "true"
            other = new.given.get("nonce") != self._challenge.given.get("nonce")
            if self._given_up or self._again or not (stale or (self._proven and other)):
                self._given_up = True
                raise CameraRefusedError(REFUSED)
            self._again = True
        self._challenge, self._count = new, 0
        self._client_nonce = secrets.token_urlsafe(24)

    def _chosen(self, offered: list[Challenge]) -> Challenge:
        digests = [one for one in offered if one.scheme == "digest"]
        spoken = [one for one in digests if one.algorithm in _HASHES and _plain_quality(one)]
        if spoken:
            return max(spoken, key=lambda one: SPOKEN.index(one.algorithm))
        basic = [one for one in offered if one.scheme == "basic"]
        if basic and (self._encrypted or not digests):
            return basic[0]
        odd = [one for one in digests if one.algorithm not in _HASHES]
        if odd:
            remedy = "which is not spoken here: allow MD5 or SHA-256 in its settings"
            raise CameraRefusedError(unspoken(odd[-1].algorithm, remedy))
        raise UnsupportedStreamError("it wants the password in a way of its own")


def digest(
    challenge: Challenge,
    *,
    username: str,
    password: str,
    verb: str,
    url: str,
    count: int,
    client_nonce: str,
) -> str:
    """Return Digest's Authorization (RFC 7616, 3.4); `count` is the nonce's, from 1."""
    given, algorithm = challenge.given, challenge.algorithm
    realm, nonce = given.get("realm", ""), given.get("nonce", "")

    def hashed(*parts: str) -> str:
        text = ":".join(parts).encode()
        return hashlib.new(_HASHES[algorithm], text, usedforsecurity=False).hexdigest()

    secret, quality = hashed(username, realm, password), "qop" in given
    if algorithm.endswith("-SESS"):
        secret = hashed(secret, nonce, client_nonce)
    asked, counted = hashed(verb, url), f"{count:08x}"
    between = (counted, client_nonce, "auth") if quality else ()
    quoted_name = re.sub(r'(["\\])', r"\\\1", username)
    said = [
        f'username="{quoted_name}", realm="{realm}", nonce="{nonce}", uri="{url}"',
        f'response="{hashed(secret, nonce, *between, asked)}"',
    ]
    if "algorithm" in given:
        said.append(f"algorithm={given['algorithm']}")
    if "opaque" in given:
        said.append(f'opaque="{given["opaque"]}"')
    if quality:
        said.append(f"qop=auth, nc={counted}")
    if quality or algorithm.endswith("-SESS"):
        said.append(f'cnonce="{client_nonce}"')
    return "Digest " + ", ".join(said)


def challenges(header: str) -> Iterator[Challenge]:
    """Yield what one WWW-Authenticate header offers: `Digest a="b", c=d, Basic realm="e"`."""
    header, at = header[:_MOST_VALUE], 0
    scheme: str | None = None
    given: dict[str, str] = {}
    while at < len(header):
        if found := _PARAMETER.match(header, at):
            given.setdefault(found[1].lower(), found[3] if found[2] is None else found[2])
        elif found := _SCHEME.match(header, at):
            if scheme is not None:
                yield Challenge(scheme, given)
            scheme, given = found[0].lower(), {}
        at = found.end() if found else at + 1
    if scheme is not None:
        yield Challenge(scheme, given)


def _plain_quality(challenge: Challenge) -> bool:
    qualities = challenge.given.get("qop")
    return qualities is None or "auth" in [one.strip().lower() for one in qualities.split(",")]
