"""Which worker gets a packet during a takeover, and when a takeover is needed."""

import os
from pathlib import Path

from edge_bridge.config.inference import (
    InferenceConfig,
)
from edge_bridge.encoded_frame import CodecParameters, EncodedFrame
from edge_bridge.inference.frame_queue import QueuedFrame
from edge_bridge.inference.handover import Handover
from edge_bridge.inference.model_files import fingerprint
from edge_bridge.inference.worker_process import WorkerProcess
from tests.unit.edge_bridge.encoded_frames import RUN
from tests.unit.vision.models import write_card


def queued(camera: str, number: int, *, keyframe: bool = False) -> QueuedFrame:
    parameters = CodecParameters("h264", b"", 8, 8)
    frame = EncodedFrame(camera, RUN, b"", number, number, keyframe, parameters)
    return QueuedFrame(frame, False, float(number))


def test_each_camera_moves_at_its_keyframe() -> None:
    async def ignore(event: object) -> None: ...

    old, new = (WorkerProcess(InferenceConfig(), {}, ignore) for _ in range(2))
    handover = Handover(old)
    for camera in "ab":
        assert handover.route(queued(camera, 0, keyframe=True)) == (old, False)
    handover.move_to(new)
    assert not handover.done.is_set()
    assert handover.route(queued("a", 1)) == (old, False)
    assert handover.route(queued("a", 2, keyframe=True)) == (new, True)
    assert handover.route(queued("a", 3)) == (new, False)
    assert handover.route(queued("b", 3)) == (old, False)
    assert not handover.done.is_set()
    assert handover.route(queued("b", 4, keyframe=True)) == (new, True)
    assert handover.done.is_set()
    assert handover.route(queued("c", 5)) == (new, False)


def test_a_camera_without_keyframes_does_not_delay_for_ever() -> None:
    async def ignore(event: object) -> None: ...

    old, new = (WorkerProcess(InferenceConfig(), {}, ignore) for _ in range(2))
    handover = Handover(old)
    handover.route(queued("a", 0, keyframe=True))
    handover.move_to(new)
    handover.stop_waiting()
    assert handover.route(queued("a", 1)) == (None, False)
    assert handover.route(queued("a", 2, keyframe=True)) == (new, True)


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
    os.utime(tmp_path / "names.txt", ns=(1, 1))  # the file system's clock may be too coarse
    seen.append(fingerprint(str(card)))
    card.write_text("no: card")
    seen.append(fingerprint(str(card)))
    card.unlink()
    seen.append(fingerprint(str(card)))
    assert len(set(seen)) == len(seen)
    assert fingerprint("hog") == ()
