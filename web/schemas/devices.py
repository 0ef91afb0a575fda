"""Devices: enrolment codes, states, revocation."""

from typing import Annotated, Literal

from pydantic import Field

from domain.enrolment_code import MAX_LIFETIME_MS
from domain.identity import SLUG
from web.schemas.base import ApiAnswer, ApiRequest
from web.schemas.common import SiteText, UtcMs
from web.schemas.editable import Reason
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import whole_number


class DeviceItem(ApiAnswer):
    """A device that was enrolled."""

    device: str = Field(description="tenant/site/device")
    site: SiteText = Field(description="tenant/site")
    state: Literal["enrolled", "locked", "revoked"] = Field(
        description="`locked`: two devices hold its identity. `revoked`: by an operator. Nothing "
        "that a locked or revoked device sends is accepted; it goes on recording."
    )
    detail: str | None = Field(description="Why it is locked, in words; null: it is not.")
    generation: int = Field(description="Of its newest certificate; each renewal adds one.")
    enrolled_ms: UtcMs = Field(description="When its key was enrolled.")
    renewed_ms: UtcMs = Field(description="When its newest certificate was issued.")
    expires_ms: UtcMs = Field(
        description="When that certificate expires. The device renews it at half of its life, and "
        "until 30 days after its end."
    )
    locked_ms: UtcMs | None = Field(description="When it was locked; null: it is not.")
    revoked_ms: UtcMs | None = Field(description="When it was revoked; null: it is not.")


class Devices(PageAnswer):
    """A page of devices, by name."""

    devices: list[DeviceItem]


class DevicesQuery(PageQuery):
    """Which devices."""

    site: str | None = Field(
        None, max_length=127, description="Only of this site, tenant/site; absent: of all."
    )
    limit: Annotated[int, *whole_number(1, 1_000)] = Field(
        1_000, description="The most entries of a page."
    )


class NewEnrolmentCode(ApiRequest):
    """A code to make."""

    device: str | None = Field(
        None,
        pattern=f"^{SLUG}$",
        description="Name of a device of the site that is enrolled again, with a new key; null: "
        "the code enrols a new device.",
    )
    lifetime_ms: int = Field(
        MAX_LIFETIME_MS, ge=60_000, le=MAX_LIFETIME_MS, description="How long it works."
    )


class CreatedEnrolmentCode(ApiAnswer):
    """A code that was made just now."""

    id: int = Field(description="Its number, in the audit log.")
    code: str = Field(
        description="The code itself, for `vigil edge enrol`. It is shown once, and stored nowhere."
    )
    site: SiteText = Field(description="tenant/site")
    device: str | None = Field(description="tenant/site/device; null: of a new device.")
    expires_ms: UtcMs = Field(description="When it expires.")


class DeviceChange(ApiRequest):
    """A revocation or an unlock."""

    why: Reason
