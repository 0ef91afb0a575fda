"""When the native reader gives a stream up, so that FFmpeg can try: on a simulated clock."""

import base64
from pathlib import Path
from typing import Any

import pytest

from edge_bridge.rtsp.errors import UnsupportedStreamError
from tests.footage import write_clip
from tests.rtsp_camera import access_units, parameter_sets
from tests.unit.edge_bridge.rtp_packets import in_fragments, video
from tests.unit.edge_bridge.simulated_camera import (
    FRAME_S,
    Frames,
    SimulatedClock,
    simulated_camera,
)

LIMIT_S = 1.5 + 3 * FRAME_S


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 25, gop=25)


def opened(monkeypatch: pytest.MonkeyPatch, frames: Frames, **how: Any) -> None:
    """Open a camera; it is open or given up in time, by the simulated clock."""
    clock = SimulatedClock()
    began_s = clock.now_s
    try:
        with simulated_camera(monkeypatch, clock, frames, **how) as open_it:
            open_it()
    finally:
        assert clock.now_s - began_s <= LIMIT_S


def endless(payload: bytes) -> Frames:
    while True:
        yield [payload]


def bare(clip: Path) -> Frames:
    """Yield a clip again and again, without parameter sets."""
    while True:
        yield from access_units(clip, sets=False)


@pytest.mark.parametrize(
    ("payload", "channel", "payload_type", "why"),
    [
        (b"\x1eprivate", 0, 96, "become no video frame"),
        (b"\x1a\0\0multi-time", 0, 96, "become no video frame"),
        (b"\x06\x05\x01a\x80", 0, 96, "become no video frame"),
        (b"\x41\x9a", 5, 96, "not those of its SDP"),
    ],
    ids=["private", "MTAP", "no slices", "channel"],
)
def test_packets_that_become_no_frame_are_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, payload: bytes, channel: int, payload_type: int, why: str
) -> None:
    with pytest.raises(UnsupportedStreamError, match=why):
        opened(monkeypatch, endless(payload), channel=channel, payload_type=payload_type)


def test_missing_parameter_sets_are_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, clip: Path
) -> None:
    with pytest.raises(UnsupportedStreamError, match="without parameter sets"):
        opened(monkeypatch, bare(clip))


def test_b_frames_are_given_up_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "b.mp4", 10, b_frames=2)
    with pytest.raises(UnsupportedStreamError, match="may have B-frames"):
        opened(monkeypatch, access_units(clip))


def annex_b_in_one_unit(clip: Path) -> Frames:
    for units in access_units(clip):
        yield list(in_fragments(b"\0\0\0\1".join(units), "H264", 1_400))


def unpadded(clip: Path) -> str:
    sets = (base64.b64encode(one).decode().rstrip("=") for one in parameter_sets(clip))
    return ",".join(sets) + ",rubbish"


def test_odd_streams_are_not_given_up(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    opened(monkeypatch, annex_b_in_one_unit(clip))
    opened(monkeypatch, bare(clip), media=video(sprop_parameter_sets=unpadded(clip)))
    opened(monkeypatch, access_units(clip), ssrc=lambda number: number)
    # A payload type that is not the SDP's: the first keyframe is missed.
    again = (units for _ in range(9) for units in access_units(clip))
    opened(monkeypatch, again, payload_type=101)
