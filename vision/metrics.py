"""Prometheus metrics of detectors. Imports neither OpenCV nor ONNX Runtime."""

from prometheus_client import Gauge

DETECTOR_INFO = Gauge(
    "vigil_detector_info",
    "1 for each loaded detector, with the execution provider that computes",
    ["model", "version", "provider"],
)


def set_detector_info(model: str, version: str, provider: str) -> None:
    """Show a loaded detector in this process's metrics, instead of any shown before."""
    DETECTOR_INFO.clear()
    DETECTOR_INFO.labels(model, version, provider).set(1)
