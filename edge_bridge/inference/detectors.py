"""From the configuration to a detector."""

from pathlib import Path

from edge_bridge.inference.config import HOG, InferenceConfig
from vision.detector import Detector
from vision.hog import HogPeople
from vision.onnx_detector import load


def build(config: InferenceConfig) -> Detector:
    """Load the configured detector; raises ModelError saying what does not fit."""
    if config.model == HOG:
        return HogPeople(threads=config.threads)
    return load(
        Path(config.model),
        providers=config.providers,
        fallback=config.fallback,
        threads=config.threads,
    )


def check(config: InferenceConfig) -> str:
    """Load the configured detector and say what it is; raises ModelError as `build` does."""
    detector = build(config)
    return f"model {detector.model}, version {detector.model_version}, on {detector.provider}"
