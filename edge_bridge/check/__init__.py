"""`vigil edge check`: tries all that recording needs, and says what to do about what fails."""

from edge_bridge.check.camera import check_camera, streams_of
from edge_bridge.check.check import check
from edge_bridge.check.result import CheckResult, print_table

__all__ = ["CheckResult", "check", "check_camera", "print_table", "streams_of"]
