"""The state of the installation."""

from typing import Literal

from pydantic import Field

from web.schemas.base import ApiAnswer
from web.schemas.common import Bytes, SiteText, UtcMs

State = Literal["good", "degraded", "down", "unknown"]


class ProgramStatus(ApiAnswer):
    """A program of the cloud, all its instances together."""

    program: str = Field(description="The name of its job in Prometheus, without `vigil-`.")
    state: State = Field(
        description="`down`: no instance answers. `degraded`: one is not ready, does not answer, "
        "or works two minutes late. `unknown`: Prometheus does not say."
    )
    running: int = Field(ge=0, description="Instances that answer Prometheus.")
    known: int = Field(ge=0, description="Instances that Prometheus asks.")
    ready: int | None = Field(
        description="Instances that process events; null: the program has no such state."
    )
    versions: list[str] = Field(description="Versions that run; more than one in an upgrade.")
    lag_s: float | None = Field(
        description="How long the oldest message waits for it; null: it reads none.",
        json_schema_extra={"unit": "s"},
    )
    lag_messages: int | None = Field(
        description="Messages in Kafka that it has not committed yet; null: it reads none."
    )
    seen_ms: UtcMs | None = Field(description="When one last answered; null: not in a day.")


class StoreStatus(ApiAnswer):
    """A service that the programs use."""

    store: Literal["postgresql", "kafka", "s3", "sqs"] = Field(description="Which one.")
    state: State = Field(
        description="`down`: it does not answer this worker. `degraded`: more than 1 in 20 calls "
        "fail. `unknown`: no program has asked it in the last 5 minutes."
    )
    calls_per_s: float | None = Field(description="Calls of all programs a second.")
    failed: float | None = Field(ge=0, le=1, description="Share of the calls that fail.")
    p95_s: float | None = Field(
        description="95 % of its calls are answered within this time.",
        json_schema_extra={"unit": "s"},
    )


class SiteStatus(ApiAnswer):
    """A site, by what the catalog expects of it."""

    site: SiteText = Field(description="tenant/site")
    cameras: int = Field(ge=0, description="Cameras in use that have footage.")
    cameras_sending: int = Field(ge=0, description="Of these: with footage of the last minute.")
    edges: int = Field(ge=0, description="Edge devices.")
    edges_online: int = Field(ge=0, description="Of these: with a heartbeat in three minutes.")
    unsigned: Literal["accept", "warn", "refuse"] = Field(
        description="What it does with events that no device signed."
    )


class ServiceLevel(ApiAnswer):
    """A promise, and whether it holds. Of one for each site, the worst site counts."""

    name: str = Field(description="Its name in ops/slo/vigil.yaml.")
    title: str = Field(description="What is promised.")
    objective: float = Field(ge=0, le=1, description="The share that has to be good.")
    reached: float | None = Field(description="The share that was good in the last 30 days.")
    budget: float | None = Field(
        description="What is left of the error budget: 1 is all, 0 none, below 0 it is used up."
    )
    site: SiteText | None = Field(description="The worst site; null: it is not for each site.")


class FiringAlert(ApiAnswer):
    """An alert that fires now."""

    name: str = Field(description="Its name; the runbook has a section for it.")
    severity: str = Field(description="page: now. ticket: in working hours.")
    count: int = Field(ge=1, description="How many of it fire.")


class QueueStatus(ApiAnswer):
    """A queue of SQS, about, as the relay measures it each minute."""

    queue: Literal["events", "dead-letter"] = Field(
        description="`events`: from the sites. `dead-letter`: what could not be read."
    )
    visible: int | None = Field(description="Messages that wait; null: not known.")
    in_flight: int | None = Field(description="Messages that a relay has; null: not known.")


class SiteBytes(ApiAnswer):
    """How much footage of a site is kept."""

    site: SiteText = Field(description="tenant/site")
    cameras: int = Field(ge=0, description="Cameras with footage.")
    size_bytes: Bytes = Field(description="All chunks.")
    added_bytes: Bytes = Field(description="A day: the average of the last 7 whole days (UTC).")
    oldest_ms: UtcMs = Field(description="The oldest day (UTC) with footage.")


class DayBytes(ApiAnswer):
    """How much footage of a day is kept."""

    day_ms: UtcMs = Field(description="Start of the day (UTC).")
    size_bytes: Bytes = Field(description="All chunks of the day that are kept.")


class StorageStatus(ApiAnswer):
    """How much footage is kept, by the catalog. Fragments without a chunk are not in it."""

    size_bytes: Bytes = Field(description="All chunks.")
    added_bytes: Bytes = Field(description="A day: the average of the last 7 whole days (UTC).")
    deleted_bytes: Bytes | None = Field(
        description="A day, for age, by Prometheus: the average of 7 days; null: not known."
    )
    site_count: int = Field(ge=0, description="Sites with footage.")
    sites: list[SiteBytes] = Field(max_length=100, description="The largest first.")
    days: list[DayBytes] = Field(description="The last 31 days and today, with footage.")


class BackupStatus(ApiAnswer):
    """What is known here of the backups of PostgreSQL. Whether they can be read, a drill shows."""

    archive: Literal["on", "off", "unknown"] = Field(
        description="Whether PostgreSQL archives its WAL, which a restore to a time needs. "
        "`unknown`: it does not answer."
    )
    archived_ms: UtcMs | None = Field(description="When it last archived; null: never, unknown.")
    failed_ms: UtcMs | None = Field(description="Since when that fails; null: it does not.")
    window_days: int | None = Field(
        description="How far backups reach back, by `VIGIL_BACKUP_DAYS`; null: not set."
    )
    drill_ms: UtcMs | None = Field(
        description="Day of the last restore drill, by `VIGIL_RESTORE_DRILL_DATE`; null: not set."
    )


class Status(ApiAnswer):
    """The state of the installation."""

    at_ms: UtcMs = Field(description="When it was read.")
    version: str = Field(description="Version of the worker that answers.")
    metrics: Literal["good", "not-set", "down"] = Field(
        description="Whether Prometheus answers. `not-set`: VIGIL_PROMETHEUS_URL is empty; then "
        "programs, service levels and alerts are unknown."
    )
    programs: list[ProgramStatus]
    stores: list[StoreStatus]
    site_count: int = Field(ge=0, description="How many sites there are.")
    sites: list[SiteStatus] = Field(
        max_length=100,
        description="Sites that need attention, those with most missing first: a camera does not "
        "send, a device is offline, or unsigned events are not refused.",
    )
    queues: list[QueueStatus]
    storage: StorageStatus | None = Field(description="null: the catalog does not answer.")
    backups: BackupStatus
    service_levels: list[ServiceLevel]
    alerts: list[FiringAlert] = Field(description="Those that page first.")
    audit_signed_ms: UtcMs | None = Field(
        description="When heads of the audit log were last signed; null: unknown, or never."
    )
