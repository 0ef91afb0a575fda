"""Edge devices, and the configuration that they read."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from domain.events.edge import ClockState, ClockTrust, ReportedIdentity
from web.schemas.base import ApiAnswer
from web.schemas.cameras import LimitsItem
from web.schemas.common import Bytes, CameraText, Ms, SiteText, UtcMs
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import whole_number


class CaptureStatus(ApiAnswer):
    """A camera as its edge device sees it."""

    model_config = ConfigDict(extra="ignore")  # as stored: a newer device may send more

    camera: CameraText = Field(description="tenant/site/camera")
    state: Literal["recording", "connecting", "failing", "stopped"] = Field(
        description="State of its capture."
    )
    since_ms: UtcMs = Field(description="Since when it has been in this state (device's clock).")
    detail: str = Field("", description="Text of the last error, or empty.")


class EdgeItem(ApiAnswer):
    """The newest heartbeat of an edge device."""

    site: SiteText = Field(description="tenant/site")
    edge: str = Field(description="The device's name.")
    sent_ms: UtcMs = Field(description="When the heartbeat was sent (device's clock).")
    heard_ms: UtcMs = Field(description="When it arrived (cloud's clock).")
    software: str = Field(description="Version of its software.")
    spool_bytes: Bytes = Field(description="Fragments on its disk.")
    spool_waiting: int = Field(ge=0, description="Fragments not yet uploaded.")
    spool_oldest_ms: UtcMs | None = Field(
        description="Start of the oldest fragment not yet uploaded; null: none waits."
    )
    disk_free_bytes: Bytes = Field(description="Free on the disk of the fragments.")
    cameras: list[CaptureStatus]
    config_version: int | None = Field(
        description="Version of the site's configuration in use; null: the device's own file."
    )
    config_state: Literal["current", "trying", "refused", "out-of-reach", "none"] | None = Field(
        description="State of the site's configuration; null: the device requests none."
    )
    config_detail: str | None = Field(description="Why, in words.")
    clock_state: ClockState | None = Field(
        description="Whether its clock is synchronised; null: not reported."
    )
    clock_error_ms: Ms | None = Field(description="The largest error of a synchronised clock.")
    clock_trust: ClockTrust | None = Field(
        description="Whether its clock agrees with the cloud's; null: not reported."
    )
    identity_state: ReportedIdentity | None = Field(
        description="State of its identity; null: it is not enrolled, or it reports none."
    )
    identity_generation: int | None = Field(description="Generation of its certificate.")
    identity_renew_ms: UtcMs | None = Field(
        description="From when on its certificate is to be renewed."
    )
    identity_expires_ms: UtcMs | None = Field(description="When its certificate expires.")
    link_since_ms: UtcMs | None = Field(
        description="Since when it takes commands, by its link; null: it is not connected now."
    )


class EdgesQuery(PageQuery):
    """Which page."""

    limit: Annotated[int, *whole_number(1, 5_000)] = Field(
        5_000, description="The most entries of a page."
    )


class Edges(PageAnswer):
    """A page of edge devices, by site and name."""

    now_ms: UtcMs = Field(description="Time of the answer; ages are measured from it.")
    limits: LimitsItem
    edges: list[EdgeItem]


class SiteConfig(ApiAnswer):
    """A site's newest configuration."""

    version: int = Field(ge=1, description="Counts up.")
    digest: str = Field(
        description="SHA-256 of `document` in hex.", json_schema_extra={"pattern": "^[0-9a-f]{64}$"}
    )
    document: str = Field(description="Canonical JSON as a string, at most 1 MiB.")


class ConfigVersionItem(ApiAnswer):
    """A version of a site's configuration: who set it, when and why."""

    version: int = Field(ge=1, description="Counts up.")
    digest: str = Field(
        description="SHA-256 of its document in hex.",
        json_schema_extra={"pattern": "^[0-9a-f]{64}$"},
    )
    set_ms: UtcMs = Field(description="When it was set.")
    set_by: str = Field(description="Who set it.")
    note: str = Field(description="Why.")
    signed_by: str | None = Field(description="Id of the configuration key; null: not signed.")


class ConfigVersions(PageAnswer):
    """The versions of a site's configuration, newest first."""

    versions: list[ConfigVersionItem]


class SiteConfigSignature(ApiAnswer):
    """Who signed a configuration, and from when it holds."""

    key: str = Field(description="Id of the configuration key.")
    not_before_ms: int = Field(description="UTC. A device waits until then.")
    value: str = Field(
        description="Ed25519 in base64, over `vigil-config-v1`, site, version, `not_before_ms` and "
        "`document`, each but the last with a zero byte after it."
    )


class ConfigKeySuccessor(ApiAnswer):
    """A newer configuration key, signed by the key before it."""

    public_key: str = Field(description="Ed25519, raw, in base64.")
    signed_by: str = Field(description="Id of the key before it.")
    value: str = Field(
        description="Signature in base64, over `vigil-config-key-v1`, zero, the key."
    )


class SignedSiteConfig(SiteConfig):
    """A site's newest configuration as it was signed. `document` has the disabled cameras, too."""

    signature: SiteConfigSignature | None = Field(description="null: it was not signed.")
    disabled: list[str] = Field(
        description="Cameras of `document` that the device leaves out. Not part of what is signed."
    )
    successors: list[ConfigKeySuccessor] = Field(
        description="Rotations of the configuration key, the oldest first."
    )
