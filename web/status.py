"""/api/v1/status: the state of the installation, for administrators.

Prometheus knows the programs, the service levels and the alerts. The catalog knows the sites.
PostgreSQL and Kafka are asked by this worker as well, so that they are known without Prometheus.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.errors import ConfigError, StoreError
from stores import tls
from stores.catalog.site_health import site_health
from streams.metrics import VERSION
from web.access import on_installation
from web.bodies import NO_STORE, json_answer
from web.operations import Operation, describe
from web.prometheus import Sample, ask
from web.schemas.status import (
    FiringAlert,
    ProgramStatus,
    ServiceLevel,
    SiteStatus,
    State,
    Status,
    StoreStatus,
)
from web.services import SERVICES, Services
from web.status_storage import backups, queues, storage

PROGRAMS = ("relay", "assemble", "join", "index", "heal", "web")
"""Programs without which footage does not become playable. Others are shown where they run."""
STORES: Sequence[Literal["postgresql", "kafka", "s3", "sqs"]] = ("postgresql", "kafka", "s3", "sqs")
LATE_S = 120.0
FAILED_SHARE = 0.05
MAX_SITES = 100
QUERIES: Mapping[str, str] = {
    "up": 'up{job=~"vigil-.*"}',
    "seen": 'max by (job) (max_over_time(timestamp(up{job=~"vigil-.*"} == 1)[1d:5m]))',
    "ready": "vigil_ready",
    "build": "vigil_build_info",
    "lag": "max by (job) (vigil_log_lag_seconds)",
    "left": "sum by (job) (max by (job, topic, partition) (vigil_commit_lag))",
    "queues": "max by (queue, state) (vigil_queue_messages)",
    "deleted": 'sum(increase(vigil_retention_deleted_bytes_total{reason="age"}[7d])) / 7',
    "calls": "sum by (system) (rate(vigil_store_call_seconds_count[5m]))",
    "failed": 'sum by (system) (rate(vigil_store_call_seconds_count{outcome="failed"}[5m]))',
    "p95": "histogram_quantile(0.95, sum by (system, le) "
    '(rate(vigil_store_call_seconds_bucket{operation!="ReceiveMessage"}[5m])))',
    "objective": "slo:objective:ratio",
    "error": "slo:sli_error:ratio_rate30d",
    "budget": "slo:error_budget_remaining:ratio",
    "alerts": 'count by (alertname, severity) (ALERTS{alertstate="firing", alertname=~"Vigil.*"})',
    "signed": "max(vigil_audit_signed_timestamp_seconds)",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answers:
    """What Prometheus answered to each of `QUERIES`."""

    metrics: Literal["good", "not-set", "down"]
    samples: Mapping[str, list[Sample]] = field(default_factory=dict)

    def of(self, query: str) -> list[Sample]:
        """Return the samples of a query; none where Prometheus did not answer."""
        return self.samples.get(query, [])

    def by(self, query: str, label: str) -> dict[str, float]:
        """Return the values of a query by one label."""
        return {sample.labels.get(label, ""): sample.value for sample in self.of(query)}


class StatusView(View):
    """The state of the installation."""

    view_path = "/api/v1/status"
    access = on_installation(Permission.METRICS_READ)
    operations = describe(
        get=Operation(
            "Get the state of the installation",
            description="Programs, stores, queues, footage, backups, sites, service levels and "
            "alerts. Programs, queues, service levels and alerts come from Prometheus "
            "(`VIGIL_PROMETHEUS_URL`), footage from the catalog, backups from PostgreSQL and the "
            "settings.",
            answer=Status,
            tag="Installation",
        )
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return the state of everything that the installation consists of."""
        services = request.app[SERVICES]
        answers, sites, backed_up = await asyncio.gather(
            ask_prometheus(services), _sites(services), backups(services)
        )
        signed_s = next((sample.value for sample in answers.of("signed")), 0.0)
        status = Status(
            at_ms=services.clock_ms(),
            version=VERSION,
            metrics=answers.metrics,
            programs=programs(answers),
            stores=stores(answers, catalog=sites is not None, kafka=services.is_ready()),
            site_count=len(sites or []),
            sites=worst_sites(sites or []),
            queues=queues(answers.of("queues")),
            storage=await storage(services, answers.of("deleted")),
            backups=backed_up,
            service_levels=service_levels(answers),
            alerts=alerts(answers),
            audit_signed_ms=round(signed_s * 1_000) or None,
        )
        return json_answer(status, headers=NO_STORE)


async def ask_prometheus(services: Services) -> Answers:
    """Ask all queries at the same time."""
    url = services.settings.prometheus_url
    if not url:
        return Answers("not-set")
    try:
        # Read each time: the authority may be renewed while the web runs.
        trust = tls.client_context(services.settings.prometheus_ca_file)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            found = await asyncio.gather(*(ask(session, url, each) for each in QUERIES.values()))
    except (StoreError, ConfigError) as error:
        log.warning("the status of programs is unknown: %s", error)
        return Answers("down")
    return Answers("good", dict(zip(QUERIES, found, strict=True)))


async def _sites(services: Services) -> list[SiteStatus] | None:
    """Return all sites; None where the catalog does not answer."""
    try:
        found = await site_health(await services.catalog.get(), services.clock_ms())
    except StoreError as error:
        log.warning("the status of sites is unknown: %s", error)
        return None
    return [
        SiteStatus(
            site=each.site,
            cameras=each.cameras,
            cameras_sending=each.cameras_sending,
            edges=each.edges,
            edges_online=each.edges_online,
            unsigned=each.unsigned,
        )
        for each in found
    ]


def worst_sites(sites: Sequence[SiteStatus]) -> list[SiteStatus]:
    """Return the sites that need attention, those with most missing first."""

    def missing(site: SiteStatus) -> int:
        return site.cameras - site.cameras_sending + site.edges - site.edges_online

    found = [site for site in sites if missing(site) or site.unsigned != "refuse"]
    return sorted(found, key=lambda site: (-missing(site), site.site))[:MAX_SITES]


def programs(answers: Answers) -> list[ProgramStatus]:
    """Return the programs that must run, then others that Prometheus knows."""
    up: dict[str, list[float]] = defaultdict(list)
    ready: dict[str, list[float]] = defaultdict(list)
    versions: dict[str, set[str]] = defaultdict(set)
    for sample in answers.of("up"):
        up[_program(sample)].append(sample.value)
    for sample in answers.of("ready"):
        ready[_program(sample)].append(sample.value)
    for sample in answers.of("build"):
        versions[_program(sample)].add(sample.labels.get("version", ""))
    lags, left = answers.by("lag", "job"), answers.by("left", "job")
    seen = answers.by("seen", "job")
    names = [*PROGRAMS, *sorted(up.keys() - set(PROGRAMS))]
    return [
        ProgramStatus(
            program=name,
            state=_state(answers, up[name], ready[name], lags.get(f"vigil-{name}")),
            running=sum(value == 1 for value in up[name]),
            known=len(up[name]),
            ready=sum(value == 1 for value in ready[name]) if ready[name] else None,
            versions=sorted(versions[name]),
            lag_s=lags.get(f"vigil-{name}"),
            lag_messages=_whole(left.get(f"vigil-{name}")),
            seen_ms=round(seen.get(f"vigil-{name}", 0) * 1_000) or None,
        )
        for name in names
    ]


def _whole(value: float | None) -> int | None:
    return None if value is None else max(0, round(value))


def _program(sample: Sample) -> str:
    return sample.labels.get("job", "").removeprefix("vigil-")


def _state(
    answers: Answers, up: Sequence[float], ready: Sequence[float], lag_s: float | None
) -> State:
    if answers.metrics != "good":
        return "unknown"
    if 1 not in up:
        return "down"
    well = 0 not in up and 0 not in ready and (lag_s or 0) <= LATE_S
    return "good" if well else "degraded"


def stores(answers: Answers, *, catalog: bool, kafka: bool) -> list[StoreStatus]:
    """Return the services that the programs use. `catalog`, `kafka`: whether they answer here."""
    calls, failed = answers.by("calls", "system"), answers.by("failed", "system")
    p95 = answers.by("p95", "system")
    asked_here = {"postgresql": catalog, "kafka": kafka}
    found = []
    for store in STORES:
        share = failed.get(store, 0) / calls[store] if calls.get(store) else None
        state: State = "unknown"
        if asked_here.get(store) is False:
            state = "down"
        elif share is not None and share > FAILED_SHARE:
            state = "degraded"
        elif share is not None or asked_here.get(store):
            state = "good"
        found.append(
            StoreStatus(
                store=store,
                state=state,
                calls_per_s=calls.get(store),
                failed=share,
                p95_s=p95.get(store),
            )
        )
    return found


def service_levels(answers: Answers) -> list[ServiceLevel]:
    """Return each service level with its worst site."""
    errors = {(s.labels.get("slo"), s.labels.get("site")): s.value for s in answers.of("error")}
    worst: dict[str, tuple[float, str | None]] = {}
    for sample in answers.of("budget"):
        name = sample.labels.get("slo", "")
        known = worst.get(name)
        if known is None or sample.value < known[0]:
            worst[name] = sample.value, sample.labels.get("site")
    found = []
    for sample in answers.of("objective"):
        name = sample.labels.get("slo", "")
        budget, site = worst.get(name, (None, None))
        error = errors.get((name, site))
        found.append(
            ServiceLevel(
                name=name,
                title=sample.labels.get("title", name),
                objective=sample.value,
                reached=None if error is None else 1 - error,
                budget=budget,
                site=site,
            )
        )
    return sorted(found, key=lambda level: level.name)


def alerts(answers: Answers) -> list[FiringAlert]:
    """Return the alerts that fire, those that page first."""
    found = [
        FiringAlert(
            name=sample.labels.get("alertname", ""),
            severity=sample.labels.get("severity", ""),
            count=max(1, round(sample.value)),
        )
        for sample in answers.of("alerts")
    ]
    return sorted(found, key=lambda alert: (alert.severity != "page", alert.name))
