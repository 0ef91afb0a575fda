"""The uploads as the configuration has them; begun anew where it changes."""

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
        make: Callable[[UploadScheduler, ConcurrencyLimit], FragmentUploader],
        begin: Callable[[FragmentUploader], "asyncio.Task[None]"],
    ) -> None:
        """`bandwidth` is that of `config`, shared with others."""
        self._config, self._bandwidth = config, bandwidth
        self._make, self._begin = make, begin
        self.task = begin(
            make(UploadScheduler.from_config(config), ConcurrencyLimit.from_config(config))
        )

    @property
    def flush_s(self) -> int:
        """How long to go on uploading when stopped."""
        return self._config.flush_s

    async def apply(self, config: UploadConfig) -> None:
        """Upload by another configuration: what was on its way is sent again."""
        if config == self._config:
            return
        self._config = config
        self._bandwidth.follow(BandwidthLimiter.from_config(config))
        self.task.cancel()
        await asyncio.wait([self.task])
        self.task = self._begin(
            self._make(UploadScheduler.from_config(config), ConcurrencyLimit.from_config(config))
        )
