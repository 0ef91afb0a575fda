"""Downloads of updates from a real server that cuts, stalls, lies and changes its file."""

import asyncio
import hashlib
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.backoff import Backoff
from domain.download_rate import FLOOR_BYTES_PER_S
from edge_bridge.update.download import (
    ATTEMPTS,
    DIGEST_ATTEMPTS,
    Artifact,
    DigestError,
    Download,
    DownloadError,
    NoRoomError,
)
from edge_bridge.update.fetch import rate_of
from edge_bridge.update.part_file import CHECKPOINT_BYTES, prune
from edge_bridge.update.source import HttpSource, ObjectSource
from stores.signed_objects import SignedObjectStore
from streams.storage import make_object_store
from tests.conftest import Services

CONTENT = hashlib.shake_256(b"an update").digest(3_000_000)
QUICK = Backoff(first_s=0.001, longest_s=0.001)

Answer = Callable[["Server", asyncio.StreamWriter, dict[str, str]], Awaitable[None]]


class Server:
    """Serves one file by HTTP; `script` answers the first requests, each by one entry."""

    def __init__(self, script: list[Answer] | None = None) -> None:
        self.content = CONTENT
        self.etag = '"one"'
        self.script = script or []
        self.requests: list[dict[str, str]] = []
        self.port = 0

    @property
    def source(self) -> HttpSource:
        return HttpSource(f"http://127.0.0.1:{self.port}/system.raucb")

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            self.requests.append(headers)
            number = len(self.requests) - 1
            answer = self.script[number] if number < len(self.script) else whole
            await answer(self, writer, headers)
        except ConnectionError:
            pass
        finally:
            writer.close()


def head(writer: asyncio.StreamWriter, status: int, **headers: object) -> None:
    lines = [f"HTTP/1.1 {status} X"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode())


def part(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> bytes:
    """Write the headers of a good answer; return its body."""
    found = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
    size = len(server.content)
    if found is None or asked.get("if-range", server.etag) != server.etag:
        head(writer, 200, Content_Length=size, ETag=server.etag)
        return server.content
    first = int(found[1])
    head(
        writer, 206, Content_Length=size - first, ETag=server.etag,
        Content_Range=f"bytes {first}-{size - 1}/{size}",
    )  # fmt: skip
    return server.content[first:]


async def whole(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
    writer.write(part(server, writer, asked))
    await writer.drain()


def cut(size: int) -> Answer:
    async def answer(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
        writer.write(part(server, writer, asked)[:size])
        await writer.drain()

    return answer


async def stall(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
    writer.write(part(server, writer, asked)[:100_000])
    await writer.drain()
    await asyncio.sleep(60)


async def silent(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
    await asyncio.sleep(60)


async def no_range(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
    await whole(server, writer, {})


def status(code: int, **headers: object) -> Answer:
    async def answer(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
        head(writer, code, Content_Length=0, **headers)

    return answer


async def damaged(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
    """Another byte in the middle, as of a proxy that is broken."""
    body = bytearray(part(server, writer, asked))
    body[len(body) // 2] ^= 1
    writer.write(bytes(body))
    await writer.drain()


def other_part(first: int) -> Answer:
    async def answer(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
        size = len(server.content)
        head(
            writer, 206, Content_Length=size - first, ETag=server.etag,
            Content_Range=f"bytes {first}-{size - 1}/{size}",
        )  # fmt: skip
        writer.write(server.content[first:])
        await writer.drain()

    return answer


@asynccontextmanager
async def serve(*script: Answer) -> AsyncIterator[Server]:
    server = Server(list(script))
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


ARTIFACT = Artifact(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def download(server: Server, folder: Path, **more: object) -> Download:
    options: dict[str, object] = {"backoff": QUICK, "reserve_bytes": 0, "stall_s": 0.3, **more}
    return Download(ARTIFACT, server.source, folder, **options)  # type: ignore[arg-type]


async def test_a_file_arrives_whole_and_only_once(tmp_path: Path) -> None:
    async with serve() as server:
        found = await download(server, tmp_path).run()
        assert found.read_bytes() == CONTENT
        assert names(tmp_path) == [ARTIFACT.sha256]
        again = download(server, tmp_path)
        assert await again.run() == found
        assert again.state.phase == "done"
        assert len(server.requests) == 1, "the second run asks nothing"


FAULTS: dict[str, tuple[list[Answer], int]] = {
    "cut three times": ([cut(1_000_000), cut(1), cut(1_000_000)], 4),
    "stalls in the middle": ([stall], 2),
    "never answers": ([silent], 2),
    "answers 200 in place of 206": ([cut(1_000_000), no_range], 2),
    "cut, and no ranges": ([cut(1_000_000), cut(0), no_range], 3),
    "errors": ([status(503), status(500), status(429)], 4),
    "redirects": ([status(302, Location="http://127.0.0.1:1/")], 2),
    "refused, then allowed": ([status(403)], 2),
    "another part than asked": ([cut(1_000_000), other_part(5)], 3),
    "range refused": ([cut(1_000_000), status(416)], 3),
    "changed, by If-Match": ([cut(1_000_000), status(412)], 3),
    "damaged once": ([damaged], 2),
    "compressed": ([status(200, Content_Encoding="gzip")], 2),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_way_is_survived(tmp_path: Path, fault: str) -> None:
    script, requests = FAULTS[fault]
    async with serve(*script) as server:
        found = await download(server, tmp_path).run()
        assert found.read_bytes() == CONTENT
        assert len(server.requests) == requests


async def test_it_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    async with serve(cut(1_000_000), *[status(503)] * ATTEMPTS) as server:
        first = download(server, tmp_path)
        with pytest.raises(DownloadError, match="20 attempts in a row brought nothing"):
            await first.run()
        received = first.state.received
        assert first.state.phase == "failed"
        assert 0 < received <= 1_000_000, "what was read from the socket is kept"
        # Another process, later: a new object.
        server.script = []
        assert (await download(server, tmp_path).run()).read_bytes() == CONTENT
        assert server.requests[-1]["range"] == f"bytes={received}-"
        assert server.requests[-1]["if-range"] == '"one"'


async def test_bytes_that_were_not_surely_written_are_asked_again(tmp_path: Path) -> None:
    """After a power cut a file may end with zeros."""
    async with serve(cut(1_000_000), *[status(503)] * ATTEMPTS) as server:
        first = download(server, tmp_path)
        with pytest.raises(DownloadError):
            await first.run()
        with (tmp_path / f"{ARTIFACT.sha256}.part").open("ab") as file:
            file.write(bytes(500_000))
        server.script = []
        assert (await download(server, tmp_path).run()).read_bytes() == CONTENT
        assert server.requests[-1]["range"] == f"bytes={first.state.received}-"


@pytest.mark.parametrize("note", ["", "{", "[]", '{"bytes": -5, "etag": 7}', '{"bytes": 9e999}'])
async def test_a_damaged_note_costs_bytes_only(tmp_path: Path, note: str) -> None:
    async with serve(cut(1_000_000), *[status(503)] * ATTEMPTS) as server:
        with pytest.raises(DownloadError):
            await download(server, tmp_path).run()
        (tmp_path / f"{ARTIFACT.sha256}.json").write_text(note)
        server.script = []
        assert (await download(server, tmp_path).run()).read_bytes() == CONTENT


async def test_a_file_replaced_in_between_begins_again(tmp_path: Path) -> None:
    other = bytes(len(CONTENT))

    async def replace(server: Server, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
        server.content, server.etag = CONTENT, '"two"'
        await whole(server, writer, asked)

    async with serve(cut(1_000_000), replace) as server:
        server.content = other
        assert (await download(server, tmp_path).run()).read_bytes() == CONTENT
        assert server.requests[1]["if-range"] == '"one"'


async def test_another_file_is_refused_after_a_few_tries(tmp_path: Path) -> None:
    async with serve() as server:
        server.content = bytes(len(CONTENT))
        one = download(server, tmp_path)
        with pytest.raises(DigestError, match="SHA-256 differs"):
            await one.run()
        assert len(server.requests) == DIGEST_ATTEMPTS
        assert not (tmp_path / ARTIFACT.sha256).exists()
        server.content = CONTENT[:-1]
        with pytest.raises(DigestError, match="a file of 2999999 bytes, but 3000000"):
            await one.run()


async def test_a_disk_without_room_asks_nothing(tmp_path: Path) -> None:
    async with serve() as server:
        full = download(server, tmp_path, reserve_bytes=1 << 60)
        with pytest.raises(NoRoomError, match=r"lower spool\.max_bytes"):
            await full.run()
        assert not server.requests


async def test_a_damaged_whole_file_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / ARTIFACT.sha256).write_bytes(bytes(len(CONTENT)))
    async with serve() as server:
        assert (await download(server, tmp_path).run()).read_bytes() == CONTENT


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


async def test_the_rate_is_kept_and_follows_its_limit(tmp_path: Path) -> None:
    clock = Time()
    rates = {0.0: 1_000_000, 1.0: 0, 61.0: 200_000}

    def rate() -> int:
        return [value for since, value in rates.items() if since <= clock.now_s][-1]

    held_back: set[bool] = set()
    async with serve() as server:

        async def sleep(seconds: float) -> None:
            held_back.add(one.state.held_back)
            await clock.sleep(seconds)

        one = download(
            server, tmp_path, bytes_per_s=rate, steady_s=lambda: clock.now_s, sleep=sleep
        )
        assert (await one.run()).read_bytes() == CONTENT
    # 1 MB in the first second, nothing for a minute, then 2 MB in ten.
    assert 69 < clock.now_s < 72
    assert held_back == {True, False}
    assert not one.state.held_back


async def test_what_belongs_to_other_updates_is_removed(tmp_path: Path) -> None:
    async with serve() as server:
        await download(server, tmp_path).run()
    for name in ("0" * 64, "0" * 64 + ".part", "0" * 64 + ".json"):
        (tmp_path / name).touch()
    prune(tmp_path, {ARTIFACT.sha256})
    assert names(tmp_path) == [ARTIFACT.sha256]
    prune(tmp_path / "missing", set())


async def test_an_object_of_s3_is_read_by_ranges(services: Services, tmp_path: Path) -> None:
    content = CONTENT * 7  # more than a checkpoint
    assert len(content) > CHECKPOINT_BYTES
    artifact = Artifact(len(content), hashlib.sha256(content).hexdigest())
    key = f"updates/{artifact.sha256}"
    async with make_object_store(services.settings) as cloud:
        await cloud.put_once(key, content, sha256=artifact.sha256, metadata={})
        async with SignedObjectStore(cloud._endpoint, cloud.bucket) as store:
            source = ObjectSource(store, key)
            async with source.read_from(0, None) as answer:
                etag = answer.headers["ETag"]
            for known in (etag, '"another"'):
                (tmp_path / artifact.sha256).unlink(missing_ok=True)
                (tmp_path / f"{artifact.sha256}.part").write_bytes(content[:5_000_000])
                note = json.dumps({"bytes": 5_000_000, "etag": known})
                (tmp_path / f"{artifact.sha256}.json").write_text(note)
                one = Download(artifact, source, tmp_path, backoff=QUICK, reserve_bytes=0)
                assert (await one.run()).read_bytes() == content


REPORTS = [
    # the recorder's report, the rate, because
    ({"spool": {"waiting": 0, "oldest_ms": None}, "links": {}}, 1_000_000, "nothing waits"),
    ({"spool": {"waiting": 9, "oldest_ms": 50_000}, "links": {}}, 1_000_000, "10 s is live"),
    ({"spool": {"waiting": 9, "oldest_ms": 0}, "links": {}}, FLOOR_BYTES_PER_S, "footage waits"),
    (
        {"spool": {"waiting": 0, "oldest_ms": 0}, "links": {"s3": {"down_since_s": 1.0}}},
        0,
        "the line is down",
    ),
    (None, FLOOR_BYTES_PER_S, "the recorder does not answer"),
    ({"links": []}, FLOOR_BYTES_PER_S, "another program answers"),
]


@pytest.mark.parametrize(("report", "rate", "why"), REPORTS)
def test_the_recorder_says_how_fast(report: dict[str, Any] | None, rate: int, why: str) -> None:
    assert rate_of(report, 1_000_000, 60_000) == rate, why


async def test_the_command_fetches_a_bundle(tmp_path: Path) -> None:
    """The same server answers as the recorder: with bytes that are no report."""
    async with serve() as server:
        url = f"http://127.0.0.1:{server.port}/"
        server.content = CONTENT[:10_000]
        (tmp_path / ("0" * 64)).touch()
        command = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("vigil"), "edge", "update", "fetch", f"{url}x.raucb",
            "--sha256", hashlib.sha256(server.content).hexdigest(), "--size", "10000",
            "--folder", str(tmp_path), "--health-url", f"{url}healthz",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        printed, _ = await command.communicate()
        assert command.returncode == 0
        path = printed.decode().splitlines()[-1]
        assert path == str(tmp_path / names(tmp_path)[0])
        assert len(names(tmp_path)) == 1, "older ones are removed"
