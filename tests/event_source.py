"""A client with the rules of a browser's EventSource: ids, retry, Last-Event-ID."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import ClientResponse, ClientSession
from aiohttp.test_utils import TestClient


@dataclass(frozen=True)
class Received:
    """An event as a page gets it."""

    name: str
    data: Any
    id: str


class EventSource:
    """Reads a stream by the standard's algorithm (HTML, section 9.2.6)."""

    def __init__(
        self, client: TestClient | ClientSession, path: str, headers: dict[str, str] | None = None
    ) -> None:
        self._client = client
        self._path = path
        self._headers = headers or {}
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self.response: ClientResponse | None = None

    async def connect(self) -> ClientResponse:
        """Connect, or connect again: with the id of the last event."""
        await self.close()
        headers = dict(self._headers)
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        self.response = await self._client.get(self._path, headers=headers)
        return self.response

    async def __aenter__(self) -> Self:
        response = await self.connect()
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop the connection, as a network that fails does."""
        if self.response is not None:
            self.response.close()
            self.response = None

    async def next(self, *names: str, within_s: float = 20.0) -> Received:
        """Return the next event, of these names; raise EOFError where the stream ends."""
        async with asyncio.timeout(within_s):
            while True:
                found = await self._event()
                if not names or found.name in names:
                    return found

    async def _event(self) -> Received:
        name, data, last_id = "message", [], self.last_event_id
        assert self.response is not None
        while line := await self.response.content.readline():
            text = line.decode().rstrip("\n")
            if not text:
                self.last_event_id = last_id
                if data:
                    return Received(name, json.loads("\n".join(data)), last_id)
                name = "message"
                continue
            key, _, value = text.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "id" and "\0" not in value:
                last_id = value
            elif key == "retry" and value.isdigit():
                self.retry_ms = int(value)
        raise EOFError


def labels_of(event: Received) -> list[str]:
    """Return the labels of an event `detection`."""
    return [each["label"] for each in event.data["detections"]]


async def labels(source: EventSource, amount: int) -> list[str]:
    """Return the next labels, and expect exactly so many."""
    found: list[str] = []
    while len(found) < amount:
        found += labels_of(await source.next("detection"))
    assert len(found) == amount
    return found
