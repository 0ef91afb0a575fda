"""Players of other projects on the API's playlists: each ends, and shows every picture once.

    run A  0 1 2 3 4 . 6 7     run B  0 1 2 3 4 5        fragments of 1 s, 10 pictures each
    chunk  [0 1 2]             chunk        [3 4]        A's 5 is missing

All pictures carry a number. What arrives is what the edge sends: slices of one stream, with audio
and B-frames.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import av
import pytest

from domain.events import FragmentArrived, RunEnded
from domain.identity import fragment_key
from media import live
from media.fragmenter import Fragment, Fragmenter, FragmentLimits
from stores.catalog import index_chunks, index_fragments, index_runs
from tests.footage import write_clip
from tests.integration.catalog_support import CAMERA, T0, fragment, run_id
from tests.integration.player_front import running_front
from tests.integration.web_support import BASE, Web, running_web, store_chunk
from tests.media_players import HEIGHT, PLAYERS, WIDTH, MediaPlayer
from tests.waiting import wait_for

FPS = 10
RUN_A, RUN_B = run_id(T0, 1), run_id(T0 + 20_000, 2)
MISSING_SEQ = 5
LENGTH_A, LENGTH_B = 8, 6


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


def film(path: Path, first: int, seconds: int) -> list[Fragment]:
    """Return fragments of 1 s; their pictures are numbered from `first`."""
    size = {"width": WIDTH, "height": HEIGHT}
    write_clip(path, seconds * FPS, fps=FPS, gop=FPS, audio="aac", b_frames=2, first=first, **size)
    with av.open(str(path)) as source:
        video, audio = source.streams.video[0], source.streams.audio[0]
        fragmenter = Fragmenter(video, audio, FragmentLimits(target_ms=1_000))
        found = [
            each for packet in source.demux(video, audio) for each in fragmenter.push(packet, T0)
        ]
        return [*found, *fragmenter.finish()]


async def store(
    web: Web, run: str, fragments: Sequence[Fragment], start_ms: int
) -> list[FragmentArrived]:
    events = []
    for each in fragments:
        data = bytes(each.data)
        event = fragment(
            run,
            each.seq,
            start_ms=start_ms + (each.start_pts - fragments[0].start_pts) // 90,
            duration_ms=(each.end_pts - each.start_pts) // 90,
            start_pts=each.start_pts,
            frames=each.frames,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            keyframes=list(each.keyframes),
        )
        key = fragment_key(CAMERA, run, each.seq)
        await web.store.put_once(key, data, sha256=event.sha256, metadata=event.metadata())
        events.append(event)
    return events


async def footage(web: Web, folder: Path) -> list[list[FragmentArrived]]:
    """Store both runs; return their events."""
    one = await store(web, RUN_A, film(folder / "a.mkv", 0, LENGTH_A), T0)
    first = LENGTH_A * FPS
    two = await store(web, RUN_B, film(folder / "b.mkv", first, LENGTH_B), T0 + 20_000)
    return [one, two]


def stretches(numbers: Sequence[int]) -> list[list[int]]:
    """Return the numbers between the time stamps' jumps."""
    borders = (MISSING_SEQ * FPS, LENGTH_A * FPS)
    parts = [
        [each for each in numbers if low <= each < high]
        for low, high in pairwise((0, *borders, 1_000))
    ]
    return [part for part in parts if part]


def check_shown(player: MediaPlayer, shown: Sequence[int | None], due: Sequence[int]) -> None:
    """Assert that all pictures are there once and in order, but for what the player drops."""
    numbers = [each for each in shown if each is not None]
    assert len(numbers) == len(shown), f"{player.name}: damaged pictures: {shown}"
    assert numbers == sorted(set(numbers)), f"{player.name}: {numbers}"
    dropped = set(due) - set(numbers)
    allowed = {
        each
        for part in stretches(due)
        for each in (part[-player.drops_last :] if player.drops_last else ())
    }
    assert set(numbers) <= set(due), player.name
    assert dropped <= allowed, f"{player.name} did not show {sorted(dropped)}"


def pictures() -> list[int]:
    """Return the numbers of all pictures that are stored."""
    lost = range(MISSING_SEQ * FPS, (MISSING_SEQ + 1) * FPS)
    return [each for each in range((LENGTH_A + LENGTH_B) * FPS) if each not in lost]


@pytest.mark.parametrize("player", PLAYERS, ids=lambda each: each.name)
async def test_recorded(web: Web, tmp_path: Path, player: MediaPlayer) -> None:
    """Over the borders of chunks and fragments, of runs, and a gap."""
    if not player.is_installed:
        pytest.skip(f"{player.name} is not installed")
    one, two = await footage(web, tmp_path)
    known = [each for each in [*one, *two] if each.run != RUN_A or each.seq != MISSING_SEQ]
    await index_fragments(web.catalog, known, T0)
    joined = [await store_chunk(web.store, one[:3]), await store_chunk(web.store, two[3:5])]
    await index_chunks(web.catalog, joined, T0)
    async with running_front(web) as front:
        url = f"{front.url}{BASE}/playlist.m3u8?from={T0}&to={T0 + 60_000}"
        shown = await asyncio.to_thread(player.play, url, tmp_path / "shown", 40)
        check_shown(player, shown, pictures())


async def test_live(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While fragments come, move into chunks, one is missing, and another run begins."""
    monkeypatch.setattr(live, "TARGETS_S", (1, *live.TARGETS_S))
    players = [each for each in PLAYERS if each.is_installed and not each.requires_times]
    one, two = await footage(web, tmp_path)
    # A second after another. What is missing is long overdue, so it is listed as a gap at once.
    two = [each.model_copy(update={"start_ms": T0 + (LENGTH_A + each.seq) * 1_000}) for each in two]

    async def arrive(event: FragmentArrived) -> None:
        now_ms = event.end_ms + 20_000
        web.set_now(now_ms)
        await index_fragments(web.catalog, [event], now_ms)

    for event in one[:4]:
        await arrive(event)
    async with running_front(web) as front:
        url = f"{front.url}{BASE}/playlist.m3u8?live=1"
        with ThreadPoolExecutor(len(players)) as threads:
            loop = asyncio.get_running_loop()
            playing = [
                loop.run_in_executor(threads, each.play, url, tmp_path / each.name, 60)
                for each in players
            ]
            for event in [*one[4:], *two]:
                before = front.lists
                await wait_for(
                    lambda before=before: front.lists >= before + len(players),
                    within_s=20,
                    what="the players to load the list again",
                )
                if event.run == RUN_A and event.seq == MISSING_SEQ:
                    continue
                await arrive(event)
                if event.seq == 6:
                    await index_chunks(
                        web.catalog, [await store_chunk(web.store, one[:3])], event.end_ms
                    )
                if event.seq == LENGTH_A - 1:
                    ended = RunEnded(
                        camera=CAMERA,
                        run=RUN_A,
                        ended_ms=event.end_ms,
                        last_seq=event.seq,
                        reason="camera closed",
                    )
                    await index_runs(web.catalog, [ended])
            # A recorder ends seconds after its last fragment: each player has that list by then.
            before = front.lists
            await wait_for(
                lambda: front.lists >= before + 2 * len(players),
                within_s=20,
                what="the players to load the last list",
            )
            front.ended = True
            results = await asyncio.gather(*playing, return_exceptions=True)
    for player, shown in zip(players, results, strict=True):
        print(player.name, shown)
    for player, shown in zip(players, results, strict=True):
        assert not isinstance(shown, BaseException), shown
        due = [each for each in pictures() if each >= (shown[0] or 0)]
        assert due[0] <= 3 * FPS, f"{player.name} began at {due[0]}"
        check_shown(player, shown, due)
