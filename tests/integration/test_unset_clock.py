"""An edge whose clock starts in 1970, with real S3 and SQS: nothing goes out, then all of it."""

import asyncio
import contextlib
import time
from functools import partial
from pathlib import Path

from domain.events import FragmentArrived, RunEnded
from domain.identity import parse_fragment_key
from domain.seqs import SeqRanges
from domain.times import utc_ms
from edge_bridge.clock import EdgeClock
from edge_bridge.config import EdgeConfig
from edge_bridge.edge import Edge
from edge_bridge.parts import build_parts
from streams.storage import make_object_store
from tests.conftest import Services
from tests.footage import write_clip
from tests.waiting import wait_for


async def test_footage_waits_for_the_clock(services: Services, tmp_path: Path) -> None:
    settings = services.settings
    right = False
    clock = EdgeClock(
        lambda: utc_ms() if right else 5_000,
        lambda: time.monotonic_ns() // 1_000_000,
        boot="0a0b0c0d",
    )
    write_clip(tmp_path / "clip.mp4", 1_500)
    config = EdgeConfig.model_validate(
        {
            "site": "acme/unset",
            "edge": "e1",
            "cloud": {
                "bucket": settings.s3_bucket,
                "queue_url": settings.sqs_queue_url,
                "region": settings.aws_region,
                "s3_endpoint": settings.s3_endpoint,
                "sqs_endpoint": settings.sqs_endpoint,
            },
            "spool": {"dir": str(tmp_path / "spool"), "free_floor_bytes": 0},
            "cameras": [{"id": "gate", "url": f"file://{tmp_path}/clip.mp4?loop=1"}],
            "fragment_s": 2,
            "heartbeat_s": 1,
            "upload": {"flush_s": 60},
        }
    )
    edge = Edge(config, partial(build_parts, clock=clock))
    began_ms = utc_ms()
    async with make_object_store(settings) as store:
        running = asyncio.create_task(edge.run())
        try:
            files = tmp_path / "spool" / "fragments"
            await wait_for(lambda: len(list(files.rglob("*.frag"))) >= 2, within_s=60, what="held")
            assert edge.report()["clock"] == "wrong"
            assert [one async for one in store.list("fragments/acme/unset/")] == []
            right = True

            async def both_runs() -> bool:
                return len(await _ends(store)) >= 1 and len(await _fragments(store)) >= 4

            await wait_for(both_runs, within_s=60, what="the undated run is in S3")
        finally:
            edge.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        fragments, ends = await _fragments(store), await _ends(store)
    now_ms = utc_ms()
    assert all(began_ms - 5_000 < one.start_ms < now_ms for one in fragments)
    (undated, *_) = ends
    assert undated.reason == "this device's clock was wrong and has been set"
    for end in ends:
        seqs = SeqRanges.of(one.seq for one in fragments if one.run == end.run)
        assert seqs == SeqRanges([(0, end.last_seq)])
    assert len({one.run for one in fragments}) == len(ends)


async def _fragments(store) -> list[FragmentArrived]:  # type: ignore[no-untyped-def]
    return [
        FragmentArrived.from_metadata(dict((await store.head(one.key)).metadata))
        async for one in store.list("fragments/acme/unset/")
        if parse_fragment_key(one.key) is not None
    ]


async def _ends(store) -> list[RunEnded]:  # type: ignore[no-untyped-def]
    return [
        RunEnded.model_validate_json(await store.get(one.key))
        async for one in store.list("fragments/acme/unset/")
        if one.key.endswith("/end.json")
    ]
