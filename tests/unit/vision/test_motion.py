"""The motion gate on drawn scenes; times are plain numbers.

0 s ........ 3 s ............. 8 s ........ 9 s ....................
warming up   │ still: shut     │ a block moves: open, then held 2 s │ shut
"""

import numpy as np
import pytest

from vision.motion import MotionGate

STEP_MS = 200
SEED = 7


class Scene:
    """A grey yard with sensor noise; a block of `size` pixels can be anywhere in it."""

    def __init__(self, width: int = 640, height: int = 360) -> None:
        self._random = np.random.default_rng(SEED)
        self._yard = self._random.integers(80, 120, (height // 40, width // 40, 3)).repeat(40, 0)
        self._yard = self._yard.repeat(40, 1)

    def picture(self, at: tuple[int, int] | None = None, size: int = 60) -> np.ndarray:
        noisy = self._yard + self._random.normal(0, 2, self._yard.shape)
        if at is not None:
            x, y = at
            noisy[y : y + size, x : x + size] = (55, 55, 55)  # like a dark coat
        return np.clip(noisy, 0, 255).astype(np.uint8)


def still(gate: MotionGate, scene: Scene, from_ms: int, to_ms: int) -> list[bool]:
    return [gate.update(scene.picture(), at).open for at in range(from_ms, to_ms, STEP_MS)]


def test_open_while_warming_up_then_shut_on_a_still_scene() -> None:
    gate, scene = MotionGate(warmup_ms=3_000), Scene()
    assert all(still(gate, scene, 0, 3_000))
    assert not any(still(gate, scene, 3_000, 10_000))


def test_opens_on_motion_and_holds() -> None:
    gate, scene = MotionGate(warmup_ms=3_000, hold_ms=2_000), Scene()
    still(gate, scene, 0, 8_000)
    moving = [
        gate.update(scene.picture((100 + i * 30, 150)), 8_000 + i * STEP_MS).open for i in range(5)
    ]
    assert all(moving)
    after = still(gate, scene, 9_000, 16_000)
    shut_at = after.index(False)
    # Held for 2 s after the last motion, at 8.8 s or a little later; then shut until the end.
    assert 9 <= shut_at <= 14
    assert not any(after[shut_at:])


def test_hysteresis_keeps_open_on_less_motion_than_it_takes_to_open() -> None:
    shape = {"start": 0.02, "stop": 0.002, "hold_ms": STEP_MS, "warmup_ms": 1_000}
    small = [(100 + i * 40, 150) for i in range(10)]  # about 0.004 of the picture
    gate, scene = MotionGate(**shape), Scene()
    still(gate, scene, 0, 6_000)
    only_small = [
        gate.update(scene.picture(at, 32), 6_000 + i * STEP_MS) for i, at in enumerate(small)
    ]
    assert all(0.002 <= motion.fraction < 0.02 for motion in only_small)
    assert not any(motion.open for motion in only_small)

    gate, scene = MotionGate(**shape), Scene()
    still(gate, scene, 0, 6_000)
    assert gate.update(scene.picture((300, 100), 120), 6_000).open
    after = [
        gate.update(scene.picture(at, 32), 6_200 + i * STEP_MS).open for i, at in enumerate(small)
    ]
    assert all(after)


@pytest.mark.parametrize(("masked", "expected"), [(True, False), (False, True)])
def test_motion_within_a_mask_does_not_count(masked: bool, expected: bool) -> None:
    left_half = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    gate = MotionGate(warmup_ms=1_000, masks=[left_half] if masked else [])
    scene = Scene()
    still(gate, scene, 0, 6_000)
    assert gate.update(scene.picture((100, 150)), 6_000).open is expected
    # On the other side it counts in any case.
    assert gate.update(scene.picture((450, 150)), 6_200).open


def test_a_picture_of_another_shape_or_an_earlier_time_starts_again() -> None:
    gate = MotionGate(warmup_ms=3_000)
    still(gate, Scene(), 10_000, 16_000)
    assert gate.update(Scene().picture(), 16_000).warm
    assert not gate.update(Scene(640, 480).picture(), 16_200).warm
    still(gate, Scene(640, 480), 16_400, 20_000)
    assert not gate.update(Scene(640, 480).picture(), 1_000).warm
