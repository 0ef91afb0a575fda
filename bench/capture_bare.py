"""What PyAV alone costs: a thread for each camera that demuxes and muxes, and nothing else.

    python -m bench.capture_bare FOLDER SECONDS URL...

Writes segments of so many seconds beneath the folder, as `ffmpeg -c copy -f segment` does: no times
of its own, no hash, no sync, no journal, no second try.
"""

import sys
import threading
from pathlib import Path

import av
from av.container import OutputContainer


def record(folder: Path, url: str, segment_s: int) -> None:
    """Write segments until the process is ended."""
    folder.mkdir()
    source = av.open(url, options={"rtsp_transport": "tcp", "allowed_media_types": "video"})
    video = source.streams.video[0]
    out: OutputContainer | None = None
    number, began = 0, 0
    for packet in source.demux(video):
        if not packet.size or packet.dts is None:
            continue
        due = out is None or (packet.dts - began) * packet.time_base >= segment_s
        if packet.is_keyframe and due:
            if out is not None:
                out.close()
            out = av.open(str(folder / f"{number:08d}.ts"), "w", format="mpegts")
            written = out.add_stream_from_template(video)
            number, began = number + 1, packet.dts
        if out is not None:
            packet.stream = written
            out.mux_one(packet)


def main(folder: str, segment_s: str, *urls: str) -> None:
    """Record all cameras until the process is ended."""
    threads = [
        threading.Thread(target=record, args=(Path(folder) / str(number), url, int(segment_s)))
        for number, url in enumerate(urls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
