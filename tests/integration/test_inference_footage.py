"""Real footage: people through the whole worker, and a real COCO detector through its card."""

import asyncio
import contextlib
import itertools
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from domain.events import Detection
from edge_bridge.config.inference import InferenceConfig
from edge_bridge.inference.supervisor import WorkerSupervisor
from tests.unit.edge_bridge.encoded_frames import at_ms_of, encode, read_clip
from tests.waiting import wait_for
from vision.detector import DetectedObject
from vision.hog import HogPeopleDetector
from vision.onnx_detector import load
from vision.resize import FrameResizer
from vision.stationary import iou

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "models"

needs_footage = pytest.mark.skipif(not VTEST.exists(), reason="opencv-doc is not installed")


def pictures(*numbers: int) -> list[np.ndarray]:
    with av.open(str(VTEST)) as clip:
        decoded = enumerate(clip.decode(video=0))
        return [f.to_ndarray(format="bgr24") for number, f in decoded if number in numbers]


@needs_footage
async def test_people_are_found_where_they_are(tmp_path: Path) -> None:
    """The worker's boxes are those that the detector finds in the pictures with the same pts."""
    with av.open(str(VTEST)) as source:
        taken = (frame for number, frame in enumerate(source.decode(video=0)) if number < 60)
        clip = read_clip(encode(taken, tmp_path / "yard.mkv", fps=10, gop=20))
    events: list[Detection] = []

    async def keep(event: Detection) -> None:
        events.append(event)

    inference = WorkerSupervisor(InferenceConfig(rate_fps=1), keep)
    task = asyncio.create_task(inference.run())
    try:
        await wait_for(lambda: inference.state == "working", within_s=60, what="a worker")

        async def play() -> None:
            """Offer the clip over and over, as fast as it was filmed."""
            for turn in itertools.count():
                for index in range(len(clip.packets)):
                    clip.offer(inference.frames, index, offset=turn * clip.duration)
                    await asyncio.sleep(0.1)

        playing = asyncio.create_task(play())
        await wait_for(
            lambda: sum(len(event.frames) for event in events) >= 5, within_s=90, what="5 frames"
        )
        playing.cancel()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    frames = [frame for event in events for frame in event.frames]
    with av.open(str(tmp_path / "yard.mkv")) as source:
        shown = [frame.to_ndarray(format="bgr24") for frame in source.decode(video=0)]
    detector = HogPeopleDetector()
    for frame in frames:
        assert frame.at_ms == at_ms_of(frame.pts)
        direct = detector.detect([shown[frame.pts % clip.duration // 9_000]])[0]
        assert [found.box for found in frame.objects] == [found.box for found in direct]
    assert sum(len(frame.objects) for frame in frames) >= 2 * len(frames)


needs_model = pytest.mark.skipif(
    not MODELS.is_dir(), reason="there is no real model next to the checkout"
)


def coco_card(folder: Path, score: float = 0.55) -> Path:
    card = {
        "name": "fastestdet",
        "version": "1.0",
        "file": str(MODELS / "fastestdet.onnx"),
        "input": {
            "width": 352,
            "height": 352,
            "colour": "BGR",
            "scale": 1 / 255,
            "resize": "stretch",
        },
        "output": {"layout": "fastestdet"},
        "labels": str(MODELS / "coco.names"),
        "keep": ["person", "car", "truck"],
        "thresholds": {"score": score, "iou": 0.45},
    }
    path = folder / f"fastestdet-{score}.yaml"
    path.write_text(yaml.safe_dump(card))
    return path


@needs_footage
@needs_model
def test_a_real_coco_detector_works_through_its_card(tmp_path: Path) -> None:
    detector = load(coco_card(tmp_path))
    found = detector.detect(pictures(*range(0, 780, 60)))
    counts = [Counter(one.label for one in several) for several in found]
    assert all(2 <= count["person"] <= 14 for count in counts), counts
    assert sum(count["person"] for count in counts) / len(counts) >= 4
    # A white van and a car are parked in the upper right corner throughout.
    for several in found:
        parked = [one.box for one in several if one.label in {"car", "truck"}]
        assert any(0.83 < x < 0.87 and 0.06 < y < 0.1 and w < 0.12 for x, y, w, _ in parked)
    # In the first picture people walk at these places (measured by eye, 768 x 576 pixels).
    people = [one.box for one in found[0] if one.label == "person"]
    for x, y in ((267, 265), (515, 195), (665, 276)):
        inside = [
            box
            for box in people
            if box[0] < x / 768 < box[0] + box[2] and box[1] < y / 576 < box[1] + box[3]
        ]
        assert inside, f"no person at {x},{y}"
        assert min(w * h for _, _, w, h in inside) < 0.03


def best_match(one: DetectedObject, among: list[DetectedObject]) -> tuple[float, float]:
    """Return the overlap with the box of that label that overlaps most, and the scores' gap."""
    pairs = [(iou(one.box, each.box), each.score) for each in among if each.label == one.label]
    overlap, score = max(pairs, default=(0.0, 0.0))
    return overlap, abs(one.score - score)


@needs_footage
@needs_model
@pytest.mark.parametrize("size", [(768, 576), (1280, 720)])
def test_resizing_in_one_step_finds_what_resizing_the_full_picture_finds(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """40 pictures, both ways. Each high-score box of one way must be among all of the other."""
    high_score, all_scores = load(coco_card(tmp_path)), load(coco_card(tmp_path, 0.3))
    resizer = FrameResizer()
    counts, pairs = [0, 0], []
    with av.open(str(VTEST)) as clip:
        frames = [f for number, f in enumerate(clip.decode(video=0)) if number % 20 == 0]
    for shown in frames:
        frame = shown.reformat(*size, "yuv420p", interpolation="BICUBIC")
        small = resizer.to_bgr(frame, *high_score.input_size(*size))
        ways = [np.asarray(frame.to_ndarray(format="bgr24")), small]
        high, found = high_score.detect(ways), all_scores.detect(ways)
        for way, other in ((0, 1), (1, 0)):
            counts[way] += len(high[way])
            pairs += [best_match(one, found[other]) for one in high[way]]
    overlaps, gaps = np.asarray(pairs).T
    print(f"boxes {counts}, overlap {overlaps.mean():.3f}, gap of scores {gaps.mean():.4f}")
    assert min(counts) >= 350
    assert abs(counts[0] - counts[1]) <= 0.03 * counts[0]
    assert overlaps.mean() >= 0.93
    assert (overlaps >= 0.5).mean() >= 0.97
    assert gaps.mean() <= 0.015
