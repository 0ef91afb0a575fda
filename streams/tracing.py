"""Traces of fragments, from the site to playback, in OpenTelemetry's format. Off by default.

    fragment              from its end at the site until Kafka has it     relay (the root span)
      relay               from SQS until Kafka has it                     relay
      assemble            from Kafka until its window knows it            assembler
      index fragment      from Kafka until it can be played               indexer
      join                from its chunk being due until the chunk is in S3   joiner
      index chunk         from Kafka until the chunk replaces its row     indexer
      playlist, media     the first time that each is sent to a player    web

A trace's id is made from the fragment's name, its run and seq. So every program knows it, and
nothing carries it: no attribute in SQS, no header in Kafka, no field in a table. The share of
fragments that is traced follows from the id as well: all programs choose the same ones.

Spans wait in a bounded queue, and a thread sends them. What does not fit is dropped.
"""

import atexit
import hashlib
import logging
import time
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache
from prometheus_client import Counter

from domain.errors import ConfigError
from streams.metrics import REGISTRY, VERSION
from streams.request_context import current_request_id
from streams.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

MAX_QUEUED = 2_048
EXPORT_TIMEOUT_S = 2.0
EXPORT_EVERY_MS = 1_000
MAX_PLAYED = 4
"""Fragments of one playlist that are traced: the newest ones."""
SPANS = Counter(
    "vigil_trace_spans", "Spans of traces sent to the collector, by outcome: done, failed",
    ("outcome",),
    registry=REGISTRY,
)  # fmt: skip

log = logging.getLogger(__name__)


def trace_id_of(run: str, seq: int) -> int:
    """Return the id of a fragment's trace, 16 bytes."""
    return int.from_bytes(_digest(run, seq)[:16])


def root_id_of(run: str, seq: int) -> int:
    """Return the id of the root span of a fragment's trace, 8 bytes."""
    return int.from_bytes(_digest(run, seq)[16:24])


def _digest(run: str, seq: int) -> bytes:
    return hashlib.sha256(f"{run}/{seq}".encode()).digest()


class Tracer:
    """Makes the spans of one program, of a share of all fragments."""

    def __init__(self, program: str, ratio: float, exporter: "SpanExporter") -> None:
        """`ratio`: the share of fragments that is traced, 0 to 1."""
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._limit = round(ratio * (1 << 64))
        self._resource = Resource(
            {"service.namespace": "vigil", "service.name": program, "service.version": VERSION}
        )
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=MAX_QUEUED,
            max_export_batch_size=MAX_QUEUED // 4,
            schedule_delay_millis=EXPORT_EVERY_MS,
        )
        self._played: LRUCache[tuple[str, str, int], bool] = LRUCache(4_096)
        self._played_lock = Lock()  # playlists are made in threads

    def is_traced(self, run: str, seq: int) -> bool:
        """Return whether a fragment belongs to the share that is traced."""
        return trace_id_of(run, seq) & ((1 << 64) - 1) < self._limit

    def add(
        self,
        name: str,
        run: str,
        seq: int,
        start_ms: int,
        *,
        end_ms: int | None = None,
        root: bool = False,
        **attributes: str | int,
    ) -> None:
        """Add a span of a fragment, if it is traced. Times: UTC; no `end_ms`: now."""
        if not self.is_traced(run, seq):
            return
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

        about: dict[str, str | int] = {"vigil.run": run, "vigil.seq": seq}
        about |= {f"vigil.{key}": value for key, value in attributes.items()}
        trace_id, root_id = trace_id_of(run, seq), root_id_of(run, seq)
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
        parent = trace.SpanContext(trace_id, root_id, is_remote=True, trace_flags=flags)
        span_id = root_id if root else RandomIdGenerator().generate_span_id()
        end_ns = time.time_ns() if end_ms is None else end_ms * 1_000_000
        self._processor.on_end(
            ReadableSpan(
                name,
                context=trace.SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags),
                parent=None if root else parent,
                resource=self._resource,
                attributes=about,
                start_time=min(start_ms * 1_000_000, end_ns),
                end_time=end_ns,
            )
        )

    def add_played(self, name: str, fragments: Sequence[tuple[str, int]], start_ms: int) -> None:
        """Add a span to the newest traced fragments (run, seq) that were not sent before."""
        traced = [each for each in fragments if self.is_traced(*each)]
        request_id = current_request_id()
        for run, seq in traced[-MAX_PLAYED:]:
            with self._played_lock:
                known = (name, run, seq) in self._played
                self._played[name, run, seq] = True
            if known:
                continue
            if request_id is None:
                self.add(name, run, seq, start_ms)
            else:
                self.add(name, run, seq, start_ms, request=request_id)

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]


tracer: Tracer | None = None
"""Of this process. None: traces are off."""


def start(settings: Settings, program: str) -> None:
    """Trace from now on, if VIGIL_TRACE_ENDPOINT is set.

    Raises ConfigError where the packages of the extra `trace` are not installed.
    """
    global tracer  # noqa: PLW0603
    if not settings.trace_endpoint or tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
    except ImportError as error:
        raise ConfigError(
            "VIGIL_TRACE_ENDPOINT needs OpenTelemetry. Install the extra `trace` of vigil."
        ) from error
    # A collector that is gone is counted, not logged with each batch.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(endpoint=settings.trace_endpoint, timeout=EXPORT_TIMEOUT_S)
    tracer = Tracer(program, settings.trace_ratio, _counted(exporter))
    atexit.register(tracer.close)
    log.info("tracing", extra={"endpoint": settings.trace_endpoint, "ratio": settings.trace_ratio})


def trace_of(event: object) -> str | None:
    """Return the trace of an event about one fragment, for logs; None where it has none."""
    run, seq = getattr(event, "run", None), getattr(event, "seq", None)
    if tracer is None or run is None or seq is None or not tracer.is_traced(run, seq):
        return None
    return f"{trace_id_of(run, seq):032x}"


def _counted(exporter: Any) -> "SpanExporter":
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415

    class CountedExporter(SpanExporter):
        """Counts what the collector took, and what it did not."""

        def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
            result: SpanExportResult = exporter.export(spans)
            done = result is SpanExportResult.SUCCESS
            SPANS.labels("done" if done else "failed").inc(len(spans))
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return CountedExporter()
