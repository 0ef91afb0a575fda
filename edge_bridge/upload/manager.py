"""The uploads as the configuration sets them; they restart where it changes."""

import asyncio
from collections.abc import Callable

from edge_bridge.config.upload import UploadConfig
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.concurrency import ConcurrencyLimit
from edge_bridge.upload.scheduler import UploadScheduler
from edge_bridge.upload.uploader import FragmentUploader


class UploadManager:
    """Owns the task that uploads."""

    def __init__(
        self,
        config: UploadConfig,
        bandwidth: BandwidthLimiter,
        make_uploader: Callable[[UploadScheduler, ConcurrencyLimit], FragmentUploader],
        start: Callable[[FragmentUploader], "asyncio.Task[None]"],
    ) -> None:
        """`bandwidth` has the cap of `config` and is shared with others."""
        self._config = config
        self._bandwidth = bandwidth
        self._make_uploader = make_uploader
        self._start = start
        self.task = self._start_uploader()

    @property
    def flush_s(self) -> int:
        """How long to go on uploading during a graceful shutdown."""
        return self._config.flush_s

    async def apply(self, config: UploadConfig) -> None:
        """Upload by another configuration: fragments in flight are sent again."""
        if config == self._config:
            return
        self._config = config
        self._bandwidth.use_schedule(config.bandwidth_schedule())
        self.task.cancel()
        await asyncio.wait([self.task])
        self.task = self._start_uploader()

    def _start_uploader(self) -> "asyncio.Task[None]":
        scheduler = UploadScheduler.from_config(self._config)
        concurrency = ConcurrencyLimit.from_config(self._config)
        return self._start(self._make_uploader(scheduler, concurrency))
