"""From notices in SQS to chunks in S3 and rows in the catalog, through real workers."""

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest

from domain.chunks import forms_of
from domain.events import ChunkComplete, FragmentArrived, RunEnded, encode
from domain.gaps import OBJECT_MISSING
from domain.identity import fragment_key, manifest_key, site_of
from stores.catalog import add_camera
from stores.catalog.timeline import reported_gaps
from stores.objects import ObjectStore
from stores.queue import Queue
from streams.storage import make_queue
from tests.cloud import Cloud
from tests.devices import SigningDevice
from tests.footage import draw_number, encoded
from tests.integration.device_support import enrol
from tests.outcome import all_in_chunks, in_catalog, registered
from tests.recorder import FPS, Recorder
from tests.waiting import wait_for

pytestmark = pytest.mark.asyncio(loop_scope="module")
START_MS = 1_790_000_000_000
SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)


async def test_a_run_becomes_chunks(
    cloud: Cloud, store: ObjectStore, queue: Queue, names: str
) -> None:
    recorder = Recorder(await registered(cloud, f"acme/{names}/run"), START_MS)
    for seq in range(12):
        await recorder.record(store, queue, seq)
    await recorder.end(store, queue, 11)
    chunks = await all_in_chunks(cloud, store, recorder)
    assert [len(chunk.fragments) for chunk in chunks] == [5, 5, 2]
    assert [chunk.reason for chunk in chunks] == ["complete", "complete", "run-ended"]
    assert all(chunk.revision == 1 and not chunk.gaps for chunk in chunks)


async def test_order_duplicates_and_missing_notices_do_not_matter(
    cloud: Cloud, store: ObjectStore, queue: Queue, names: str
) -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    recorder = Recorder(await registered(cloud, f"acme/{names}/disorder"), START_MS)
    seqs = [seq for seq in range(20) for _ in range(dice.choice((1, 1, 2)))]
    dice.shuffle(seqs)
    silent = set(dice.sample(range(20), 4))
    # S3 is listed when a window falls silent: on a busy machine before all is recorded. Only
    # `vigil reconcile` would find what is PUT afterwards without a notice.
    for seq in silent:
        await recorder.put(store, seq)
    for seq in seqs:
        if seq not in silent:
            await recorder.record(store, queue, seq)
    await all_in_chunks(cloud, store, recorder)


class ChangingRecorder(Recorder):
    """From seq 3 on, its run has audio and larger pictures."""

    def film(self, seq: int) -> tuple[FragmentArrived, bytes]:
        event, data = super().film(seq)
        if seq < 3:
            return event, data
        if seq not in self._changed:
            pictures = (draw_number(seq * 100 + at, 192, 128) for at in range(event.frames))
            options = {"preset": "ultrafast", "bf": "0"}
            self._changed[seq] = encoded(
                pictures, event.start_pts, fps=FPS, options=options, with_audio=True
            )
        data = self._changed[seq]
        form = {"audio_codec": "aac", "width": 192, "height": 128}
        sha256 = hashlib.sha256(data).hexdigest()
        return event.model_copy(update={**form, "size_bytes": len(data), "sha256": sha256}), data

    def __post_init__(self) -> None:
        super().__post_init__()
        self._changed: dict[int, bytes] = {}


async def test_a_run_that_changes_its_tracks(
    cloud: Cloud, store: ObjectStore, queue: Queue, names: str
) -> None:
    """The chunk with the change says which fragment has which tracks."""
    recorder = ChangingRecorder(await registered(cloud, f"acme/{names}/tracks"), START_MS)
    for seq in range(7):
        await recorder.record(store, queue, seq)
    await recorder.end(store, queue, 6)
    chunks = await all_in_chunks(cloud, store, recorder)
    assert [chunk.version for chunk in chunks] == [2, 1]
    assert [(chunk.width, chunk.audio_codec) for chunk in chunks] == [(192, "aac")] * 2
    forms = forms_of(chunks[0])
    assert [(forms[seq].width, forms[seq].audio_codec) for seq in range(5)] == [
        *[(96, None)] * 3, *[(192, "aac")] * 2,
    ]  # fmt: skip


async def test_a_late_fragment_makes_a_revision(
    cloud: Cloud, store: ObjectStore, queue: Queue, names: str
) -> None:
    recorder = Recorder(await registered(cloud, f"acme/{names}/late"), START_MS)
    for seq in (0, 1, 3, 4, 5, 6, 7, 8, 9, 10):
        await recorder.record(store, queue, seq)
    first = await all_in_chunks(cloud, store, recorder)
    assert [(gap.first_seq, gap.last_seq) for gap in first[0].gaps] == [(2, 2)]
    await recorder.record(store, queue, 2)
    chunks = await all_in_chunks(cloud, store, recorder)
    assert chunks[0].revision == 2
    assert chunks[0].reason == "late"
    assert chunks[0].gaps == []


async def test_a_late_fragment_fills_the_gap_that_the_next_chunk_reports(
    cloud: Cloud, store: ObjectStore, queue: Queue, names: str
) -> None:
    """seq 4 ends the first window; the second window's chunk reports it as missing."""
    recorder = Recorder(await registered(cloud, f"acme/{names}/border"), START_MS)
    for seq in (0, 1, 2, 3, 5, 6, 7, 8, 9, 10):
        await recorder.record(store, queue, seq)
    first = await all_in_chunks(cloud, store, recorder)
    assert [[gap.first_seq for gap in chunk.gaps] for chunk in first] == [[], [4], []]
    await recorder.record(store, queue, 4)
    filled = await all_in_chunks(cloud, store, recorder)
    assert [each.seq for each in filled[0].fragments] == [0, 1, 2, 3, 4]

    async def manifest() -> ChunkComplete | None:
        data = await store.get(manifest_key(first[1].object_key))
        found = ChunkComplete.model_validate_json(data)
        return None if found.gaps else found

    again = await wait_for(manifest, within_s=60, what=cloud.tails)
    assert again == first[1].model_copy(update={"revision": 2, "gaps": []})
    async with cloud.catalog() as catalog:

        async def no_gap() -> bool:
            end_ms = START_MS + 30_000
            return not await reported_gaps(catalog, recorder.camera, START_MS, end_ms)

        await wait_for(no_gap, within_s=60, what=cloud.tails)


async def test_forged_events_hide_no_footage_and_claim_none(
    cloud: Cloud, store: ObjectStore, queue: Queue, names: str
) -> None:
    """What may send to the queue, but is not the camera's device, says what it likes in vain."""
    camera, foreign = f"acme/{names}-mine/gate", f"globex/{names}/gate"
    mine = SigningDevice(f"{site_of(camera)}/edge-1")
    other = SigningDevice(f"{site_of(foreign)}/edge-1")
    async with cloud.catalog() as catalog:
        for each, device in ((camera, mine), (foreign, other)):
            await add_camera(catalog, each, each, 0)  # new sites refuse unsigned events
            await enrol(catalog, device)
    recorder = Recorder(camera, START_MS, device=mine)
    # Fragments that are about to come, with a hash of its own: the first report used to be kept.
    forged: list[tuple[bytes, str | None]] = []
    for seq in range(12):
        event, _ = recorder.film(seq)
        body = encode(event.model_copy(update={"sha256": hashlib.sha256(b"forged").hexdigest()}))
        forged.append((body, other.sign(body) if seq % 2 else None))
    claimed = Recorder(camera, START_MS + 600_000, entropy=bytes([9]) * 10).film(0)[0]
    ended = RunEnded(
        camera=camera, run=recorder.run, ended_ms=START_MS, last_seq=0, reason="forged"
    )
    for each in (claimed, ended):
        forged.append((encode(each), other.sign(encode(each))))
    for at in range(0, len(forged), 10):
        bodies, signatures = zip(*forged[at : at + 10], strict=True)
        assert await queue.send(bodies, signatures) == []
    reasons = await _dead_letters(cloud, {body for body, _ in forged})
    assert Counter(reasons) == {"foreign": 8, "unsigned": 6}
    for seq in range(12):
        await recorder.record(store, queue, seq)
    await recorder.end(store, queue, 11)
    chunks = await all_in_chunks(cloud, store, recorder)
    assert [len(chunk.fragments) for chunk in chunks] == [5, 5, 2]
    assert not any(chunk.gaps for chunk in chunks)
    async with aiohttp.request("GET", f"http://127.0.0.1:{cloud.ports['relay']}/metrics") as answer:
        counted = await answer.text()
    site = site_of(camera)
    for device, code, count in (("", "unsigned", 6), ("", "foreign", 0), (other.id, "foreign", 8)):
        labels = f'code="{code}",device="{device}",site="{site}",way="queue"'
        line = f"vigil_signatures_refused_total{{{labels}}} {count}.0"
        assert (line in counted) == (count > 0), line


async def _dead_letters(cloud: Cloud, bodies: set[bytes]) -> list[str]:
    """Return the codes of these messages, once all of them are dead letters."""
    found: dict[bytes, str] = {}
    async with make_queue(cloud.settings, cloud.settings.sqs_dead_letter_url) as dead:

        async def all_arrived() -> bool:
            for message in await dead.receive(wait_s=1, visibility_timeout_s=5):
                if message.body in bodies:
                    found[message.body] = (message.reason or "").partition(":")[0]
                    await dead.delete([message.receipt])
            return len(found) == len(bodies)

        await wait_for(all_arrived, within_s=30, what=lambda: f"dead letters\n{cloud.tails()}")
    return list(found.values())


@pytest.mark.parametrize(
    ("damage", "reason"), [("tampered", "SHA-256"), ("truncated", "bytes"), ("empty", "bytes")]
)
async def test_a_damaged_fragment_is_a_gap_with_its_reason(
    cloud: Cloud, store: ObjectStore, queue: Queue, names: str, damage: str, reason: str
) -> None:
    recorder = Recorder(await registered(cloud, f"acme/{names}/{damage}"), START_MS)
    for seq in (0, 1, 3):
        await recorder.record(store, queue, seq)
    event, data = recorder.film(2)
    wrong = {
        "tampered": data[:-1] + bytes([data[-1] ^ 1]),
        "truncated": data[:-100],
        "empty": b"",
    }[damage]

    async def damaged() -> AsyncIterator[bytes]:
        yield wrong

    # Its metadata name the right bytes. Otherwise S3 would be believed, not the notice.
    key = fragment_key(recorder.camera, recorder.run, 2)
    await store.put_stream(key, damaged(), metadata=event.metadata())
    assert await queue.send([encode(event)]) == []
    await recorder.end(store, queue, 3)
    (chunk,) = await all_in_chunks(cloud, store, recorder)
    (gap,) = chunk.gaps
    assert (gap.first_seq, gap.from_ms, gap.to_ms) == (2, event.start_ms, event.end_ms)
    assert reason in gap.reason


async def test_a_window_of_nothing_readable_is_not_played_any_more(
    cloud: Cloud, store: ObjectStore, queue: Queue, names: str
) -> None:
    recorder = Recorder(await registered(cloud, f"acme/{names}/nothing"), START_MS)
    events = [recorder.film(seq)[0] for seq in range(3)]
    assert await queue.send([encode(event) for event in events]) == []
    await wait_for(lambda: _rows(cloud, recorder.camera, 3), within_s=60, what=cloud.tails)
    await recorder.end(store, queue, 2)
    await wait_for(lambda: _rows(cloud, recorder.camera, 0), within_s=60, what=cloud.tails)
    async with cloud.catalog() as catalog:
        gaps = await reported_gaps(catalog, recorder.camera, START_MS, events[-1].end_ms)
    assert [(gap.from_ms, gap.reason) for gap in gaps] == [
        (event.start_ms, OBJECT_MISSING) for event in events
    ]


async def _rows(cloud: Cloud, camera: str, count: int) -> bool:
    return (await in_catalog(cloud, camera))["waiting"] == count


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("garbage", "message"),
        ("unknown version", "version"),
        ("unknown camera", "not registered"),
        ("the future", "in the future"),
        ("the cloud's own", "sites may not send tick"),
    ],
)
async def test_poison_goes_to_the_dead_letter_queue(
    cloud: Cloud, queue: Queue, names: str, case: str, reason: str
) -> None:
    camera = await registered(cloud, f"acme/{names}/poison")
    event, _ = Recorder(camera, START_MS).film(0)
    good = event.model_dump(mode="json", exclude_none=True)
    body = {
        "garbage": b"\xc3\xa4 {",
        "unknown version": _json(good | {"version": 9}),
        "unknown camera": _json(good | {"camera": f"unknown/{names}/cam"}),
        "the future": _json(good | {"start_ms": 4_000_000_000_000}),
        "the cloud's own": _json({"type": "tick", "version": 1, "partition": 0, "at_ms": 1}),
    }[case]
    assert await queue.send([body]) == []
    found: list[str] = []
    async with make_queue(cloud.settings, cloud.settings.sqs_dead_letter_url) as dead:

        async def arrived() -> bool:
            for message in await dead.receive(wait_s=1, visibility_timeout_s=5):
                if message.body == body:
                    found.append(message.reason or "")
                    await dead.delete([message.receipt])
            return bool(found)

        await wait_for(arrived, within_s=30, what=lambda: f"{case}: dead letter\n{cloud.tails()}")
    assert reason in found[0]
    assert site_of(camera).startswith("acme/")


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value).encode()
