"""Which version of the site's configuration counts, which is on trial, which is not tried again.

Pure: values in, values out. Any order of offers, verdicts and ends of the program keeps:
`good` was accepted once; what was refused is not wanted again; a trial is begun at most twice.
"""

from dataclasses import dataclass, replace
from typing import Literal

from domain.site_config import SiteVersion

INFERENCE = "inference"
"""What local inference is called beside the cameras."""
MOST_TRIES = 2
"""A version whose trial the program's end cut short so often is what ends the program, maybe."""


@dataclass(frozen=True, slots=True)
class VersionId:
    """A version by number and digest: after a catalog was restored, numbers come again."""

    version: int
    digest: str

    @classmethod
    def of(cls, version: SiteVersion) -> "VersionId":
        """Return a version's name."""
        return cls(version.version, version.digest)


@dataclass(frozen=True, slots=True)
class Rejection:
    """What was refused, and why."""

    what: VersionId
    why: str


@dataclass(frozen=True, slots=True)
class RolloutState:
    """`good` is in force, or None: the device's own file is; `before` was, before it."""

    good: SiteVersion | None = None
    before: SiteVersion | None = None
    trying: VersionId | None = None
    tries: int = 0
    """How often the trial of `trying` was begun."""
    refused: Rejection | None = None

    def wants(self, offer: SiteVersion) -> bool:
        """Return whether a version that the catalog offers is to be tried."""
        name = VersionId.of(offer)
        known = self.good is not None and VersionId.of(self.good) == name
        return not known and (self.refused is None or self.refused.what != name)

    def says_the_same(self, offer: SiteVersion) -> bool:
        """Return whether a version differs from the one in force by its number alone."""
        return self.good is not None and self.good.digest == offer.digest

    def begins(self, offer: SiteVersion) -> "RolloutState":
        """A trial begins."""
        name = VersionId.of(offer)
        return replace(self, trying=name, tries=self.tries + 1 if self.trying == name else 1)

    def leaves_off(self) -> "RolloutState":
        """The trial was ended by an orderly stop: it does not count."""
        return replace(self, trying=None, tries=0)

    def accepts(self, offer: SiteVersion) -> "RolloutState":
        """What was tried is in force for good; all earlier refusals are history."""
        if self.says_the_same(offer):
            return RolloutState(good=offer, before=self.before)
        return RolloutState(good=offer, before=self.good or self.before)

    def refuses(self, offer: SiteVersion | VersionId, why: str) -> "RolloutState":
        """What was tried is not tried again."""
        name = VersionId.of(offer) if isinstance(offer, SiteVersion) else offer
        return replace(self, trying=None, tries=0, refused=Rejection(name, why))

    def loses_good(self, why: str) -> "RolloutState":
        """What was in force cannot be used by this program: the one before counts."""
        assert self.good is not None
        return replace(
            self, good=self.before, before=None, refused=Rejection(VersionId.of(self.good), why)
        )

    def wakes(self) -> "RolloutState":
        """The program started: a trial that was cut short too often is refused."""
        if self.trying is not None and self.tries >= MOST_TRIES:
            return self.refuses(self.trying, "the program ended twice during its trial.")
        return self


@dataclass(frozen=True, slots=True)
class Trial:
    """Times are steady seconds."""

    until_s: float
    steady_s: float
    """How long all must be well without a break."""
    longer_s: float = 0
    """So much later only is inference overdue: a model takes its time to load."""
    well_since_s: float | None = None

    def judge(
        self, now_s: float, ailing: dict[str, str], hopeless: str = ""
    ) -> tuple["Trial", Literal["waiting", "good", "bad"], str]:
        """`ailing`: what worked before and does not work -> why; `hopeless`: a verdict, or nothing.

        Returns the trial from now on, the verdict, and why it is bad.
        """
        if hopeless:
            return self, "bad", hopeless
        if ailing:
            why = "; ".join(f"{what}: {said or 'does not work'}" for what, said in ailing.items())
            overdue = any(
                now_s >= self.until_s + (self.longer_s if what == INFERENCE else 0)
                for what in ailing
            )
            verdict: Literal["waiting", "bad"] = "bad" if overdue else "waiting"
            return replace(self, well_since_s=None), verdict, why
        since_s = now_s if self.well_since_s is None else self.well_since_s
        well = replace(self, well_since_s=since_s)
        return well, "good" if now_s - since_s >= self.steady_s else "waiting", ""
