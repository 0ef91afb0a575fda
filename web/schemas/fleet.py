"""The fleet's updates: releases, rollouts over rings, what each device runs."""

from typing import Annotated

from pydantic import Field

from domain.fleet.messages import DeviceUpdateState
from domain.fleet.rollout import FleetRolloutState, RingRules, RolloutRules
from domain.site_file.model import Ring
from web.schemas.base import ApiAnswer, ApiRequest
from web.schemas.common import SiteText, UtcMs
from web.schemas.editable import Reason
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import whole_number


class ReleaseItem(ApiAnswer):
    """A release. A command signs and adds it: `vigil fleet release add`."""

    number: int = Field(description="Grows by one.")
    version: str = Field(description="Such as 2.5.0.")
    oldest: int = Field(
        description="It may follow this one and later ones. A device that runs it returns to none "
        "below."
    )
    images: dict[str, str] = Field(description="Digest of the recorder's image, by hardware.")
    systems: dict[str, str] = Field(
        description="Version of the system, by hardware; none where the system stays as it is."
    )
    signed_by: str = Field(description="Id of the release key.")
    added_ms: UtcMs = Field(description="When it was added.")
    added_by: str = Field(description="Who added it.")
    note: str = Field(description="What is new.")
    withdrawn_ms: UtcMs | None = Field(
        description="Since when no device is given it; null: it is not withdrawn."
    )
    withdrawn_why: str | None = Field(description="Why; null: it is not withdrawn.")


class ReleasesQuery(PageQuery):
    """Which releases."""

    limit: Annotated[int, *whole_number(1, 1_000)] = Field(
        100, description="The most entries of a page."
    )


class Releases(PageAnswer):
    """A page of releases, the newest first."""

    releases: list[ReleaseItem]


class RolloutItem(ApiAnswer):
    """A rollout of a release over the rings lab, canary, early (10 %) and rest."""

    id: int = Field(description="Its number.")
    release: int = Field(description="Number of the release that devices get.")
    version: str = Field(description="Version of that release.")
    state: FleetRolloutState = Field(
        description="`halted`: by a rule, which `reason` names. At most one rollout is `running`, "
        "`paused`, `halted` or `rolling-back`."
    )
    ring: Ring = Field(description="The newest ring that is open.")
    reason: str = Field(description="Why it is in this state, or how far its ring is, in words.")
    note: str = Field(description="Of who started it.")
    soak_since_ms: UtcMs | None = Field(
        description="Since when the ring has what it needs; null: it has not."
    )
    rules: RolloutRules = Field(description="Thresholds of each ring.")
    started_ms: UtcMs = Field(description="When it was started.")
    started_by: str = Field(description="Who started it.")
    changed_ms: UtcMs = Field(description="Since when it is in its state.")
    ring_ms: UtcMs = Field(description="When its newest ring opened.")
    ended_ms: UtcMs | None = Field(description="When it ended; null: it has not.")


class RolloutsQuery(PageQuery):
    """Which rollouts."""

    limit: Annotated[int, *whole_number(1, 1_000)] = Field(
        100, description="The most entries of a page."
    )


class Rollouts(PageAnswer):
    """A page of rollouts, the newest first."""

    rollouts: list[RolloutItem]


class NewRollout(ApiRequest):
    """A rollout to start."""

    release: int = Field(ge=1, le=(1 << 31) - 1, description="Number of the release.")
    lab: RingRules | None = Field(None, description="Thresholds; null: the default ones.")
    canary: RingRules | None = Field(None, description="As `lab`.")
    early: RingRules | None = Field(None, description="As `lab`.")
    rest: RingRules | None = Field(None, description="As `lab`.")
    why: Reason


class RolloutChange(ApiRequest):
    """A pause, a resume, a rollback or an end."""

    why: Reason


class UpdateLock(ApiRequest):
    """A lock of a site's updates."""

    why: Reason | None = Field(description="Why nothing is installed; null: the lock ends.")


class UpdateLockAnswer(ApiAnswer):
    """The lock of a site's updates."""

    site: SiteText = Field(description="tenant/site")
    lock: str | None = Field(description="Why nothing is installed; null: it is not locked.")


class FleetItem(ApiAnswer):
    """One device: what it runs, and its update in the current rollout."""

    device: str = Field(description="tenant/site/device")
    site: SiteText = Field(description="tenant/site")
    ring: Ring = Field(description="In the current rollout, else of the site's file.")
    hardware: str | None = Field(
        description="Such as x86-64; null: it has no update agent, as the next four."
    )
    release: int | None = Field(description="That it runs; null: by none that is known.")
    version: str | None = Field(description="Of that release.")
    image: str | None = Field(description="Digest of its recorder's image; null: not known.")
    system: str | None = Field(description="Version of its system.")
    software: str | None = Field(description="Version of its recorder, by its heartbeat.")
    state: DeviceUpdateState | None = Field(
        description="Of its update: `waiting` for its window or a lock, `returned`: the old "
        "version runs again, `refused`: nothing was changed. Null: it is not in the rollout."
    )
    reason: str | None = Field(description="In words: what it waits for, or what is wrong.")
    behind: str | None = Field(
        description="Why it does not run the release of the current rollout; null: it does."
    )
    fault: str | None = Field(
        description="What a halt rule sees in it after its update; null: nothing."
    )
    changed_ms: UtcMs | None = Field(description="Since when it is in that state.")
    window: str | None = Field(
        description="Maintenance window of its site, in words; null: always."
    )
    lock: str | None = Field(description="Why its site's updates are locked; null: they are not.")
    cameras: int | None = Field(description="Cameras in its heartbeat; null: it sent none.")
    recording: int | None = Field(description="How many of them record.")
    spool_waiting: int | None = Field(description="Fragments not yet uploaded.")
    reported_ms: UtcMs | None = Field(description="Newest report of its update agent.")
    heartbeat_ms: UtcMs | None = Field(description="Newest heartbeat of its recorder.")


class FleetQuery(PageQuery):
    """Which devices."""

    site: str | None = Field(
        None, max_length=127, description="Only of this site, tenant/site; absent: of all."
    )
    limit: Annotated[int, *whole_number(1, 1_000)] = Field(
        1_000, description="The most entries of a page."
    )


class CurrentRollout(ApiAnswer):
    """The rollout that devices follow, for those who may not see all of it."""

    id: int = Field(description="Its number.")
    version: str = Field(description="Version of its release.")
    state: FleetRolloutState = Field(description="As in `/api/v1/rollouts`.")
    ring: Ring = Field(description="The newest ring that is open.")


class FleetDevices(PageAnswer):
    """A page of the fleet, by device."""

    rollout: CurrentRollout | None = Field(
        description="The active rollout, else the newest one that finished; null: there was none."
    )
    devices: list[FleetItem]
