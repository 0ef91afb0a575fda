"""What an edge signs, where the signature is, and what it sends without an identity."""

import sqlite3
from pathlib import Path

import pytest

from domain.device_identity import check_signature
from domain.events import Detection, DetectionFrame, FragmentArrived, RunEnded, RunStarted, parse
from domain.events.registry import encode
from domain.identity import FragmentId, fragment_key, run_end_key
from edge_bridge.spool.rows import FragmentState
from edge_bridge.spool.spool import Spool, open_spool
from edge_bridge.upload.batch import MAX_BODY_BYTES, QueueBatch
from stores.message_batch import MAX_BATCH, MAX_BATCH_BYTES, signature_bytes
from tests.devices import SigningDevice
from tests.unit.edge_bridge.cloud import MemoryCloud
from tests.unit.edge_bridge.material import CAMERA, RUN, T0_MS, fragment, started
from tests.unit.edge_bridge.test_upload import PLENTY, UploadProcess
from tests.waiting import wait_for

SITE = "acme/berlin"
DEVICE = SigningDevice("acme/berlin/edge-1")


def chained(last_seq: int) -> list[tuple[FragmentArrived, bytes]]:
    """Return a run's fragments, each with the hash of the one before."""
    made = []
    previous = None
    for seq in range(last_seq + 1):
        event, data = fragment(seq)
        made.append((event.with_previous(previous), data))
        previous = event.sha256
    return made


def record(folder: Path) -> None:
    spool = open_spool(folder, "e1", PLENTY)
    for event, data in chained(3):
        spool.store(event, data, started())
    frames = [DetectionFrame(pts=1, at_ms=T0_MS, objects=[])]
    found = Detection(camera=CAMERA, run=RUN, model="m", model_version="1", frames=frames)
    spool.put_message("detection", encode(found))
    spool.end_run(RUN, T0_MS + 16_000, "camera closed")
    spool.close()


async def sent(folder: Path, signer: SigningDevice | None) -> MemoryCloud:
    cloud = MemoryCloud()
    async with UploadProcess(folder, cloud, signer=signer) as process:
        process.sender.heartbeat(b"{}")
        await wait_for(process.idle, within_s=20, what="everything is sent")
        await wait_for(lambda: b"{}" in cloud.messages, within_s=20, what="the heartbeat is sent")
    return cloud


async def test_everything_that_a_device_sends_is_signed(tmp_path: Path) -> None:
    record(tmp_path)
    cloud = await sent(tmp_path, DEVICE)

    def check(signature: str | None, body: bytes) -> None:
        found = check_signature(signature, body, SITE, {DEVICE.id: DEVICE.known()}, "refuse")
        assert found is not None and found.device == DEVICE.id

    for body, signature in zip(cloud.messages, cloud.signatures, strict=True):
        check(signature, body)
    events = [parse(body) for body in cloud.messages if body != b"{}"]
    assert {type(event) for event in events} == {FragmentArrived, RunStarted, RunEnded, Detection}
    notices = {event.seq: event for event in events if isinstance(event, FragmentArrived)}
    hashes = [event.sha256 for event, _ in chained(3)]
    assert [notices[seq].prev_sha256 for seq in range(4)] == [None, *hashes[:3]]
    for seq in range(4):
        _, metadata = cloud.objects[fragment_key(CAMERA, RUN, seq)]
        signature = metadata.pop("signature")
        rebuilt = FragmentArrived.from_metadata(metadata)
        assert rebuilt == notices[seq].without_keyframes
        check(signature, encode(rebuilt))
    end, metadata = cloud.objects[run_end_key(CAMERA, RUN)]
    check(metadata["signature"], end)


async def test_without_identity_everything_is_as_the_version_before_sent_it(
    tmp_path: Path,
) -> None:
    record(tmp_path)
    cloud = await sent(tmp_path, None)
    assert set(cloud.signatures) == {None}
    assert all(b"prev_sha256" not in body for body in cloud.messages)
    for event in (parse(body) for body in cloud.messages if body != b"{}"):
        assert event.version == 1
    for seq in range(4):
        _, metadata = cloud.objects[fragment_key(CAMERA, RUN, seq)]
        assert metadata == fragment(seq)[0].metadata()
    assert cloud.objects[run_end_key(CAMERA, RUN)][1] == {}


def spool_with(folder: Path, seqs: range) -> Spool:
    spool = open_spool(folder, "e1", PLENTY)
    events = chained(seqs.stop)
    for seq in seqs:
        spool.store(*events[seq], started())
    return spool


def previous_hashes(spool: Spool) -> list[str | None]:
    found = []
    for row in spool.waiting(100):
        event = spool.event_of(row)
        assert event is not None
        found.append(event.prev_sha256)
    return found


def test_the_chain_survives_a_restart_and_names_what_was_given_up(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, range(4))
    spool.give_up(FragmentId(CAMERA, RUN, 1), "space")
    spool.close()
    spool = open_spool(tmp_path, "e1", PLENTY)
    hashes = [event.sha256 for event, _ in chained(3)]
    # 2 names the hash of 1, which is never sent: that is the hole.
    assert previous_hashes(spool) == [None, hashes[1], hashes[2]]
    spool.close()


def test_a_file_without_a_row_gets_its_place_in_the_chain(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, range(4))
    for seq in (1, 3):
        spool.journal.drop_fragment(FragmentId(CAMERA, RUN, seq))
    spool.close()
    spool = open_spool(tmp_path, "e1", PLENTY)
    assert previous_hashes(spool) == [None, *[event.sha256 for event, _ in chained(2)]]
    spool.close()


def test_the_version_before_reads_the_journal_and_the_files(tmp_path: Path) -> None:
    """It knows neither the column nor version 2."""
    spool = spool_with(tmp_path, range(2))
    inspected = spool.files.inspect(spool.files.path(CAMERA, RUN, 1))
    assert inspected == fragment(1)[0]
    spool.close()
    database = sqlite3.connect(tmp_path / "journal.db")
    (event,) = database.execute("SELECT event FROM fragments WHERE seq = 1").fetchone()
    assert event == encode(fragment(1)[0]).decode()
    database.execute(
        "INSERT INTO fragments (run, seq, camera, start_ms, size, event, state) "
        "VALUES (?, 2, ?, ?, 0, '', ?)",
        (RUN, CAMERA, T0_MS, FragmentState.GIVEN_UP),
    )
    database.commit()
    database.close()


@pytest.mark.parametrize("size", [10, 20_000, MAX_BODY_BYTES])
def test_the_signatures_count_in_the_size_of_a_batch(size: int) -> None:
    longest = SigningDevice("/".join(["x" * 63] * 3), generation=999_999_999)
    batch = QueueBatch()
    added = 0
    body = b"x" * size
    while batch.add(body, None, longest.sign(body)):
        added += 1
    assert added == min(MAX_BATCH, max(1, MAX_BODY_BYTES // (size + 360)))
    assert len(batch.signatures) == len(batch.bodies) == added
    total = sum(map(len, batch.bodies)) + sum(map(signature_bytes, batch.signatures))
    assert total <= MAX_BATCH_BYTES
