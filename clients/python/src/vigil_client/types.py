"""Bodies of the API. Generated from web/schemas by `make docs`: change those.

Times are whole milliseconds since 1970, UTC. An answer may have more fields: ignore them.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Audit(TypedDict):
    """One act, as it is in its chain."""

    chain: str
    """The tenant, or `*` for the installation's own acts."""
    seq: int
    """Its number in the chain, without holes."""
    hash: str
    """SHA-256 of the chain up to this entry, hex."""
    at_ms: int
    """When it was done."""
    actor: str
    """Who: user:ID, key:NUMBER, cli:NAME of the operating system's user, system or anonymous."""
    actor_session: str | None
    """The session that the actor used."""
    on_behalf_of: str | None
    """The user who owns the API key."""
    action: str
    """What was done, such as key:create."""
    resource: str
    """On what: a scope, or such as user:ID, key:NUMBER, hold:1."""
    before: Any
    """What it was, where it was changed."""
    after: Any
    """What it became; for reads: which part; for refusals: how."""
    outcome: Literal["done", "refused"]
    """Whether it was carried out."""
    request: str | None
    """Id of the HTTP request."""
    personal: dict[str, dict[str, str] | None]
    """Names, addresses and reasons, by the person or thing that they are about; null: they were erased."""


class AuditPage(TypedDict):
    """A page of the audit log, the newest first."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    entries: list[Audit]


class BackupStatus(TypedDict):
    """What is known here of the backups of PostgreSQL. Whether they can be read, a drill shows."""

    archive: Literal["on", "off", "unknown"]
    """Whether PostgreSQL archives its WAL, which a restore to a time needs. `unknown`: it does not answer."""
    archived_ms: int | None
    """When it last archived; null: never, unknown."""
    failed_ms: int | None
    """Since when that fails; null: it does not."""
    window_days: int | None
    """How far backups reach back, by `VIGIL_BACKUP_DAYS`; null: not set."""
    drill_ms: int | None
    """Day of the last restore drill, by `VIGIL_RESTORE_DRILL_DATE`; null: not set."""


class Camera(TypedDict):
    """A registered camera."""

    id: str
    """tenant/site/camera"""
    tenant: str
    """First part of the id."""
    site: str
    """Second part of the id."""
    camera: str
    """Third part of the id."""
    name: str
    """Shown to people."""
    state: Literal["new", "recording", "late", "offline"]
    """By the age of the newest footage, see `limits`; `new`: none yet."""
    since_ms: int
    """recording: start of the run; late, offline: end of the newest footage; new: when it was registered."""
    two_recorders: bool
    """Whether two devices record it at once. One of them is shown live; recorded playlists list each moment once."""
    first_ms: int | None
    """Start of the oldest footage; null: none."""
    last_ms: int | None
    """End of the newest footage; null: none."""
    retired_ms: int | None
    """When it was taken out of use; null while it is in use. Newer footage brings it back."""
    disabled_ms: int | None
    """Since when it is not to be recorded; null: it is. A device that follows its site's configuration in the catalog stops recording it. Any other must be changed itself."""
    etag: str
    """Of its name and of whether it is disabled or retired: `If-Match` of a change."""
    width: int | None
    """Pixels of the newest footage; null: none."""
    height: int | None
    """Pixels of the newest footage; null: none."""
    labels_recent: list[LabelCount]
    """What was detected in the last 5 minutes, the highest count first."""


class CameraChange(TypedDict):
    """What changes of a camera. What is absent stays as it is."""

    name: NotRequired[str | None]
    """The new name."""
    disabled: NotRequired[bool | None]
    """Whether it is not to be recorded."""
    retired: NotRequired[bool | None]
    """Whether it is out of use: hidden from lists, its footage is kept."""


class CameraEvent(TypedDict):
    """`camera`: all cameras at the beginning, later those whose state changed."""

    now_ms: int
    """Time of the event."""
    cameras: list[StreamedCamera]


class Cameras(TypedDict):
    """A page of cameras, by id."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    now_ms: int
    """Time of the answer; ages are measured from it."""
    limits: Limits
    cameras: list[Camera]


class CaptureStatus(TypedDict):
    """A camera as its edge device sees it."""

    camera: str
    """tenant/site/camera"""
    state: Literal["recording", "connecting", "failing", "stopped"]
    """State of its capture."""
    since_ms: int
    """Since when it has been in this state (device's clock)."""
    detail: str
    """Text of the last error, or empty."""


class Chunk(TypedDict):
    """The joined fragments of one run that start in one window."""

    run: str
    """The run: a UUIDv7."""
    window_start_ms: int
    """Start of the window."""
    window_ms: int
    """Length of the window."""
    revision: int
    """Counts up when the chunk is made again."""
    start_ms: int
    """Start of its footage."""
    end_ms: int
    """End of its footage."""
    size_bytes: int
    """Size of the chunk."""
    digest: str
    """32 hex digits of what was joined; part of its address."""
    reason: Literal["complete", "run-ended", "grace", "idle", "late"]
    """Which rule made this revision due."""
    url: str
    """Where its bytes are: a path of this server."""


class Chunks(TypedDict):
    """The objects of a range, and what is missing."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    from_ms: int
    """Start of the range."""
    to_ms: int
    """End of the range (not included)."""
    chunks: list[Chunk]
    """Chunks that overlap the range, by window and run."""
    fragments: list[FragmentLink]
    """Fragments that are in no chunk yet. They come before the chunks."""
    gaps: list[Gap]
    """Of the whole range, on the first page only."""


class Command(TypedDict):
    """A command to a device, and its answer."""

    id: str
    """Its id."""
    device: str
    """tenant/site/device"""
    kind: Literal["snapshot", "live", "diagnostics", "restart-inference", "clock-check", "route-check"]
    """What the device was asked for."""
    camera: str | None
    """tenant/site/camera; null: of no camera."""
    sent_by: str
    """Who gave it."""
    sent_ms: int
    """When it was given."""
    deadline_ms: int
    """An answer after it does not count."""
    state: Literal["sent", "answered", "failed", "expired"]
    """sent: it waits for its answer; failed: the device says why in `detail`; expired: there was no answer in time. Only `sent` changes."""
    done_ms: int | None
    """Since when the state is final; null: it is not."""
    detail: str
    """The answer, or why there is none, in words."""
    result: dict[str, Any] | None
    """The answer's values, by kind; null: it has none."""
    body_type: str | None
    """Media type of the answer's picture or bundle; null: it has none."""
    body_bytes: int | None
    """Its size; null: there is none, or no more. It is kept for an hour."""


class Commands(TypedDict):
    """A page of a device's commands, the newest first."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    commands: list[Command]


class ConfigKeySuccessor(TypedDict):
    """A newer configuration key, signed by the key before it."""

    public_key: str
    """Ed25519, raw, in base64."""
    signed_by: str
    """Id of the key before it."""
    value: str
    """Signature in base64, over `vigil-config-key-v1`, zero, the key."""


class ConfigVersion(TypedDict):
    """A version of a site's configuration: who set it, when and why."""

    version: int
    """Counts up."""
    digest: str
    """SHA-256 of its document in hex."""
    set_ms: int
    """When it was set."""
    set_by: str
    """Who set it."""
    note: str
    """Why."""
    signed_by: str | None
    """Id of the configuration key; null: not signed."""


class ConfigVersions(TypedDict):
    """The versions of a site's configuration, newest first."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    versions: list[ConfigVersion]


class CostEstimate(TypedDict):
    """What an installation costs a month by list prices: no bill, no discount, no tax."""

    inputs: CostInputs
    """What it is computed of."""
    own: CostInputs
    """The installation as it is."""
    sources: list[InputSource]
    """Of each of `inputs`."""
    notes: list[str]
    """What a reader must know of the measured inputs."""
    cameras: int
    """All cameras."""
    usd: float
    """All of it."""
    own_usd: float
    """All of it for the installation as it is."""
    fixed_usd: float
    """What runs without any site."""
    variable_usd: float
    """What follows from sites and cameras."""
    per_site_usd: float
    """One more site, without its cameras."""
    per_camera_usd: float
    """One more camera."""
    services: list[ServiceCost]
    """The dearest first."""
    purposes: list[PurposeCost]
    added_share: float
    """What Vigil adds, of all."""
    kinesis_video_usd: float
    """Kinesis Video Streams for the same footage, without transport and sites."""
    comparable_usd: float
    """This installation without transport and sites."""
    lines: list[CostLine]
    levers: list[CostLever]
    """Those that save most first."""
    sub_stream_mbit_s: float
    """A usual rate of a camera's sub stream."""
    prices_written: str
    """The day on which the prices were written down."""
    prices_note: str
    """How far they can be trusted."""
    regions: list[Literal["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"]]
    """Regions with prices."""


class CostInputs(TypedDict):
    """What a bill is computed of."""

    sites: int
    """How many sites."""
    cameras_per_site: float
    """Cameras of a site on average."""
    mbit_s: float
    """10^6 bits a second of one camera, while it records."""
    retention_days: int
    """How long footage is kept, days."""
    uploaded_share: float
    """Share of the time that is uploaded."""
    uplink: Literal["vpn", "internet"]
    """How footage reaches S3."""
    fragment_s: float
    """Length of a fragment, s."""
    runs_per_day: float
    """How often a camera's recording starts again."""
    detections_per_hour: float
    """Batches of detections of a camera."""
    watched_hours: float
    """Hours of a camera that are watched in a month."""
    cold_class: Literal["standard", "standard-ia", "glacier-instant"]
    """S3's class for older footage."""
    cold_after_days: int
    """From this age on footage is in `cold_class`."""
    environment: Literal["production", "dev"]
    """Sizes of databases and brokers."""
    region: Literal["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"]
    """Whose prices."""


class CostLever(TypedDict):
    """A change of one thing, and what it saves. Levers do not add up."""

    name: str
    """What is changed."""
    change: str
    """From what to what."""
    effect: str
    """What else it does."""
    available: bool
    """Settings alone do it. false: Vigil has to be changed."""
    saves_usd: float
    """Less than 0: it costs more."""
    saves_share: float
    """Of all."""


class CostLine(TypedDict):
    """A line of the bill."""

    service: str
    """The service of AWS."""
    what: str
    """What is paid."""
    scale: Literal["installation", "site", "camera"]
    """What it follows from. `installation`: it is fixed."""
    purpose: Literal["storage", "network", "site", "added"]
    """What it is for."""
    amount: float
    """How much of the unit."""
    unit: str
    """Of the amount."""
    usd: float
    """Amount times price."""


class CreatedEnrolmentCode(TypedDict):
    """A code that was made just now."""

    id: int
    """Its number, in the audit log."""
    code: str
    """The code itself, for `vigil edge enrol`. It is shown once, and stored nowhere."""
    site: str
    """tenant/site"""
    device: str | None
    """tenant/site/device; null: of a new device."""
    expires_ms: int
    """When it expires."""


class CreatedKey(TypedDict):
    """A key that was created just now."""

    id: int
    """Its number."""
    name: str
    """Name of its owner."""
    hint: str
    """Its first characters."""
    state: Literal["valid", "expired", "revoked"]
    """Whether it is accepted."""
    grants: list[str]
    """What it may do, and where: role:scope."""
    edge_of: str | None
    """The site of a device's key; null: no device's."""
    networks: list[str] | None
    """Only clients of these networks may use it; null: any."""
    created_ms: int
    """When it was created."""
    created_by: str | None
    """Who created it, such as `user:3` or `key:1`; null: a command on the server."""
    expires_ms: int | None
    """When it expires; null: it does not."""
    revoked_ms: int | None
    """When it was revoked; null: it was not."""
    used_ms: int | None
    """Its last use, to the minute; null: none."""
    rotated_from: int | None
    """Number of the key that it replaces."""
    owner: str | None
    """The person whose key it is, such as `user:3`: it may do no more than he, and stops where he is disabled, erased, or refused by his provider. null: a service's or a device's."""
    key: str
    """The key itself. It is shown once, and stored nowhere."""


class CreatedUser(TypedDict):
    """A user that was created just now."""

    id: str
    """16 hex digits. The principal is `user:ID`."""
    login: str | None
    """null: he signs in by OpenID Connect only."""
    display_name: str
    """As lists show it."""
    scope: str
    """Who has `users:manage` on this scope manages him."""
    source: str
    """`local`, or `oidc`."""
    iss: str | None
    """Issuer of his OpenID provider; null: he is local."""
    disabled_ms: int | None
    """Since when he may not sign in; null: he may."""
    created_ms: int
    """When he was created."""
    updated_ms: int
    """Last change."""
    has_password: bool
    """Whether he has a password."""
    has_totp: bool
    """Whether he has a second factor."""
    grants: list[str]
    """His own: `role:scope`."""
    groups: list[str]
    """Ids of his groups."""
    group_grants: list[str]
    """What he has by his groups only."""
    password: str
    """It is shown once, and stored nowhere. He changes it."""


class CurrentRollout(TypedDict):
    """The rollout that devices follow, for those who may not see all of it."""

    id: int
    """Its number."""
    version: str
    """Version of its release."""
    state: Literal["running", "paused", "halted", "rolling-back", "finished", "rolled-back", "stopped"]
    """As in `/api/v1/rollouts`."""
    ring: Literal["lab", "canary", "early", "rest"]
    """The newest ring that is open."""


class DayBytes(TypedDict):
    """How much footage of a day is kept."""

    day_ms: int
    """Start of the day (UTC)."""
    size_bytes: int
    """All chunks of the day that are kept."""


class Detection(TypedDict):
    """One object in one frame."""

    at_ms: int
    """Time of the frame."""
    run: str
    """The run: a UUIDv7."""
    pts: int
    """Time of the frame in its run."""
    index: int
    """Its number among the objects of the frame."""
    model: str
    """The model that detected it."""
    model_version: str
    """The model's version."""
    label: str
    """What it is, such as `person`."""
    score: float
    """How sure the model is, 0 to 1."""
    box: list[float]
    """[x, y, width, height] in fractions of the frame, from its top left."""
    track: str | None
    """Objects with the same track are one object in successive frames."""


class DetectionCount(TypedDict):
    """The most objects of a label in one frame of a bucket."""

    at_ms: int
    """Start of the bucket, a multiple of `bucket_ms`."""
    label: str
    """What was detected."""
    count: int
    """The most objects in one frame."""


class DetectionEvent(TypedDict):
    """`detection`: at most 200 objects of one run and model, each sent once."""

    camera: str
    """tenant/site/camera"""
    run: str
    """The run: a UUIDv7."""
    model: str
    """The model that detected them."""
    model_version: str
    """The model's version."""
    detections: list[StreamedObject]


class Detections(TypedDict):
    """A page of detections, by time."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    detections: list[Detection]


class Device(TypedDict):
    """A device that was enrolled."""

    device: str
    """tenant/site/device"""
    site: str
    """tenant/site"""
    state: Literal["enrolled", "locked", "revoked"]
    """`locked`: two devices hold its identity. `revoked`: by an operator. Nothing that a locked or revoked device sends is accepted; it goes on recording."""
    detail: str | None
    """Why it is locked, in words; null: it is not."""
    generation: int
    """Of its newest certificate; each renewal adds one."""
    enrolled_ms: int
    """When its key was enrolled."""
    renewed_ms: int
    """When its newest certificate was issued."""
    expires_ms: int
    """When that certificate expires. The device renews it at half of its life, and until 30 days after its end."""
    locked_ms: int | None
    """When it was locked; null: it is not."""
    revoked_ms: int | None
    """When it was revoked; null: it is not."""


class DeviceCamera(TypedDict):
    """A camera as its device sees it."""

    camera: str | None
    """tenant/site/camera; null: not reported."""
    state: str | None
    """State of its capture."""
    detail: str | None
    """Text of the last error."""


class DeviceChange(TypedDict):
    """A revocation or an unlock."""

    why: str
    """Why, such as the number of a case: one line of text."""


class DeviceEvent(TypedDict):
    """`device`: all devices at the beginning, later those whose state changed."""

    now_ms: int
    """Time of the event."""
    devices: list[StreamedDevice]


class Devices(TypedDict):
    """A page of devices, by name."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    devices: list[Device]


class Edge(TypedDict):
    """The newest heartbeat of an edge device."""

    site: str
    """tenant/site"""
    edge: str
    """The device's name."""
    sent_ms: int
    """When the heartbeat was sent (device's clock)."""
    heard_ms: int
    """When it arrived (cloud's clock)."""
    software: str
    """Version of its software."""
    spool_bytes: int
    """Fragments on its disk."""
    spool_waiting: int
    """Fragments not yet uploaded."""
    spool_oldest_ms: int | None
    """Start of the oldest fragment not yet uploaded; null: none waits."""
    disk_free_bytes: int
    """Free on the disk of the fragments."""
    cameras: list[CaptureStatus]
    config_version: int | None
    """Version of the site's configuration in use; null: the device's own file."""
    config_state: Literal["current", "trying", "refused", "out-of-reach", "none"] | None
    """State of the site's configuration; null: the device requests none."""
    config_detail: str | None
    """Why, in words."""
    clock_state: Literal["synchronised", "unsynchronised", "unknown"] | None
    """Whether its clock is synchronised; null: not reported."""
    clock_error_ms: int | None
    """The largest error of a synchronised clock."""
    clock_trust: Literal["agreed", "wrong", "unconfirmed"] | None
    """Whether its clock agrees with the cloud's; null: not reported."""
    identity_state: Literal["enrolled", "locked", "revoked", "expired", "damaged"] | None
    """State of its identity; null: it is not enrolled, or it reports none."""
    identity_generation: int | None
    """Generation of its certificate."""
    identity_renew_ms: int | None
    """From when on its certificate is to be renewed."""
    identity_expires_ms: int | None
    """When its certificate expires."""
    link_since_ms: int | None
    """Since when it takes commands, by its link; null: it is not connected now."""


class Edges(TypedDict):
    """A page of edge devices, by site and name."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    now_ms: int
    """Time of the answer; ages are measured from it."""
    limits: Limits
    edges: list[Edge]


class EndEvent(TypedDict):
    """`end`: the server closes the stream. Connect again with the last id."""

    reason: Literal["restart", "signed-out", "not-allowed", "rights-changed", "unchecked"]
    """Why the stream ends."""


class FiringAlert(TypedDict):
    """An alert that fires now."""

    name: str
    """Its name; the runbook has a section for it."""
    severity: str
    """page: now. ticket: in working hours."""
    count: int
    """How many of it fire."""


class Fleet(TypedDict):
    """One device: what it runs, and its update in the current rollout."""

    device: str
    """tenant/site/device"""
    site: str
    """tenant/site"""
    ring: Literal["lab", "canary", "early", "rest"]
    """In the current rollout, else of the site's file."""
    hardware: str | None
    """Such as x86-64; null: it has no update agent, as the next four."""
    release: int | None
    """That it runs; null: by none that is known."""
    version: str | None
    """Of that release."""
    image: str | None
    """Digest of its recorder's image; null: not known."""
    system: str | None
    """Version of its system."""
    software: str | None
    """Version of its recorder, by its heartbeat."""
    state: Literal["pending", "waiting", "downloading", "installing", "checking", "succeeded", "returned", "failed", "refused"] | None
    """Of its update: `waiting` for its window or a lock, `returned`: the old version runs again, `refused`: nothing was changed. Null: it is not in the rollout."""
    reason: str | None
    """In words: what it waits for, or what is wrong."""
    behind: str | None
    """Why it does not run the release of the current rollout; null: it does."""
    fault: str | None
    """What a halt rule sees in it after its update; null: nothing."""
    changed_ms: int | None
    """Since when it is in that state."""
    window: str | None
    """Maintenance window of its site, in words; null: always."""
    lock: str | None
    """Why its site's updates are locked; null: they are not."""
    cameras: int | None
    """Cameras in its heartbeat; null: it sent none."""
    recording: int | None
    """How many of them record."""
    spool_waiting: int | None
    """Fragments not yet uploaded."""
    reported_ms: int | None
    """Newest report of its update agent."""
    heartbeat_ms: int | None
    """Newest heartbeat of its recorder."""


class FleetDevices(TypedDict):
    """A page of the fleet, by device."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    rollout: CurrentRollout | None
    """The active rollout, else the newest one that finished; null: there was none."""
    devices: list[Fleet]


class FootageAmount(TypedDict):
    """An amount of footage."""

    chunks: int
    """Chunks."""
    fragments: int
    """Fragments that are in no chunk."""
    size_bytes: int
    """Their size."""


class FootageEvent(TypedDict):
    """`footage`: cameras that have newer footage, every few seconds."""

    now_ms: int
    """Time of the event."""
    cameras: list[NewestFootage]


class FoundObject(TypedDict):
    """One object in one picture; its index in the list is the detection's index."""

    label: str
    """what it is, in the model's words"""
    score: float
    """confidence of the model, 1 is certain"""
    box: list[float]
    """x, y, width, height as fractions of the picture, from its top left"""
    track: NotRequired[str | None]
    """links detections of one object"""


class FragmentLink(TypedDict):
    """A fragment that is in no chunk yet."""

    run: str
    """The run: a UUIDv7."""
    seq: int
    """Its place in the run, from 0."""
    start_ms: int
    """Start of its footage."""
    end_ms: int
    """End of its footage."""
    url: str
    """Where its bytes are: a path of this server."""


class Gap(TypedDict):
    """Missing footage: [from_ms, to_ms)."""

    from_ms: int
    """Where it starts."""
    to_ms: int
    """Where it ends (not included)."""
    reason: str
    """Why: the reason in a chunk's manifest, else why the run before it ended, else `not yet explained`."""


class Group(TypedDict):
    """A group of users with the same grants."""

    id: str
    """16 hex digits."""
    name: str
    """As lists show it; one of its kind in the scope."""
    scope: str
    """Who has `users:manage` on this scope manages it."""
    created_ms: int
    """When it was created."""
    grants: list[str]
    """What its members have: `role:scope`."""
    members: list[str]
    """Ids of users."""


class GroupChange(TypedDict):
    """What to change; what is missing stays."""

    name: NotRequired[str | None]
    """The new name."""
    grants: NotRequired[list[str] | None]
    """All its grants."""
    members: NotRequired[list[str] | None]
    """Ids of all users in it. Members by OpenID Connect stay."""


class Groups(TypedDict):
    """A page of groups."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    groups: list[Group]
    """The groups, by id."""


class HeartbeatEvent(TypedDict):
    """`heartbeat`: nothing happened for 15 s."""

    now_ms: int
    """Time of the event."""


class Hold(TypedDict):
    """A legal hold: while it is in force, nothing that it covers is deleted."""

    id: int
    """Its number."""
    scope: str
    """tenant, tenant/site or tenant/site/camera"""
    from_ms: int
    """Start of the footage that it covers."""
    to_ms: int | None
    """End of that footage (not included); null: no end."""
    placed_by: str
    """Who placed it."""
    placed_ms: int
    """When it was placed."""
    why: str
    """Why it was placed."""
    lifted_by: str | None
    """Who lifted it; null while it is in force."""
    lifted_ms: int | None
    """When it was lifted; null while it is in force."""
    lifted_why: str | None
    """Why it was lifted, where that is known."""


class HoldRelease(TypedDict):
    """Why a hold is lifted."""

    why: str
    """Why, such as the number of a case: one line of text."""


class Holds(TypedDict):
    """A page of holds, the newest first."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    holds: list[Hold]


class InputSource(TypedDict):
    """Where an input is from."""

    name: Literal["sites", "cameras_per_site", "mbit_s", "retention_days", "uploaded_share", "uplink", "fragment_s", "runs_per_day", "detections_per_hour", "watched_hours", "cold_class", "cold_after_days", "environment", "region"]
    """Which input."""
    source: Literal["measured", "setting", "assumed", "given"]
    """`measured`: by the catalog. `setting`: a rule or setting of the installation. `assumed`: nothing here knows it. `given`: by the query."""


class Key(TypedDict):
    """An API key, without the key itself."""

    id: int
    """Its number."""
    name: str
    """Name of its owner."""
    hint: str
    """Its first characters."""
    state: Literal["valid", "expired", "revoked"]
    """Whether it is accepted."""
    grants: list[str]
    """What it may do, and where: role:scope."""
    edge_of: str | None
    """The site of a device's key; null: no device's."""
    networks: list[str] | None
    """Only clients of these networks may use it; null: any."""
    created_ms: int
    """When it was created."""
    created_by: str | None
    """Who created it, such as `user:3` or `key:1`; null: a command on the server."""
    expires_ms: int | None
    """When it expires; null: it does not."""
    revoked_ms: int | None
    """When it was revoked; null: it was not."""
    used_ms: int | None
    """Its last use, to the minute; null: none."""
    rotated_from: int | None
    """Number of the key that it replaces."""
    owner: str | None
    """The person whose key it is, such as `user:3`: it may do no more than he, and stops where he is disabled, erased, or refused by his provider. null: a service's or a device's."""


class KeyRotation(TypedDict):
    """How a key is replaced by a new one with the same name, grants and networks."""

    old_expires_ms: int
    """When the old key expires, UTC ms, within 31 days. Both are valid until then."""
    expires_ms: NotRequired[int | None]
    """When the new key expires, UTC ms. null: it lives as long as the old one did."""


class Keys(TypedDict):
    """A page of keys, the newest first."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    keys: list[Key]


class LabelCount(TypedDict):
    """A label that was detected lately."""

    label: str
    """What was detected, such as `person`."""
    count: int
    """The most objects of the label in one frame."""


class Limits(TypedDict):
    """From which age or size on something is late, silent or full. Clients need no own numbers."""

    recording_ms: int
    """Newest footage of at most this age: `recording`."""
    late_ms: int
    """Of at most this age: `late`; older: `offline`. Footage that waits longer on a device is late too."""
    edge_silent_ms: int
    """An edge device without a heartbeat for longer is silent."""
    disk_low_bytes: int
    """An edge device with less free space has a nearly full disk."""


class LiveDetectionFrame(TypedDict):
    """What was found in one picture."""

    at_ms: int
    """When the picture was taken, UTC ms."""
    objects: list[FoundObject]
    """Empty: analysed, nothing found."""


class LiveDetections(TypedDict):
    """What a model found in pictures that are shown now."""

    type: Literal["detections"]
    """Which message it is."""
    camera: str
    """tenant/site/camera"""
    model: str
    """The model that detected them."""
    model_version: str
    """The model's version."""
    frames: list[LiveDetectionFrame]
    """The pictures; late detections are left out."""


class LiveEndMessage(TypedDict):
    """The last message: why the picture ends."""

    type: Literal["end"]
    """Which message it is."""
    code: str
    """For programs, such as `device-offline`."""
    reason: str
    """For people."""


class LiveFormat(TypedDict):
    """How the pictures that follow are encoded."""

    type: Literal["format"]
    """Which message it is."""
    codecs: str
    """For MediaSource (RFC 6381): video, and audio where there is some."""
    width: int
    """Of the pictures, in pixels."""
    height: int
    """Of the pictures, in pixels."""
    note: str
    """For people: that the main stream is shown, because the sub stream fails."""


class Liveness(TypedDict):
    """The process runs."""

    status: Literal["up"]
    """Always `up`: else there is no answer."""


class LostEvent(TypedDict):
    """`lost`: detections between the event before and this one are not sent."""

    reason: str
    """Why they are not sent."""


class NewCamera(TypedDict):
    """A camera to register. Its site and tenant are created with it where they are missing."""

    id: str
    """tenant/site/camera"""
    name: str
    """Shown to people: one line of text, in any language. It is never HTML."""


class NewCommand(TypedDict):
    """What a device is asked for."""

    kind: Literal["snapshot", "diagnostics", "restart-inference", "clock-check", "route-check"]
    """snapshot: a JPEG of a camera now; diagnostics: a bundle without secrets; restart-inference: load the model again; clock-check and route-check: in words"""
    camera: NotRequired[str | None]
    """tenant/site/camera of the device's site: for snapshot only"""


class NewEnrolmentCode(TypedDict):
    """A code to make."""

    device: NotRequired[str | None]
    """Name of a device of the site that is enrolled again, with a new key; null: the code enrols a new device."""
    lifetime_ms: NotRequired[int]
    """How long it works."""


class NewGroup(TypedDict):
    """A group to create."""

    name: str
    """Shown to people: one line of text, in any language. It is never HTML."""
    scope: NotRequired[str]
    """`*`, tenant, tenant/site or tenant/site/camera: who has `users:manage` there manages it."""
    grants: NotRequired[list[str]]
    """What its members have."""
    members: NotRequired[list[str]]
    """Ids of users."""


class NewHold(TypedDict):
    """A hold to place."""

    scope: str
    """tenant, tenant/site or tenant/site/camera"""
    from_ms: int
    """Start of the footage to keep, UTC ms."""
    to_ms: NotRequired[int | None]
    """Its end (not included); null: no end."""
    why: str
    """Why, such as the number of a case: one line of text."""


class NewKeyRequest(TypedDict):
    """A key to create. No one gives what he does not have."""

    name: str
    """Name of the key's owner."""
    grants: list[str]
    """What it may do, and where. The key of a device has the one grant `edge:TENANT/SITE`."""
    expires_ms: NotRequired[int | None]
    """When it expires, UTC ms, within 366 days; null: never."""
    networks: NotRequired[list[str] | None]
    """Only clients of these may use it, such as `10.1.0.0/16`; null: any."""
    service: NotRequired[bool]
    """true: for a program that goes on without the person who creates the key. false: a user's own key, which ends with him. Keys that a service's key creates, and keys of devices, are never a person's."""


class NewPassword(TypedDict):
    """A password that was made just now."""

    password: str
    """It is shown once, and stored nowhere. He changes it."""


class NewRollout(TypedDict):
    """A rollout to start."""

    release: int
    """Number of the release."""
    lab: NotRequired[RingRules | None]
    """Thresholds; null: the default ones."""
    canary: NotRequired[RingRules | None]
    """As `lab`."""
    early: NotRequired[RingRules | None]
    """As `lab`."""
    rest: NotRequired[RingRules | None]
    """As `lab`."""
    why: str
    """Why, such as the number of a case: one line of text."""


class NewSite(TypedDict):
    """A site to create. Its tenant is created with it where it is missing."""

    id: str
    """tenant/site"""
    name: str
    """Shown to people: one line of text, in any language. It is never HTML."""
    zone: NotRequired[str]
    """IANA time zone, such as `Europe/Berlin`."""
    unsigned: NotRequired[Literal["accept", "warn", "refuse"]]
    """What is done with events that no device signed."""


class NewTenant(TypedDict):
    """A tenant to create."""

    id: str
    """Lower-case letters, digits and hyphens."""
    name: str
    """Shown to people: one line of text, in any language. It is never HTML."""


class NewUser(TypedDict):
    """A user to create. His password is made, and shown once."""

    login: str
    """Name for the sign-in: a-z, 0-9 and ._@+-. It is stored in lower case."""
    display_name: str
    """Shown to people: one line of text, in any language. It is never HTML."""
    scope: NotRequired[str]
    """`*`, tenant, tenant/site or tenant/site/camera: who has `users:manage` there manages it."""
    grants: NotRequired[list[str]]
    """What he may do, and where."""


class NewestFootage(TypedDict):
    """How far the footage of a camera reaches."""

    id: str
    """tenant/site/camera"""
    last_ms: int | None
    """End of its newest footage."""


class PasswordChange(TypedDict):
    """The person's own password."""

    password: str
    """The one so far."""
    new_password: str
    """12 to 128 characters; no common password."""
    totp: NotRequired[str | None]
    """A code, where there is a second factor."""


class PasswordProof(TypedDict):
    """Shows that it is the person, and not a browser that was left open."""

    password: str
    """The password."""
    totp: NotRequired[str | None]
    """A code, where there is a second factor."""


class PlacedHold(TypedDict):
    """A hold that was placed just now."""

    id: int
    """Its number."""
    scope: str
    """tenant, tenant/site or tenant/site/camera"""
    from_ms: int
    """Start of the footage that it covers."""
    to_ms: int | None
    """End of that footage (not included); null: no end."""
    placed_by: str
    """Who placed it."""
    placed_ms: int
    """When it was placed."""
    why: str
    """Why it was placed."""
    lifted_by: str | None
    """Who lifted it; null while it is in force."""
    lifted_ms: int | None
    """When it was lifted; null while it is in force."""
    lifted_why: str | None
    """Why it was lifted, where that is known."""
    pending_deletions: int
    """Deletions in its range that were decided before. Their remaining objects are kept in S3, but they are in the catalog no more."""


class PreviewAnswer(TypedDict):
    """What the next pass of retention deletes if the change is confirmed."""

    scope: str
    """tenant, tenant/site or tenant/site/camera"""
    days: int | None
    """The new rule; null: none of its own."""
    days_before: int | None
    """The rule in force; null: none of its own."""
    at_ms: int
    """The time by which ages were measured."""
    until_ms: int
    """Until when it can be confirmed."""
    etag: str
    """Send it as `If-Match` to confirm exactly this. Where anything else would be deleted by then, the answer is 412."""
    deleted: FootageAmount
    """All that is old enough by the new rule."""
    due: FootageAmount
    """The part that the present rules delete too."""
    held: FootageAmount
    """Old enough too, but kept by legal holds."""
    cameras: int
    """Number of cameras of which something is deleted."""
    camera_ids: list[str]
    """The first 100 of them, by id."""
    oldest_ms: int | None
    """Start of the oldest deleted footage."""
    newest_ms: int | None
    """End of the newest deleted footage."""
    holds: list[int]
    """Numbers of the holds that you may see and that cover a part of that time."""


class PreviewRequest(TypedDict):
    """A change of a rule to preview."""

    scope: str
    """tenant, tenant/site or tenant/site/camera"""
    days: int | None
    """The new rule; null: remove the scope's own rule, so that it follows a wider one or none."""


class Problem(TypedDict):
    """Why a request was not carried out (RFC 9457). Some kinds have more fields."""

    type: str
    """The kind: a path of this server with its text, or `about:blank` where the status says all."""
    title: str
    """The name of the kind."""
    status: int
    """The HTTP status."""
    detail: str
    """What is wrong, for people."""
    request_id: NotRequired[str]
    """Id of the request, also in `X-Request-Id`. Name it to who operates the server: its log and the audit log have it. Absent where the request cannot be read."""
    errors: NotRequired[list[dict[str, Any]]]
    """The wrong fields of a body."""


class ProgramStatus(TypedDict):
    """A program of the cloud, all its instances together."""

    program: str
    """The name of its job in Prometheus, without `vigil-`."""
    state: Literal["good", "degraded", "down", "unknown"]
    """`down`: no instance answers. `degraded`: one is not ready, does not answer, or works two minutes late. `unknown`: Prometheus does not say."""
    running: int
    """Instances that answer Prometheus."""
    known: int
    """Instances that Prometheus asks."""
    ready: int | None
    """Instances that process events; null: the program has no such state."""
    versions: list[str]
    """Versions that run; more than one in an upgrade."""
    lag_s: float | None
    """How long the oldest message waits for it; null: it reads none."""
    lag_messages: int | None
    """Messages in Kafka that it has not committed yet; null: it reads none."""
    seen_ms: int | None
    """When one last answered; null: not in a day."""


class PurposeCost(TypedDict):
    """What some lines are for."""

    purpose: Literal["storage", "network", "site", "added"]
    """`added`: all that Vigil adds."""
    text: str
    """The same in words."""
    usd: float
    """What it costs."""


class QueueStatus(TypedDict):
    """A queue of SQS, about, as the relay measures it each minute."""

    queue: Literal["events", "dead-letter"]
    """`events`: from the sites. `dead-letter`: what could not be read."""
    visible: int | None
    """Messages that wait; null: not known."""
    in_flight: int | None
    """Messages that a relay has; null: not known."""


class Readiness(TypedDict):
    """Whether the worker can answer requests."""

    status: Literal["ready", "not ready"]
    """`ready` if all checks are true."""
    checks: ReadyChecks
    warnings: list[str]
    """What an operator must correct, though the worker answers: such as a new certificate that cannot be used."""


class ReadyChecks(TypedDict):
    """What the worker needs."""

    stream: bool
    """Whether the worker has started."""
    catalog: bool
    """Whether the catalog answers."""


class RecoveryCodes(TypedDict):
    """Codes for a lost phone. They are shown once; each works once."""

    recovery_codes: list[str]
    """Each may be used once instead of a code."""


class Release(TypedDict):
    """A release. A command signs and adds it: `vigil fleet release add`."""

    number: int
    """Grows by one."""
    version: str
    """Such as 2.5.0."""
    oldest: int
    """It may follow this one and later ones. A device that runs it returns to none below."""
    images: dict[str, str]
    """Digest of the recorder's image, by hardware."""
    systems: dict[str, str]
    """Version of the system, by hardware; none where the system stays as it is."""
    signed_by: str
    """Id of the release key."""
    added_ms: int
    """When it was added."""
    added_by: str
    """Who added it."""
    note: str
    """What is new."""
    withdrawn_ms: int | None
    """Since when no device is given it; null: it is not withdrawn."""
    withdrawn_why: str | None
    """Why; null: it is not withdrawn."""


class Releases(TypedDict):
    """A page of releases, the newest first."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    releases: list[Release]


class RingRules(TypedDict):
    """What one ring needs."""

    success_percent: int
    """of its devices that must have succeeded"""
    error_percent: int
    """more devices with a fault halt the rollout"""
    soak_ms: int
    """how long that must last before the next ring opens"""


class Rollout(TypedDict):
    """A rollout of a release over the rings lab, canary, early (10 %) and rest."""

    id: int
    """Its number."""
    release: int
    """Number of the release that devices get."""
    version: str
    """Version of that release."""
    state: Literal["running", "paused", "halted", "rolling-back", "finished", "rolled-back", "stopped"]
    """`halted`: by a rule, which `reason` names. At most one rollout is `running`, `paused`, `halted` or `rolling-back`."""
    ring: Literal["lab", "canary", "early", "rest"]
    """The newest ring that is open."""
    reason: str
    """Why it is in this state, or how far its ring is, in words."""
    note: str
    """Of who started it."""
    soak_since_ms: int | None
    """Since when the ring has what it needs; null: it has not."""
    rules: RolloutRules
    """Thresholds of each ring."""
    started_ms: int
    """When it was started."""
    started_by: str
    """Who started it."""
    changed_ms: int
    """Since when it is in its state."""
    ring_ms: int
    """When its newest ring opened."""
    ended_ms: int | None
    """When it ended; null: it has not."""


class RolloutChange(TypedDict):
    """A pause, a resume, a rollback or an end."""

    why: str
    """Why, such as the number of a case: one line of text."""


class RolloutRules(TypedDict):
    """When rings open, and what halts a rollout."""

    lab: NotRequired[RingRules]
    canary: NotRequired[RingRules]
    early: NotRequired[RingRules]
    rest: NotRequired[RingRules]
    early_percent: NotRequired[int]
    """share of the devices in `early`"""
    silent_ms: NotRequired[int]
    """a device that says nothing for so long after its update is a fault"""
    stuck_ms: NotRequired[int]
    """an install or its health check that takes longer is a fault"""
    settle_ms: NotRequired[int]
    """after an update, before cameras and spool are compared"""
    backlog_ms: NotRequired[int]
    """a spool that grows, and whose oldest fragment is older, is a fault"""
    watch_ms: NotRequired[int]
    """how long after its update a device is watched"""
    absent_ms: NotRequired[int]
    """a device that was silent for so long before is not waited for"""


class Rollouts(TypedDict):
    """A page of rollouts, the newest first."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    rollouts: list[Rollout]


class Rule(TypedDict):
    """How long footage of a scope is kept. The most specific rule counts."""

    scope: str
    """tenant, tenant/site or tenant/site/camera"""
    days: int
    """Age in days of 24 h from which on footage is deleted."""
    set_by: str
    """Who set it."""
    set_ms: int
    """When it was set."""


class RuleChange(TypedDict):
    """A rule to set."""

    days: int
    """Age in days of 24 h from which on footage is deleted."""


class Rules(TypedDict):
    """A page of rules, by scope."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    rules: list[Rule]


class Run(TypedDict):
    """The unbroken recording of one capture session."""

    run: str
    """The run: a UUIDv7."""
    started_ms: int
    """Time of its first picture."""
    ended_ms: int | None
    """End of its last fragment; null: it records, or its end is not known."""
    reason: str | None
    """Why it ended; null while `ended_ms` is."""
    last_seq: int | None
    """Number of its last fragment, -1: it has none; null while `ended_ms` is."""
    given_up: int
    """Fragments that the device deleted before they were uploaded: its disk was full."""
    edge: str | None
    """The device that recorded it, where that is known."""
    stream: str | None
    """`main` or `sub`, where that is known."""


class Runs(TypedDict):
    """A page of runs, by start."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    runs: list[Run]


class ScopePermissions(TypedDict):
    """What the caller may do below a scope."""

    scope: str
    """`*`, tenant, tenant/site or tenant/site/camera."""
    permissions: list[str]
    """Such as `footage:read`."""


class ScopeRule(TypedDict):
    """The rule of a scope, and the one that it follows."""

    scope: str
    """tenant, tenant/site or tenant/site/camera"""
    days: int | None
    """Its own rule; null: it has none."""
    followed_scope: str | None
    """The scope whose rule it follows: its own, or a wider one; null: none."""
    followed_days: int | None
    """The days of that rule; null: footage is kept forever."""


class SecondFactor(TypedDict):
    """A scope in which people need a second factor whose roles change or export something."""

    scope: str
    """`*` or a tenant."""
    set_by: str
    """Who required it; empty where you do not manage the scope."""
    set_ms: int
    """When it was required."""


class SecondFactorRules(TypedDict):
    """A page of the rules that concern what the caller manages, by scope."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    rules: list[SecondFactor]


class ServiceCost(TypedDict):
    """A service of AWS."""

    service: str
    """Its name."""
    usd: float
    """All of it."""
    fixed_usd: float
    """Without any site."""
    sites_usd: float
    """What follows from the sites."""
    cameras_usd: float
    """What follows from the cameras."""


class ServiceLevel(TypedDict):
    """A promise, and whether it holds. Of one for each site, the worst site counts."""

    name: str
    """Its name in ops/slo/vigil.yaml."""
    title: str
    """What is promised."""
    objective: float
    """The share that has to be good."""
    reached: float | None
    """The share that was good in the last 30 days."""
    budget: float | None
    """What is left of the error budget: 1 is all, 0 none, below 0 it is used up."""
    site: str | None
    """The worst site; null: it is not for each site."""


class Session(TypedDict):
    """An open session."""

    id: str
    """It opens nothing."""
    user: str | None
    """Id of the user; null: an API key signed in."""
    key: int | None
    """Number of the API key; null: a user signed in."""
    current: bool
    """Whether this request uses it."""
    created_ms: int
    """The sign-in."""
    seen_ms: int
    """The last request, to the minute."""
    until_ms: int
    """When it ends even if it is in use."""
    address: str
    """Of the browser at the sign-in."""
    agent: str
    """`User-Agent` of the browser at the sign-in."""


class SessionInfo(TypedDict):
    """Who is signed in, and what he may do."""

    id: str
    """The principal: `user:ID` or `key:NUMBER`."""
    name: str
    """Name of the key or the user."""
    login: str | None
    """Of a user with a password; null: none."""
    grants: list[str]
    """What it may do where: `role:scope`."""
    may: list[ScopePermissions]
    """The permissions of the grants, by scope."""
    session: str | None
    """Id of the session; null: the key came directly."""
    has_password: bool
    """Whether it is a user who can change his password."""
    has_totp: bool
    """Whether it is a user with a second factor."""
    must_enrol: bool
    """Whether his roles need a second factor, and he has none. Then all else answers 403 of the kind `second-factor-required`."""
    recovery_codes: int | None
    """How many are left; null: there is no second factor."""


class SessionList(TypedDict):
    """Open sessions, the newest first; at most 1,000."""

    sessions: list[Session]


class SignInProvider(TypedDict):
    """An OpenID provider by which people can sign in."""

    id: str
    """Its id in the configuration."""
    name: str
    """Text of its button."""
    path: str
    """Where a browser begins the sign-in. `?next=/PATH` names the page to show then."""


class SignInProviders(TypedDict):
    """The providers, in the order of the configuration."""

    providers: list[SignInProvider]
    """Empty where none is configured."""


class SignInRequest(TypedDict):
    """Either `login` and `password`, and `totp` where the user has a second factor; or `key`."""

    login: NotRequired[str | None]
    """Login of a user."""
    password: NotRequired[str | None]
    """His password."""
    totp: NotRequired[str | None]
    """Code of his authenticator app, or a recovery code. Where it is missing, the answer is 401 of the kind `code-required`."""
    key: NotRequired[str | None]
    """An API key, instead of a login."""


class SignedSiteConfig(TypedDict):
    """A site's newest configuration as it was signed. `document` has the disabled cameras, too."""

    version: int
    """Counts up."""
    digest: str
    """SHA-256 of `document` in hex."""
    document: str
    """Canonical JSON as a string, at most 1 MiB."""
    signature: SiteConfigSignature | None
    """null: it was not signed."""
    disabled: list[str]
    """Cameras of `document` that the device leaves out. Not part of what is signed."""
    successors: list[ConfigKeySuccessor]
    """Rotations of the configuration key, the oldest first."""


class Site(TypedDict):
    """The premises of a tenant."""

    id: str
    """tenant/site"""
    tenant: str
    """First part of the id."""
    site: str
    """Second part of the id."""
    name: str
    """Shown to people."""
    zone: str
    """IANA time zone in which its times are shown; `UTC` where no one set one."""
    unsigned: Literal["accept", "warn", "refuse"]
    """What is done with events that no device signed: `accept`, `warn` (accept, count and log) or `refuse` (to the dead letters)."""
    created_ms: int
    """When it was created."""


class SiteBytes(TypedDict):
    """How much footage of a site is kept."""

    site: str
    """tenant/site"""
    cameras: int
    """Cameras with footage."""
    size_bytes: int
    """All chunks."""
    added_bytes: int
    """A day: the average of the last 7 whole days (UTC)."""
    oldest_ms: int
    """The oldest day (UTC) with footage."""


class SiteChange(TypedDict):
    """What changes of a site. What is absent stays as it is."""

    name: NotRequired[str | None]
    """The new name."""
    zone: NotRequired[str | None]
    """The new IANA time zone."""
    unsigned: NotRequired[Literal["accept", "warn", "refuse"] | None]
    """What is done with events that no device signed, from now on."""


class SiteConfig(TypedDict):
    """A site's newest configuration."""

    version: int
    """Counts up."""
    digest: str
    """SHA-256 of `document` in hex."""
    document: str
    """Canonical JSON as a string, at most 1 MiB."""


class SiteConfigSignature(TypedDict):
    """Who signed a configuration, and from when it holds."""

    key: str
    """Id of the configuration key."""
    not_before_ms: int
    """UTC. A device waits until then."""
    value: str
    """Ed25519 in base64, over `vigil-config-v1`, site, version, `not_before_ms` and `document`, each but the last with a zero byte after it."""


class SiteStatus(TypedDict):
    """A site, by what the catalog expects of it."""

    site: str
    """tenant/site"""
    cameras: int
    """Cameras in use that have footage."""
    cameras_sending: int
    """Of these: with footage of the last minute."""
    edges: int
    """Edge devices."""
    edges_online: int
    """Of these: with a heartbeat in three minutes."""
    unsigned: Literal["accept", "warn", "refuse"]
    """What it does with events that no device signed."""


class Sites(TypedDict):
    """A page of sites, by id."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    sites: list[Site]


class Status(TypedDict):
    """The state of the installation."""

    at_ms: int
    """When it was read."""
    version: str
    """Version of the worker that answers."""
    metrics: Literal["good", "not-set", "down"]
    """Whether Prometheus answers. `not-set`: VIGIL_PROMETHEUS_URL is empty; then programs, service levels and alerts are unknown."""
    programs: list[ProgramStatus]
    stores: list[StoreStatus]
    site_count: int
    """How many sites there are."""
    sites: list[SiteStatus]
    """Sites that need attention, those with most missing first: a camera does not send, a device is offline, or unsigned events are not refused."""
    queues: list[QueueStatus]
    storage: StorageStatus | None
    """null: the catalog does not answer."""
    backups: BackupStatus
    service_levels: list[ServiceLevel]
    alerts: list[FiringAlert]
    """Those that page first."""
    audit_signed_ms: int | None
    """When heads of the audit log were last signed; null: unknown, or never."""


class StorageStatus(TypedDict):
    """How much footage is kept, by the catalog. Fragments without a chunk are not in it."""

    size_bytes: int
    """All chunks."""
    added_bytes: int
    """A day: the average of the last 7 whole days (UTC)."""
    deleted_bytes: int | None
    """A day, for age, by Prometheus: the average of 7 days; null: not known."""
    site_count: int
    """Sites with footage."""
    sites: list[SiteBytes]
    """The largest first."""
    days: list[DayBytes]
    """The last 31 days and today, with footage."""


class StoreStatus(TypedDict):
    """A service that the programs use."""

    store: Literal["postgresql", "kafka", "s3", "sqs"]
    """Which one."""
    state: Literal["good", "degraded", "down", "unknown"]
    """`down`: it does not answer this worker. `degraded`: more than 1 in 20 calls fail. `unknown`: no program has asked it in the last 5 minutes."""
    calls_per_s: float | None
    """Calls of all programs a second."""
    failed: float | None
    """Share of the calls that fail."""
    p95_s: float | None
    """95 % of its calls are answered within this time."""


class StreamedCamera(TypedDict):
    """The state of a camera."""

    id: str
    """tenant/site/camera"""
    state: Literal["new", "recording", "late", "offline", "removed"]
    """As of a camera; `removed`: not registered any more."""
    since_ms: int
    """Since when it is in this state."""
    last_ms: int | None
    """End of its newest footage."""
    retired_ms: int | None
    """When it was taken out of use; null while it is in use."""
    two_recorders: bool
    """Whether two devices record it at once."""


class StreamedDevice(TypedDict):
    """The state of an edge device."""

    site: str
    """tenant/site"""
    edge: str
    """The device's name."""
    state: Literal["ok", "silent", "removed"]
    """`silent`: no heartbeat for `edge_silent_ms`; `removed`: not known any more."""
    heard_ms: int
    """When its newest heartbeat arrived."""
    software: str
    """Version of its software."""
    spool_waiting: int
    """Fragments not yet uploaded."""
    disk_free_bytes: int
    """Free on the disk of the fragments, bytes."""
    disk_low: bool
    """Whether that disk is nearly full."""
    config_version: int | None
    """Version of the site's configuration in use; null: the device's own file."""
    config_state: str | None
    """State of the site's configuration."""
    config_detail: str | None
    """Why, in words."""
    clock_state: str | None
    """Whether its clock is synchronised; null: not reported."""
    cameras: list[DeviceCamera]


class StreamedObject(TypedDict):
    """One object in one frame."""

    at_ms: int
    """Time of the frame."""
    pts: int
    """Time of the frame in its run, 1/90000 s."""
    index: int
    """Its number among the objects of the frame."""
    label: str
    """What it is, such as `person`."""
    score: float
    """How sure the model is, 0 to 1."""
    box: list[float]
    """[x, y, width, height] in fractions of the frame, from its top left."""
    track: str | None
    """Objects with the same track are one object in successive frames."""


class Tenant(TypedDict):
    """A customer."""

    id: str
    """The tenant, as in ids of its cameras."""
    name: str
    """Shown to people."""
    created_ms: int
    """When it was created."""


class TenantChange(TypedDict):
    """What changes of a tenant."""

    name: str
    """Shown to people: one line of text, in any language. It is never HTML."""


class Tenants(TypedDict):
    """A page of tenants, by id."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    tenants: list[Tenant]


class Timeline(TypedDict):
    """Recorded time, gaps, and counts of detections."""

    from_ms: int
    """Start of the range."""
    to_ms: int
    """End of the range (not included)."""
    bucket_ms: int
    """Length of a bucket. Above a minute it is whole minutes; ranges above 6 hours have none below a minute."""
    covered: list[list[int]]
    """Recorded time as [from, to). Holes below 150 ms are closed."""
    gaps: list[Gap]
    """From the camera's first footage on. At the live edge, missing time becomes a gap after `late_ms`, or after `recording_ms` where the run has ended."""
    detections: list[DetectionCount]


class TotpConfirmation(TypedDict):
    """A first code of the authenticator app."""

    totp: str
    """The code that the app shows."""


class TotpEnrolment(TypedDict):
    """The secret for the authenticator app. It is shown once."""

    secret: str
    """Base 32, to type in."""
    uri: str
    """`otpauth:` address, for a QR code."""


class UpdateLock(TypedDict):
    """A lock of a site's updates."""

    why: str | None
    """Why nothing is installed; null: the lock ends."""


class UpdateLockAnswer(TypedDict):
    """The lock of a site's updates."""

    site: str
    """tenant/site"""
    lock: str | None
    """Why nothing is installed; null: it is not locked."""


class User(TypedDict):
    """A user. Grants and groups that the caller does not manage are left out."""

    id: str
    """16 hex digits. The principal is `user:ID`."""
    login: str | None
    """null: he signs in by OpenID Connect only."""
    display_name: str
    """As lists show it."""
    scope: str
    """Who has `users:manage` on this scope manages him."""
    source: str
    """`local`, or `oidc`."""
    iss: str | None
    """Issuer of his OpenID provider; null: he is local."""
    disabled_ms: int | None
    """Since when he may not sign in; null: he may."""
    created_ms: int
    """When he was created."""
    updated_ms: int
    """Last change."""
    has_password: bool
    """Whether he has a password."""
    has_totp: bool
    """Whether he has a second factor."""
    grants: list[str]
    """His own: `role:scope`."""
    groups: list[str]
    """Ids of his groups."""
    group_grants: list[str]
    """What he has by his groups only."""


class UserChange(TypedDict):
    """What to change; what is missing stays."""

    display_name: NotRequired[str | None]
    """The new name."""
    disabled: NotRequired[bool | None]
    """Whether he may not sign in."""
    grants: NotRequired[list[str] | None]
    """All his own grants that you manage. Others stay as they are."""


class Users(TypedDict):
    """A page of users."""

    next: str | None
    """`cursor` of the next page; null: this is the last one."""
    users: list[User]
    """The users, by id."""
