"""Signed footage in S3 and the catalog: manifests, the registry, fsck; nothing is deleted."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from agents.healing.reconciler import ReconcileOptions, Reconciler
from agents.joining.join_errors import NothingToJoinError
from agents.joining.joiner import Joiner
from agents.signatures.checker import SignatureChecker
from agents.signatures.registry import SignerRegistry
from domain.events import ChunkComplete, encode
from domain.identity import fragment_key, manifest_key
from domain.manifests import Manifest
from edge_bridge.upload.signed_events import metadata_of
from local.aws import client
from stores.aws_endpoint import AwsEndpoint
from stores.catalog import Catalog, index_chunks
from stores.signed_objects import SignedObjectStore
from stores.signed_queue import SignedQueue
from stores.stored_fragment import stored_fragment
from stores.stored_manifest import read_manifest, replace_manifest
from streams.storage import make_queue
from tests.conftest import Services
from tests.devices import SigningDevice
from tests.integration.consistency_support import (
    SOON_MS,
    START_MS,
    WINDOW_MS,
    Place,
    due_of,
    now_ms,
    place,
)
from tests.integration.device_support import enrol, set_state
from tests.recorder import Recorder


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


async def signing_recorder(at: Place) -> Recorder:
    """Enrol a device at the camera's site; its recorder signs."""
    device = SigningDevice(at.camera.rsplit("/", 1)[0] + "/edge-1")
    await enrol(at.catalog, device)
    recorder = at.recorder()
    recorder.device = device
    return recorder


async def manifest_of(at: Place, chunk: ChunkComplete) -> Manifest:
    return await read_manifest(at.store, manifest_key(chunk.object_key))


async def chain_findings(at: Place) -> list[tuple[str, int | None]]:
    outcomes, _ = await at.check(signatures=True)
    return [(each.finding.kind, each.finding.seq) for each in outcomes]


async def test_manifests_prove_a_run_and_name_its_hole(at: Place) -> None:
    recorder = await signing_recorder(at)
    for seq in range(15):
        await at.announce(await recorder.put(at.store, seq))
    first = await at.join(recorder, range(5))
    # 7 is late: it comes in a second revision, which keeps the signatures of the first.
    await at.join(recorder, [5, 6, 8, 9])
    late = await at.join(recorder, [7])
    last = await at.join(recorder, range(10, 15))
    assert late.revision == 2
    signed = (await manifest_of(at, late)).signed
    assert [each.seq for each in signed] == [5, 6, 7, 8, 9]
    for each in signed:
        event = recorder.sent[each.seq]
        assert each.notice == encode(event).decode()
        assert recorder.device is not None and each.signature == recorder.device.sign(
            each.notice.encode()
        )
    assert "signed" not in encode(late).decode(), "the event does not grow"
    outcomes, counts = await at.check(signatures=True)
    assert (outcomes, counts.signed) == ([], 15)

    # A manifest that is written again keeps what was signed.
    await replace_manifest(at.store, first)
    assert len((await manifest_of(at, first)).signed) == 5
    assert await chain_findings(at) == []

    # Without the middle chunk the chain has a hole, and the catalog's row shows it too.
    await at.store.delete([late.object_key, manifest_key(late.object_key)])
    middle = [
        info.key
        async for info in at.store.list(f"chunks/{at.camera}/")
        if info.key.endswith(".json")
        and info.key not in {manifest_key(first.object_key), manifest_key(last.object_key)}
    ]
    await at.store.delete([*middle, *(key.removesuffix(".json") + ".ts" for key in middle)])
    assert ("chain-hole", 5) in await chain_findings(at)


async def test_a_manifest_that_lies_is_found(at: Place) -> None:
    recorder = await signing_recorder(at)
    for seq in range(5):
        await at.announce(await recorder.put(at.store, seq))
    chunk = await at.join(recorder, range(5))
    manifest = await manifest_of(at, chunk)
    stranger = SigningDevice("acme/elsewhere/edge-1")
    lies = [
        each.model_copy(update={"signature": stranger.sign(each.notice.encode())})
        if each.seq == 2
        else each
        for each in manifest.signed
        if each.seq != 4
    ]
    await at.overwrite(manifest_key(chunk.object_key), encode(Manifest.of(manifest.chunk, lies)))
    assert await chain_findings(at) == [("signature-wrong", 2), ("signature-missing", 4),
                                        ("chain-broken", 4)]  # fmt: skip


def checked(at: Place) -> SignatureChecker:
    return SignatureChecker.opened(at.catalog)


async def reconciled(at: Place) -> list[Any]:
    options = ReconcileOptions(0, now_ms() + SOON_MS, 60_000, WINDOW_MS)
    reconciler = Reconciler(at.store, at.catalog, options, checked(at))
    return [event async for event in reconciler.events_to_send(at.camera)]


async def test_what_is_unsigned_or_foreign_is_left_out_and_reported_and_stays(at: Place) -> None:
    mine = await signing_recorder(at)
    unsigned = at.recorder(1, START_MS + 100_000)
    foreign = at.recorder(2, START_MS + 200_000)
    foreign.device = SigningDevice("acme/elsewhere/edge-1")
    for recorder in (mine, unsigned, foreign):
        await recorder.put(at.store, 0)
    assert [event.run for event in await reconciled(at)] == [mine.run]
    outcomes, _ = await at.check(repair=True, checker=checked(at))
    found = {each.finding.run: (each.finding.kind, each.finding.text) for each in outcomes}
    assert found[mine.run][0] == "fragment-unjoined"
    assert found[unsigned.run][0] == found[foreign.run][0] == "fragment-refused"
    assert found[unsigned.run][1].startswith("unsigned: ")
    assert found[foreign.run][1].startswith("foreign: ")
    assert [event.run for event in at.sent.events] == [mine.run]  # type: ignore[attr-defined]
    for recorder in (unsigned, foreign):
        assert await at.store.head(fragment_key(at.camera, recorder.run, 0))
    # The site may accept it later: nothing was lost.
    await at.execute("UPDATE sites SET unsigned = 'warn' WHERE id = $1", at.camera[:-5])
    assert {event.run for event in await reconciled(at)} == {mine.run, unsigned.run}


async def test_a_wrong_notice_is_not_corrected_by_an_object_that_no_one_signed(at: Place) -> None:
    recorder = at.recorder()
    event = await recorder.put(at.store, 0)
    notice = event.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(NothingToJoinError):
        await Joiner(at.store, now_ms, signatures=checked(at)).join(due_of([notice]))
    await at.execute("UPDATE sites SET unsigned = 'warn' WHERE id = $1", at.camera[:-5])
    chunk = await Joiner(at.store, now_ms, signatures=checked(at)).join(due_of([notice]))
    assert chunk.fragments[0].sha256 == event.sha256
    await index_chunks(at.catalog, [chunk], now_ms())


async def test_the_registry_learns_changes_and_reads_only_those(at: Place) -> None:
    site = at.camera.rsplit("/", 1)[0]
    first, second = SigningDevice(f"{site}/edge-1"), SigningDevice(f"{site}/edge-2")
    await enrol(at.catalog, first)
    clock_s = [0.0]

    async def catalog() -> Catalog:
        return at.catalog

    registry = SignerRegistry(catalog, lambda: clock_s[0])
    known = await registry.known()
    assert set(known.devices) == {first.id}
    assert known.policy(site) == "refuse"
    assert known.policy("acme/unknown") == "refuse"

    await enrol(at.catalog, second)
    await set_state(at.catalog, first, "revoked")
    await at.execute("UPDATE sites SET unsigned = 'accept' WHERE id = $1", site)
    assert (await registry.known()) is known, "not older than 2 s"
    clock_s[0] = 2.1
    known = await registry.known()
    assert set(known.devices) == {first.id, second.id}
    assert known.devices[first.id].state == "revoked"
    assert known.policy(site) == "accept"

    # Rows that vanish, such as those of an erased tenant, go with the next whole reading.
    await at.execute("DELETE FROM devices WHERE id = $1", second.id)
    clock_s[0] = 63.0
    assert set((await registry.known()).devices) == {first.id}


async def test_the_clients_of_the_edge_carry_signatures(at: Place, services: Services) -> None:
    """By requests that the edge signs itself, to a real S3 and SQS."""
    recorder = await signing_recorder(at)
    assert recorder.device is not None
    settings = services.settings
    event, data = recorder.film(1)
    key = fragment_key(at.camera, recorder.run, 1)
    url = client("sqs", settings.sqs_endpoint or "").create_queue(QueueName=uuid.uuid4().hex)
    endpoints = [
        AwsEndpoint(settings.aws_region, each)
        for each in (settings.s3_endpoint, settings.sqs_endpoint)
    ]
    body = encode(event)
    async with (
        SignedObjectStore(endpoints[0], settings.s3_bucket) as store,
        SignedQueue(endpoints[1], url["QueueUrl"]) as queue,
        make_queue(settings, url["QueueUrl"]) as received,
    ):
        metadata = metadata_of(event, recorder.device)
        assert await store.put_once(key, data, sha256=event.sha256, metadata=metadata)
        assert await stored_fragment(at.store, key, checked(at)) == event
        assert await queue.send([body, body], [recorder.device.sign(body), None]) == []
        found = []
        while len(found) < 2:
            found += await received.receive(wait_s=1)
    assert {each.signature for each in found} == {recorder.device.sign(body), None}
