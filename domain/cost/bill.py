"""The bill of a month: rates times prices, as lines by service.

Each line says whether it follows from the installation, a site or a camera, and what it is for:

    storage   footage in S3 for as long as it is kept
    network   the way of footage from the sites, and out to people
    site      a site's connection, whatever it uploads
    added     all that Vigil adds: requests, queues, databases, programs, a second copy for a day
"""

import math
from dataclasses import dataclass
from typing import Literal

from domain.cost.prices import Prices
from domain.cost.rates import Rates, hourly
from domain.cost.workload import Workload

HOURS = 730.0
"""Of a month, as AWS counts."""
DAYS = HOURS / 24
GB = float(1 << 30)
WIRE_FACTOR = 1.06
"""Bytes through a VPN for each byte of footage: TLS, TCP, IP and ESP."""
ACK_SHARE = 0.01
"""Bytes back to the site for each byte of footage: acknowledgements."""
RECORD_OVERHEAD = 70
"""Bytes of a record on a broker's disk besides key, value and headers: a batch of its own."""
ROW_BYTES = {"chunks": 1_350.0, "detections": 900.0, "runs": 400.0}
"""With indexes. Measured, see docs/design/cost.md; of chunks without their fragments."""
CHUNK_FRAGMENT_BYTES = 90.0
"""What each fragment adds to a chunk's row. Measured."""
CPU_S_PER_HOUR = 1.6
CPU_S_PER_MB = 0.0028
"""CPU of the programs in the cloud for a camera-hour, and for each MB of its footage that is
joined. Measured: docs/benchmarks.md, fleet and join."""
NODE_LOAD = 0.6
"""Of a node's cores, at most."""
BASE_CORES = 2.0
"""Programs that work without a camera, system pods."""
SERIES_PER_CAMERA = 15
SCRAPE_S = 30
LOG_BYTES_PER_CHUNK = 900
"""Lines of the assembler and the joiner for one chunk."""
SITE_ALARMS = 3

Scale = Literal["installation", "site", "camera"]
Purpose = Literal["storage", "network", "site", "added"]
Kind = tuple[Scale, Purpose]
INSTALLATION_ADDED: Kind = ("installation", "added")
INSTALLATION_SITE: Kind = ("installation", "site")
SITE_SITE: Kind = ("site", "site")
CAMERA_STORAGE: Kind = ("camera", "storage")
CAMERA_NETWORK: Kind = ("camera", "network")
CAMERA_ADDED: Kind = ("camera", "added")
PURPOSES: dict[Purpose, str] = {
    "storage": "footage in S3",
    "network": "transport of footage",
    "site": "connection of the sites",
    "added": "what Vigil adds",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line: dollars a month of the whole installation."""

    service: str
    what: str
    scale: Scale
    purpose: Purpose
    amount: float
    unit: str
    usd: float


@dataclass(frozen=True, slots=True)
class Bill:
    """All lines of a month."""

    workload: Workload
    prices: Prices
    lines: tuple[Line, ...]

    @property
    def usd(self) -> float:
        """All of it."""
        return sum(line.usd for line in self.lines)

    def by_scale(self, scale: Scale) -> float:
        """Return what follows from the installation, the sites or the cameras."""
        return sum(line.usd for line in self.lines if line.scale == scale)

    def by_purpose(self, purpose: Purpose) -> float:
        """Return what one purpose costs."""
        return sum(line.usd for line in self.lines if line.purpose == purpose)

    @property
    def per_camera(self) -> float:
        """What one more camera costs."""
        return self.by_scale("camera") / self.workload.cameras

    @property
    def per_site(self) -> float:
        """What one more site costs, without its cameras."""
        return self.by_scale("site") / self.workload.sites

    @property
    def added_share(self) -> float:
        """What Vigil adds, of all."""
        return self.by_purpose("added") / self.usd

    def services(self) -> dict[str, float]:
        """Return dollars by service, the dearest first."""
        found: dict[str, float] = {}
        for line in self.lines:
            found[line.service] = found.get(line.service, 0.0) + line.usd
        return dict(sorted(found.items(), key=lambda each: -each[1]))

    @property
    def kinesis_video_usd(self) -> float:
        """Kinesis Video Streams for the same footage: taken in, stored, watched by HLS.

        Without the network and the sites, which it needs as well; without search, rights, pages.
        """
        workload, prices = self.workload, self.prices
        taken_in = workload.cameras * workload.bytes_per_hour * HOURS / GB
        stored = workload.cameras * workload.bytes_per_hour * workload.retention_days * 24 / GB
        watched = workload.cameras * _watched_gb(workload)
        return (
            taken_in * prices.kvs_ingest
            + stored * prices.kvs_stored
            + watched * prices.kvs_read_hls
        )


def bill(workload: Workload, prices: Prices) -> Bill:
    """Return the bill of a month, in a steady state: as much is deleted as is recorded."""
    made = _Lines(workload, prices, hourly(workload))
    made.storage()
    made.requests()
    made.network()
    made.queue()
    made.kafka()
    made.database()
    made.cluster()
    made.observability()
    made.others()
    return Bill(workload, prices, tuple(made.lines))


def kept_gb(workload: Workload) -> float:
    """Return the footage of one camera that S3 holds, GB."""
    return workload.bytes_per_hour * 24 * workload.retention_days / GB


def kafka_gb(workload: Workload, rates: Rates) -> float:
    """Return what Kafka keeps of one camera, GB, all replicas: events by age, tombstones a year."""
    hours = dict.fromkeys(rates.records, workload.event_retention_h)
    hours |= {
        "open-windows": 1,
        "deleted": 8_760,
        "deleted-fragments": 8_760,
    }  # compacted each hour; never deleted
    size = sum(
        (rates.record_bytes[name] + count * RECORD_OVERHEAD) * hours[name]
        for name, count in rates.records.items()
    )
    return size * workload.uploaded_share * workload.platform.replication / GB


def database_gb(workload: Workload, rates: Rates) -> float:
    """Return what PostgreSQL keeps of one camera, GB."""
    fragments = workload.rules.window_ms / 1_000 / workload.fragment_s
    size = ROW_BYTES | {"chunks": ROW_BYTES["chunks"] + CHUNK_FRAGMENT_BYTES * fragments}
    hourly_bytes = sum(count * size[name] for name, count in rates.rows.items())
    return hourly_bytes * workload.uploaded_share * 24 * workload.retention_days / GB


def sqs_requests(workload: Workload, rates: Rates) -> dict[str, float]:
    """Return requests to SQS of the whole installation in an hour, by kind.

    A device sends what waits, at once: one request for nearly each message. A relay deletes what
    one receive gave it. A receive without messages ends after its wait, and costs as much.
    """
    messages = sum(rates.messages.values()) * workload.uploaded_share * workload.cameras
    receivers = workload.relays * workload.relay_receivers
    each = messages / 3_600 / receivers * workload.relay_wait_s
    received = messages / -math.expm1(-each) if each > 1e-9 else receivers * 3_600 / 2
    # Each relay measures both queues once a minute.
    return {
        "send": messages,
        "receive": received,
        "delete": messages,
        "measure": workload.relays * 2 * 60.0,
    }


def _watched_gb(workload: Workload) -> float:
    """Return what people watch of one camera in a month, GB."""
    return workload.mbit_s * 1e6 / 8 * 3_600 * workload.watched_hours / GB


class _Lines:
    """Collects the lines."""

    def __init__(self, workload: Workload, prices: Prices, rates: Rates) -> None:
        self.workload = workload
        self.prices = prices
        self.rates = rates
        self.lines: list[Line] = []
        self._recorded_h = HOURS * workload.uploaded_share * workload.cameras
        """Camera-hours that are uploaded in a month."""
        self._uploaded_gb = workload.cameras * workload.bytes_per_hour * HOURS / GB

    def _add(
        self, service: str, what: str, kind: Kind, quantity: tuple[float, str], price: float
    ) -> None:
        (scale, purpose), (amount, unit) = kind, quantity
        if amount * price:
            self.lines.append(Line(service, what, scale, purpose, amount, unit, amount * price))

    def storage(self) -> None:
        """Footage while it is kept, by class, and fragments until their chunk is checked."""
        workload, prices = self.workload, self.prices
        kept = workload.cameras * kept_gb(workload)
        cold_days = 0
        if workload.cold_class != "standard":
            cold_days = max(0, workload.retention_days - workload.cold_after_days)
        cold = kept * cold_days / workload.retention_days
        self._standard("S3 storage", "chunks, Standard", "storage", kept - cold)
        if cold_days:
            self._cold(cold, cold_days)
        # A chunk's fragments are a second copy until retention deletes them.
        copied_h = workload.rules.window_ms / 3_600_000 + workload.joined_margin_h
        copied_h += workload.retention_every_h / 2
        copies = workload.cameras * workload.bytes_per_hour * copied_h / GB
        self._add(
            "S3 storage",
            "fragments until retention deletes them",
            CAMERA_ADDED,
            (copies, "GB-month"),
            prices.s3_standard[0][1],
        )
        manifests = self.rates.manifest_bytes * self.rates.rows["chunks"] * 24
        self._add(
            "S3 storage",
            "manifests",
            CAMERA_ADDED,
            (
                workload.cameras
                * workload.uploaded_share
                * manifests
                * workload.retention_days
                / GB,
                "GB-month",
            ),
            prices.s3_standard[0][1],
        )

    def _standard(self, service: str, what: str, purpose: Purpose, gb: float) -> None:
        usd, below = 0.0, 0.0
        for limit, price in self.prices.s3_standard:
            usd += max(0.0, min(gb, limit) - below) * price
            below = limit
        if gb:
            self.lines.append(Line(service, what, "camera", purpose, gb, "GB-month", usd))

    def _cold(self, gb: float, days: int) -> None:
        """Add an older share in a cheaper class, which bills a shortest time, and its moves."""
        workload, prices = self.workload, self.prices
        ia = workload.cold_class == "standard-ia"
        price = prices.s3_standard_ia if ia else prices.s3_glacier_instant
        billed = gb * max(1.0, (30 if ia else 90) / days)
        name = "Standard-IA" if ia else "Glacier Instant Retrieval"
        self._add("S3 storage", f"chunks, {name}", CAMERA_STORAGE, (billed, "GB-month"), price)
        moves = self._recorded_h * self.rates.rows["chunks"]
        move_price = prices.s3_ia_transition_1k if ia else prices.s3_glacier_instant_transition_1k
        self._add(
            "S3 requests",
            f"moves to {name}",
            CAMERA_ADDED,
            (moves / 1_000, "1,000 requests"),
            move_price,
        )
        read = workload.cameras * _watched_gb(workload) * days / workload.retention_days
        self._add(
            "S3 requests",
            f"reads from {name}",
            CAMERA_ADDED,
            (read, "GB"),
            prices.s3_ia_retrieval if ia else prices.s3_glacier_instant_retrieval,
        )

    def requests(self) -> None:
        """Requests to S3. Deletes are free; reads by people are few and left out."""
        prices, hours = self.prices, self._recorded_h
        for what, names in (("PUT", self.rates.put), ("LIST", self.rates.list)):
            for name, count in names.items():
                self._add(
                    "S3 requests",
                    f"{what}, {name}",
                    CAMERA_ADDED,
                    (count * hours / 1_000, "1,000 requests"),
                    prices.s3_put_1k,
                )
        for name, count in self.rates.get.items():
            self._add(
                "S3 requests",
                f"GET, {name}",
                CAMERA_ADDED,
                (count * hours / 1_000, "1,000 requests"),
                prices.s3_get_1k,
            )
        self._add(
            "S3 requests",
            "PUT, heads of the audit log",
            INSTALLATION_ADDED,
            (HOURS * 60 / 1_000, "1,000 requests"),
            prices.s3_put_1k,
        )

    def network(self) -> None:
        """The way of footage: through the hub and the endpoint of S3, and out to people."""
        workload, prices = self.workload, self.prices
        platform = workload.platform
        if workload.uplink == "vpn":
            wire = self._uploaded_gb * WIRE_FACTOR
            self._add(
                "Transit gateway",
                "footage from sites",
                CAMERA_NETWORK,
                (wire, "GB"),
                prices.transit,
            )
            self._add(
                "Interface endpoints",
                "footage to S3",
                CAMERA_NETWORK,
                (self._uploaded_gb, "GB"),
                prices.endpoint,
            )
            self._add(
                "Data transfer",
                "acknowledgements to sites",
                CAMERA_NETWORK,
                (self._uploaded_gb * ACK_SHARE, "GB"),
                prices.data_out,
            )
            self._add(
                "VPN",
                "one connection, two tunnels",
                SITE_SITE,
                (workload.sites * HOURS, "hours"),
                prices.vpn_hour,
            )
            self._add(
                "Transit gateway",
                "attachments of sites",
                SITE_SITE,
                (workload.sites * HOURS, "hours"),
                prices.transit_attachment_hour,
            )
            self._add(
                "Transit gateway",
                "attachment of the VPC",
                INSTALLATION_SITE,
                (HOURS, "hours"),
                prices.transit_attachment_hour,
            )
            self._add(
                "Resolver",
                "inbound endpoint for sites",
                INSTALLATION_SITE,
                (platform.resolver_addresses * HOURS, "hours"),
                prices.resolver_hour,
            )
            if platform.private_ca:
                self._add(
                    "Private CA",
                    "certificates of sites' gateways",
                    INSTALLATION_SITE,
                    (1, "months"),
                    prices.private_ca,
                )
        watched = workload.cameras * _watched_gb(workload)
        self._add(
            "Data transfer",
            "footage that people watch",
            CAMERA_NETWORK,
            (watched, "GB"),
            prices.data_out,
        )
        self._add(
            "Interface endpoints",
            "hours in all zones",
            INSTALLATION_ADDED,
            (platform.interface_endpoints * platform.zones * HOURS, "hours"),
            prices.endpoint_hour,
        )
        self._add(
            "NAT",
            "hours",
            INSTALLATION_ADDED,
            (platform.nat_gateways * HOURS, "hours"),
            prices.nat_hour,
        )

    def queue(self) -> None:
        """Requests to SQS."""
        for kind, count in sqs_requests(self.workload, self.rates).items():
            self._add(
                "SQS",
                kind,
                CAMERA_ADDED,
                (count * HOURS / 1e6, "million requests"),
                self.prices.sqs_million,
            )

    def kafka(self) -> None:
        """Brokers, their disks, and clients in other zones."""
        workload, prices, platform = self.workload, self.prices, self.workload.platform
        self._add(
            "MSK",
            platform.broker_type,
            INSTALLATION_ADDED,
            (platform.brokers * HOURS, "broker-hours"),
            prices.msk_broker_hour[platform.broker_type],
        )
        base = platform.brokers * platform.broker_disk_gb
        self._add("MSK", "disks", INSTALLATION_ADDED, (base, "GB-month"), prices.msk_storage)
        needed = workload.cameras * kafka_gb(workload, self.rates) / 0.8
        self._add(
            "MSK",
            "disks, beyond those",
            CAMERA_ADDED,
            (max(0.0, needed - base), "GB-month"),
            prices.msk_storage,
        )
        # Written once and read twice, two thirds of it in another zone, billed both ways.
        size = sum(self.rates.record_bytes.values()) * self._recorded_h / GB
        self._add(
            "Data transfer",
            "Kafka clients in other zones",
            CAMERA_ADDED,
            (size * 3 * 2 / 3, "GB"),
            2 * prices.cross_zone,
        )

    def database(self) -> None:
        """RDS: instances, storage, backups beyond the size that is free."""
        workload, prices, platform = self.workload, self.prices, self.workload.platform
        zones = platform.database_zones
        self._add(
            "RDS",
            f"{platform.database_class}, {zones} zones",
            INSTALLATION_ADDED,
            (zones * HOURS, "hours"),
            prices.rds_hour[platform.database_class],
        )
        self._add(
            "RDS",
            "storage",
            INSTALLATION_ADDED,
            (platform.database_gb * zones, "GB-month"),
            prices.rds_storage,
        )
        needed = workload.cameras * database_gb(workload, self.rates) / 0.8
        more = max(0.0, needed - platform.database_gb)
        self._add(
            "RDS",
            "storage, beyond that",
            CAMERA_ADDED,
            (more * zones, "GB-month"),
            prices.rds_storage,
        )
        self._add(
            "RDS",
            "copies in the vault",
            INSTALLATION_ADDED,
            (platform.database_gb / 2, "GB-month"),
            prices.rds_backup,
        )

    def cluster(self) -> None:
        """EKS, nodes, load balancers."""
        workload, prices, platform = self.workload, self.prices, self.workload.platform
        self._add("EKS", "control plane", INSTALLATION_ADDED, (HOURS, "hours"), prices.eks_hour)
        price = prices.node_hour[platform.node_type] * (1 + prices.auto_mode_share)
        self._add(
            "EKS",
            f"nodes, {platform.node_type}",
            INSTALLATION_ADDED,
            (platform.nodes * HOURS, "hours"),
            price,
        )
        mb = workload.bytes_per_hour / 1e6
        cores = workload.cameras * (CPU_S_PER_HOUR * workload.uploaded_share + CPU_S_PER_MB * mb)
        nodes = (BASE_CORES + cores / 3_600) / (platform.node_cores * NODE_LOAD)
        more = max(0, math.ceil(nodes) - platform.nodes)
        self._add("EKS", "nodes, beyond those", CAMERA_ADDED, (more * HOURS, "hours"), price)
        self._add(
            "EKS",
            "disks of nodes and volumes",
            INSTALLATION_ADDED,
            (platform.nodes * 80 + 3 * 10, "GB-month"),
            prices.ebs,
        )
        self._add(
            "Load balancers",
            "people and devices",
            INSTALLATION_ADDED,
            (platform.load_balancers * HOURS, "hours"),
            prices.load_balancer_hour * 1.3,
        )

    def observability(self) -> None:
        """Logs, metrics, alarms."""
        workload, prices, platform = self.workload, self.prices, self.workload.platform
        self._add(
            "CloudWatch",
            "logs that follow no camera",
            INSTALLATION_ADDED,
            (platform.log_gb, "GB"),
            prices.logs + prices.logs_stored,
        )
        lines = self.rates.rows["chunks"] * LOG_BYTES_PER_CHUNK * self._recorded_h / GB
        self._add(
            "CloudWatch",
            "logs of chunks",
            CAMERA_ADDED,
            (lines, "GB"),
            prices.logs + prices.logs_stored,
        )
        self._add(
            "CloudWatch", "alarms", INSTALLATION_ADDED, (platform.alarms, "alarms"), prices.alarm
        )
        if workload.uplink == "vpn":
            self._add(
                "CloudWatch",
                "alarms of tunnels",
                SITE_SITE,
                (workload.sites * SITE_ALARMS, "alarms"),
                prices.alarm,
            )
        samples = SERIES_PER_CAMERA * workload.cameras * HOURS * 3_600 / SCRAPE_S
        self._add(
            "Managed Prometheus",
            "samples of cameras",
            CAMERA_ADDED,
            (samples / 1e7, "10 million samples"),
            prices.samples_10m,
        )
        own = 5_000 * HOURS * 3_600 / SCRAPE_S
        self._add(
            "Managed Prometheus",
            "samples of programs",
            INSTALLATION_ADDED,
            (own / 1e7, "10 million samples"),
            prices.samples_10m,
        )

    def others(self) -> None:
        """Keys, secrets, images, the firewall of the page."""
        prices, platform = self.prices, self.workload.platform
        self._add("KMS", "keys", INSTALLATION_ADDED, (platform.kms_keys, "keys"), prices.kms_key)
        # A bucket key asks KMS once for some minutes of a prefix, a queue once in five minutes.
        asked = self.workload.cameras * HOURS * 12 * 2
        self._add(
            "KMS", "requests", CAMERA_ADDED, (asked / 10_000, "10,000 requests"), prices.kms_10k
        )
        self._add(
            "Secrets Manager",
            "secrets",
            INSTALLATION_ADDED,
            (platform.secrets, "secrets"),
            prices.secret,
        )
        self._add("ECR", "images", INSTALLATION_ADDED, (platform.image_gb, "GB-month"), prices.ecr)
        self._add("WAF", "one list", INSTALLATION_ADDED, (1, "lists"), prices.waf_acl)
