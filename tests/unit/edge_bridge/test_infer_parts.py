"""Small parts: configuration, messages, batches, back-off, and one camera's eye."""

import asyncio
import itertools
import json
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.events import DetectionFrame, FoundObject
from edge_bridge.inference import wire
from edge_bridge.inference.batch import Batcher
from edge_bridge.inference.config import InferenceConfig, MotionConfig
from edge_bridge.inference.eye import CameraEye, Sample
from edge_bridge.inference.pace import Pace
from edge_bridge.inference.process import wait_s
from tests.footage import write_clip
from tests.unit.edge_bridge.packets import CAMERA, OTHER_RUN, RUN, START_MS, at_ms_of, read_clip
from vision.detector import Found

# --- configuration


def test_the_default_needs_no_file() -> None:
    config = InferenceConfig()
    assert (config.model, config.rate) == ("hog", 2.0)
    assert InferenceConfig(model="models/yolo.yaml").rate == 5.0
    assert InferenceConfig(rate_fps=0.5).rate == 0.5


@pytest.mark.parametrize(
    ("given_", "where"),
    [
        ({"modell": "hog"}, "modell"),
        ({"motion": {"masks": {}, "begin": 1}}, "begin"),
        ({"motion": {"start": 0.001, "stop": 0.01}}, "motion"),
        ({"motion": {"masks": {CAMERA: [[[0, 0], [1, 1]]]}}}, "masks"),
        ({"motion": {"masks": {CAMERA: [[[0, 0], [1, 1], [2, 0]]]}}}, "masks"),
        ({"providers": []}, "providers"),
        ({"rate_fps": 0}, "rate_fps"),
    ],
)
def test_wrong_configuration_is_refused(given_: dict[str, object], where: str) -> None:
    with pytest.raises(ValidationError) as raised:
        InferenceConfig.model_validate(given_)
    assert where in str(raised.value)


def test_the_configuration_survives_the_way_to_the_worker() -> None:
    masks = {CAMERA: [[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0)]]}
    config = InferenceConfig(motion=MotionConfig(masks=masks), rate_fps=3)
    sent = json.loads(json.dumps(config.model_dump(mode="json")))
    assert InferenceConfig.model_validate(sent) == config


def test_a_card_counts_from_the_configurations_folder() -> None:
    folder = Path("/etc/vigil")
    assert InferenceConfig(model="models/a.yaml").rooted(folder).model == "/etc/vigil/models/a.yaml"
    assert InferenceConfig(model="/srv/a.yaml").rooted(folder).model == "/srv/a.yaml"
    assert InferenceConfig().rooted(folder).model == "hog"


def test_masks_go_by_the_short_or_the_whole_id() -> None:
    triangle = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0)]
    for name in ("door", CAMERA):
        motion = MotionConfig(masks={name: [triangle]})
        assert motion.masks_of(CAMERA) == [triangle]
        assert motion.masks_of("acme/north/gate") == []


# --- messages


@given(
    st.lists(
        st.tuples(st.dictionaries(st.text(), st.integers() | st.text()), st.binary(max_size=300)),
        max_size=8,
    ),
    st.integers(1, 40),
)
def test_messages_arrive_whole_however_they_are_cut(
    messages: list[tuple[dict[str, int | str], bytes]], piece: int
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = wire.Channel(theirs)
        stream = b"".join(wire.pack(header, body) for header, body in messages)
        got = []
        for at in range(0, len(stream), piece):
            ours.sendall(stream[at : at + piece])
            while (message := channel.receive(0)) is not None:
                got.append(message)
        assert got == messages
        ours.close()
        with pytest.raises(wire.ClosedError):
            channel.receive(0)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xff\xff\xff\x00\x00\x00\x00",  # 4 GiB
        b"\x04\x00\x00\x00\x09\x00\x00\x00",  # header longer than all
        b"\x07\x00\x00\x00\x03\x00\x00\x00abc",
        b"\x05\x00\x00\x00\x01\x00\x00\x007",
    ],
)
async def test_what_is_no_message_is_refused(content: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(content)
    reader.feed_eof()
    with pytest.raises(wire.WireError):
        await wire.read(reader)


# --- batches


def frame(pts: int) -> DetectionFrame:
    found = FoundObject(label="person", score=0.9, box=(0, 0, 0.5, 0.5))
    return DetectionFrame(pts=pts, at_ms=START_MS + pts, objects=[found])


def test_a_batch_is_at_most_50_frames_or_a_second() -> None:
    batcher = Batcher("hog-people", "1")
    assert batcher.add(CAMERA, RUN, [frame(pts) for pts in range(49)], 10.0) == []
    assert batcher.due(10.9) == []
    full = batcher.add(CAMERA, RUN, [frame(49), frame(50)], 10.9)
    assert [[f.pts for f in event.frames] for event in full] == [list(range(50))]
    assert (full[0].camera, full[0].run, full[0].model, full[0].model_version) == (
        CAMERA,
        RUN,
        "hog-people",
        "1",
    )
    assert batcher.due(11.8) == []
    assert [[f.pts for f in event.frames] for event in batcher.due(11.9)] == [[50]]
    assert batcher.due(99.0) == []


def test_a_new_run_closes_the_batch_of_the_old_one() -> None:
    batcher = Batcher("m", "1")
    batcher.add(CAMERA, RUN, [frame(1)], 0)
    batcher.add("acme/north/gate", RUN, [frame(2)], 0)
    events = batcher.add(CAMERA, OTHER_RUN, [frame(3)], 0)
    assert [(event.camera, event.run) for event in events] == [(CAMERA, RUN)]
    assert len(batcher.rest()) == 2
    assert batcher.rest() == []


# --- back-off


def test_waits_grow_are_spread_and_are_bounded() -> None:
    assert [wait_s(n, 0.5) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert wait_s(1, 0) == 0.5
    assert wait_s(1, 1) == 1.5
    assert wait_s(10_000, 0.5) == 60


# --- the eye


def test_the_eye_samples_and_counts(tmp_path: Path) -> None:
    """4 s at 25 fps, looked at 5 times a second; every picture differs, so all is motion."""
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 100, b_frames=2))
    eye, pace = CameraEye(CAMERA, MotionConfig()), Pace(5)
    samples = [sample for packet in clip.encoded() for sample in eye.take(packet, pace)]
    assert [sample.pts for sample in samples] == [i * 18_000 for i in range(len(samples))]
    assert len(samples) >= 19
    assert all(sample.at_ms == at_ms_of(sample.pts) for sample in samples)
    assert samples[0].picture.shape == (128, 192, 3)


def test_behind_it_only_decodes(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 50))
    eye, pace = CameraEye(CAMERA, MotionConfig()), Pace(5)
    pace.arrived(CAMERA, 10)
    assert [s for packet in clip.encoded() for s in eye.take(packet, pace)] == []
    assert eye.outcomes["behind"] >= 6


def test_without_motion_it_still_looks_now_and_then(tmp_path: Path) -> None:
    """One still picture for 40 s: 3 s of warming up, then once in 5 s."""
    from fractions import Fraction

    import av

    path = tmp_path / "still.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=5, options={"preset": "ultrafast", "g": "5"})
        video.width, video.height, video.pix_fmt = 192, 128, "yuv420p"
        for number in range(200):
            picture = av.VideoFrame.from_ndarray(np.full((128, 192, 3), 90, np.uint8), "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 5)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
    eye, pace = CameraEye(CAMERA, MotionConfig()), Pace(5)
    times = [s.at_ms - START_MS for p in read_clip(path).encoded() for s in eye.take(p, pace)]
    late = [at for at in times if at > 3_500]
    assert len(times) - len(late) >= 14
    assert 6 <= len(late) <= 8
    assert all(4_800 <= b - a <= 5_400 for a, b in itertools.pairwise(late))
    assert eye.outcomes["still"] > 150


def test_objects_are_always_reported_and_emptiness_once_a_second() -> None:
    eye = CameraEye(CAMERA, MotionConfig())
    person = [Found("person", 0.9, (0.1, 0.2, 0.3, 0.4))]
    picture = np.zeros((8, 8, 3), np.uint8)

    def report(at_ms: int, found: list[Found]) -> bool:
        sample = Sample(CAMERA, RUN, at_ms * 90, START_MS + at_ms, picture)
        return eye.report(sample, found) is not None

    #        objects  0    200  400 │ none 600   800    1000   1600 │ objects  1800 │ none 2000
    assert [report(at, person) for at in (0, 200, 400)] == [True] * 3
    assert [report(at, []) for at in (600, 800, 1000, 1600)] == [True, False, False, True]
    assert report(1_800, person)
    assert report(2_000, [])
    assert eye.outcomes["looked"] == 9
