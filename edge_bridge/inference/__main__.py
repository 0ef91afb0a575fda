"""`python -m edge_bridge.inference FD NICE`: the worker, on the socket it inherited."""

import contextlib
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from edge_bridge.inference.worker import serve
from stores.ipc import PeerClosedError, WorkerChannel


def main() -> int:
    """Serve the socket whose number is the argument; return the exit code."""
    # Ctrl-C reaches the whole process group; the recording process decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s inference: %(message)s")
    try:
        fd, nice = (int(argument) for argument in sys.argv[1:3])
        sock = socket.socket(fileno=fd)
    except (ValueError, OSError):
        sys.stderr.write("Only `vigil edge run` starts this program.\n")
        return 2
    os.nice(nice)
    with contextlib.suppress(OSError):
        # A model that takes too much memory ends this process, not the one that records.
        Path("/proc/self/oom_score_adj").write_text("500")
    with sock:
        try:
            return serve(WorkerChannel(sock))
        except PeerClosedError:
            return 0


sys.exit(main())
