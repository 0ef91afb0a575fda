"""What recording takes of memory before any camera is there."""

import subprocess
import sys

from edge_bridge.capture.memory_limits import limit_heap
from media.allocation_limit import limit_allocations


def test_the_bounds_are_taken() -> None:
    assert limit_allocations()
    assert limit_heap()


def test_recording_alone_loads_neither_opencv_nor_numpy() -> None:
    """They take as much memory as eight cameras: only the page's pictures need them here."""
    asked = "import sys, cli.edge, edge_bridge.edge; print({'cv2', 'numpy'} & sys.modules.keys())"
    command = [sys.executable, "-c", asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
