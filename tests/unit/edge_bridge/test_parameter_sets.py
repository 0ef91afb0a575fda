"""Which parameter sets a keyframe gets, and whether a frame may be shown earlier."""

from pathlib import Path

import pytest

from edge_bridge.rtsp.display_order import may_be_b_frame
from edge_bridge.rtsp.nal import H264, H265, NalTypes
from edge_bridge.rtsp.parameter_sets import ParameterSets
from tests.footage import write_clip
from tests.rtsp_camera import access_units, parameter_sets
from tests.unit.edge_bridge.rtp_packets import annex_b

SPS, PPS, IDR = b"\x67\x42\x00\x1e", b"\x68\xce\x06", b"\x65\x88\x01"
SPS2, PPS2 = b"\x67\x42\x00\x28", b"\x68\xce\x07"
PPS_ID_1 = b"\x68\x4e\x06"
AUD = b"\x09\xf0"


@pytest.mark.parametrize(
    ("sdp", "before", "keyframe", "expected"),
    [
        ([SPS, PPS], [], [IDR], [SPS, PPS, IDR]),
        ([SPS, PPS], [], [AUD, IDR], [SPS, PPS, AUD, IDR]),
        ([], [], [SPS, PPS, IDR], [SPS, PPS, IDR]),
        ([SPS, PPS], [], [SPS2, PPS2, IDR], [SPS2, PPS2, IDR]),
        # One of both is in the stream, the other in the SDP.
        ([SPS, PPS], [], [SPS2, IDR], [SPS2, PPS, SPS2, IDR]),
        ([SPS, PPS], [], [PPS2, IDR], [SPS, PPS2, PPS2, IDR]),
        # They came once, with an earlier frame.
        ([], [[SPS, PPS, IDR], [PPS2, b"\x41\x9a"]], [IDR], [SPS, PPS2, IDR]),
        ([SPS, PPS], [[PPS_ID_1, b"\x41\x9a"]], [IDR], [SPS, PPS, PPS_ID_1, IDR]),
        ([SPS, PPS, PPS_ID_1], [[SPS2, PPS2, IDR]], [IDR], [SPS2, PPS2, IDR]),
        ([], [], [IDR], [IDR]),
    ],
)
def test_a_keyframe_has_all_its_parameter_sets(
    sdp: list[bytes], before: list[list[bytes]], keyframe: list[bytes], expected: list[bytes]
) -> None:
    sets = ParameterSets(H264, annex_b(sdp))
    for unit in before:
        sets.learn(annex_b(unit))
    assert sets.completed(annex_b(keyframe)) == annex_b(expected)
    assert sets.can_decode == (SPS in expected or SPS2 in expected)


def test_parameter_sets_have_a_limit() -> None:
    sets = ParameterSets(H264, annex_b([SPS, PPS]))
    for number in range(2_000):
        sets.learn(annex_b([b"\x68" + bytes([1 + number % 255, number >> 8, *[7] * 500]), IDR]))
    assert len(sets.completed(annex_b([IDR]))) < 80_000


@pytest.mark.parametrize("types", [H264, H265], ids=["h264", "h265"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_b_frames_are_known_from_the_stream(tmp_path: Path, types: NalTypes, b_frames: int) -> None:
    codec = "libx264" if types is H264 else "libx265"
    clip = write_clip(tmp_path / "clip.mp4", 20, codec=codec, b_frames=b_frames)
    sps = next(one for one in parameter_sets(clip) if types.type_of(one[0]) == types.sps)
    found = [may_be_b_frame(annex_b(unit), sps, types) for unit in access_units(clip)]
    assert any(found) == bool(b_frames)
    # What cannot be read may be one.
    assert may_be_b_frame(b"", b"", types) and may_be_b_frame(b"", sps[:1], types)
