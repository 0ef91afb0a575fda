"""Fragments as one fragmented MP4, which a browser can play while it is written. No transcoding."""

import io
from collections.abc import Iterable, Iterator
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from domain.errors import MediaError

_OPTIONS = {
    "movflags": "frag_keyframe+delay_moov+default_base_moof",
    "avoid_negative_ts": "make_zero",
}


class _FragmentReader(io.RawIOBase):
    """The fragments one after another, as a file without seek."""

    def __init__(self, fragments: Iterable[bytes]) -> None:
        self._fragments = iter(fragments)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            following = next(self._fragments, None)
            if following is None:
                return 0
            self._left = memoryview(following)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def read(self, size: int = -1) -> bytes:
        buffer = bytearray(size if size > 0 else 1 << 16)
        return bytes(buffer[: self.readinto(buffer)])


class _OutputBuffer(io.RawIOBase):
    """Collects what the muxer writes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        parts = self._parts
        self._parts = []
        return b"".join(parts)


def mp4(fragments: Iterable[bytes]) -> Iterator[bytes]:
    """Yield fragmented MP4 of the fragments (MPEG-TS) of one run, in order. Blocking.

    At most one fragment and its MP4 is in memory. Raises MediaError if the fragments cannot be
    read; what was yielded before stays playable.
    """
    out = _OutputBuffer()
    try:
        with (
            av.open(_FragmentReader(fragments), mode="r", format="mpegts") as source,
            av.open(out, mode="w", format="mp4", options=_OPTIONS) as sink,
        ):
            if not source.streams.video:
                raise MediaError("The footage has no video.")
            streams: dict[int, Any] = {}
            filters: dict[int, BitStreamFilterContext] = {}
            for stream in (*source.streams.video[:1], *source.streams.audio[:1]):
                copy = sink.add_stream_from_template(stream)
                if stream.codec_context.name == "hevc":
                    copy.codec_context.codec_tag = "hvc1"  # Apple's players need it
                elif stream.codec_context.name == "aac":  # MP4 has no ADTS headers
                    filters[stream.index] = BitStreamFilterContext("aac_adtstoasc", stream)
                streams[stream.index] = copy
            for packet in source.demux(*(source.streams[index] for index in streams)):
                if packet.dts is None:
                    continue
                index = packet.stream_index
                for copied in filters[index].filter(packet) if index in filters else (packet,):
                    copied.stream = streams[index]
                    sink.mux(copied)
                if written := out.take():
                    yield written
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"The footage cannot be read: {error}") from error
    if written := out.take():
        yield written
