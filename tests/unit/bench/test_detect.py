"""The detector bench: its model sees what it is made to see, and the figures are whole."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from bench import detect
from domain.errors import VigilError
from harness.detector_material import FPS, encoded, street, write_model
from vision.onnx_detector import load


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    detect.add_arguments(parser)
    return parser.parse_args(given)


def test_the_made_up_model_finds_five_in_every_picture(tmp_path: Path) -> None:
    detector = load(write_model(tmp_path))
    [one, other] = [np.asarray(f.to_ndarray(format="bgr24")) for f in street(320, 180, 2)]
    assert (one != other).any()
    found = detector.detect([one, other])
    assert [len(several) for several in found] == [5, 5]
    assert all(each.score == pytest.approx(0.8, abs=0.02) for each in found[0])


def test_decoding_counts_every_picture() -> None:
    reel = encoded(320, 180, seconds=4, megabits=0.5)
    assert len(reel.packets) == 4 * FPS
    assert sum(packet.keyframe for packet in reel.packets) == 2
    assert detect._decode(reel, keyframes_only=False) > 0
    assert detect._decode(reel, keyframes_only=True) > 0


def test_a_short_run_has_all_figures_and_drops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIGIL_TEST_MODEL", raising=False)
    short = ("--seconds", "0.2", "--rounds", "1", "--cameras", "2", "--decode-seconds", "0")
    figures = detect.run(arguments(*short))
    assert figures["dropped"] == 0
    assert figures["looked"] >= 2
    assert figures["of_bare"] > 0
    assert {"path_fps", "bare_fps", "path_cpu_ms", "bare_cpu_ms"} <= figures.keys()


def test_only_a_card_can_be_compared() -> None:
    with pytest.raises(VigilError, match="give --model"):
        detect.run(arguments("--model", "hog", "--seconds", "0.1"))
