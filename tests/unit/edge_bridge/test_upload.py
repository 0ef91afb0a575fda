"""From the spool to the cloud, with the process dying before and after every request."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from domain.backoff import CENTRED_JITTER, Backoff
from domain.events import Detection, DetectionFrame, FragmentArrived, RunEnded, parse
from domain.events.registry import encode
from domain.identity import FragmentId, fragment_key, run_end_key
from edge_bridge.config.schedule import Schedule
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.spool import open_spool
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload import link as link_module
from edge_bridge.upload import quarantine as quarantine_module
from edge_bridge.upload.adaptive_timeout import RequestTimeout
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.concurrency import ConcurrencyLimit
from edge_bridge.upload.link import Link
from edge_bridge.upload.outbox_sender import OutboxSender
from edge_bridge.upload.quarantine import FragmentQuarantine
from edge_bridge.upload.scheduler import UploadScheduler
from edge_bridge.upload.signed_events import Signer
from edge_bridge.upload.uploader import FragmentUploader
from edge_bridge.upload.wakeup import Wakeup
from tests.unit.edge_bridge.cloud import MemoryCloud
from tests.unit.edge_bridge.material import CAMERA, RUN, SECOND_RUN, T0_MS, fragment, started
from tests.waiting import wait_for

PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0)
FRAGMENTS = 4


class UploadProcess:
    """The half of an edge process that uploads; leaving it ends the process."""

    def __init__(
        self,
        folder: Path,
        cloud: MemoryCloud,
        order: Any = "live",
        signer: Signer | None = None,
        timeout: RequestTimeout | None = None,
    ) -> None:
        self.folder, self.cloud, self.order, self.signer = folder, cloud, order, signer
        self.timeout = timeout

    async def __aenter__(self) -> "UploadProcess":
        work, stored = Wakeup(), Wakeup()

        def changed() -> None:
            work.set()
            stored.set()

        self.owner = await asyncio.to_thread(
            SpoolThread, lambda: open_spool(self.folder, "e1", PLENTY), changed
        )
        store: Any = self.cloud
        to_s3 = Link("s3")
        self.uploads = FragmentUploader(
            self.owner, store, to_s3, stored=stored, uploaded=work,
            scheduler=UploadScheduler(self.order, now_ms=lambda: T0_MS + 120_000),
            bandwidth=BandwidthLimiter(Schedule()), concurrency=ConcurrencyLimit(1, 1, 1),
            signer=self.signer,
        )  # fmt: skip
        self.sender = OutboxSender(
            self.owner, store, store, to_s3=to_s3, to_sqs=Link("sqs"), work=work,
            signer=self.signer, timeout=self.timeout,
        )  # fmt: skip
        self._tasks = [
            asyncio.create_task(self.uploads.run()),
            asyncio.create_task(self.sender.run()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.owner.close)

    async def idle(self) -> bool:
        for task in self._tasks:
            if task.done():
                task.result()
        counts = await self.owner.call(lambda spool: spool.counts())
        return counts.idle


def record(folder: Path) -> None:
    """Leave two runs on the disk: one that ended, one that a crash left open."""
    spool = open_spool(folder, "e1", PLENTY)
    for seq in range(FRAGMENTS):
        spool.store(*fragment(seq), started())
    spool.end_run(RUN, T0_MS + 16_000, "camera closed")
    spool.store(*fragment(0, run=SECOND_RUN), started(SECOND_RUN))
    spool.close()


def check(cloud: MemoryCloud) -> None:
    """All arrived; each effect follows the one that it depends on."""
    expected = [(RUN, seq) for seq in range(FRAGMENTS)] + [(SECOND_RUN, 0)]
    for run, seq in expected:
        event, data = fragment(seq, run=run)
        stored, metadata = cloud.objects[fragment_key(CAMERA, run, seq)]
        assert stored == data
        assert FragmentArrived.from_metadata(metadata).sha256 == event.sha256
    events = [parse(body) for body in cloud.messages]
    noticed = {(e.run, e.seq) for e in events if isinstance(e, FragmentArrived)}
    assert noticed == set(expected)
    for run, reason in ((RUN, "camera closed"), (SECOND_RUN, "edge restarted")):
        at = [n for n, e in enumerate(events) if isinstance(e, RunEnded) and e.run == run]
        assert at, f"no end of {run} was sent"
        end = events[at[0]]
        assert isinstance(end, RunEnded)
        assert (end.reason, end.given_up) == (reason, [])
        assert cloud.objects[run_end_key(CAMERA, run)][0] == cloud.messages[at[0]]
        first_notice = {
            (e.run, e.seq): n
            for n, e in reversed(list(enumerate(events)))
            if isinstance(e, FragmentArrived)
        }
        assert all(n < at[0] for (noticed_run, _), n in first_notice.items() if noticed_run == run)
        assert [e.type for e in events].index("run-started") < at[0]


async def drained(folder: Path, cloud: MemoryCloud, order: Any = "live") -> None:
    async with UploadProcess(folder, cloud, order) as uploading:
        await wait_for(uploading.idle, within_s=20, what="everything is sent")


async def test_everything_arrives_in_order(tmp_path: Path) -> None:
    record(tmp_path)
    cloud = MemoryCloud()
    await drained(tmp_path, cloud)
    check(cloud)
    events = [parse(body) for body in cloud.messages]
    assert len(events) == FRAGMENTS + 1 + 2 + 2  # nothing twice without a crash


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_request_loses_nothing(after: bool, tmp_path: Path) -> None:
    record(tmp_path / "reference")
    reference = MemoryCloud()
    await drained(tmp_path / "reference", reference)
    assert reference.operations >= FRAGMENTS + 1 + 2 + 2
    for operation in range(1, reference.operations + 1):
        folder = tmp_path / str(operation)
        record(folder)
        cloud = MemoryCloud()
        cloud.crash_at = (operation, after)
        async with UploadProcess(folder, cloud) as uploading:
            # Messages go in batches: there may be fewer requests than in the reference run.
            await wait_for(
                lambda uploading=uploading, cloud=cloud: cloud.crashed.is_set() or uploading.idle(),
                within_s=20,
                what=f"the crash at request {operation}",
            )
        cloud.crash_at = None
        await drained(folder, cloud)
        check(cloud)


async def test_a_dead_link_never_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "BACKOFF", Backoff(0.001, 0.01, jitter=CENTRED_JITTER))
    record(tmp_path)
    cloud = MemoryCloud()
    cloud.failing = True
    async with UploadProcess(tmp_path, cloud) as uploading:
        await wait_for(lambda: cloud.operations > 20, within_s=20, what="further tries")
        assert not cloud.objects
        cloud.failing = False
        await wait_for(uploading.idle, within_s=20, what="everything is sent")
    check(cloud)


async def test_requests_that_the_queue_never_answers_are_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "BACKOFF", Backoff(0.001, 0.01, jitter=CENTRED_JITTER))
    record(tmp_path)
    cloud = MemoryCloud()
    cloud.lose_first = 3
    async with UploadProcess(tmp_path, cloud, timeout=RequestTimeout(least_s=0.01)) as uploading:
        await wait_for(uploading.idle, within_s=20, what="everything is sent")
    assert cloud.lose_first == 0
    check(cloud)


async def test_messages_rejected_one_by_one_are_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "BACKOFF", Backoff(0.001, 30, jitter=CENTRED_JITTER))
    record(tmp_path)
    cloud = MemoryCloud()
    cloud.refuse_first = 7
    await drained(tmp_path, cloud)
    check(cloud)


@pytest.mark.parametrize(("order", "first"), [("live", (SECOND_RUN, 0)), ("oldest", (RUN, 0))])
async def test_which_fragment_is_uploaded_next(
    order: str, first: tuple[str, int], tmp_path: Path
) -> None:
    spool = open_spool(tmp_path, "e1", PLENTY)
    spool.store(*fragment(0), started())
    event, data = fragment(0, run=SECOND_RUN)
    spool.store(event.model_copy(update={"start_ms": T0_MS + 99_000}), data, started(SECOND_RUN))
    spool.close()
    cloud = MemoryCloud()
    await drained(tmp_path, cloud, order)
    assert cloud.log[0] == fragment_key(CAMERA, *first)


async def test_a_fragment_changed_on_the_disk_is_discarded_and_reported(tmp_path: Path) -> None:
    record(tmp_path)
    path = tmp_path / "fragments" / CAMERA / RUN / "00000002.frag"
    data = path.read_bytes()
    path.write_bytes(b"#" + data[1:])
    (path.parent / "00000001.frag").unlink()
    cloud = MemoryCloud()
    await drained(tmp_path, cloud)
    assert fragment_key(CAMERA, RUN, 2) not in cloud.objects
    end = RunEnded.model_validate_json(cloud.objects[run_end_key(CAMERA, RUN)][0])
    assert end.given_up == [(1, 2)]


async def test_other_bytes_under_the_key_do_not_block_the_rest(tmp_path: Path) -> None:
    record(tmp_path)
    cloud = MemoryCloud()
    cloud.objects[fragment_key(CAMERA, RUN, 1)] = (b"tampered", {})
    await drained(tmp_path, cloud)
    end = RunEnded.model_validate_json(cloud.objects[run_end_key(CAMERA, RUN)][0])
    assert end.given_up == [(1, 1)]


async def test_a_lost_journal_sends_all_again_and_changes_nothing(tmp_path: Path) -> None:
    record(tmp_path)
    cloud = MemoryCloud()
    await drained(tmp_path, cloud)
    before = dict(cloud.objects)
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"journal.db{suffix}").unlink(missing_ok=True)
    await drained(tmp_path, cloud)
    assert cloud.objects == before
    check(cloud)


async def test_detections_are_kept_in_order_and_batched(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "e1", PLENTY)
    for number in range(35):
        frames = [DetectionFrame(pts=number, at_ms=T0_MS, objects=[])]
        event = Detection(camera=CAMERA, run=RUN, model="hog", model_version="1", frames=frames)
        spool.put_message(event.type, encode(event))
    spool.put_message("detection", b"x" * (300 << 10))  # larger than the queue takes
    spool.close()
    cloud = MemoryCloud()
    await drained(tmp_path, cloud)
    events = [parse(body) for body in cloud.messages]
    assert [e.frames[0].pts for e in events if isinstance(e, Detection)] == list(range(35))
    assert cloud.operations == 4


async def test_only_the_newest_heartbeat_is_kept(tmp_path: Path) -> None:
    cloud = MemoryCloud()
    cloud.failing = True
    async with UploadProcess(tmp_path, cloud) as uploading:
        for number in range(50):
            uploading.sender.heartbeat(b"beat %d" % number)
            await asyncio.sleep(0)
        cloud.failing = False
        uploading.sender.heartbeat(b"newest")
        await wait_for(lambda: cloud.messages, within_s=20, what="a heartbeat")
    assert cloud.messages == [b"newest"]


@pytest.mark.parametrize("order", ["live", "oldest"])
async def test_fragments_that_always_fail_block_no_other(
    order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Something on the way always resets the connection at certain bytes."""
    monkeypatch.setattr(link_module, "BACKOFF", Backoff(0.001, 0.01, jitter=CENTRED_JITTER))
    monkeypatch.setattr(quarantine_module, "BACKOFF", Backoff(0.001, 600))
    spool = open_spool(tmp_path, "e1", PLENTY)
    for seq in range(30):
        spool.store(*fragment(seq), started())
    spool.close()
    bad = {fragment_key(CAMERA, RUN, seq) for seq in (0, 1, 2, 17)}
    good = {fragment_key(CAMERA, RUN, seq) for seq in range(30)} - bad
    cloud = MemoryCloud()
    cloud.failing_keys = bad
    async with UploadProcess(tmp_path, cloud, order) as uploading:
        await wait_for(
            lambda: good <= {*cloud.objects}, within_s=20, what="all others are uploaded"
        )
        assert (await uploading.owner.call(lambda spool: spool.counts())).stored == 4
        assert "again and again" in caplog.text
        cloud.failing_keys = set()
        await wait_for(lambda: bad <= {*cloud.objects}, within_s=20, what="they are tried again")


def test_a_line_that_is_down_quarantines_nothing() -> None:
    quarantine = FragmentQuarantine()
    ids = [FragmentId(CAMERA, RUN, seq) for seq in range(5_000)]
    for one in ids:
        quarantine.failed(one)
        assert len(quarantine.excluded(0)) <= 100
        assert not quarantine.quarantined(0)
    for at in range(0, 5_000, 2):  # every second one fails: bounded, and all may be tried again
        quarantine.failed(ids[at])
        quarantine.succeeded(ids[at + 1], at)
    assert len(quarantine.quarantined(0)) <= 1_000
    assert not quarantine.quarantined(100_000)
