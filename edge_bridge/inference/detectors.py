"""From the configuration to a detector."""

from edge_bridge.config.inference import InferenceConfig
from vision.detector import Detector
from vision.gpu import GpuOptions
from vision.loader import load_detector


def load_configured(config: InferenceConfig) -> Detector:
    """Load the configured detector; raises ModelError that says what does not fit."""
    return load_detector(
        config.model,
        providers=config.providers,
        fallback=config.fallback,
        threads=config.threads,
        batch=config.batch,
        gpu=GpuOptions(
            device=config.gpu.device,
            memory_mib=config.gpu.memory_mib,
            half=config.gpu.half,
            engine_cache=config.gpu.engine_cache,
        ),
    )


def describe_configured(config: InferenceConfig) -> str:
    """Load the configured detector and return a line about it; raises ModelError."""
    detector = load_configured(config)
    return f"model {detector.model}, version {detector.model_version}, on {detector.provider}"
