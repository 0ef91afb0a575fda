"""Playlists, bytes and pictures of real video, from a real store, while it moves into chunks."""

import asyncio
import io
import os
import re
import subprocess
from collections.abc import AsyncIterator
from urllib.parse import urljoin

import av
import cv2
import numpy as np
import pytest
from aiohttp import ClientPayloadError

from domain.events import FragmentArrived, RunEnded
from domain.identity import fragment_key
from stores.catalog import index_chunks, index_fragments, index_runs
from tests.integration.catalog_support import CAMERA, T0, run_id
from tests.integration.web_support import (
    BASE,
    Web,
    part_of,
    running_web,
    store_chunk,
    store_fragment,
)

RANGE = f"from={T0}&to={T0 + 60_000}"


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


@pytest.fixture
def run() -> str:
    return run_id(T0, seed=int.from_bytes(os.urandom(4), "big"))


async def footage(web: Web, run: str, count: int) -> list[FragmentArrived]:
    events = [await store_fragment(web.store, run, seq) for seq in range(count)]
    await index_fragments(web.catalog, events, T0)
    return events


async def text(web: Web, path: str) -> str:
    answer = await web.client.get(f"{BASE}/{path}")
    assert answer.status == 200, await answer.text()
    return await answer.text()


async def played(web: Web, playlist: str) -> list[bytes]:
    """Return the bytes of each segment, as a player asks for them."""
    found, part = [], None
    for line in playlist.splitlines():
        if line.startswith("#EXT-X-BYTERANGE:"):
            size, offset = map(int, line.partition(":")[2].split("@"))
            part = {"Range": f"bytes={offset}-{offset + size - 1}"}
        elif line and not line.startswith("#"):
            answer = await web.client.get(urljoin(f"{BASE}/", line), headers=part or {})
            assert answer.status == (206 if part else 200)
            found.append(await answer.read())
            part = None
    return found


async def test_footage_plays_the_same_before_and_after_it_is_joined(web: Web, run: str) -> None:
    events = await footage(web, run, 10)
    alone = await text(web, f"playlist.m3u8?{RANGE}")
    assert alone.count("#EXT-X-BYTERANGE") == 10
    assert "#EXT-X-ENDLIST" in alone
    before = await played(web, alone)
    joined = await store_chunk(web.store, events[:6])
    await index_chunks(web.catalog, [joined], T0)
    mixed = await text(web, f"playlist.m3u8?{RANGE}")
    assert mixed.count("#EXT-X-BYTERANGE") == 10
    after = await played(web, mixed)
    assert before == after
    assert [len(each) for each in before] == [each.size_bytes for each in events]

    def timing(playlist: str) -> list[str]:
        return re.findall(r"#EXTINF.*|#EXT-X-PROGRAM.*|#EXT-X-DISC.*|#EXT-X-TARGET.*", playlist)

    assert timing(alone) == timing(mixed)
    assert "#EXT-X-DISCONTINUITY" not in mixed
    # The old playlist's addresses still answer.
    assert await played(web, alone) == before


async def test_a_player_opens_the_playlist(web: Web, run: str) -> None:
    """FFmpeg's own HLS client, over HTTP with the key."""
    events = await footage(web, run, 4)
    await index_chunks(web.catalog, [await store_chunk(web.store, events[:2])], T0)
    url = str(web.client.make_url(f"{BASE}/playlist.m3u8?{RANGE}"))

    def frames() -> int:
        options = {"headers": f"Authorization: Bearer {web.key}\r\n"}
        with av.open(url, options=options, timeout=20) as container:
            return sum(1 for _ in container.decode(video=0))

    assert await asyncio.to_thread(frames) == 4 * 40


@pytest.mark.parametrize("joined", [0, 2, 4])
async def test_ffmpeg_plays_over_the_border_of_chunks_and_fragments(
    web: Web, run: str, joined: int
) -> None:
    """The command, with its kept-alive connection: it ends, and shows each frame once."""
    events = await footage(web, run, 4)
    if joined:
        await index_chunks(web.catalog, [await store_chunk(web.store, events[:joined])], T0)
    url = str(web.client.make_url(f"{BASE}/playlist.m3u8?{RANGE}"))
    command = [
        *("ffmpeg", "-nostdin", "-v", "error", "-headers", f"Authorization: Bearer {web.key}\r\n"),
        *("-i", url, "-map", "0:v", "-c", "copy", "-f", "framemd5", "-"),
    ]
    done = await asyncio.to_thread(
        subprocess.run, command, stdout=subprocess.PIPE, timeout=30, check=True
    )
    output = done.stdout
    frames = [line for line in output.decode().splitlines() if not line.startswith("#")]
    assert len(frames) == 4 * 40


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=0-187"}, 206),
        ({"Range": "bytes=0-187", "If-Range": "{etag}"}, 206),
        ({"Range": "bytes=0-187", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=0-187", "If-Range": "W/{etag}"}, 200),
        ({"Range": "bytes=-0"}, 416),
        ({"Range": "bytes=-188"}, 206),
        ({"If-None-Match": "{etag}"}, 304),
        ({"If-None-Match": "W/{etag}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": "{etag}"}, 200),
    ],
)
async def test_conditions(web: Web, run: str, headers: dict[str, str], status: int) -> None:
    await footage(web, run, 1)
    path = f"{BASE}/fragments/{run}/0.ts"
    etag = (await web.client.get(path)).headers["ETag"]
    sent = {name: value.replace("{etag}", etag) for name, value in headers.items()}
    assert (await web.client.get(path, headers=sent)).status == status


async def test_a_gap_is_an_empty_segment_until_its_fragment_comes(web: Web, run: str) -> None:
    """VLC and GStreamer request what EXT-X-GAP says not to, and end at a 404."""
    events = [await store_fragment(web.store, run, seq) for seq in range(3)]
    await index_fragments(web.catalog, [events[0], events[2]], T0)
    playlist = await text(web, "playlist.m3u8?live=1")
    address = re.search(r"#EXT-X-GAP\n#.*\n#.*\n(.*)", playlist)[1]
    missing = await web.client.get(f"{BASE}/{address}")
    assert missing.status == 200
    assert missing.headers["Cache-Control"] == "no-store"
    with pytest.raises(av.FFmpegError):
        av.open(io.BytesIO(await missing.read()), format="mpegts")
    await index_fragments(web.catalog, [events[1]], T0)
    come = await web.client.get(f"{BASE}/{address}")
    assert len(await come.read()) == events[1].size_bytes
    assert (await web.client.get(f"{BASE}/fragments/{run}/9.ts")).status == 404


async def test_a_local_day_of_25_hours(web: Web, run: str) -> None:
    await footage(web, run, 1)
    until = T0 + 25 * 3_600_000
    web.set_now(until + 60_000)
    for what in ("playlist.m3u8", "chunks", "detections", "timeline"):
        assert (await web.client.get(f"{BASE}/{what}?from={T0}&to={until}")).status == 200, what


async def test_a_fragment_of_no_length(web: Web, run: str) -> None:
    event = await store_fragment(web.store, run, 1)
    await index_fragments(web.catalog, [event.model_copy(update={"duration_ms": 0})], T0)
    assert "#EXTINF:0.001," in await text(web, f"playlist.m3u8?{RANGE}")
    assert (await web.client.get(f"{BASE}/thumbnail.jpg")).status == 200


async def test_live_numbers_stay_while_an_earlier_run_grows(web: Web, run: str) -> None:
    """After an outage: run A has no end yet, B is live, A's backlog arrives late."""
    other = run_id(T0 + 60_000, seed=6)
    events = [await store_fragment(web.store, run, seq) for seq in range(8)]
    live = [
        (await store_fragment(web.store, other, seq)).model_copy(
            update={"start_ms": T0 + 60_000 + 4_000 * seq}
        )
        for seq in range(6)
    ]
    await index_fragments(web.catalog, events[:3], T0 + 70_000)
    await index_fragments(web.catalog, live[:3], T0 + 72_000)
    web.set_now(T0 + 100_000)
    seen: dict[str, int] = {}
    for step in range(3):
        await index_fragments(web.catalog, [live[3 + step], events[3 + step]], T0 + 80_000)
        playlist = await text(web, f"playlist.m3u8?live=1&from={T0}")
        assert "#EXT-X-BYTERANGE" not in playlist
        first = int(re.search(r"MEDIA-SEQUENCE:(\d+)", playlist)[1])
        for at, uri in enumerate(re.findall(r"^fragments/.*", playlist, re.MULTILINE), first):
            assert seen.setdefault(uri, at) == at
    assert f"fragments/{other}/5.ts" in seen
    assert f"fragments/{run}/2.ts" in seen
    assert f"fragments/{run}/3.ts" not in seen
    whole = await text(web, f"playlist.m3u8?from={T0}&to={T0 + 90_000}")
    assert f"fragments/{run}/3.ts" in whole, "history shows it"


async def test_a_list_of_hours_is_sent_in_pieces(web: Web, run: str) -> None:
    events = [await store_fragment(web.store, run, seq) for seq in range(3)]
    await index_fragments(web.catalog, events, T0)
    web.set_now(T0 + 3 * 3_600_000)
    short = await text(web, f"playlist.m3u8?{RANGE}")
    path = f"{BASE}/playlist.m3u8?from={T0}&to={T0 + 2 * 3_600_000}"
    for coding in ("identity", "gzip", "deflate"):
        async with web.client.get(path, headers={"Accept-Encoding": coding}) as answer:
            assert await answer.text() == short
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.content_type == "application/vnd.apple.mpegurl"
            known = answer.headers.get("Content-Length")
            assert known == (str(len(short.encode())) if coding == "identity" else None)
    async with web.client.head(path, headers={"Accept-Encoding": "identity"}) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(short.encode()))
    path = f"{BASE}/playlist.m3u8?from={T0 - 2 * 3_600_000}&to={T0 - 60_000}"
    async with web.client.get(path) as answer:
        assert answer.status == 404


async def test_gaps_and_runs_are_discontinuities(web: Web, run: str) -> None:
    events = [await store_fragment(web.store, run, seq) for seq in (0, 1, 3)]
    other = run_id(T0 + 30_000, seed=5)
    events.append(await store_fragment(web.store, other, 8))
    await index_fragments(web.catalog, events, T0)
    lines = (await text(web, f"playlist.m3u8?{RANGE}")).splitlines()
    places = [n for n, line in enumerate(lines) if line == "#EXT-X-DISCONTINUITY"]
    assert len(places) == 2
    following = [next(x for x in lines[n:] if not x.startswith("#")) for n in places]
    assert following == [f"fragments/{run}/3.ts", f"fragments/{other}/8.ts"]


async def test_a_live_playlist_grows_and_keeps_its_numbers(web: Web, run: str) -> None:
    events = [await store_fragment(web.store, run, seq) for seq in range(6)]
    await index_fragments(web.catalog, events[:3], T0)
    web.set_now(T0 + 13_000)
    first = await text(web, f"playlist.m3u8?live=1&from={T0}")
    assert "#EXT-X-ENDLIST" not in first
    await index_fragments(web.catalog, events[3:], T0)
    await index_chunks(web.catalog, [await store_chunk(web.store, events[:4])], T0)
    web.set_now(T0 + 25_000)
    second = await text(web, f"playlist.m3u8?live=1&from={T0}")
    late = await text(web, f"playlist.m3u8?live=1&from={T0 + 13_000}")

    def dates(playlist: str) -> dict[int, str]:
        start = int(re.search(r"MEDIA-SEQUENCE:(\d+)", playlist)[1])
        return dict(enumerate(re.findall(r"DATE-TIME:(.*)", playlist), start))

    base = min(dates(first))
    assert list(dates(first)) == [base + seq for seq in range(3)]
    assert list(dates(second)) == [base + seq for seq in range(6)]
    assert list(dates(late)) == [base + seq for seq in range(3, 6)]
    assert dates(first).items() <= dates(second).items()
    assert dates(late).items() <= dates(second).items()


async def test_a_live_playlist_of_the_next_run_counts_on(web: Web, run: str) -> None:
    events = await footage(web, run, 3)
    ended = RunEnded(camera=CAMERA, run=run, ended_ms=T0 + 12_000, last_seq=2, reason="restart")
    await index_runs(web.catalog, [ended])
    other = run_id(T0 + 30_000, seed=5)
    await index_fragments(web.catalog, [await store_fragment(web.store, other, 8)], T0)
    del events
    web.set_now(T0 + 60_000)
    newest = await text(web, f"playlist.m3u8?live=1&from={T0 + 30_000}")
    assert f"fragments/{other}/8.ts" in newest
    assert f"#EXT-X-MEDIA-SEQUENCE:{T0 // 1_000 + 3}\n" in newest
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in newest


async def test_ranges_of_a_chunk(web: Web, run: str) -> None:
    events = await footage(web, run, 3)
    joined = await store_chunk(web.store, events)
    await index_chunks(web.catalog, [joined], T0)
    url = f"{BASE}/chunks/{run}/{joined.window_start_ms}/{joined.digest}.ts"
    whole = await web.client.get(url)
    data = await whole.read()
    assert (whole.status, len(data)) == (200, joined.size_bytes)
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.content_type == "video/mp2t"
    size = joined.size_bytes
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=188-375", 188, 375),
        (f"bytes={size - 10}-", size - 10, size - 1),
        ("bytes=-10", size - 10, size - 1),
        (f"bytes=-{size * 2}", 0, size - 1),
        (f"bytes=5-{size * 2}", 5, size - 1),
    ):
        part = await web.client.get(url, headers={"Range": asked})
        assert part.status == 206, asked
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
        assert await part.read() == data[first : last + 1]
    for odd in ("bytes=0-1,4-5", "furlongs=1-2", "bytes=x"):
        assert (await web.client.get(url, headers={"Range": odd})).status == 200, odd
    over = await web.client.get(url, headers={"Range": f"bytes={size}-"})
    assert (over.status, over.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert over.content_type == "application/problem+json"
    head = await web.client.head(url)
    assert (head.status, head.headers["Content-Length"]) == (200, str(size))
    again = await web.client.get(url, headers={"If-None-Match": whole.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


async def test_only_valid_digests_are_queried(web: Web, run: str) -> None:
    joined = await store_chunk(web.store, await footage(web, run, 1))
    await index_chunks(web.catalog, [joined], T0)
    base = f"{BASE}/chunks/{run}/{joined.window_start_ms}"
    assert (await web.client.get(f"{base}/{'0' * 32}.ts")).status == 404
    assert (await web.client.get(f"{base}/{'0' * 31}.ts")).status == 404
    other = f"/api/v1/cameras/acme/hq/other/chunks/{run}/{joined.window_start_ms}"
    assert (await web.client.get(f"{other}/{joined.digest}.ts")).status == 404


async def test_an_object_that_is_gone_or_short(web: Web, run: str) -> None:
    events = await footage(web, run, 2)
    await web.store.delete([fragment_key(CAMERA, run, 0)])
    assert (await web.client.get(f"{BASE}/fragments/{run}/0.ts")).status == 404
    async with web.catalog.transaction() as connection:
        await connection.execute("UPDATE fragments SET size_bytes = size_bytes + 188")
    with pytest.raises(ClientPayloadError):
        answer = await web.client.get(f"{BASE}/fragments/{run}/1.ts")
        await answer.read()
    assert events[1].size_bytes > 0


async def test_a_chunk_deleted_behind_our_back_is_a_problem_that_names_the_remedy(
    web: Web, run: str
) -> None:
    joined = await store_chunk(web.store, await footage(web, run, 2))
    await index_chunks(web.catalog, [joined], T0)
    await web.store.delete([joined.object_key])
    url = f"{BASE}/chunks/{run}/{joined.window_start_ms}/{joined.digest}.ts"
    for headers in ({}, {"Range": "bytes=0-187"}):
        answer = await web.client.get(url, headers=headers)
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
        assert "vigil fsck" in (await answer.json(content_type=None))["detail"]


async def test_redirects_to_a_signed_address(services, run: str) -> None:
    async with running_web(services, VIGIL_MEDIA_DELIVERY="redirect") as web:
        events = await footage(web, run, 3)
        joined = await store_chunk(web.store, events[:2])
        await index_chunks(web.catalog, [joined], T0)
        url = f"{BASE}/chunks/{run}/{joined.window_start_ms}/{joined.digest}.ts"
        answer = await web.client.get(url, allow_redirects=False)
        assert answer.status == 302
        assert answer.headers["Cache-Control"] == "no-store"
        signed = answer.headers["Location"]
        assert "X-Amz-Signature" in signed or "Signature" in signed
        part = await web.stranger.session.get(signed, headers={"Range": "bytes=0-187"})
        assert (part.status, len(await part.read())) == (206, 188)
        policy = answer.headers["Content-Security-Policy"]
        assert f"connect-src 'self' {services.settings.s3_endpoint}" in policy
        # A fragment that moved is a part of another object: its bytes come from here.
        moved = await web.client.get(f"{BASE}/fragments/{run}/1.ts", allow_redirects=False)
        assert (moved.status, len(await moved.read())) == (200, events[1].size_bytes)
        alone = await web.client.get(f"{BASE}/fragments/{run}/2.ts", allow_redirects=False)
        assert alone.status == 302


def brightness(picture: bytes) -> float:
    return float(np.mean(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)))


async def test_a_picture_at_any_time(web: Web, run: str) -> None:
    events = await footage(web, run, 3)
    joined = await store_chunk(web.store, events[:2])
    await index_chunks(web.catalog, [joined], T0)
    assert part_of(joined, 1).keyframes
    for at_ms, shown_ms, bright, why in (
        (T0, T0, 0, "first keyframe of the chunk"),
        (T0 + 1_999, T0, 0, "just before the second"),
        (T0 + 2_000, T0 + 2_000, 240, "the second keyframe"),
        (T0 + 5_000, T0 + 4_000, 0, "in the chunk's second fragment"),
        (T0 + 10_500, T0 + 10_000, 240, "in a fragment on its own"),
        (T0 + 12_100, T0 + 10_000, 240, "within the tolerance after the end"),
    ):
        answer = await web.client.get(f"{BASE}/thumbnail.jpg?at={at_ms}&width=64")
        assert answer.status == 200, why
        assert answer.content_type == "image/jpeg"
        assert int(answer.headers["Vigil-Picture-Ms"]) == shown_ms, why
        assert abs(brightness(await answer.read()) - bright) < 6, why
    newest = await web.client.get(f"{BASE}/thumbnail.jpg")
    assert newest.headers["Vigil-Picture-Ms"] == str(T0 + 10_000)
    assert newest.headers["Cache-Control"] == "private, no-cache"
    again = await web.client.get(
        f"{BASE}/thumbnail.jpg", headers={"If-None-Match": newest.headers["ETag"]}
    )
    assert again.status == 304
    for at_ms in (T0 - 1_000, T0 + 12_151, T0 + 999_000):
        gone = await web.client.get(f"{BASE}/thumbnail.jpg?at={at_ms}")
        assert (gone.status, gone.content_type) == (404, "application/problem+json")


async def test_a_picture_without_keyframes_known_or_with_wrong_ones(web: Web, run: str) -> None:
    await footage(web, run, 1)
    for keyframes in ("NULL", '\'[{"pts": 0, "offset": 3760, "size": 188}]\''):
        async with web.catalog.transaction() as connection:
            await connection.execute(f"UPDATE fragments SET keyframes = {keyframes}")
        web.services.thumbnails.clear()
        answer = await web.client.get(f"{BASE}/thumbnail.jpg?at={T0}")
        assert answer.status == 200
        assert brightness(await answer.read()) < 6


async def test_a_damaged_fragment_has_no_picture(web: Web, run: str) -> None:
    event = await store_fragment(web.store, run, 0)
    await web.store.delete([fragment_key(CAMERA, run, 0)])

    async def nonsense():
        yield b"nonsense" * (event.size_bytes // 8)

    await web.store.put_stream(fragment_key(CAMERA, run, 0), nonsense())
    await index_fragments(web.catalog, [event], T0)
    answer = await web.client.get(f"{BASE}/thumbnail.jpg?at={T0}")
    assert answer.status == 404
    assert "cannot be shown" in (await answer.json(content_type=None))["detail"]


async def test_a_picture_is_read_once(web: Web, run: str) -> None:
    await footage(web, run, 1)
    first = await web.client.get(f"{BASE}/thumbnail.jpg?at={T0}")
    await web.store.delete([fragment_key(CAMERA, run, 0)])
    second = await web.client.get(f"{BASE}/thumbnail.jpg?at={T0 + 1_500}")
    assert await first.read() == await second.read()
    assert (await web.client.get(f"{BASE}/thumbnail.jpg?at={T0}&width=64")).status == 404


async def test_a_filmstrip_has_the_frames_of_a_range(web: Web, run: str) -> None:
    """Twelve seconds of footage; a frame every second of 16, in two rows of ten."""
    await footage(web, run, 3)
    path = f"{BASE}/filmstrip.jpg?from={T0}&to={T0 + 16_000}&frames=16&width=40"
    answer = await web.client.get(path)
    assert (answer.status, answer.content_type) == (200, "image/jpeg")
    grid = dict(each.split("=") for each in answer.headers["Vigil-Filmstrip"].split(";"))
    width, height = int(grid["width"]), int(grid["height"])
    assert (grid["columns"], grid["rows"], width) == ("10", "2", 40)
    body = await answer.read()
    image = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (2 * height, 400)
    shown = answer.headers["Vigil-Picture-Ms"].split(",")
    for cell, at in enumerate(shown):
        row, column = divmod(cell, 10)
        part = image[row * height : (row + 1) * height, column * 40 : (column + 1) * 40]
        bright = 240 if cell < 12 and cell % 4 >= 2 else 0
        assert abs(float(part[2:-2, 2:-2].mean()) - bright) < 8, cell
        assert at == (str(T0 + cell // 2 * 2_000) if cell < 12 else "-"), cell
    again = await web.client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    await web.store.delete([fragment_key(CAMERA, run, seq) for seq in range(3)])
    assert await (await web.client.get(path)).read() == body, "from memory"
    for query, status in (
        (f"from={T0 + 60_000}&to={T0 + 70_000}", 404),
        (f"from={T0}&to={T0 + 16_000}&frames=61", 400),
        (f"from={T0}&to={T0 + 16_000}&frames=0", 400),
        (f"from={T0}&to={T0 + 16_000}&width=2000", 400),
        (f"from={T0}&to={T0 + 32 * 86_400_000}", 400),
        (f"from={T0}&to={T0}", 400),
        ("", 400),
    ):
        answer = await web.client.get(f"{BASE}/filmstrip.jpg?{query}")
        assert answer.status == status, query
