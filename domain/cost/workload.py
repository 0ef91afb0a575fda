"""What is asked: how much is recorded, how long it is kept, how it is uploaded."""

from dataclasses import dataclass, field
from typing import Literal

from domain.errors import ConfigError
from domain.window_rules import WindowRules

Uplink = Literal["vpn", "internet"]
StorageClass = Literal["standard", "standard-ia", "glacier-instant"]


@dataclass(frozen=True, slots=True)
class Platform:
    """What exists whether a camera records or not. Defaults: terraform/environments/production."""

    zones: int = 3
    nat_gateways: int = 3
    interface_endpoints: int = 15
    """Of the network module, with that of S3 for sites; each in every zone."""
    broker_type: str = "kafka.m7g.large"
    brokers: int = 3
    broker_disk_gb: int = 200
    replication: int = 3
    database_class: str = "db.m7g.xlarge"
    database_zones: int = 2
    database_gb: int = 200
    node_type: str = "m7i.large"
    node_cores: int = 2
    nodes: int = 4
    """The fewest. More follow from the cameras' CPU."""
    load_balancers: int = 2
    resolver_addresses: int = 3
    log_gb: float = 40.0
    """Logs a month of control plane, brokers and programs that follow no camera (an estimate)."""
    alarms: int = 20
    kms_keys: int = 12
    secrets: int = 14
    image_gb: int = 20
    private_ca: bool = True
    """The CA of the sites' gateways."""


DEV = Platform(
    nat_gateways=1,
    broker_type="kafka.t3.small",
    broker_disk_gb=50,
    database_class="db.t4g.medium",
    database_zones=1,
    database_gb=50,
    nodes=2,
    log_gb=10.0,
)
PLATFORMS = {"production": Platform(), "dev": DEV}


@dataclass(frozen=True, slots=True)
class Workload:
    """One installation. Times in the unit of their names; rates for one camera."""

    sites: int = 50
    cameras_per_site: float = 16
    """On average: with `sites`, it gives all cameras."""
    mbit_s: float = 4.0
    """Of a camera's recording, 10^6 bits a second: what the fragments' bytes say."""
    retention_days: int = 30
    uploaded_share: float = 1.0
    """Of the time that is uploaded: 1 for all of it, less for events alone."""
    uplink: Uplink = "vpn"
    fragment_s: float = 4.0
    keyframe_s: float = 2.0
    audio: bool = True
    signed: bool = True
    """Whether devices are enrolled, so that each event has a signature."""
    rules: WindowRules = field(default_factory=WindowRules)
    heartbeat_s: float = 10.0
    devices_per_site: int = 1
    runs_per_day: float = 1.0
    """How often a camera's connection, or its device, starts again."""
    detections_per_hour: float = 60.0
    """Batches of detections that a camera sends."""
    watched_hours: float = 2.0
    """Hours of a camera that people watch over the internet in a month."""
    joined_margin_h: float = 1.0
    retention_every_h: float = 1.0
    reconcile_every_h: float = 1.0
    part_bytes: int = 5 << 20
    max_put_bytes: int = 32 << 20
    """A chunk up to this size is one PUT, a larger one is uploaded in parts."""
    event_retention_h: int = 168
    commit_interval_s: float = 1.0
    tick_s: float = 5.0
    partitions: int = 64
    relays: int = 3
    relay_receivers: int = 4
    relay_wait_s: float = 2.0
    cold_class: StorageClass = "standard"
    cold_after_days: int = 30
    """From this age on, chunks are in `cold_class`."""
    platform: Platform = field(default_factory=Platform)

    def __post_init__(self) -> None:
        """Raise ConfigError for what no installation is."""
        for name, low, high in (
            ("sites", 1, 100_000), ("cameras_per_site", 1, 1_000), ("mbit_s", 0.01, 200),
            ("retention_days", 1, 36_500), ("uploaded_share", 0.001, 1),
            ("fragment_s", 2, 10), ("heartbeat_s", 1, 3_600),
            ("runs_per_day", 0, 100_000), ("detections_per_hour", 0, 100_000),
            ("watched_hours", 0, 730), ("cold_after_days", 0, 36_500),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} must be {low:,} to {high:,}, not {value:,}.")

    @property
    def cameras(self) -> int:
        """All cameras."""
        return round(self.sites * self.cameras_per_site)

    @property
    def devices(self) -> int:
        """All edge devices."""
        return self.sites * self.devices_per_site

    @property
    def bytes_per_hour(self) -> float:
        """Footage of one camera that is uploaded in an hour, on average."""
        return self.mbit_s * 1e6 / 8 * 3_600 * self.uploaded_share
