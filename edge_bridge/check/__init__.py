"""`vigil edge check`: checks all that recording needs, and says how to correct what fails."""

from edge_bridge.check.camera import check_camera, streams_of
from edge_bridge.check.check import check
from edge_bridge.check.result import CheckResult, print_table

__all__ = ["CheckResult", "check", "check_camera", "print_table", "streams_of"]
