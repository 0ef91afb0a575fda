"""Small parts: configuration, messages, batches, back-off."""

import asyncio
import fcntl
import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.events import DetectionFrame, FoundObject
from edge_bridge.config.inference import (
    InferenceConfig,
    MotionConfig,
)
from edge_bridge.inference.batcher import Batcher
from edge_bridge.inference.errors import RESTART_BACKOFF
from stores import ipc
from tests.unit.edge_bridge.encoded_frames import CAMERA, OTHER_RUN, RUN, START_MS

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
        ({"motion": {"masks": {CAMERA: [[[0, 0], [0.5, 0.5], [1, 1]]]}}}, "must have an area"),
        ({"providers": []}, "providers"),
        ({"batch": 0}, "batch"),
        ({"tracking": {"sure": 0.5}}, "sure"),
        ({"stationary": {"every_ms": -1}}, "every_ms"),
        ({"gpu": {"memory_mib": 1}}, "memory_mib"),
        ({"rate_fps": 0}, "rate_fps"),
        ({"eyes": 0}, "eyes"),
    ],
)
def test_wrong_configuration_is_rejected(given_: dict[str, object], where: str) -> None:
    with pytest.raises(ValidationError) as raised:
        InferenceConfig.model_validate(given_)
    assert where in str(raised.value)


def test_the_worker_gets_the_same_configuration() -> None:
    masks = {CAMERA: [[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0)]]}
    config = InferenceConfig(motion=MotionConfig(masks=masks), rate_fps=3)
    sent = json.loads(json.dumps(config.model_dump(mode="json")))
    assert InferenceConfig.model_validate(sent) == config


def test_a_card_is_relative_to_the_configurations_folder() -> None:
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
def test_engines_are_in_the_spools_folder_or_as_configured(
    given_: dict[str, str], expected: str
) -> None:
    config = InferenceConfig.model_validate({"gpu": given_})
    rooted = config.rooted(Path("/etc/vigil"), Path("/var/spool/vigil"))
    assert rooted.gpu.engine_cache == Path(expected)
    sent = json.loads(json.dumps(rooted.model_dump(mode="json")))
    assert InferenceConfig.model_validate(sent) == rooted


def test_one_core_at_least_is_left_for_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, 1), (2, 1), (4, 3), (16, 4)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert InferenceConfig().decode_threads == expected
        assert InferenceConfig(eyes=7).decode_threads == 7


def test_masks_are_found_by_the_short_or_the_full_id() -> None:
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
def test_messages_arrive_complete_however_they_are_cut(
    messages: list[tuple[dict[str, int | str], bytes]], piece: int
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = ipc.WorkerChannel(theirs)
        stream = b"".join(ipc.pack(header, body) for header, body in messages)
        got = []
        for at in range(0, len(stream), piece):
            ours.sendall(stream[at : at + piece])
            while (message := channel.receive(0)) is not None:
                got.append(message)
        assert got == messages
        ours.close()
        with pytest.raises(ipc.PeerClosedError):
            channel.receive(0)


def test_a_message_arrives_over_a_descriptor_beyond_those_that_select_takes() -> None:
    ours, theirs = socket.socketpair()
    high = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 1_024)
    with ours, theirs, socket.socket(fileno=high) as last:
        ours.sendall(ipc.pack({"a": 1}))
        assert last.fileno() >= 1_024
        assert ipc.WorkerChannel(last).receive(0) == ({"a": 1}, b"")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xff\xff\xff\x00\x00\x00\x00",  # 4 GiB
        b"\x04\x00\x00\x00\x09\x00\x00\x00",  # header longer than all
        b"\x07\x00\x00\x00\x03\x00\x00\x00abc",
        b"\x05\x00\x00\x00\x01\x00\x00\x007",
    ],
)
async def test_an_invalid_message_is_rejected(content: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(content)
    reader.feed_eof()
    with pytest.raises(ipc.IpcError):
        await ipc.read(reader)


# --- batches


def frame(pts: int) -> DetectionFrame:
    found = FoundObject(label="person", score=0.9, box=(0, 0, 0.5, 0.5))
    return DetectionFrame(pts=pts, at_ms=START_MS + pts, objects=[found])


def test_a_batch_is_at_most_50_frames_or_half_a_second() -> None:
    batcher = Batcher("hog-people", "1")
    assert batcher.add(CAMERA, RUN, [frame(pts) for pts in range(49)], 10.0) == []
    assert batcher.due(10.4) == []
    full = batcher.add(CAMERA, RUN, [frame(49), frame(50)], 10.4)
    assert [[f.pts for f in event.frames] for event in full] == [list(range(50))]
    assert (full[0].camera, full[0].run, full[0].model, full[0].model_version) == (
        CAMERA,
        RUN,
        "hog-people",
        "1",
    )
    assert batcher.due(10.49) == []
    assert [[f.pts for f in event.frames] for event in batcher.due(10.5)] == [[50]]
    assert batcher.due(99.0) == []


def test_the_batches_of_all_cameras_end_at_the_same_time() -> None:
    """So one request sends them, however the cameras' frames are spread in time."""
    batcher = Batcher("m", "1")
    for number, now_s in enumerate((10.0, 10.1, 10.3, 10.49)):
        batcher.add(f"acme/north/{number}", RUN, [frame(number)], now_s)
    assert batcher.due(10.499) == []
    assert len(batcher.due(10.5)) == 4


def test_a_new_run_closes_the_batch_of_the_old_one() -> None:
    batcher = Batcher("m", "1")
    batcher.add(CAMERA, RUN, [frame(1)], 0)
    batcher.add("acme/north/gate", RUN, [frame(2)], 0)
    events = batcher.add(CAMERA, OTHER_RUN, [frame(3)], 0)
    assert [(event.camera, event.run) for event in events] == [(CAMERA, RUN)]
    assert len(batcher.flush()) == 2
    assert batcher.flush() == []


# --- back-off


def test_restart_delays_grow_have_jitter_and_are_bounded() -> None:
    delay_s = RESTART_BACKOFF.delay_s
    assert [delay_s(n, 0.5) for n in (0, 1, 2, 3)] == [1, 2, 4, 8]
    assert delay_s(0, 0) == 0.5
    assert delay_s(0, 1) == 1.5
    assert delay_s(10_000, 0.5) == 60
