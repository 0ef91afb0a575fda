"""Pictures are decoded in a bounded child: what a stranger's bytes may cost."""

import asyncio
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from domain.errors import MediaError
from tests.unit.media.video import clip
from web.picture_decoder import MAX_PER_PRINCIPAL, PictureDecoder
from web.problems import ProblemError

pytestmark = pytest.mark.asyncio


MAKE_PICTURE = """
import io, sys, av
out, side = io.BytesIO(), 9_000
with av.open(out, "w", format="mpegts") as container:
    stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast", "crf": "51"})
    stream.width = stream.height = side
    stream.pix_fmt = "yuv420p"
    frame = av.VideoFrame(side, side, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    for packet in (*stream.encode(frame), *stream.encode()):
        container.mux(packet)
sys.stdout.buffer.write(out.getvalue())
"""


@cache
def huge_picture() -> bytes:
    """Return a small fragment of one black picture of 9,000 x 9,000 pixels.

    Another process makes it: what FFmpeg may allocate is limited in this one.
    """
    command = [sys.executable, "-c", MAKE_PICTURE]
    return subprocess.run(command, capture_output=True, check=True).stdout


async def test_pictures_are_decoded_one_after_the_other_by_the_same_child() -> None:
    decoder = PictureDecoder(children=1)
    for _ in range(3):
        assert (await decoder.jpeg(clip(5, keyframe_every=5), 64)).startswith(b"\xff\xd8")
    (child,) = decoder._idle
    decoder.close()
    assert child.returncode is not None


@pytest.mark.parametrize("data", [b"", bytes(188), b"\x47" + bytes(187)])
async def test_what_is_not_a_picture_is_refused(data: bytes) -> None:
    decoder = PictureDecoder(children=1)
    with pytest.raises(MediaError):
        await decoder.jpeg(data, 64)
    assert (await decoder.jpeg(clip(5, keyframe_every=5), 64)).startswith(b"\xff\xd8")
    decoder.close()


async def test_a_huge_picture_is_refused_with_little_memory() -> None:
    decoder = PictureDecoder(children=1)
    with pytest.raises(MediaError):
        await decoder.jpeg(huge_picture(), 320)
    assert 1_000 < len(huge_picture()) < 1 << 20
    for child in decoder._idle:
        assert await asyncio.to_thread(peak_mib, child.pid) < 512
    decoder.close()


def peak_mib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


async def test_a_child_that_does_not_answer_is_replaced() -> None:
    decoder = PictureDecoder(children=1, deadline_s=0.0)
    with pytest.raises(MediaError, match="too long"):
        await decoder.jpeg(clip(5, keyframe_every=5), 64)
    assert decoder._idle == []


async def test_one_key_cannot_fill_the_queue_of_others() -> None:
    decoder = PictureDecoder(children=1)
    release = asyncio.Event()

    async def picture(principal: str) -> None:
        async with decoder.slot(principal):
            await release.wait()

    waiting = [asyncio.create_task(picture("key:1")) for _ in range(MAX_PER_PRINCIPAL)]
    await asyncio.sleep(0)
    with pytest.raises(ProblemError) as refused:
        await picture("key:1")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
    waiting.append(asyncio.create_task(picture("key:2")))
    release.set()
    await asyncio.gather(*waiting)
    assert not decoder._queued
