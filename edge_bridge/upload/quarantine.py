"""Quarantine of fragments that fail while others succeed, so that they block nothing else.

    X fails ──► another one is tried ──► it succeeds: X waits 2 s, 4 s … 10 min until its next try
                                     └─► it fails too: the line is at fault, X may be tried again

Something on the way may reject certain bytes forever (a firewall, a proxy that is full). No
fragment is discarded for it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from domain.backoff import Backoff
from domain.identity import FragmentId

BACKOFF = Backoff(first_s=2.0, longest_s=600.0)
_MAX_SUSPECTS = 100
_MAX_QUARANTINED = 1_000


@dataclass(slots=True)
class FragmentQuarantine:
    """Which fragments failed recently. `now_s` is monotonic."""

    _suspects: "OrderedDict[FragmentId, None]" = field(default_factory=OrderedDict)
    """Failed since the last success, the newest hundred."""
    _quarantined: "OrderedDict[FragmentId, tuple[int, float]]" = field(default_factory=OrderedDict)
    """Strikes (how often others succeeded after it failed), and when it may be tried again."""

    def excluded(self, now_s: float) -> set[FragmentId]:
        """Return which are not to be tried now, while there is another one."""
        return {*self._suspects, *self.quarantined(now_s)}

    def quarantined(self, now_s: float) -> set[FragmentId]:
        """Return which are not to be tried now in any case."""
        return {one for one, (_, until_s) in self._quarantined.items() if now_s < until_s}

    def failed(self, fragment: FragmentId) -> None:
        """Note that an upload failed."""
        self._suspects.pop(fragment, None)
        self._suspects[fragment] = None
        while len(self._suspects) > _MAX_SUSPECTS:
            self._suspects.popitem(last=False)

    def succeeded(self, fragment: FragmentId, now_s: float) -> list[tuple[FragmentId, int]]:
        """Note that an upload succeeded; return which are quarantined by it, with their strikes."""
        self._suspects.pop(fragment, None)
        self._quarantined.pop(fragment, None)
        newly = []
        # The line works, so the suspects are at fault themselves.
        for suspect in self._suspects:
            strikes = self._quarantined.pop(suspect, (0, 0.0))[0] + 1
            self._quarantined[suspect] = strikes, now_s + BACKOFF.bound_s(strikes - 1)
            newly.append((suspect, strikes))
        self._suspects.clear()
        while len(self._quarantined) > _MAX_QUARANTINED:
            self._quarantined.popitem(last=False)
        return newly
