"""An RTSP camera that requires user name and password (RFC 2617, RFC 7616)."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence

from tests.rtsp_camera import RtspCamera, Track

USER, PASSWORD = "vigil", 'r"ght:p@ss'
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Locked(RtspCamera):
    """Takes one user. `offers` are its WWW-Authenticate headers, with `{nonce}` for the nonce."""

    def __init__(
        self, tracks: Sequence[Track], offers: Sequence[str], *, uses: int = 1_000
    ) -> None:
        """`uses`: how often a nonce may be used until it is stale."""
        super().__init__(tracks)
        self._offers, self._uses = offers, uses
        self._nonce, self._used, self._counts = 0, 0, set[str]()
        self.shown: list[str] = []
        """Every Authorization that came."""
        self.wrong = 0
        """How many of them were not right."""

    def challenge(self, verb: str, url: str, headers: Mapping[str, str]) -> str | None:
        shown = headers.get("authorization")
        if shown is None:
            return self._challenges()
        self.shown.append(shown)
        scheme, _, rest = shown.partition(" ")
        if scheme == "Basic":
            right = base64.b64decode(rest).decode() == f"{USER}:{PASSWORD}"
            self.wrong += not right
            return None if right else self._challenges()
        fields = {name: old or new for name, old, new in _FIELDS.findall(rest)}
        if fields["nonce"] != f"n{self._nonce}" or self._used >= self._uses:
            self._nonce, self._used = self._nonce + 1, 0
            self._counts.clear()
            return self._challenges(", stale=true")
        if not self._right(verb, url, fields):
            self.wrong += 1
            return self._challenges()
        self._used += 1
        return None

    def _challenges(self, more: str = "") -> str:
        fields = [one.format(nonce=f"n{self._nonce}") for one in self._offers]
        return "".join(f"WWW-Authenticate: {one}{more}\r\n" for one in fields)

    def _right(self, verb: str, url: str, fields: Mapping[str, str]) -> bool:
        name, dash, _ = fields.get("algorithm", "MD5").partition("-sess")

        def h(text: str) -> str:
            return _HASHES[name](text.encode()).hexdigest()

        a1 = h(f"{USER}:{fields['realm']}:{PASSWORD}")
        if dash:
            a1 = h(f"{a1}:{fields['nonce']}:{fields['cnonce']}")
        a2 = h(f"{verb}:{fields['uri']}")
        if "qop" in fields:
            if fields["nc"] in self._counts or int(fields["nc"], 16) != len(self._counts) + 1:
                return False  # replayed
            self._counts.add(fields["nc"])
            middle = f"{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:{fields['qop']}"
        else:
            middle = fields["nonce"]
        right = fields["response"] == h(f"{a1}:{middle}:{a2}")
        return right and fields["uri"] == url and fields["username"] == USER


_FIELDS = re.compile(r'(\w+)=(?:"([^"]*)"|([^,\s]*))')
