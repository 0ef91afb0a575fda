"""The edge on a disk that is too small, with no cloud: it records on, and lists what it gave up."""

import asyncio
import contextlib
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.seqs import SeqRanges
from edge_bridge.spool.files import FragmentFiles
from edge_bridge.spool.loss_rows import read_losses
from tests.conftest import Services
from tests.edge import Edge
from tests.footage import numbers_in, write_clip
from tests.integration.test_edge import command
from tests.odd_rtsp import camera
from tests.rtsp_camera import H264, Packet, RtspCamera, access_units
from tests.waiting import wait_for

FPS = 25
SECONDS = 120
SMALL = 12 << 20
FILL = 60_000
"""Bytes that fill each picture: fragments of 2 s have 3 MB."""
DEAD = "http://127.0.0.1:9"
NO_CLOUD = {"flush_s": 1}


def heavy(clip: Path) -> RtspCamera:
    """Return a camera whose numbered pictures are filled up to 12 Mbit/s."""

    def sent() -> Iterator[Packet]:
        for number, nals in enumerate(access_units(clip)):
            filled = [*nals, b"\x0c" + b"\xff" * FILL + b"\x80"]
            for place, nal in enumerate(filled):
                yield Packet(number / FPS, number * 3_600, place == len(filled) - 1, nal)

    return camera(H264, sent)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk at a folder; False where this user may not: the spool's bound is small."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SMALL + (3 << 20)}", "tmpfs", str(folder)]
    mounted = bool(shutil.which("mount")) and not subprocess.run(
        ["mount", *options], capture_output=True, check=False
    ).returncode  # fmt: skip
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["disk", "spool"])
async def test_a_disk_that_is_too_small_keeps_the_newest_and_lists_the_rest(
    services: Services, tmp_path: Path, bound: str
) -> None:
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", SECONDS * FPS)
    site = f"acme/{uuid.uuid4().hex[:8]}"
    settings = services.settings.model_copy(update={"s3_endpoint": DEAD, "sqs_endpoint": DEAD})
    folder = tmp_path / "disk"
    with small_disk(folder) as mounted, heavy(clip) as gate:
        if bound == "disk" and not mounted:
            pytest.skip("this user may not mount; the same runs with a small spool")
        spool = {
            "dir": str(folder / "spool"), "free_floor_bytes": 0, "free_floor_s": 0,
            "max_bytes": (1 << 30) if bound == "disk" else SMALL,
        }  # fmt: skip
        async with Edge(
            tmp_path,
            settings,
            site,
            [{"id": "gate", "url": gate.url}],
            env=services.env,
            spool=spool,
            upload=NO_CLOUD,
        ) as edge:

            def given_up() -> int:
                with contextlib.suppress(Exception):  # not begun yet
                    return sum(
                        one.last_seq - one.first_seq + 1 for one in read_losses(folder / "spool")
                    )
                return 0

            await wait_for(
                lambda: given_up() >= 3, within_s=90, what=lambda: f"it gives up\n{edge.tail()}"
            )
            code, listed = await command(services, "given-up", edge.config)
            assert code == 0 and f"{site}/gate" in listed and "space" in listed, listed
            assert await edge.stop() == 0
        losses = read_losses(folder / "spool")
        kept = sorted((folder / "spool" / "fragments").rglob("*.frag"))
        gone = SeqRanges((one.first_seq, one.last_seq) for one in losses)
        assert {(one.camera, one.why) for one in losses} == {(f"{site}/gate", "space")}
        assert len({path.parent for path in kept}) == 1, "one run: recording never ended"
        seqs = [int(path.stem) for path in kept]
        assert gone | SeqRanges.of(seqs) == SeqRanges([(0, max(seqs))])
        assert min(seqs) > max(one.last_seq for one in losses), "the oldest were deleted"
        assert len(seqs) >= 2
        whole = tmp_path / "kept.ts"
        files = FragmentFiles(folder / "spool" / "fragments")
        known = [files.inspect(path) for path in kept]
        data = [files.read(one.camera, one.run, one.seq, one.size_bytes) for one in known]
        whole.write_bytes(b"".join(data))
        numbers = await asyncio.to_thread(lambda: list(numbers_in(whole)))
        assert None not in numbers
        assert numbers == list(range(numbers[0] or 0, (numbers[0] or 0) + len(numbers)))
        assert (numbers[0] or 0) >= 3 * 2 * FPS - 1
