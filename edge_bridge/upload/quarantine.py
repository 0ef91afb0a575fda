"""Fragments that fail while others are taken: they step aside, and stop nothing else.

    X fails ──► another is tried ──► it is taken: X waits 2 s, 4 s … 10 min before it is tried again
                                 └─► it fails too: the line is at fault, X may be tried again

Something on the way may refuse certain bytes for ever (a firewall, a proxy that is full). Nothing
is given up for it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from domain.identity import FragmentId

FIRST_S = 2.0
LONGEST_S = 600.0
_SUSPECTS = 100
_MOST = 1_000


@dataclass(slots=True)
class FragmentQuarantine:
    """Who failed of late. `now_s` is monotonic."""

    _suspects: "OrderedDict[FragmentId, None]" = field(default_factory=OrderedDict)
    """Failed since the last success, the newest hundred."""
    _apart: "OrderedDict[FragmentId, tuple[int, float]]" = field(default_factory=OrderedDict)
    """How often others were taken after it failed, and when it may be tried again."""

    def waiting(self, now_s: float) -> set[FragmentId]:
        """Return who is not to be tried now while there is another."""
        return {*self._suspects, *self.apart(now_s)}

    def apart(self, now_s: float) -> set[FragmentId]:
        """Return who is not to be tried now in any case."""
        return {one for one, (_, at_s) in self._apart.items() if now_s < at_s}

    def failed(self, one: FragmentId) -> None:
        """An upload failed."""
        self._suspects.pop(one, None)
        self._suspects[one] = None
        while len(self._suspects) > _SUSPECTS:
            self._suspects.popitem(last=False)

    def succeeded(self, one: FragmentId, now_s: float) -> list[tuple[FragmentId, int]]:
        """An upload was done; return who steps aside thereby, and how often it has by now."""
        self._suspects.pop(one, None)
        self._apart.pop(one, None)
        aside = []
        for suspect in self._suspects:
            strikes = self._apart.pop(suspect, (0, 0.0))[0] + 1
            wait_s = min(FIRST_S * 2 ** min(strikes - 1, 20), LONGEST_S)
            self._apart[suspect] = strikes, now_s + wait_s
            aside.append((suspect, strikes))
        self._suspects.clear()
        while len(self._apart) > _MOST:
            self._apart.popitem(last=False)
        return aside
