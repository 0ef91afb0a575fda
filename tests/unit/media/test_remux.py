"""Fragments become an MP4 with every picture, in order."""

import io
from pathlib import Path

import av
import pytest

from domain.errors import MediaError
from media.remux import mp4
from tests.footage import read_number, write_clip

FRAMES = 100


def as_ts(clip: Path, offset_s: int) -> bytes:
    """The clip as a transport stream whose time does not begin at 0."""
    out = io.BytesIO()
    options = {"output_ts_offset": str(offset_s)}
    with av.open(str(clip)) as source, av.open(out, "w", format="mpegts", options=options) as sink:
        copies = {s.index: sink.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                sink.mux(packet)
    return out.getvalue()


@pytest.mark.parametrize(("codec", "audio"), [("libx264", "aac"), ("libx265", None)])
def test_every_picture_once_and_in_order(tmp_path: Path, codec: str, audio: str | None) -> None:
    clip = write_clip(tmp_path / "clip.mp4", FRAMES, codec=codec, audio=audio)
    data = as_ts(clip, 80_000)
    cut = 188 * 40
    fragments = [data[at : at + cut] for at in range(0, len(data), cut)]
    parts = list(mp4(fragments))
    assert len(parts) > 1  # it plays before it is whole
    with av.open(io.BytesIO(b"".join(parts))) as made:
        assert len(made.streams.audio) == (1 if audio else 0)
        numbers, first_s = [], None
        for frame in made.decode(video=0):
            first_s = frame.time if first_s is None else first_s
            numbers.append(read_number(frame.to_ndarray(format="gray")))
    assert numbers == list(range(FRAMES))
    assert first_s is not None and first_s < 1


def test_garbage_is_reported() -> None:
    with pytest.raises(MediaError):
        list(mp4([b"\x47" + bytes(187)] * 20))
    with pytest.raises(MediaError):
        list(mp4([]))
