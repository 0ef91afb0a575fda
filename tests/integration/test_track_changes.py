"""Tracks, codecs and sizes that change inside a run: a discontinuity where they change.

seq      0 1   2 3         4 5          6 7      8
tracks   h264  h264 + aac  h264, large  hevc     h264
chunk   [0 1   2]         [4 5          6]       the others are objects of their own
"""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.joining.joiner import Joiner
from domain import chunks
from domain.chunks import form_of, forms_of
from domain.events import ChunkComplete, FragmentArrived, VideoForm
from domain.identity import fragment_key
from domain.seqs import SeqRanges
from media.keyframes import index_video
from stores.catalog import index_chunks, index_fragments
from stores.catalog.inventory import chunk_rows
from stores.catalog.live_sections import live_sections_of
from stores.catalog.tombstones import fragments_in_chunks
from tests.footage import draw_number, encoded
from tests.hls_rules import broken_by_change, read_playlist
from tests.integration.catalog_support import CAMERA, T0, fragment, run_id
from tests.integration.player_front import running_front
from tests.integration.web_support import BASE, Web, running_web
from tests.media_players import HEIGHT, PLAYERS, WIDTH

FPS = 10
WINDOW_MS = 60_000
CHANGES = [2, 4, 6, 8]
LARGE = {"width": 2 * WIDTH, "height": 2 * HEIGHT}
TRACKS = [*[{}] * 2, *[{"audio": True}] * 2, *[LARGE] * 2, *[{"codec": "hevc"}] * 2, {}]


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


@pytest.fixture
def run(request: pytest.FixtureRequest) -> str:
    """A run of its own: the bucket is shared."""
    return run_id(T0, zlib.crc32(request.node.name.encode()))


async def store(web: Web, run: str, seq: int, **tracks: object) -> FragmentArrived:
    """PUT a fragment of 1 s with these tracks; return its event."""
    width, height = int(tracks.get("width", WIDTH)), int(tracks.get("height", HEIGHT))
    codec = str(tracks.get("codec", "h264"))
    with_audio = bool(tracks.get("audio"))
    start_pts = 900_000 + seq * 90_000
    data = encoded(
        (draw_number(seq * FPS + at, width, height) for at in range(FPS)),
        start_pts,
        fps=FPS,
        codec="libx264" if codec == "h264" else "libx265",
        options={"preset": "ultrafast", "bf": "0"}
        if codec == "h264"
        else {"preset": "ultrafast", "x265-params": "bframes=0:log-level=error"},
        with_audio=with_audio,
    )
    event = fragment(
        run,
        seq,
        start_ms=T0 + seq * 1_000,
        duration_ms=1_000,
        start_pts=start_pts,
        frames=FPS,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        video_codec=codec,
        audio_codec="aac" if with_audio else None,
        width=width,
        height=height,
        keyframes=list(index_video(data, near_pts=start_pts).keyframes),
    )
    key = fragment_key(CAMERA, run, seq)
    await web.store.put_once(key, data, sha256=event.sha256, metadata=event.metadata())
    return event


async def record(web: Web, run: str) -> list[FragmentArrived]:
    return [await store(web, run, seq, **tracks) for seq, tracks in enumerate(TRACKS)]


async def join(web: Web, events: list[FragmentArrived]) -> ChunkComplete:
    joiner = Joiner(web.store, lambda: T0 + 60_000)
    return await joiner.join(chunks.late_due(events, T0, WINDOW_MS))


async def playlist(web: Web, query: str) -> str:
    async with web.client.get(f"{BASE}/playlist.m3u8?{query}") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


async def test_a_chunk_says_what_it_holds(web: Web, run: str) -> None:
    events = await record(web, run)
    chunk = await join(web, events[:7])
    assert chunk.version == 2
    assert form_of(chunk) == VideoForm.of(events[6])
    assert forms_of(chunk) == {each.seq: VideoForm.of(each) for each in events[:7]}
    assert [each.seq for each in chunk.fragments if each.form is None] == [6]
    for event, part in zip(events, chunk.fragments, strict=False):
        data = await web.store.get(chunk.object_key, part.offset, part.offset + part.size_bytes - 1)
        assert hashlib.sha256(data).hexdigest() == event.sha256
    await index_chunks(web.catalog, [chunk], T0)
    [row] = await chunk_rows(web.catalog, CAMERA, T0, T0 + WINDOW_MS)
    assert row.chunk == chunk, "the row says what the manifest says"
    held = fragments_in_chunks(web.catalog, CAMERA, run, SeqRanges([(0, 6)]))
    assert [VideoForm.of(each) async for each in held] == [VideoForm.of(e) for e in events[:7]]
    async with web.catalog.transaction() as connection:
        newest = await connection.fetchval("SELECT video_codec FROM footage")
    assert newest == "hevc"


async def test_a_late_fragment_keeps_the_formats_of_the_others(web: Web, run: str) -> None:
    events = await record(web, run)
    await join(web, [*events[:3], *events[4:6]])
    revised = await join(web, events[3:4])
    assert forms_of(revised) == {each.seq: VideoForm.of(each) for each in events[:6]}


async def test_the_bytes_decide_about_the_codecs(web: Web, run: str) -> None:
    events = await record(web, run)
    silent = [each.model_copy(update={"audio_codec": None}) for each in events[:4]]
    chunk = await join(web, silent)
    assert [each.audio_codec for each in forms_of(chunk).values()] == [None, None, "aac", "aac"]


async def test_the_recorded_list_is_cut_where_tracks_change(web: Web, run: str) -> None:
    events = await record(web, run)
    await index_fragments(web.catalog, events, T0)
    query = f"from={T0}&to={T0 + 60_000}"
    expected = [sum(seq >= change for change in CHANGES) for seq in range(len(events))]
    alone = read_playlist(await playlist(web, query))
    assert (alone.discontinuities, alone.faults) == (expected, [])
    joined = [await join(web, events[:3]), await join(web, events[:7])]
    for chunk in joined:
        await index_chunks(web.catalog, [chunk], T0)
        text = await playlist(web, query)
        assert read_playlist(text).discontinuities == expected
        assert text.count("#EXT-X-BYTERANGE") == len(events)


@pytest.mark.parametrize(
    "order", [range(9), [0, 1, 3, 2, 4, 5, 7, 6, 8], [1, 0, 2, 5, 4, 3, 6, 8, 7]]
)
async def test_live_lists_keep_their_discontinuities(web: Web, run: str, order: list[int]) -> None:
    """Fragments arrive in or out of order; some become chunks; the list slides on."""
    events = await record(web, run)
    first = order[0]
    expected = {seq: sum(seq >= change for change in CHANGES) for seq in range(first, len(events))}
    before = None
    shown: dict[str, int] = {}
    for at, seq in enumerate(order):
        now_ms = T0 + (at + 1) * 1_000
        web.set_now(now_ms)
        await index_fragments(web.catalog, [events[seq]], now_ms)
        if at == 6:
            await index_chunks(web.catalog, [await join(web, events[:3])], now_ms)
        after = read_playlist(await playlist(web, "live=1"))
        assert after.faults == []
        assert before is None or broken_by_change(before, after) == []
        assert not any(each.is_gap for each in after.segments)
        shown |= {each.uri: each.discontinuity for each in after.segments}
        before = after
    base = min(shown.values())
    assert {
        int(uri.rsplit("/", 1)[1].removesuffix(".ts")): cut - base for uri, cut in shown.items()
    } == expected
    web.set_now(T0 + 66_000)
    slid = read_playlist(await playlist(web, "live=1"))
    assert slid.segments[0].uri.endswith("/6.ts")
    assert broken_by_change(before, slid) == []
    numbers = [section.number for section in await live_sections_of(web.catalog, CAMERA)]
    assert len(numbers) == len(set(numbers)) == 1 + len(CHANGES)


async def test_players_show_every_picture_once(web: Web, run: str, tmp_path: Path) -> None:
    """FFmpeg does not change a decoder within a list, so no codec of the video changes here."""
    tracks = [*TRACKS[:6], {}, {}]
    events = [await store(web, run, seq, **each) for seq, each in enumerate(tracks)]
    await index_fragments(web.catalog, events, T0)
    await index_chunks(web.catalog, [await join(web, events[:5])], T0)
    players = [each for each in PLAYERS if each.is_installed and each.name in ("ffmpeg", "mpv")]
    async with running_front(web) as front:
        url = f"{front.url}{BASE}/playlist.m3u8?from={T0}&to={T0 + 60_000}"
        for player in players:
            shown = await asyncio.to_thread(player.play, url, tmp_path / player.name, 40)
            assert shown == list(range(len(events) * FPS)), player.name
