"""Who gets a packet while another worker takes over, and when one has to."""

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


def offered(camera: str, number: int, *, keyframe: bool = False) -> QueuedFrame:
    coding = CodecParameters("h264", b"", 8, 8)
    picture = EncodedFrame(camera, RUN, b"", number, number, keyframe, coding)
    return QueuedFrame(picture, False, float(number))


def test_each_camera_moves_at_its_keyframe() -> None:
    async def nobody(event: object) -> None: ...

    old, new = (WorkerProcess(InferenceConfig(), {}, nobody) for _ in range(2))
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

    old, new = (WorkerProcess(InferenceConfig(), {}, nobody) for _ in range(2))
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
    os.utime(tmp_path / "names.txt", ns=(1, 1))  # the file system's clock may not have gone on
    seen.append(fingerprint(str(card)))
    card.write_text("no: card")
    seen.append(fingerprint(str(card)))
    card.unlink()
    seen.append(fingerprint(str(card)))
    assert len(set(seen)) == len(seen)
    assert fingerprint("hog") == ()
