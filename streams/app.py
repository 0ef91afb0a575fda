"""The Faust app of a worker: one per process, its settings, start and stop.

    app = make_app("assemble")

    @handles(app, topics.FRAGMENT_ARRIVED)
    async def assemble(event: AnyEvent, record: Record) -> None: ...

Run it as `faust -A agents.assemble worker`. The handlers' rules are in streams/handlers.py.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from domain.errors import VigilError
from streams import gc_tuning, logs, metrics, table_disk, table_store, topic_watch, topics, tracing
from streams.delivery.app import DeliveryApp
from streams.kafka import faust_credentials
from streams.probe import ProbeService
from streams.process_exit import exit_process
from streams.retry import RetryDelays, retry
from streams.settings import Settings, get_settings
from streams.topic_admin import ensure
from streams.topics import TopicSpec

T = TypeVar("T")

NOISY_LOGGERS = ("aiokafka", "aiokafka.conn", "aiokafka.producer", "aiokafka.producer.producer",
         "aiokafka.consumer", "faust.topics", "faust.tables.recovery")  # fmt: skip
"""Loggers that write for each message or recovery: only their warnings are shown."""

PRODUCER_TIMEOUT_S = 120.0
"""How long a broker may be down before sends fail. A lost table update then ends the worker."""

log = logging.getLogger(__name__)


class App(DeliveryApp):
    """A worker's app: loss-free, at least once, a static member of its consumer group."""

    is_web = False
    _assigned_at: float | None = None
    _topic_check: "asyncio.Future[Any] | None" = None

    # -- for the agents

    def faust_topic(self, spec: TopicSpec) -> Any:
        """Return a topic as Faust sees it: bytes in, bytes out."""
        return self.topic(
            spec.full_name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            partitions=self.settings.partitions,
            allow_empty=True,
        )

    async def retry(self, action: Callable[[], Awaitable[T]], *, what: str, **options: Any) -> T:
        """Try until it works or the partitions are revoked; see streams.retry.retry."""

        def log_failure(error: Exception, pause_s: float) -> None:
            log.warning("%s failed, next try in %.1f s: %s", what, pause_s, error)

        return await retry(
            action,
            what=what,
            interrupted=self.consumer.interrupted,
            on_failure=log_failure,
            backoff=options.pop("backoff", None) or RetryDelays(),
            **options,
        )

    @property
    def ready(self) -> bool:
        """True while events are handled: not before, and not during a recovery.

        The web reads no topic: it is ready while it runs.
        """
        if self.is_web:
            return bool(self.started and not self.should_stop)
        return bool(self.started and not self.should_stop and not self.rebalancing
                    and not self.in_recovery and self._assigned_at is not None)  # fmt: skip

    # -- its life

    settings: Settings

    def needed_topics(self) -> list[TopicSpec]:
        """Return the topics that must exist before the worker starts."""
        tables = [topics.changelog(self.conf.id, str(name)) for name in self.tables]
        return [*topics.TOPICS, *tables]

    async def on_first_start(self) -> None:
        """Prepare what Faust needs: quiet loggers, topics, the data folder."""
        for name in NOISY_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            settings = self.settings
            changes = await ensure(
                self.needed_topics(), within_s=settings.kafka_wait_s, settings=settings
            )
            for change in changes:
                if change.did != "fine":
                    log.log(logging.WARNING if change.drift else logging.INFO, "%s", change)
            self.conf.datadir.mkdir(parents=True, exist_ok=True)
            table_disk.exit_on_disk_error(asyncio.get_running_loop(), self.conf.datadir)
        except (VigilError, OSError) as error:
            exit_process(str(error))
        await super().on_first_start()

    async def on_start(self) -> None:
        """Start; the probe first, so that the metrics show a recovery."""
        if self.settings.metrics_port:
            await self.add_runtime_dependency(ProbeService(self, self.settings))
        await super().on_start()
        gc_tuning.tune()

    def on_rebalance_start(self) -> None:
        """Note that events are no longer handled."""
        super().on_rebalance_start()
        self._assigned_at = time.monotonic()
        metrics.REBALANCES.inc()
        metrics.OPEN_WINDOWS.clear()  # the next ticks report those that are ours then
        if self.started and not self.is_web and self._topic_check is None:
            self._topic_check = self.add_future(self._check_topics())

    async def _check_topics(self) -> None:
        try:
            problem = await topic_watch.topic_problem(self.needed_topics(), self.settings)
        finally:
            self._topic_check = None
        if problem:
            log.critical(
                "%s The process ends in %d s.", problem, self.settings.session_timeout_s + 1
            )
            # started again within its session, it would be given the partitions it has now
            await self.consumer.leave_group_by_timeout(self.settings.session_timeout_s + 1.0)
            exit_process(problem)

    def on_rebalance_end(self) -> None:
        """Note that events are handled again, and after how long."""
        super().on_rebalance_end()
        if self._assigned_at is None:
            self._assigned_at = time.monotonic()
        metrics.RECOVERY_SECONDS.set(time.monotonic() - self._assigned_at)

    async def crash(self, reason: BaseException) -> None:
        """End with one sentence if the tables' disk has failed."""
        if table_disk.is_disk_error(reason):
            exit_process(table_disk.disk_error_text(reason, self.conf.datadir))
        await super().crash(reason)

    def agent_failed(self, agent: Any, error: BaseException) -> None:
        """End the process: Faust would acknowledge the agent's event and restart the agent."""
        log.error("Agent %s failed", agent, exc_info=error)
        exit_process(f"Agent {agent} failed with {error!r}.")


def make_app(name: str, *, web: bool = False, at: tuple[str, int] | None = None) -> App:
    """Return the app of the worker `name` (its group is <VIGIL_APP_PREFIX>-<name>).

    Raises ConfigError where a setting is wrong. `web` also serves Faust views on
    VIGIL_WEB_HOST and VIGIL_WEB_PORT, or on the host and port `at`; Faust's own pages stay off.
    """
    settings = get_settings()
    _use_uvloop()
    host, port = at or (settings.web_host, settings.web_port)
    app_id = f"{settings.app_prefix}-{name}"
    member = f"{app_id}-{settings.worker_instance}"
    app = App(
        app_id,
        broker=[f"kafka://{broker.strip()}" for broker in settings.kafka_brokers.split(",")],
        broker_credentials=faust_credentials(settings),
        datadir=str(settings.data_dir.resolve() / "workers" / member),
        store=table_store.URL if settings.table_store == "rocksdb" else "memory://",
        processing_guarantee="at_least_once",
        broker_commit_interval=settings.commit_interval_ms / 1000,
        broker_session_timeout=float(settings.session_timeout_s),
        broker_heartbeat_interval=settings.session_timeout_s / 4,
        broker_request_timeout=max(90.0, settings.session_timeout_s * 2.0),
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=10_000,  # a topic made again at once causes no error: ask
        consumer_group_instance_id=member,  # a restart takes its partitions up again, undisturbed
        producer_max_request_size=topics.MAX_REQUEST_BYTES,
        producer_acks=-1,
        producer_request_timeout=PRODUCER_TIMEOUT_S,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        topic_allow_declare=False,  # streams/topic_admin.py makes them, with their settings
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=True,
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=web,
        web_host=host,
        web_bind=host,
        web_port=port,
        web_stats_enabled=False,
        web_graph_enabled=False,
        web_router_enabled=False,
        web_tables_enabled=False,
        web_metrics_enabled=False,
        worker_redirect_stdouts=False,
        logging_config=logs.config(settings),
        Worker="streams.quiet_worker:QuietWorker",
    )
    app.boot_strategy.enable_web = web  # `faust worker` turns web_enabled on by itself
    app.settings = settings
    app.is_web = web
    app.compacted_topics = frozenset(
        topic.full_name for topic in topics.TOPICS if topic.cleanup == "compact"
    )
    metrics.LAGS.watch(lambda: _lags(app))
    metrics.watch_ready(lambda: app.ready)
    metrics.watch_disk(settings.data_dir.resolve())
    return app


def worker_app(name: str) -> App:
    """Return `make_app(name)` for a module that is run as a worker.

    Where a setting is wrong, the process ends with one sentence.
    """
    try:
        app = make_app(name)
        tracing.start(app.settings, name)
        return app
    except VigilError as error:
        sys.exit(f"{name}: {error}")


def _lags(app: App) -> dict[tuple[str, int], int]:
    if not app.started or not app.has_consumer:
        return {}
    return {(tp.topic, tp.partition): lag for tp, lag in app.consumer.lags().items()}


def _use_uvloop() -> None:
    """Run on uvloop where it is installed: about a tenth faster."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
