"""A live picture: its messages, what a new viewer gets first, and what a slow viewer loses.

    source ──► LiveChannel ──► ViewerQueue ──► a viewer, a relay, or the cloud
                  │                full: whole GOPs are dropped, the source never waits
                  └─ GopBuffer: format, init segment, and all since the last keyframe

The device, the relay and the web worker use the same channel. docs/design/edge-link.md has the form
of the messages.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, Self

from domain.errors import InvalidEventError

Feed = Literal["main", "sub"]
FEEDS: tuple[Feed, ...] = ("main", "sub")

MAX_MESSAGE_BYTES = 4 << 20
"""Of one message. A keyframe of an 8K camera is smaller."""
MAX_GOP_BYTES = 6 << 20
"""Of what is kept for a new viewer. A longer GOP is not kept: he waits for the next keyframe."""
MAX_QUEUE_BYTES = 8 << 20
"""Viewers of one picture share its bytes: a hundred slow ones hold little more than one."""
MAX_LAG_MS = 2_000
"""What is older than this is dropped at the next keyframe: the viewer jumps to now."""
_UTC_BYTES = 8

NOT_WATCHED = 4000
"""Close code to a device: no one watches any more."""
REPLACED = 4001
"""Close code to a device: the picture comes by a newer connection."""
DEVICE_REFUSED = 4003
"""Close code to a device: it was revoked or locked."""
MAX_NOTE_CHARS = 200
"""Of what people must know of a picture."""
MAX_REASON_BYTES = 120
"""Of a close frame (RFC 6455, 5.5)."""


@dataclass(frozen=True, slots=True)
class LiveEnd:
    """Why a live picture ends, for its viewers."""

    name: str
    """In the message `end`, for programs."""
    code: int
    """Close code of the WebSocket."""
    reason: str
    """For people."""

    def with_reason(self, reason: str) -> "LiveEnd":
        """Return the same end with a reason of its own."""
        return LiveEnd(self.name, self.code, reason or self.reason)


NO_LINK = LiveEnd(
    "no-link", 4100, "The camera's device has no link to the cloud. Recorded footage plays."
)
DEVICE_OFFLINE = LiveEnd("device-offline", 4101, "The camera's device is not connected.")
DEVICE_TOO_OLD = LiveEnd("device-too-old", 4102, "The camera's device is too old: update it.")
CAMERA_OFFLINE = LiveEnd("camera-offline", 4103, "The device sends no picture of this camera.")
BUSY = LiveEnd("busy", 4104, "Too many live pictures are watched now. Try again later.")
NO_RELAY = LiveEnd("no-relay", 4105, "No link worker answers. Recorded footage plays.")
SIGNED_OUT = LiveEnd("signed-out", 4401, "Sign in again.")
NOT_ALLOWED = LiveEnd("not-allowed", 4403, "You may not watch this camera any more.")
RESTART = LiveEnd("restart", 1012, "The server restarts: connect again.")
LIVE_ENDS = (
    NO_LINK,
    DEVICE_OFFLINE,
    DEVICE_TOO_OLD,
    CAMERA_OFFLINE,
    BUSY,
    NO_RELAY,
    SIGNED_OUT,
    NOT_ALLOWED,
    RESTART,
)


class LiveKind(IntEnum):
    """What a message is. Those of media are the first byte of its binary form."""

    FORMAT = 0
    INIT = 1
    KEYFRAME = 2
    DELTA = 3
    DETECTIONS = 4
    END = 5

    @property
    def is_media(self) -> bool:
        """Whether it is a media segment."""
        return self in (LiveKind.KEYFRAME, LiveKind.DELTA)


_TEXT_KINDS = {
    "format": LiveKind.FORMAT,
    "detections": LiveKind.DETECTIONS,
    "end": LiveKind.END,
}


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """One message, in the form in which it is sent."""

    kind: LiveKind
    data: str | bytes
    utc_ms: int = 0
    """Of a segment's first picture."""

    @property
    def size(self) -> int:
        """Size in bytes, or in characters of a text."""
        return len(self.data)

    @classmethod
    def parse(cls, data: str | bytes) -> Self:
        """Return a message that was received; raises InvalidEventError."""
        if len(data) > MAX_MESSAGE_BYTES:
            raise InvalidEventError("a live message is too large")
        if isinstance(data, str):
            try:
                kind = _TEXT_KINDS[json.loads(data)["type"]]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise InvalidEventError("a live message has no known type") from None
            return cls(kind, data)
        first = data[0] if data else 0
        if first == LiveKind.INIT:
            return cls(LiveKind.INIT, data)
        if first in (LiveKind.KEYFRAME, LiveKind.DELTA) and len(data) > 1 + _UTC_BYTES:
            utc_ms = int.from_bytes(data[1 : 1 + _UTC_BYTES], "big")
            return cls(LiveKind(first), data, utc_ms)
        raise InvalidEventError("a live message cannot be read")

    @classmethod
    def text(cls, kind: LiveKind, fields: Mapping[str, Any]) -> Self:
        """Return a text message: format, detections or end."""
        return cls(kind, json.dumps({"type": kind.name.lower(), **fields}, separators=(",", ":")))

    @classmethod
    def end(cls, end: LiveEnd) -> Self:
        """Return the message that says to viewers why the picture ends."""
        return cls.text(LiveKind.END, {"code": end.name, "reason": end.reason})

    @property
    def end_reason(self) -> LiveEnd:
        """Return why the picture ends; for a message of kind END."""
        fields = json.loads(self.data)
        found = {each.name: each for each in LIVE_ENDS}.get(str(fields.get("code")))
        return (found or CAMERA_OFFLINE).with_reason(str(fields.get("reason", "")))

    @classmethod
    def init(cls, segment: bytes) -> Self:
        """Return the message of an init segment."""
        return cls(LiveKind.INIT, b"\x01" + segment)

    @classmethod
    def media(cls, segment: bytes, utc_ms: int, *, keyframe: bool) -> Self:
        """Return the message of a media segment."""
        kind = LiveKind.KEYFRAME if keyframe else LiveKind.DELTA
        head = bytes((kind,)) + utc_ms.to_bytes(_UTC_BYTES, "big")
        return cls(kind, head + segment, utc_ms)


class GopBuffer:
    """What a new viewer gets: the format, the init segment, and everything since the keyframe."""

    def __init__(self, max_bytes: int = MAX_GOP_BYTES) -> None:
        self._max_bytes = max_bytes
        self._format: LiveMessage | None = None
        self._init: LiveMessage | None = None
        self._gop: list[LiveMessage] = []
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes since the last keyframe."""
        return self._size

    def push(self, message: LiveMessage) -> None:
        """Keep a message, and forget what it replaces."""
        match message.kind:
            case LiveKind.FORMAT:
                self._format, self._init = message, None
                self._forget_gop()
            case LiveKind.INIT:
                self._init = message
                self._forget_gop()
            case LiveKind.KEYFRAME:
                self._gop = [message]
                self._size = message.size
            case LiveKind.END:
                pass
            case _:
                if self._gop:
                    self._gop.append(message)
                    self._size += message.size
        if self._size > self._max_bytes:
            self._forget_gop()

    def replay(self) -> list[LiveMessage]:
        """Return what a new viewer gets first."""
        head = [each for each in (self._format, self._init) if each is not None]
        return head + self._gop

    def _forget_gop(self) -> None:
        self._gop = []
        self._size = 0


class ViewerQueue:
    """What one viewer has not taken yet; bounded in bytes and in age."""

    def __init__(
        self,
        wake: Callable[[], None],
        max_bytes: int = MAX_QUEUE_BYTES,
        max_lag_ms: int = MAX_LAG_MS,
    ) -> None:
        """`wake` is called after each message that was queued."""
        self._wake = wake
        self._max_bytes = max_bytes
        self._max_lag_ms = max_lag_ms
        self._queue: deque[LiveMessage] = deque()
        self._size = 0
        self._skips = False
        """Whether media are dropped until the next keyframe."""
        self.dropped_gops = 0

    @property
    def size(self) -> int:
        """Bytes of pictures and boxes that wait."""
        return self._size

    def push(self, message: LiveMessage) -> None:
        """Queue a message, or drop it with its GOP. It never waits."""
        match message.kind:
            case LiveKind.FORMAT:
                self._clear()  # what came before cannot be appended after it
                self._skips = False
            case LiveKind.INIT:
                formats = [each for each in self._queue if each.kind is LiveKind.FORMAT]
                self._clear()
                self._queue.extend(formats)
                self._skips = False
            case LiveKind.END:
                self._clear()
            case LiveKind.KEYFRAME:
                if self._is_late(message):
                    self._drop_media()
                self._skips = not self._fits(message)
                if self._skips:
                    self._drop_media()
                    self._skips = not self._fits(message)
            case LiveKind.DELTA if not self._skips and not self._fits(message):
                self._drop_media()
                self._skips = True
        if message.kind.is_media and self._skips:
            return
        if message.kind is LiveKind.DETECTIONS and (self._skips or not self._fits(message)):
            return
        self._queue.append(message)
        self._size += self._counted(message)
        self._wake()

    def take(self) -> LiveMessage | None:
        """Return the next message; None: there is none yet."""
        if not self._queue:
            return None
        message = self._queue.popleft()
        self._size -= self._counted(message)
        return message

    def _fits(self, message: LiveMessage) -> bool:
        return self._size + message.size <= self._max_bytes

    @staticmethod
    def _counted(message: LiveMessage) -> int:
        """Return what a message adds to the size; there is one format and one init at most."""
        return 0 if message.kind in (LiveKind.FORMAT, LiveKind.INIT) else message.size

    def _is_late(self, keyframe: LiveMessage) -> bool:
        oldest = next((each for each in self._queue if each.kind.is_media), None)
        return oldest is not None and keyframe.utc_ms - oldest.utc_ms > self._max_lag_ms

    def _drop_media(self) -> None:
        if any(each.kind.is_media for each in self._queue):
            self.dropped_gops += 1
        kept = [each for each in self._queue if each.kind in (LiveKind.FORMAT, LiveKind.INIT)]
        self._clear()
        self._queue.extend(kept)

    def _clear(self) -> None:
        self._queue.clear()
        self._size = 0


class LiveChannel:
    """One picture for any number of viewers."""

    def __init__(self) -> None:
        self._gop = GopBuffer()
        self._queues: set[ViewerQueue] = set()

    def __len__(self) -> int:
        """Return how many viewers there are."""
        return len(self._queues)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait in all queues."""
        return sum(each.size for each in self._queues)

    @property
    def kept_bytes(self) -> int:
        """Bytes that are kept for new viewers."""
        return self._gop.size

    def join(self, queue: ViewerQueue) -> None:
        """Add a viewer; he begins at the last keyframe."""
        for message in self._gop.replay():
            queue.push(message)
        self._queues.add(queue)

    def leave(self, queue: ViewerQueue) -> None:
        """Remove a viewer."""
        self._queues.discard(queue)

    def push(self, message: LiveMessage) -> None:
        """Give a message to all viewers."""
        self._gop.push(message)
        for queue in tuple(self._queues):
            queue.push(message)
