"""A viewer of live pictures: what came, and the numbers that the pictures carry."""

import io
import json
from typing import Any

import av

from domain.live_stream import LiveKind, LiveMessage
from tests.footage import read_number


class LivePictures:
    """The messages that one viewer got, in order."""

    def __init__(self) -> None:
        self.messages: list[LiveMessage] = []

    def add(self, data: str | bytes) -> LiveMessage:
        """Note a message as it was received."""
        message = LiveMessage.parse(data)
        self.messages.append(message)
        return message

    def count(self, kind: LiveKind) -> int:
        """Return how many messages of a kind came."""
        return sum(each.kind is kind for each in self.messages)

    @property
    def pictures(self) -> int:
        """How many media segments came."""
        return sum(each.kind.is_media for each in self.messages)

    def texts(self, kind: LiveKind) -> list[dict[str, Any]]:
        """Return the text messages of a kind."""
        return [json.loads(each.data) for each in self.messages if each.kind is kind]

    def formats(self) -> list[list[LiveMessage]]:
        """Return the init and media messages, one list for each init segment."""
        found: list[list[LiveMessage]] = []
        for message in self.messages:
            if message.kind is LiveKind.INIT:
                found.append([])
            if message.kind is LiveKind.INIT or (message.kind.is_media and found):
                found[-1].append(message)
        return found

    def numbers(self) -> list[int | None]:
        """Decode everything as a browser does; return the numbers of the pictures, in order."""
        return [number for messages in self.formats() for number in decoded_numbers(messages)]


def decoded_numbers(messages: list[LiveMessage]) -> list[int | None]:
    """Return the numbers in an init segment and its media; None where a picture is damaged."""
    if len(messages) < 2:
        return []
    data = b"".join(
        bytes(each.data)[1 if each.kind is LiveKind.INIT else 9 :]  # type: ignore[arg-type]
        for each in messages
    )
    with av.open(io.BytesIO(data), format="mp4") as container:
        return [read_number(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
