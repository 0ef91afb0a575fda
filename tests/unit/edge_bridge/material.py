"""Events and bytes for the tests of the spool."""

import hashlib
from collections.abc import Callable

from domain.events import FragmentArrived, RunStarted
from domain.identity import new_run_id
from edge_bridge.spool.spool import Spool
from edge_bridge.spool.thread import SpoolThread

CAMERA = "acme/berlin/gate"
T0_MS = 1_760_000_000_000
RUN = new_run_id(T0_MS, bytes(range(10)))
SECOND_RUN = new_run_id(T0_MS + 3_600_000, bytes(range(10)))


def fragment(
    seq: int, *, run: str = RUN, size: int = 1_880, camera: str = CAMERA
) -> tuple[FragmentArrived, bytes]:
    """Return a fragment of 4 s and its bytes."""
    data = (f"{run}/{seq}/".encode() * size)[:size]
    start_ms = T0_MS + seq * 4_000
    event = FragmentArrived(
        camera=camera,
        run=run,
        seq=seq,
        start_ms=start_ms,
        duration_ms=4_000,
        start_pts=900_000 + seq * 360_000,
        arrived_ms=start_ms,
        closed_ms=start_ms + 4_000,
        frames=100,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        video_codec="h264",
        width=64,
        height=64,
        keyframes=[],
    )
    return event, data


def started(run: str = RUN, camera: str = CAMERA) -> RunStarted:
    """Return the start of a run."""
    return RunStarted(camera=camera, run=run, started_ms=T0_MS, edge="e1")


class ObservedSpoolThread(SpoolThread):
    """A spool's thread whose spool the test opened, and reads between two calls."""

    def __init__(
        self, open_it: Callable[[], Spool], changed: Callable[[], None] = lambda: None
    ) -> None:
        def opened() -> Spool:
            self.spool = open_it()
            return self.spool

        super().__init__(opened, changed)
