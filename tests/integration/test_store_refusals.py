"""S3 rejects a fragment: the edge waits, reports it, and loses nothing.

A small server answers as AWS does where credentials, clock, bucket or region are wrong. The
store's own client talks to it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from domain.backoff import CENTRED_JITTER, Backoff
from domain.identity import fragment_key
from edge_bridge.config.schedule import Schedule
from edge_bridge.spool.spool import open_spool
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload import link as link_module
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.concurrency import ConcurrencyLimit
from edge_bridge.upload.link import Link
from edge_bridge.upload.scheduler import UploadScheduler
from edge_bridge.upload.uploader import FragmentUploader
from edge_bridge.upload.wakeup import Wakeup
from stores.aws_endpoint import AwsEndpoint
from stores.signed_objects import SignedObjectStore
from tests.unit.edge_bridge.material import CAMERA, RUN, fragment, started
from tests.unit.edge_bridge.test_upload import PLENTY
from tests.waiting import wait_for


class FakeS3:
    """Answers PUT with `refusal` (status, code, headers) while there is one."""

    def __init__(self) -> None:
        self.refusal: tuple[int, str, dict[str, str]] | None = None
        self.objects: set[str] = set()
        self.asked = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked += 1
        if self.refusal is not None:
            status, code, headers = self.refusal
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
            return web.Response(
                status=status,
                text="" if request.method == "HEAD" else body,
                headers={"Content-Type": "application/xml", **headers},
            )
        if request.method == "PUT":
            self.objects.add(request.path.removeprefix("/bucket/"))
        return web.Response(headers={"ETag": '"x"', "x-amz-bucket-region": "eu-central-1"})


@pytest.fixture
async def s3(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeS3]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(link_module, "BACKOFF", Backoff(0.001, 0.01, jitter=CENTRED_JITTER))
    fake = FakeS3()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", fake.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}"
    yield fake
    await runner.cleanup()


REFUSALS = {
    "clock": (403, "RequestTimeTooSkewed", {}),
    "denied": (403, "AccessDenied", {}),
    "no bucket": (404, "NoSuchBucket", {}),
    "region": (301, "PermanentRedirect", {"x-amz-bucket-region": "us-east-1"}),
    "region, in words": (400, "AuthorizationHeaderMalformed", {}),
    "key": (403, "InvalidAccessKeyId", {}),
    "slow down": (503, "SlowDown", {}),
    "quota": (403, "QuotaExceeded", {}),
    "too large": (400, "EntityTooLarge", {}),
    "damaged on the way": (400, "BadDigest", {}),
    "no S3 at all": (200 + 205, "MethodNotAllowed", {}),
}

REMEDIES = {
    "no bucket": "correct its name",
    "clock": "set it by NTP",
    "denied": "these credentials need access",
    "region": "another region",
    "region, in words": "another region",
    "key": "renew them",
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_it_is_reported_and_tried_until_it_is_corrected(
    name: str, s3: FakeS3, tmp_path: Path
) -> None:
    spool = open_spool(tmp_path, "e1", PLENTY)
    for seq in range(3):
        spool.store(*fragment(seq), started())
    spool.close()
    s3.refusal = REFUSALS[name]
    wake = Wakeup()
    changed: Callable[[], None] = wake.set
    owner = await asyncio.to_thread(
        SpoolThread, lambda: open_spool(tmp_path, "e1", PLENTY), changed
    )
    link = Link("s3")
    endpoint = AwsEndpoint("eu-central-1", s3.url, max_attempts=1)
    try:
        async with SignedObjectStore(endpoint, "bucket") as store:
            uploads = FragmentUploader(
                owner, store, link, stored=wake, uploaded=wake, scheduler=UploadScheduler("oldest"),
                bandwidth=BandwidthLimiter(Schedule()), concurrency=ConcurrencyLimit(1, 2, 2),
            )  # fmt: skip
            running: asyncio.Task[Any] = asyncio.create_task(uploads.run())
            await wait_for(lambda: s3.asked > 8, within_s=20, what="further tries")
            assert not running.done()
            assert link.down_since_s is not None
            assert REMEDIES.get(name, "") in link.detail
            assert REFUSALS[name][1] in link.detail
            counts = await owner.call(lambda spool: spool.counts())
            assert (counts.stored, owner.status().given_up) == (3, 0)
            s3.refusal = None
            await wait_for(lambda: len(s3.objects) == 3, within_s=20, what="all is sent")
            assert s3.objects == {fragment_key(CAMERA, RUN, seq) for seq in range(3)}
            await wait_for(lambda: link.down_since_s is None, within_s=20, what="it is up")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    finally:
        await asyncio.to_thread(owner.close)
