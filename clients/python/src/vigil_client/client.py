"""The client: one method for each thing to read, and `request` for the rest."""

import asyncio
import json
import time
import uuid
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

import aiohttp

from vigil_client.errors import UnreachableError, VigilClientError, problem_of
from vigil_client.retries import Retries
from vigil_client.types import Camera, Chunks, Detection, Edge, SessionInfo, Timeline

Moment = int | str
"""UTC ms, or RFC 3339 with a zone."""
Params = Mapping[str, str | int | float | Sequence[str] | None]
TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def etag(self) -> str | None:
        """Return the ETag, to be sent as If-Match with an edit."""
        return self.headers.get("ETag")

    def json(self) -> Any:
        """Return the body as JSON; raise VigilClientError where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise VigilClientError("The answer is not JSON.") from None


class VigilClient:
    """A client with a key, as an asynchronous context manager."""

    def __init__(
        self,
        url: str,
        *,
        key: str,
        retries: Retries | None = None,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": "vigil-client"}
        self._retries = retries if retries is not None else Retries()
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        # aiohttp would send a PUT or DELETE again on a lost connection: `Retries` decides instead.
        # Its own test client sets the same attribute.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def who(self) -> SessionInfo:
        """Return the key's name and grants."""
        return cast(SessionInfo, (await self.request("GET", "/api/v1/session")).json())

    def cameras(self, *, retired: bool = False, page: int = 500) -> AsyncIterator[Camera]:
        """Return the cameras in use, by id; with `retired` all of them."""
        params = {"retired": int(retired)}
        return self.pages("/api/v1/cameras", "cameras", params, page=page)

    async def camera(self, camera: str) -> Camera:
        """Return a camera by its id, tenant/site/camera."""
        return cast(Camera, (await self.request("GET", _camera_path(camera))).json())

    def edges(self, *, page: int = 500) -> AsyncIterator[Edge]:
        """Return the edge devices, by site and name."""
        return self.pages("/api/v1/edges", "edges", {}, page=page)

    async def timeline(
        self, camera: str, start: Moment, end: Moment | None = None, *, buckets: int = 600
    ) -> Timeline:
        """Return recorded time, gaps and counts of detections of a range."""
        params = {"from": start, "to": end, "buckets": buckets}
        path = f"{_camera_path(camera)}/timeline"
        return cast(Timeline, (await self.request("GET", path, params=params)).json())

    async def chunks(self, camera: str, start: Moment, end: Moment | None = None) -> Chunks:
        """Return the chunks, the newest fragments and the gaps of a range."""
        path = f"{_camera_path(camera)}/chunks"
        params: dict[str, Any] = {"from": start, "to": end}
        found = cast(Chunks, (await self.request("GET", path, params=params)).json())
        while found["next"] is not None:
            params["cursor"] = found["next"]
            page = cast(Chunks, (await self.request("GET", path, params=params)).json())
            found["chunks"] += page["chunks"]
            found["fragments"] += page["fragments"]
            found["next"] = page["next"]
        return found

    def detections(
        self,
        camera: str,
        start: Moment,
        end: Moment,
        *,
        labels: Sequence[str] = (),
        min_score: float = 0.0,
        page: int = 1_000,
    ) -> AsyncIterator[Detection]:
        """Return the objects detected in a range, by time."""
        params: Params = {"from": start, "to": end, "label": labels, "min_score": min_score}
        return self.pages(f"{_camera_path(camera)}/detections", "detections", params, page=page)

    async def playlist(self, camera: str, start: Moment, end: Moment | None = None) -> str:
        """Return the HLS playlist of a range."""
        path = f"{_camera_path(camera)}/playlist.m3u8"
        answer = await self.request("GET", path, params={"from": start, "to": end})
        return answer.body.decode()

    async def thumbnail(self, camera: str, at: Moment | None = None, *, width: int = 320) -> bytes:
        """Return a frame as JPEG; without `at` the newest one."""
        path = f"{_camera_path(camera)}/thumbnail.jpg"
        return (await self.request("GET", path, params={"at": at, "width": width})).body

    async def media(self, url: str) -> bytes:
        """Return the bytes of a chunk or fragment, by the `url` of the list of chunks."""
        return (await self.request("GET", url)).body

    async def pages(self, path: str, name: str, params: Params, *, page: int) -> AsyncIterator[Any]:
        """Return the entries of all pages of a list; `name`: the field that holds them."""
        cursor: str | None = None
        while True:
            wanted = {**params, "limit": page, "cursor": cursor}
            answer = (await self.request("GET", path, params=wanted)).json()
            for entry in answer[name]:
                yield entry
            cursor = answer["next"]
            if cursor is None:
                return

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Send a request, again where that is safe; raise ProblemError or UnreachableError.

        `body` is sent as JSON. A POST gets an idempotency key of its own where none is given.
        """
        headers = {}
        if if_match is not None:
            headers["If-Match"] = if_match
        if method == "POST":
            headers["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        began = time.monotonic()
        tried = 0
        while True:
            try:
                return await self._try(method, path, _pairs(params or {}), body, headers)
            except VigilClientError as error:
                tried += 1
                passed_s = time.monotonic() - began
                wait_s = self._retries.wait_s(method, error, tried, passed_s)
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)

    async def _try(
        self,
        method: str,
        path: str,
        params: list[tuple[str, str]],
        body: Any,
        headers: Mapping[str, str],
    ) -> Answer:
        if self._session is None:
            raise VigilClientError("Use it as a context manager: async with VigilClient(...).")
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers = {**headers, "Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, f"{self._url}{path}", params=params, data=data, headers=headers
            ) as response:
                answer = Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{method} {path}: {error or 'no answer in time'}") from error
        if "Deprecation" in answer.headers:
            sunset = answer.headers.get("Sunset", "a date that the server does not say")
            warnings.warn(
                f"{method} {path} is deprecated and may be gone after {sunset}.",
                DeprecationWarning,
                stacklevel=4,
            )
        if answer.status >= 400:
            raise problem_of(answer.status, answer.body, answer.headers.get("Retry-After"))
        return answer


def _camera_path(camera: str) -> str:
    return f"/api/v1/cameras/{'/'.join(quote(part, safe='') for part in camera.split('/'))}"


def _pairs(params: Params) -> list[tuple[str, str]]:
    """Return the parameters as pairs: None is left out, a list is repeated."""
    pairs = []
    for name, value in params.items():
        if isinstance(value, str | int | float):
            pairs.append((name, str(value)))
        elif value is not None:
            pairs += [(name, each) for each in value]
    return pairs
