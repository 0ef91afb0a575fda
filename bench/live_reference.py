"""When a camera sends each of its numbered pictures: a second client of it, without Vigil."""

import threading
import time

import av
import numpy as np

COLUMNS = 16
MATCH_S = 15.0


def read_number(frame: av.VideoFrame) -> int:
    """Return the number in a picture's upper edge: 16 columns, white for a one."""
    row = frame.to_ndarray(format="gray")[frame.height // 16]
    width = frame.width // COLUMNS
    bits = [int(np.mean(row[at * width + 1 : (at + 1) * width - 1]) > 127) for at in range(COLUMNS)]
    return int("".join(map(str, bits)), 2)


class ReferenceReader:
    """Notes the arrival of each picture by its number, in a thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._arrived_s: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "ReferenceReader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def arrived_s(self, number: int, before_s: float) -> float | None:
        """Return when a picture came last (monotonic), if it came shortly before a time."""
        found = self._arrived_s.get(number)
        return None if found is None or not 0 <= before_s - found < MATCH_S else found

    def _read(self) -> None:
        options = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}
        with av.open(self._url, options=options) as container:
            video = container.streams.video[0]
            video.codec_context.thread_count = 1
            for packet in container.demux(video):
                now_s = time.monotonic()
                if self._stop.is_set():
                    return
                for frame in packet.decode():
                    self._arrived_s[read_number(frame)] = now_s
