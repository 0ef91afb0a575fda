"""Simulates the recorder of a device: a small process that does what its image says.

Not a recorder: it serves GET /healthz as one, and writes a line of "footage" each 50 ms. So a
machine can run a fleet of them. It imports the standard library only.

    python simulated_recorder.py IMAGE FOLDER     IMAGE: JSON {"version", "fault", "cameras"}
"""

import http.server
import json
import os
import sys
import threading
import time
from pathlib import Path

RECORD_EVERY_S = 0.05


class _SimulatedRecorder:
    def __init__(self, image: Path, folder: Path) -> None:
        self.image = json.loads(image.read_text())
        self.name = image.stem
        self.folder = folder
        self.waiting = 0

    @property
    def fault(self) -> str:
        return str(self.image.get("fault") or "")

    def health(self) -> dict[str, object]:
        """Return a report as GET /healthz of a recorder has it."""
        is_offline = (self.folder / "offline").exists()
        uploads = not is_offline and self.fault != "cannot-upload"
        state = "connecting" if self.fault == "records-nothing" else "recording"
        cameras = int(self.image.get("cameras", 2))
        return {
            "cameras": [
                {"camera": f"acme/hq/camera-{number}", "state": state, "detail": ""}
                for number in range(cameras)
            ],
            "links": {"S3": {"down_since_s": None if uploads else 1.0, "detail": ""}},
            "disk": {"state": "good"},
            "spool": {"waiting": 0 if uploads else self.waiting},
        }

    def record(self) -> None:
        """Write footage until the process ends."""
        while True:
            if self.fault != "records-nothing":
                self.waiting += 1
                with (self.folder / "footage").open("a") as file:
                    file.write(f"{time.time_ns() // 1_000_000} {self.name}\n")
            time.sleep(RECORD_EVERY_S)


def main() -> None:
    """Record and answer until killed; an image that crashes ends at once."""
    folder = Path(sys.argv[2])
    # By the process itself: its parent may be killed at any moment.
    pid = folder / "pid"
    pid.with_suffix(".part").write_text(f"{os.getpid()} sha256:{Path(sys.argv[1]).stem}")
    pid.with_suffix(".part").replace(pid)
    recorder = _SimulatedRecorder(Path(sys.argv[1]), folder)
    if recorder.fault == "crashes" or (recorder.fault == "odd" and (folder / "odd").exists()):
        sys.exit(1)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(recorder.health()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    port = recorder.folder / "port"
    port.with_suffix(".part").write_text(str(server.server_address[1]))
    port.with_suffix(".part").replace(port)
    threading.Thread(target=recorder.record, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
