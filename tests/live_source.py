"""A camera's live picture without a camera: numbered pictures in real time, for any viewers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction

import av
from aiohttp import web
from av.video.codeccontext import VideoCodecContext

from domain.live_stream import LiveChannel, LiveKind, LiveMessage, ViewerQueue
from domain.times import utc_ms
from media.fmp4 import HZ, Fmp4Muxer, MediaFrame, VideoParameters
from tests.footage import draw_number

FPS = 25


class LiveSource:
    """Makes pictures until it ends. `number` is that of the newest; its UTC is in `taken_ms`."""

    def __init__(self) -> None:
        self.channel = LiveChannel()
        self.size = (192, 128)
        """A change begins another format."""
        self.number = 0
        self.taken_ms: dict[int, int] = {}
        """When each picture was taken."""
        self.refusal: str | None = None
        """Why viewers get no picture; None: they do."""
        self.codecs: str | None = None
        """What the format claims to be; None: what it is."""
        self.sockets: set[web.WebSocketResponse] = set()
        self.opened = 0
        """How many sockets were opened so far."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send the picture to one viewer."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.opened += 1
        if self.refusal is not None:
            end = LiveMessage.text(LiveKind.END, {"reason": self.refusal})
            await socket.send_str(str(end.data))
            await socket.close()
            return socket
        ready = asyncio.Event()
        queue = ViewerQueue(ready.set)
        self.channel.join(queue)
        self.sockets.add(socket)
        reader = asyncio.create_task(_read(socket, ready))
        try:
            while not socket.closed:
                if (message := queue.take()) is None:
                    ready.clear()
                    await ready.wait()
                elif isinstance(message.data, str):
                    await socket.send_str(message.data)
                else:
                    await socket.send_bytes(message.data)
        except ConnectionError:
            pass  # the viewer left
        finally:
            self.channel.leave(queue)
            self.sockets.discard(socket)
            reader.cancel()
        return socket

    async def cut(self) -> None:
        """Break all connections."""
        await asyncio.gather(*(socket.close() for socket in list(self.sockets)))

    async def run(self) -> None:
        """Make pictures in real time."""
        loop = asyncio.get_running_loop()
        began_s = due_s = loop.time()
        encoder, muxer = _encoder(self.size), None
        while True:
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            due_s += 1 / FPS
            width, height = self.size
            if (encoder.width, encoder.height) != self.size:
                encoder, muxer = _encoder(self.size), None
            taken_ms = utc_ms()
            self.number += 1
            self.taken_ms[self.number] = taken_ms
            picture = draw_number(self.number, width, height)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int((loop.time() - began_s) * HZ), Fraction(1, HZ)
            for packet in encoder.encode(frame):
                data, pts = bytes(packet), packet.pts or 0
                media = MediaFrame(data, pts, pts, packet.is_keyframe)
                if muxer is None:
                    muxer = Fmp4Muxer(VideoParameters("h264", b"", data))
                    fields = {
                        "codecs": self.codecs or muxer.codecs,
                        "width": width,
                        "height": height,
                    }
                    self.channel.push(LiveMessage.text(LiveKind.FORMAT, fields))
                    self.channel.push(LiveMessage.init(muxer.init()))
                segment = muxer.segment([media])
                self.channel.push(LiveMessage.media(segment, taken_ms, keyframe=packet.is_keyframe))


@asynccontextmanager
async def running_source() -> AsyncIterator[LiveSource]:
    """Run a source; it ends with the context."""
    source = LiveSource()
    task = asyncio.create_task(source.run())
    try:
        yield source
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await source.cut()


def _encoder(size: tuple[int, int]) -> VideoCodecContext:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, HZ), Fraction(FPS)
    encoder.gop_size = FPS
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
    return encoder


async def _read(socket: web.WebSocketResponse, ready: asyncio.Event) -> None:
    async for _ in socket:
        pass
    ready.set()
