"""A camera's own window length: through the command, Kafka, real workers and the check."""

import asyncio
import shutil
import sys
import uuid
from pathlib import Path

import pytest

from agents.consistency.check import CheckScope
from agents.consistency.fsck import Fsck
from domain.consistency import GracePeriods
from domain.events import ChunkComplete
from domain.times import utc_ms
from domain.window_lengths import WindowLengths
from local.program import vigil
from stores.catalog.camera_windows import (
    CameraWindowSettings,
    camera_windows,
    mark_published,
    set_camera_windows,
)
from stores.objects import ObjectStore
from stores.queue import Queue
from tests.cloud import Cloud
from tests.outcome import newest_chunks, registered
from tests.recorder import Recorder
from tests.waiting import wait_for

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
START_MS = 1_790_000_000_000
BORDER_MS = START_MS + 20_000


async def say(cloud: Cloud, *arguments: str) -> tuple[int, str]:
    """Run a command as an operator does; return its exit status and its output."""
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        *vigil(*arguments),
        env=cloud.env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await command.communicate()
    assert command.returncode is not None
    return command.returncode, output.decode()


async def spans(
    cloud: Cloud, store: ObjectStore, queue: Queue, number: int, camera: str
) -> list[tuple[int, int]]:
    """Record 20 fragments of 2 s; return (start, length) of the windows of their chunks."""
    recorder = Recorder(camera, START_MS, entropy=number.to_bytes(10, "big"))
    for seq in range(20):
        await recorder.record(store, queue, seq)
    await recorder.end(store, queue, 19)

    async def joined() -> list[ChunkComplete] | None:
        chunks = await newest_chunks(store, camera, recorder.run)
        seqs = [fragment.seq for chunk in chunks for fragment in chunk.fragments]
        return chunks if seqs == list(range(20)) else None

    chunks = await wait_for(joined, within_s=60, what=lambda: f"all are joined\n{cloud.tails()}")
    return [(each.window_start_ms - START_MS, each.window_ms) for each in chunks]


CUT = [(0, 10_000), (10_000, 10_000)] + [(at, 5_000) for at in range(20_000, 40_000, 5_000)]


async def test_windows_follow_the_camera_settings_and_the_check_knows(
    cloud: Cloud, store: ObjectStore, queue: Queue, folder: Path
) -> None:
    camera = await registered(cloud, f"acme/{uuid.uuid4().hex[:8]}/cut")
    lengths = WindowLengths.always(10_000).changed(5_000, BORDER_MS)
    assert lengths.steps[-1][0] == BORDER_MS
    now = CameraWindowSettings(camera, lengths, changed_ms=utc_ms())
    async with cloud.catalog() as catalog:  # as if it had been decided and published then
        await set_camera_windows(catalog, now, await camera_windows(catalog, camera, 10_000))
        await mark_published(catalog, now)
    code, output = await say(cloud, "camera", "windows", "--all")
    assert code == 0, output
    assert f"{camera}: windows of 5 s; grace 4 s, idle 4 s\n" in output

    assert await spans(cloud, store, queue, 1, camera) == CUT

    await asyncio.to_thread(cloud.kill, "assemble")
    tables = folder / "state" / "workers"
    (table,) = [each for each in tables.iterdir() if "assemble" in each.name]
    shutil.rmtree(table)
    await asyncio.to_thread(cloud.start, "assemble")
    assert await spans(cloud, store, queue, 2, camera) == CUT, "the changelog has it"

    async with cloud.catalog() as catalog:
        later = GracePeriods(utc_ms() + 3_600_000, 60_000)

        async def clean() -> bool:
            fsck = Fsck(store, catalog, CheckScope(bytes=True), later, cloud.settings.window_ms)
            wrong = [outcome.finding async for outcome in fsck.run({camera}, [camera])]
            assert fsck.counts.chunks == 2 * len(CUT)
            return wrong == []

        await wait_for(clean, within_s=60, what="the check finds nothing, once all is indexed")


async def test_an_operator_changes_and_sees_it(cloud: Cloud) -> None:
    camera = await registered(cloud, f"acme/{uuid.uuid4().hex[:8]}/option")
    code, output = await say(
        cloud, "camera", "windows", camera, "--window", "30s", "--grace", "0s", "--idle", "2m"
    )
    assert code == 0, output
    assert output.startswith(f"{camera}: windows of 10 s, of 30 s from 2")
    assert output.endswith("on; grace 0 s, idle 120 s\n")
    _, listed = await say(cloud, "camera", "list")
    (line,) = [each for each in listed.splitlines() if each.startswith(camera)]
    assert "of 30 s from" in line
    code, output = await say(cloud, "camera", "windows", camera, "--grace", "settings")
    assert (code, output.endswith("on; grace 4 s, idle 120 s\n")) == (0, True), output
    async with cloud.catalog() as catalog:
        current = await camera_windows(catalog, camera, 10_000)
    assert current.published
    from_ms, window_ms = current.lengths.steps[-1]
    assert (from_ms % 30_000, window_ms) == (0, 30_000)
    assert from_ms > utc_ms()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--window", "7m"), "must divide an hour"),
        (("--idle", "2d"), "1s to 24h"),
        (("--window", "soon"), "is not a duration"),
        (("--all", "--window", "1m"), "cannot be combined"),
    ],
)
async def test_what_cannot_be_is_refused_in_a_sentence(
    cloud: Cloud, arguments: tuple[str, ...], says: str
) -> None:
    code, output = await say(cloud, "camera", "windows", "acme/nowhere/cam", *arguments)
    assert code != 0
    assert says in output
    assert "Traceback" not in output


async def test_an_unknown_camera_is_refused(cloud: Cloud) -> None:
    code, output = await say(cloud, "camera", "windows", "acme/nowhere/cam", "--window", "1m")
    assert (code != 0, "is not registered" in output) == (True, True), output
