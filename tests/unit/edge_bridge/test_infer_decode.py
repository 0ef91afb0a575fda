"""The decoder gives every frame the exact times of the packet it came from."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from domain.errors import MediaError
from edge_bridge.inference.decode import CameraDecoder, EncodedPacket
from tests.footage import read_number, write_clip
from tests.unit.edge_bridge.encoded_frames import CAMERA, OTHER_RUN, RUN, Clip, at_ms_of, read_clip

FPS, TICK = 25, 90_000 // 25


@pytest.fixture(scope="module", params=["h264", "h264 with B-frames", "hevc with B-frames"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    codec = "libx264" if request.param.startswith("h264") else "libx265"
    b_frames = 2 if "B-frames" in request.param else 0
    write_clip(path, 60, fps=FPS, gop=12, codec=codec, b_frames=b_frames)
    read = read_clip(path)
    shown = [pts for _, pts, _ in read.packets]
    assert (shown != sorted(shown)) == bool(b_frames), "the clip does not fit the test"
    return read


def decode(
    decoder: CameraDecoder, packets: Iterable[EncodedPacket]
) -> list[tuple[str, int, int, int]]:
    """Return (run, number, pts, at_ms) of each picture."""
    return [
        (one.run, read_number(one.frame.to_ndarray(format="gray")) or 0, one.pts, one.at_ms)
        for packet in packets
        for one in decoder.decode(packet)
    ]


def test_every_picture_keeps_its_own_times(clip: Clip) -> None:
    decoder = CameraDecoder(CAMERA)
    far = 90_000 * 86_400 * 30  # a run of a month, far beyond 33 bits
    seen = decode(decoder, clip.encoded(offset=far))
    assert len(seen) >= 55, "a decoder keeps only a few frames"
    for run, number, pts, at_ms in seen:
        assert run == RUN
        assert pts == far + number * TICK
        assert at_ms == at_ms_of(pts)
    assert [number for _, number, _, _ in seen] == list(range(len(seen)))
    assert decoder.broken == 0


def test_a_new_run_first_gives_the_last_frames_of_the_old_one(clip: Clip) -> None:
    decoder = CameraDecoder(CAMERA)
    seen = decode(decoder, [*clip.encoded(), *clip.encoded(run=OTHER_RUN, offset=7)])
    old = [number for run, number, _, _ in seen if run == RUN]
    new = [(number, pts) for run, number, pts, _ in seen if run == OTHER_RUN]
    assert old == list(range(60))
    assert new == [(number, number * TICK + 7) for number in range(len(new))]
    assert len(new) >= 55


def test_after_a_gap_it_continues_at_the_next_keyframe(clip: Clip) -> None:
    """K0 … p20 │ gap │ p31 … p35: useless │ K36 …"""
    packets = list(clip.encoded())
    keyframes = [i for i, packet in enumerate(packets) if packet.keyframe]
    resume = next(i for i in keyframes if i > 30)
    after = [replace(packets[resume - 5], discontinuity=True), *packets[resume - 4 :]]
    decoder = CameraDecoder(CAMERA)
    before = decode(decoder, packets[:20])
    assert before
    seen = decode(decoder, after)
    numbers = [number for _, number, pts, at_ms in seen if at_ms == at_ms_of(pts)]
    assert len(numbers) == len(seen)
    tail = [number for number in numbers if number >= 36]
    assert tail == list(range(36, 36 + len(tail)))
    assert len(tail) >= 20
    # Frames from before the gap may still come; none from within.
    assert all(number < 22 for number in numbers if number < 36)


def test_broken_bytes_cost_only_their_gop(clip: Clip) -> None:
    packets = list(clip.encoded())
    keyframes = [i for i, packet in enumerate(packets) if packet.keyframe]
    first = keyframes[1]
    for i in range(first, first + 6):
        packets[i] = replace(packets[i], data=b"\x00\x00\x01\xff" + bytes(40))
    seen = decode(CameraDecoder(CAMERA), packets)
    assert all(pts == number * TICK for _, number, pts, _ in seen if number)
    late = [number for _, number, _, _ in seen if number >= 36]
    assert late == list(range(36, 36 + len(late)))
    assert len(late) >= 18


def test_it_waits_for_a_keyframe(clip: Clip) -> None:
    packets = list(clip.encoded())[5:]
    resume = next(i for i, packet in enumerate(packets) if packet.keyframe)
    decoder = CameraDecoder(CAMERA)
    assert decode(decoder, packets[:resume]) == []
    assert decode(decoder, packets[resume:])[0][1] == 12


def test_an_unknown_codec_is_named(clip: Clip) -> None:
    packet = replace(next(clip.encoded()), codec="nonsense")
    with pytest.raises(MediaError, match="has no decoder for 'nonsense'; set the camera to H"):
        list(CameraDecoder(CAMERA).decode(packet))
