"""Rules of a rollout: which version is in force, which is on trial, which is not tried again.

Pure: values in, values out. For every order of offers, verdicts and restarts:

- `accepted` has passed a trial (a canary on this one device);
- a rejected version is not tried again;
- a trial starts at most twice.
"""

from dataclasses import dataclass, replace
from typing import Literal

from domain.site_config import SiteVersion

INFERENCE = "inference"
"""The name of local inference, next to the names of the cameras."""
MAX_ATTEMPTS = 2
"""If the program ends during this many trials of a version, that version may be the cause."""


@dataclass(frozen=True, slots=True)
class VersionId:
    """A version by number and digest. After a restore of the catalog, numbers can repeat."""

    version: int
    digest: str

    @classmethod
    def of(cls, version: SiteVersion) -> "VersionId":
        """Return the id of a version."""
        return cls(version.version, version.digest)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Which version was rejected, and why."""

    id: VersionId
    reason: str


@dataclass(frozen=True, slots=True)
class RolloutState:
    """What is in force, on trial and rejected. `accepted` None: the device's own file is in force.

    `previous` was in force before `accepted`: the target of a rollback.
    """

    accepted: SiteVersion | None = None
    previous: SiteVersion | None = None
    on_trial: VersionId | None = None
    attempts: int = 0
    """How many trials of `on_trial` were started."""
    rejected: Rejection | None = None
    newest: VersionId | None = None
    """The newest signed version that this device has seen, by the digest that was signed."""

    def see(self, offer: SiteVersion) -> "RolloutState":
        """Remember a signed version: an older one is not taken any more."""
        return replace(self, newest=VersionId.of(offer))

    @property
    def newest_seen(self) -> tuple[int, str] | None:
        """The number below which no signed version is taken, and its digest, "" if not known."""
        seen = self.newest
        if self.accepted is not None and (seen is None or seen.version < self.accepted.version):
            return self.accepted.version, ""
        return None if seen is None else (seen.version, seen.digest)

    def should_try(self, offer: SiteVersion) -> bool:
        """Return whether to try a version that the catalog offers."""
        offered = VersionId.of(offer)
        in_force = self.accepted is not None and VersionId.of(self.accepted) == offered
        return not in_force and (self.rejected is None or self.rejected.id != offered)

    def has_same_content(self, offer: SiteVersion) -> bool:
        """Return whether only the number of a version differs from the one in force."""
        return self.accepted is not None and self.accepted.digest == offer.digest

    def start_trial(self, offer: SiteVersion) -> "RolloutState":
        """Start a trial."""
        offered = VersionId.of(offer)
        attempts = self.attempts + 1 if self.on_trial == offered else 1
        return replace(self, on_trial=offered, attempts=attempts)

    def abort(self) -> "RolloutState":
        """End a trial because of a graceful shutdown: the attempt does not count."""
        return replace(self, on_trial=None, attempts=0)

    def accept(self, offer: SiteVersion) -> "RolloutState":
        """Put a version in force after its trial, and forget earlier rejections."""
        if self.has_same_content(offer):
            return RolloutState(accepted=offer, previous=self.previous, newest=self.newest)
        previous = self.accepted or self.previous
        return RolloutState(accepted=offer, previous=previous, newest=self.newest)

    def reject(self, offer: SiteVersion | VersionId, reason: str) -> "RolloutState":
        """End a trial: the version is not tried again."""
        id_ = VersionId.of(offer) if isinstance(offer, SiteVersion) else offer
        return replace(self, on_trial=None, attempts=0, rejected=Rejection(id_, reason))

    def fall_back(self, reason: str) -> "RolloutState":
        """Roll back to the previous version: this program cannot use the accepted one."""
        assert self.accepted is not None
        rejection = Rejection(VersionId.of(self.accepted), reason)
        return replace(self, accepted=self.previous, previous=None, rejected=rejection)

    def on_restart(self) -> "RolloutState":
        """Reject the version on trial if the program ended too often during its trials."""
        if self.on_trial is not None and self.attempts >= MAX_ATTEMPTS:
            return self.reject(self.on_trial, "the program ended twice during its trial.")
        return self


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of a version. Times are monotonic seconds."""

    until_s: float
    healthy_for_s: float
    """How long everything must be healthy without interruption."""
    inference_extra_s: float = 0
    """Extra time for inference: a model takes time to load."""
    healthy_since_s: float | None = None

    def judge(
        self, now_s: float, unhealthy: dict[str, str], fatal: str = ""
    ) -> tuple["Trial", Literal["pending", "passed", "failed"], str]:
        """Return the trial from now on, the verdict, and the reason of a failure.

        `unhealthy`: what worked before the trial and does not work now -> why.
        `fatal`: a failure that does not go away, or "".
        """
        if fatal:
            return self, "failed", fatal
        if unhealthy:
            reason = "; ".join(
                f"{name}: {why or 'does not work'}" for name, why in unhealthy.items()
            )
            overdue = any(
                now_s >= self.until_s + (self.inference_extra_s if name == INFERENCE else 0)
                for name in unhealthy
            )
            verdict: Literal["pending", "failed"] = "failed" if overdue else "pending"
            return replace(self, healthy_since_s=None), verdict, reason
        since_s = now_s if self.healthy_since_s is None else self.healthy_since_s
        healthy = replace(self, healthy_since_s=since_s)
        return healthy, "passed" if now_s - since_s >= self.healthy_for_s else "pending", ""
