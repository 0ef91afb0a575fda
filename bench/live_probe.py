"""One viewer of a live picture that reads the numbers of the pictures."""

import asyncio
import io
import time

import aiohttp
import av

from bench.live_reference import read_number
from domain.live_stream import LiveKind, LiveMessage


class LiveProbe:
    """Notes when each picture arrived (monotonic seconds), by its number, in order."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._key = key
        self._init = b""
        self._decoder: av.VideoCodecContext | None = None
        self.began_s = time.monotonic()
        self.seen: list[tuple[int, float, int]] = []
        """(number, when it arrived, the UTC that the device gave it)."""
        self.end = ""
        self._task = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Leave."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        headers = {"Authorization": f"Bearer {self._key}"}
        async with self._session.ws_connect(self._url, headers=headers, max_msg_size=0) as ws:
            async for received in ws:
                now_s = time.monotonic()
                message = LiveMessage.parse(received.data)
                if message.kind is LiveKind.END:
                    self.end = str(message.data)
                elif isinstance(message.data, bytes):
                    if message.kind is LiveKind.INIT:
                        self._init = message.data[1:]
                        self._decoder = None
                    else:
                        self._decode(message, now_s)

    def _decode(self, message: LiveMessage, now_s: float) -> None:
        assert isinstance(message.data, bytes)
        segment = message.data[9:]
        if self._decoder is None:
            if message.kind is not LiveKind.KEYFRAME:
                return
            with av.open(io.BytesIO(self._init + segment), format="mp4") as container:
                context = container.streams.video[0].codec_context
                made = av.CodecContext.create(context.name, "r")
                made.extradata = context.extradata
            assert isinstance(made, av.VideoCodecContext)
            made.flags |= av.codec.context.Flags.low_delay
            made.thread_count = 1
            self._decoder = made
        for frame in self._decoder.decode(av.Packet(segment[segment.index(b"mdat") + 4 :])):
            self.seen.append((read_number(frame), now_s, message.utc_ms))
