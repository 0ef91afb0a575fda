"""The edge's configuration: one YAML file, unknown keys refused by name."""

from edge_bridge.config.parts import CameraConfig, CloudConfig, HttpConfig, SpoolConfig
from edge_bridge.config.reading import load, read, validated
from edge_bridge.config.whole import EdgeConfig

__all__ = [
    "CameraConfig",
    "CloudConfig",
    "EdgeConfig",
    "HttpConfig",
    "SpoolConfig",
    "load",
    "read",
    "validated",
]
