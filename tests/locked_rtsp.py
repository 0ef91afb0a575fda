"""An RTSP camera that wants user and password, as RFC 2617 and RFC 7616 have it."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence

from tests.rtsp_camera import RtspCamera, Track

USER, PASSWORD = "vigil", 'r"ght:p@ss'
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Locked(RtspCamera):
    """Takes one user. `offers` are its WWW-Authenticate headers, `{nonce}` stands for the nonce."""

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
            return self._asks()
        self.shown.append(shown)
        scheme, _, rest = shown.partition(" ")
        if scheme == "Basic":
            right = base64.b64decode(rest).decode() == f"{USER}:{PASSWORD}"
            self.wrong += not right
            return None if right else self._asks()
        said = {name: old or new for name, old, new in _SAID.findall(rest)}
        if said["nonce"] != f"n{self._nonce}" or self._used >= self._uses:
            self._nonce, self._used = self._nonce + 1, 0
            self._counts.clear()
            return self._asks(", stale=true")
        if not self._right(verb, url, said):
            self.wrong += 1
            return self._asks()
        self._used += 1
        return None

    def _asks(self, more: str = "") -> str:
        said = [one.format(nonce=f"n{self._nonce}") for one in self._offers]
        return "".join(f"WWW-Authenticate: {one}{more}\r\n" for one in said)

    def _right(self, verb: str, url: str, said: Mapping[str, str]) -> bool:
        name, dash, _ = said.get("algorithm", "MD5").partition("-sess")

        def h(text: str) -> str:
            return _HASHES[name](text.encode()).hexdigest()

        a1 = h(f"{USER}:{said['realm']}:{PASSWORD}")
        if dash:
            a1 = h(f"{a1}:{said['nonce']}:{said['cnonce']}")
        a2 = h(f"{verb}:{said['uri']}")
        if "qop" in said:
            if said["nc"] in self._counts or int(said["nc"], 16) != len(self._counts) + 1:
                return False  # replayed
            self._counts.add(said["nc"])
            middle = f"{said['nonce']}:{said['nc']}:{said['cnonce']}:{said['qop']}"
        else:
            middle = said["nonce"]
        right = said["response"] == h(f"{a1}:{middle}:{a2}")
        return right and said["uri"] == url and said["username"] == USER


_SAID = re.compile(r'(\w+)=(?:"([^"]*)"|([^,\s]*))')
