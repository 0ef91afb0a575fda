"""Small parts: configuration, messages, batches, back-off, and one camera's eye."""

import asyncio
import itertools
import json
import socket
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.errors import ModelError
from domain.events import DetectionFrame, FoundObject
from edge_bridge.inference import wire
from edge_bridge.inference.batch import Batcher
from edge_bridge.inference.child import Child
from edge_bridge.inference.config import (
    InferenceConfig,
    Mask,
    MotionConfig,
    StationaryConfig,
    TrackingConfig,
)
from edge_bridge.inference.eye import CameraEye, Sample
from edge_bridge.inference.fault import wait_s
from edge_bridge.inference.feed import Offered
from edge_bridge.inference.files import fingerprint
from edge_bridge.inference.handover import Handover
from edge_bridge.inference.looker import MOST_WAITING, Looker
from edge_bridge.inference.pace import Pace
from edge_bridge.inference.report import CameraReport
from edge_bridge.inference.tally import Tally
from tests.footage import write_clip
from tests.unit.edge_bridge.packets import CAMERA, OTHER_RUN, RUN, START_MS, at_ms_of, read_clip
from tests.unit.vision.models import write_card
from tests.waiting import wait_for
from vision.detector import Found, Picture

TALLY = Tally()

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
        ({"motion": {"masks": {CAMERA: [[[0, 0], [0.5, 0.5], [1, 1]]]}}}, "needs an area"),
        ({"providers": []}, "providers"),
        ({"batch": 0}, "batch"),
        ({"tracking": {"sure": 0.5}}, "sure"),
        ({"stationary": {"every_ms": -1}}, "every_ms"),
        ({"gpu": {"memory_mib": 1}}, "memory_mib"),
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
    spool = Path("/var/spool/vigil")

    def model(given: str) -> str:
        return InferenceConfig(model=given).rooted(folder, spool).model

    assert model("models/a.yaml") == "/etc/vigil/models/a.yaml"
    assert model("/srv/a.yaml") == "/srv/a.yaml"
    assert model("hog") == "hog"


@pytest.mark.parametrize(
    ("given_", "expected"),
    [({}, "/var/spool/vigil/engines"), ({"engine_cache": "e"}, "/etc/vigil/e")],
)
def test_engines_lie_beside_the_spool_or_where_asked(given_: dict[str, str], expected: str) -> None:
    config = InferenceConfig.model_validate({"gpu": given_})
    rooted = config.rooted(Path("/etc/vigil"), Path("/var/spool/vigil"))
    assert rooted.gpu.engine_cache == Path(expected)
    sent = json.loads(json.dumps(rooted.model_dump(mode="json")))
    assert InferenceConfig.model_validate(sent) == rooted


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


def eye_of(config: InferenceConfig | None = None, privacy: Sequence[Mask] = ()) -> CameraEye:
    return CameraEye(CAMERA, config or InferenceConfig(), privacy, TALLY)


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    TALLY.take()


def counted() -> dict[str, int]:
    return TALLY.take().get(CAMERA, {})


def test_the_eye_samples_and_counts(tmp_path: Path) -> None:
    """4 s at 25 fps, looked at 5 times a second; every picture differs, so all is motion."""
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 100, b_frames=2))
    eye, pace = eye_of(), Pace(5)
    samples = [sample for packet in clip.encoded() for sample in eye.take(packet, pace)]
    assert [sample.pts for sample in samples] == [i * 18_000 for i in range(len(samples))]
    assert len(samples) >= 19
    assert all(sample.at_ms == at_ms_of(sample.pts) for sample in samples)
    assert samples[0].picture.shape == (128, 192, 3)
    assert pace.preparing_s > 0


def test_of_keyframes_only_nothing_else_is_decoded(tmp_path: Path) -> None:
    """A keyframe a second; looking five times a second is then not possible."""
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 100, gop=25, b_frames=2))
    eye = eye_of(InferenceConfig(keyframes_only=True))
    samples = [s for packet in clip.encoded() for s in eye.take(packet, Pace(5))]
    shown = [pts for _, pts, keyframe in clip.packets if keyframe]
    assert [sample.pts for sample in samples] == shown
    assert len(shown) == 4


def test_what_is_hidden_is_black_before_anybody_looks(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 50))
    left_half = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    bare = [s for p in clip.encoded() for s in eye_of().take(p, Pace(5))]
    hidden = [s for p in clip.encoded() for s in eye_of(privacy=[left_half]).take(p, Pace(5))]
    assert hidden
    assert all(not sample.picture[:, :96].any() for sample in hidden)
    for with_mask, without in zip(hidden, bare, strict=True):
        assert (with_mask.picture[:, 99:] == without.picture[:, 99:]).all()
        assert without.picture[:, :96].any()


def test_behind_it_only_decodes(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 50))
    eye, pace = eye_of(), Pace(5)
    pace.arrived(CAMERA, 10)
    assert [s for packet in clip.encoded() for s in eye.take(packet, pace)] == []
    assert counted()["behind"] >= 6


def test_without_motion_it_still_looks_now_and_then(tmp_path: Path) -> None:
    """One still picture for 40 s: 3 s of warming up, then once in 5 s."""
    path = tmp_path / "still.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=5, options={"preset": "ultrafast", "g": "5"})
        video.width, video.height, video.pix_fmt = 192, 128, "yuv420p"
        for number in range(200):
            picture = av.VideoFrame.from_ndarray(np.full((128, 192, 3), 90, np.uint8), "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 5)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
    eye, pace = eye_of(), Pace(5)
    times = [s.at_ms - START_MS for p in read_clip(path).encoded() for s in eye.take(p, pace)]
    late = [at for at in times if at > 3_500]
    assert len(times) - len(late) >= 14
    assert 6 <= len(late) <= 8
    assert all(4_800 <= b - a <= 5_400 for a, b in itertools.pairwise(late))
    assert counted()["still"] > 150


# --- the report

PICTURE = np.zeros((8, 8, 3), np.uint8)
STANDING = Found("person", 0.9, (0.1, 0.2, 0.3, 0.4))


def reported(
    report: CameraReport, at_ms: int, found: list[Found], run: str = RUN
) -> list[str | None] | None:
    """Return the tracks of the reported objects, None where nothing is reported."""
    sample = Sample(CAMERA, run, at_ms * 90, START_MS + at_ms, PICTURE)
    frame = report.frame(sample, found)
    if frame is None:
        return None
    assert (frame["pts"], frame["at_ms"]) == (sample.pts, sample.at_ms)
    return [found.track for found in DetectionFrame.model_validate(frame).objects]


def test_objects_are_always_reported_and_emptiness_once_a_second() -> None:
    report = CameraReport(TrackingConfig(enabled=False), StationaryConfig())

    def told(at_ms: int, found: list[Found]) -> bool:
        return reported(report, at_ms, found) is not None

    #        objects  0    200  400 │ none 600   800    1000   1600 │ objects  1800 │ none 2000
    assert [told(at, [STANDING]) for at in (0, 200, 400)] == [True] * 3
    assert [told(at, []) for at in (600, 800, 1000, 1600)] == [True, False, False, True]
    assert told(1_800, [STANDING])
    assert told(2_000, [])
    assert reported(report, 2_200, [STANDING]) == [None]


def test_detections_carry_their_track_until_the_run_ends() -> None:
    report = CameraReport(TrackingConfig(), StationaryConfig(enabled=False))
    first = [reported(report, at, [STANDING]) for at in range(0, 2_000, 200)]
    assert first == [["0-0"]] * 10
    again = [reported(report, at, [STANDING], OTHER_RUN) for at in range(3_000, 4_000, 200)]
    assert again == [[f"{270_000:x}-0"]] * 5


def test_a_picture_of_nothing_but_what_stands_still_is_neither_news_nor_empty() -> None:
    """
    s        0 1 2 3 4 5      13          20 21
    parked   ■ ■ ■ ■ · · ···  ■  · · · ·        gone: told as empty at once
    passing                       ■ (16)
    """
    parked = Found("car", 0.9, (0.5, 0.5, 0.3, 0.3))
    passing = Found("person", 0.9, (0.1, 0.1, 0.1, 0.2))
    report = CameraReport(TrackingConfig(), StationaryConfig(after_ms=3_000, every_ms=10_000))
    told = {}
    for s in range(20):
        frame = reported(report, s * 1_000, [parked, passing] if s == 16 else [parked])
        if frame is not None:
            told[s] = frame
    parked_name = "0-0"
    assert {s: names for s, names in told.items() if s != 16} == {
        s: [parked_name] for s in (0, 1, 2, 3, 13)
    }
    assert len(told[16]) == 1
    assert told[16] != [parked_name]
    assert reported(report, 20_000, []) == []


# --- the model's own thread


class Slow:
    """A detector that waits for a word before each look."""

    model, model_version, provider, batch = "slow", "1", "test", 4

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.looks: list[int] = []

    def detect(self, pictures: Sequence[Picture]) -> list[list[Found]]:
        self.looks.append(len(pictures))
        assert self.go.acquire(timeout=60)
        if not pictures[0].any():
            raise ModelError("The model is broken.")
        return [[Found("person", 0.9, (0, 0, 1, 1))] for _ in pictures]


def picture_of(number: int) -> Sample:
    return Sample(CAMERA, RUN, number, START_MS + number, np.full((8, 8, 3), 200, np.uint8))


async def test_a_batch_is_what_waits_and_the_oldest_go_when_too_many_do() -> None:
    detector, seen = Slow(), []
    tell = lambda samples, found: seen.append([s.pts for s in samples])  # noqa: E731
    looker = Looker(detector, tell, TALLY, batch=8, batch_s=0.02)
    looker.offer(picture_of(0))
    await wait_for(lambda: detector.looks, within_s=30, what="the first look: nobody else came")
    for number in range(1, MOST_WAITING + 4):
        looker.offer(picture_of(number))
    assert looker.stuck_s > 0
    assert looker.lag_s > 0
    detector.go.release(1_000)
    await wait_for(lambda: sum(map(len, seen)) == MOST_WAITING + 1, within_s=30, what="all seen")
    assert [pts for batch in seen for pts in batch] == [0, *range(4, MOST_WAITING + 4)]
    assert detector.looks == [1, *[4] * (MOST_WAITING // 4)]
    assert counted() == {"behind": 3}
    assert looker.spent_s() > 0
    looker.finish(30)


async def test_what_waits_is_still_looked_at_when_no_more_comes() -> None:
    detector, seen = Slow(), []
    looker = Looker(
        detector, lambda samples, _: seen.extend(s.pts for s in samples), TALLY,
        batch=4, batch_s=60,
    )  # fmt: skip
    looker.offer(picture_of(1))
    looker.offer(picture_of(2))
    assert not detector.looks  # it would wait a minute for two more
    detector.go.release(10)
    looker.finish(30)
    assert seen == [1, 2]
    assert looker.fault is None


async def test_a_model_that_fails_ends_the_thread_and_says_so() -> None:
    detector = Slow()
    looker = Looker(detector, lambda *_: None, TALLY, batch=4, batch_s=0)
    detector.go.release(10)
    looker.offer(Sample(CAMERA, RUN, 0, 0, PICTURE))
    await wait_for(lambda: looker.fault, within_s=30, what="the fault")
    assert isinstance(looker.fault, ModelError)


# --- who gets a packet while another worker takes over


def offered(camera: str, number: int, *, keyframe: bool = False) -> Offered:
    return Offered(
        camera, RUN, b"", number, number, keyframe, "h264", b"", 8, 8, False, float(number)
    )


def test_each_camera_moves_at_its_keyframe() -> None:
    async def nobody(event: object) -> None: ...

    old, new = (Child(InferenceConfig(), {}, nobody) for _ in range(2))
    handover = Handover(old)
    for camera in "ab":
        assert handover.choose(offered(camera, 0, keyframe=True)) == (old, False)
    handover.move_to(new)
    assert not handover.done.is_set()
    assert handover.choose(offered("a", 1)) == (old, False)
    assert handover.choose(offered("a", 2, keyframe=True)) == (new, True)
    assert handover.choose(offered("a", 3)) == (new, False)
    assert handover.choose(offered("b", 3)) == (old, False)
    assert not handover.done.is_set()
    assert handover.choose(offered("b", 4, keyframe=True)) == (new, True)
    assert handover.done.is_set()
    assert handover.choose(offered("c", 5)) == (new, False)


def test_a_camera_without_keyframes_is_not_waited_for_for_ever() -> None:
    async def nobody(event: object) -> None: ...

    old, new = (Child(InferenceConfig(), {}, nobody) for _ in range(2))
    handover = Handover(old)
    handover.choose(offered("a", 0, keyframe=True))
    handover.move_to(new)
    handover.settle()
    assert handover.choose(offered("a", 1)) == (None, False)
    assert handover.choose(offered("a", 2, keyframe=True)) == (new, True)


# --- the model's files


def test_a_changed_file_of_the_model_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"1")
    (tmp_path / "names.txt").write_text("person")
    card = write_card(tmp_path, {"layout": "yolov8"}, labels="names.txt")
    seen = [fingerprint(str(card))]
    assert fingerprint(str(card)) == seen[0]
    (tmp_path / "model.onnx").write_bytes(b"22")
    seen.append(fingerprint(str(card)))
    (tmp_path / "names.txt").write_text("people")
    (tmp_path / "names.txt").touch()
    seen.append(fingerprint(str(card)))
    card.write_text("no: card")
    seen.append(fingerprint(str(card)))
    card.unlink()
    seen.append(fingerprint(str(card)))
    assert len(set(seen)) == len(seen)
    assert fingerprint("hog") == ()
