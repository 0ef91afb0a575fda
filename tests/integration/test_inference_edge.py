"""Recording next to local inference: nothing that happens to the model costs a frame."""

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from stores.objects import ObjectStore
from streams.storage import make_object_store
from tests.conftest import Services
from tests.edge import Edge
from tests.footage import write_clip
from tests.integration.inference_support import FPS, seeing_card
from tests.integration.test_edge import check_run, ends
from tests.waiting import wait_for


@pytest.fixture
async def store(services: Services) -> AsyncIterator[ObjectStore]:
    async with make_object_store(services.settings) as made:
        yield made


def workers(edge: Edge) -> list[int]:
    """Return the inference processes of an edge."""
    found = []
    for child in psutil.Process(edge.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended just now
            if "edge_bridge.inference" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


@pytest.mark.slow
async def test_every_frame_is_recorded_while_models_change_and_crash(
    services: Services, store: ObjectStore, tmp_path: Path
) -> None:
    site = f"acme/{uuid.uuid4().hex[:8]}"
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 90 * FPS)
    cameras = [{"id": "gate", "url": f"{clip.as_uri()}?loop=1"}]
    card = seeing_card(tmp_path)
    inference = {"model": str(card), "watch_s": 0}
    async with Edge(
        tmp_path, services.settings, site, cameras, env=services.env, inference=inference
    ) as edge:

        async def logs(what: str) -> None:
            await wait_for(lambda: what in edge.tail(), within_s=60, what=what)

        await logs("Inference works: model tiny, version 1")
        [first] = workers(edge)

        seeing_card(tmp_path, version="2")
        os.kill(edge.pid, signal.SIGHUP)
        await logs("Inference works: model tiny, version 2")
        await wait_for(lambda: not psutil.pid_exists(first), within_s=60, what="the old one's end")
        [second] = workers(edge)

        (tmp_path / "model.onnx").write_bytes(b"nothing of the kind")
        os.kill(edge.pid, signal.SIGHUP)
        await logs("The previous inference process continues")
        assert workers(edge) == [second]

        seeing_card(tmp_path, version="3")
        os.kill(second, signal.SIGKILL)
        await logs("Inference works: model tiny, version 3")
        assert "Traceback" not in edge.tail()
        await edge.stop()
    [run] = await ends(store, f"{site}/gate")
    numbers, _ = await check_run(store, f"{site}/gate", run, tmp_path)
    # One run, and no frame is missing in it.
    assert [(number or 0) % (90 * FPS) for number in numbers] == [
        (index + (numbers[0] or 0)) % (90 * FPS) for index in range(len(numbers))
    ]
    assert len(numbers) > 2 * FPS
