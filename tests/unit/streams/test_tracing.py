"""Traces: ids from names, a share of all fragments, and a collector that is gone costs nothing."""

import logging
import subprocess
import sys
import time
import uuid

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from domain.events import RunStarted
from streams import logs, tracing
from streams.settings import Settings
from tests.otlp_receiver import otlp_receiver

RUN = "01a0c4a2-3c00-7000-8000-000000000000"
NOW_MS = 1_790_000_000_000


def tracer(endpoint: str, ratio: float = 1.0, program: str = "join") -> tracing.Tracer:
    return tracing.Tracer(program, ratio, OTLPSpanExporter(endpoint=endpoint, timeout=0.2))


def test_spans_of_two_programs_are_one_trace() -> None:
    with otlp_receiver() as receiver:
        relay, join = tracer(receiver.endpoint, program="relay"), tracer(receiver.endpoint)
        relay.add("fragment", RUN, 7, NOW_MS, end_ms=NOW_MS + 900, root=True, camera="acme/hq/gate")
        join.add("join", RUN, 7, NOW_MS + 1_000, end_ms=NOW_MS + 1_500, chunk=NOW_MS)
        join.add("join", RUN, 8, NOW_MS)
        for each in (relay, join):
            each.close()
        found = {
            span.name: (program, span)
            for program, span in receiver.trace(tracing.trace_id_of(RUN, 7))
        }
        assert receiver.traces() == 2, "each fragment has its own"
    assert {name: program for name, (program, _) in found.items()} == {
        "fragment": "relay",
        "join": "join",
    }
    root, child = found["fragment"][1], found["join"][1]
    assert root.parent_span_id == b"" and child.parent_span_id == root.span_id
    assert root.end_time_unix_nano - root.start_time_unix_nano == 900_000_000
    attributes = {each.key: each.value for each in child.attributes}
    assert attributes["vigil.seq"].int_value == 7
    assert attributes["vigil.chunk"].int_value == NOW_MS


@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0])
def test_all_programs_choose_the_same_share(ratio: float) -> None:
    one, other = tracer("http://127.0.0.1:1", ratio), tracer("http://127.0.0.1:1", ratio)
    names = [(RUN, seq) for seq in range(4_000)]
    chosen = [name for name in names if one.is_traced(*name)]
    assert chosen == [name for name in names if other.is_traced(*name)]
    # Five standard deviations of 4,000 draws.
    assert abs(len(chosen) / len(names) - ratio) < 0.025


def test_a_collector_that_is_gone_loses_spans_and_nothing_else() -> None:
    lost = tracer("http://127.0.0.1:1/v1/traces")
    for seq in range(3 * tracing.MAX_QUEUED):
        lost.add("index fragment", RUN, seq, NOW_MS)
    assert len(lost._processor._batch_processor._queue) <= tracing.MAX_QUEUED
    lost.close()


def test_what_is_played_again_is_traced_once() -> None:
    with otlp_receiver() as receiver:
        web = tracer(receiver.endpoint, program="web")
        for _ in range(3):
            web.add_played("playlist", [(RUN, seq) for seq in range(10)], NOW_MS)
        web.close()
        assert receiver.traces() == tracing.MAX_PLAYED, "the newest ones"
        assert len(receiver.trace(tracing.trace_id_of(RUN, 9))) == 1


def test_it_is_off_by_default_and_imports_nothing() -> None:
    assert Settings().trace_endpoint == ""
    code = (
        "import sys; from streams import tracing; from streams.settings import Settings; "
        "tracing.start(Settings(), 'join'); assert tracing.tracer is None; "
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_log_lines_name_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneFragment:
        run, seq = str(uuid.uuid4()), 3

    record = logging.LogRecord("streams", logging.INFO, "", 0, "joined", (), None)
    event = OneFragment()
    with logs.LogContext("chunk-due/3@5", event):
        assert "trace" not in logs.fields_of(record)
        monkeypatch.setattr(tracing, "tracer", tracer("http://127.0.0.1:1"))
        trace = f"{tracing.trace_id_of(event.run, 3):032x}"
        assert logs.fields_of(record)["trace"] == trace
    run = RunStarted(camera="acme/hq/gate", run=RUN, started_ms=1, edge="edge-1")
    assert tracing.trace_of(run) is None, "it is about no fragment"


def test_a_span_does_not_end_before_it_begins() -> None:
    """A site's clock may be ahead of the cloud's."""
    with otlp_receiver() as receiver:
        relay = tracer(receiver.endpoint)
        relay.add("fragment", RUN, 1, round(time.time() * 1_000) + 60_000, root=True)
        relay.close()
        [(_, span)] = receiver.trace(tracing.trace_id_of(RUN, 1))
    assert span.start_time_unix_nano == span.end_time_unix_nano
