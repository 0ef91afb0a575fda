"""The last steps of a fragment's trace: its playlist, and its bytes."""

import hashlib

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from domain.identity import fragment_key
from stores.catalog import index_fragments
from streams import tracing
from tests.integration.catalog_support import CAMERA, T0, fragment, run_id
from tests.integration.web_support import BASE, running_web
from tests.otlp_receiver import otlp_receiver


async def test_a_playlist_and_media_are_in_the_fragments_trace(
    services, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_id()
    with otlp_receiver() as receiver:
        exporter = OTLPSpanExporter(endpoint=receiver.endpoint)
        tracer = tracing.Tracer("web", 1.0, exporter)
        monkeypatch.setattr(tracing, "tracer", tracer)
        async with running_web(services) as web:
            event = fragment(run, 0)
            await index_fragments(web.catalog, [event], T0)
            body = b"\x47" * event.size_bytes
            digest = hashlib.sha256(body).hexdigest()
            await web.store.put_once(fragment_key(CAMERA, run, 0), body, sha256=digest, metadata={})
            for _ in range(2):
                query = f"?from={event.start_ms}&to={event.end_ms}"
                listed = await web.client.get(f"{BASE}/playlist.m3u8{query}")
                assert listed.status == 200
                media = await web.client.get(f"{BASE}/fragments/{run}/0.ts")
                assert media.status == 200
            live = await web.client.get(f"{BASE}/playlist.m3u8?live=1&from={event.start_ms}")
            assert live.status == 200
        tracer.close()
        spans = [(at, span.name) for at, span in receiver.trace(tracing.trace_id_of(run, 0))]
    assert sorted(spans) == [("web", "media"), ("web", "playlist")], "once each"
