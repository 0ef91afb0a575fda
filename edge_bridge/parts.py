"""The parts of a running edge, and the one function that wires them together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from domain.events import Detection
from domain.events.registry import encode
from domain.unset_clock import is_undated
from edge_bridge.clock import EdgeClock
from edge_bridge.config import EdgeConfig
from edge_bridge.heartbeat import HeartbeatSender
from edge_bridge.identity.credentials import DeviceCredentials
from edge_bridge.identity.folder import IdentityFolder
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.identity.renewal import IdentityRenewal
from edge_bridge.inference_manager import InferenceManager
from edge_bridge.live.manager import LiveManager
from edge_bridge.recorders import RecorderManager
from edge_bridge.remote_config.manager import RemoteConfigManager
from edge_bridge.spool.spool import Spool, open_spool
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.spool.undated_rows import UNDATED_PREFIX
from edge_bridge.tasks import restart_forever
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.concurrency import ConcurrencyLimit
from edge_bridge.upload.endpoints import endpoints
from edge_bridge.upload.link import Link
from edge_bridge.upload.manager import UploadManager
from edge_bridge.upload.outbox_sender import OutboxSender
from edge_bridge.upload.scheduler import UploadScheduler
from edge_bridge.upload.signed_events import Signer
from edge_bridge.upload.uploader import FragmentUploader
from edge_bridge.upload.wakeup import Wakeup
from stores.aws_credentials import CredentialCache
from stores.signed_objects import SignedObjectStore
from stores.signed_queue import SignedQueue


@dataclass(frozen=True, slots=True)
class EdgeParts:
    """What one edge consists of. Each part is the only owner of its state."""

    config: EdgeConfig
    """In force at the start: the device's own file, or with the stored site configuration."""
    clock: EdgeClock
    spool: SpoolThread
    recorders: RecorderManager
    live: LiveManager
    inference: InferenceManager
    uploads: UploadManager
    sender: OutboxSender
    heartbeats: HeartbeatSender
    remote_config: RemoteConfigManager | None
    identity: DeviceIdentity
    renewal: IdentityRenewal
    links: tuple[Link, ...]
    """To S3, to SQS, and to the catalog if `central` is configured."""
    wake: Callable[[], None]
    """Wakes the uploads and the sender: the spool may have work for them. From any thread."""

    @property
    def links_up(self) -> bool:
        """Whether the last request on each link succeeded."""
        return all(link.down_since_s is None for link in self.links)


MakeInference = Callable[[SpoolThread, RecorderManager, LiveManager], InferenceManager]
BuildParts = Callable[[EdgeConfig], AbstractAsyncContextManager[EdgeParts]]


def make_inference(
    spool: SpoolThread, recorders: RecorderManager, live: LiveManager
) -> InferenceManager:
    """Return local inference: its detections go to the spool's outbox, and to who watches live."""

    async def on_detection(detection: Detection) -> None:
        prefix = UNDATED_PREFIX if is_undated(detection.run) else ""
        spool.message(prefix + detection.type, encode(recorders.corrected(detection)))

    def on_frames(detection: Detection) -> None:
        live.detections(recorders.corrected(detection))

    return InferenceManager(on_detection, on_frames)


@asynccontextmanager
async def build_parts(
    config: EdgeConfig,
    *,
    clock: EdgeClock | None = None,
    make_inference: MakeInference = make_inference,
    signer: Signer | None = None,
    identity: DeviceIdentity | None = None,
) -> AsyncIterator[EdgeParts]:
    """Build the parts for a configuration file; on exit, close the spool and the connections.

    A benchmark or a test replaces a part by its own. Raises ConfigError if the spool cannot be
    used.
    """
    clock = clock or EdgeClock()
    if identity is None:
        identity = await asyncio.to_thread(DeviceIdentity, config.identity_folder)
    signer = signer or identity
    renewal = IdentityRenewal(identity, config.identity_folder)
    to_s3, to_sqs = Link("s3"), Link("sqs")
    links = [to_s3, to_sqs]
    remote_config: RemoteConfigManager | None = None
    if config.central is not None:
        link = Link("central")
        links.append(link)
        remote_config = RemoteConfigManager(config, config.central, link, identity=identity)
        config = await asyncio.to_thread(remote_config.boot)
    stored, outbox_filled = Wakeup(), Wakeup()

    def wake() -> None:
        stored.set()
        outbox_filled.set()

    def follow_identity() -> None:
        """Upload nothing while the cloud refuses this device. Recording goes on."""
        for link in (to_s3, to_sqs):
            if (reason := identity.pause_reason) is None:
                link.resume()
            else:
                link.pause(reason)

    loop = asyncio.get_running_loop()

    def identity_changed() -> None:  # in any thread
        loop.call_soon_threadsafe(follow_identity)

    identity.on_change.append(identity_changed)
    follow_identity()

    async with AsyncExitStack() as stack:
        spool = await asyncio.to_thread(SpoolThread, lambda: _open_spool(config, clock), wake)
        stack.push_async_callback(asyncio.to_thread, spool.close)
        at_s3, at_sqs = endpoints(config.cloud)
        kept_in = IdentityFolder(config.identity_folder)
        credentials = CredentialCache(DeviceCredentials(identity, folder=kept_in).read)
        identity.on_change.append(credentials.forget)
        store = await stack.enter_async_context(
            SignedObjectStore(at_s3, config.cloud.bucket, credentials=credentials)
        )
        queue = await stack.enter_async_context(
            SignedQueue(at_sqs, config.cloud.queue_url, credentials=credentials)
        )
        bandwidth = BandwidthLimiter.from_config(config.upload)

        def make_uploader(
            scheduler: UploadScheduler, concurrency: ConcurrencyLimit
        ) -> FragmentUploader:
            return FragmentUploader(
                spool,
                store,
                to_s3,
                stored=stored,
                uploaded=outbox_filled,
                scheduler=scheduler,
                bandwidth=bandwidth,
                concurrency=concurrency,
                signer=signer,
            )

        recorders = RecorderManager(spool, clock)
        live = LiveManager(recorders, bandwidth)
        sender = OutboxSender(
            spool,
            store,
            queue,
            to_s3=to_s3,
            to_sqs=to_sqs,
            work=outbox_filled,
            spend=bandwidth.spend,
            signer=signer,
        )
        heartbeats = HeartbeatSender(
            config,
            spool,
            sender,
            bandwidth,
            clock=clock,
            statuses=lambda: recorders.statuses,
            config_status=lambda: remote_config.status if remote_config else None,
            identity=identity,
            clock_trust=lambda: renewal.clock_trust,
        )
        yield EdgeParts(
            config=config,
            clock=clock,
            spool=spool,
            recorders=recorders,
            live=live,
            inference=make_inference(spool, recorders, live),
            uploads=UploadManager(
                config.upload,
                bandwidth,
                make_uploader,
                lambda uploader: restart_forever("uploads", uploader.run),
            ),
            sender=sender,
            heartbeats=heartbeats,
            remote_config=remote_config,
            identity=identity,
            renewal=renewal,
            links=tuple(links),
            wake=wake,
        )


def _open_spool(config: EdgeConfig, clock: EdgeClock) -> Spool:
    return open_spool(
        config.spool.dir,
        config.edge,
        config.spool_limits(),
        clock=clock,
        own_disk=config.spool.own_disk,
        background_recovery=True,
    )
