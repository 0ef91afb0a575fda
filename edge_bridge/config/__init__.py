"""The edge's configuration: one YAML file. Values only: nothing here does the work.

An unknown key is an error that names the key.
"""

from edge_bridge.config.camera import CameraConfig
from edge_bridge.config.cloud import CloudConfig
from edge_bridge.config.edge import EdgeConfig
from edge_bridge.config.http import HttpConfig
from edge_bridge.config.loader import load, read, validated
from edge_bridge.config.spool import SpoolConfig

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
