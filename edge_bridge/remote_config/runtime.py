"""The parts of a running edge that follow the site's configuration."""

from edge_bridge.config import EdgeConfig
from edge_bridge.inference_manager import InferenceManager
from edge_bridge.recorders import RecorderManager
from edge_bridge.remote_config.rollout import INFERENCE
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload.manager import UploadManager


class EdgeRuntime:
    """The recorders, the inference, the uploads and the spool's priorities of one edge."""

    def __init__(
        self,
        spool: SpoolThread,
        recorders: RecorderManager,
        inference: InferenceManager,
        uploads: UploadManager,
    ) -> None:
        self._spool = spool
        self._recorders = recorders
        self._inference = inference
        self._uploads = uploads

    async def apply(self, config: EdgeConfig) -> None:
        """Use another configuration. What it does not change continues without interruption."""
        await self._inference.apply(config)
        await self._recorders.apply(config, self._inference.frame_sink)
        await self._uploads.apply(config.upload)
        self._spool.set_limits(config.spool_limits())

    @property
    def settled(self) -> bool:
        """Whether each camera, and inference, has either started or failed."""
        connecting = any(one.state == "connecting" for one in self._recorders.statuses)
        return not connecting and self._inference.state != "loading"

    def healthy(self) -> frozenset[str]:
        """Return the cameras that record, and `inference` if it works."""
        recording = {one.camera for one in self._recorders.statuses if one.state == "recording"}
        working = {INFERENCE} if self._inference.state == "working" else set()
        return frozenset(recording | working)

    def unhealthy(self, required: frozenset[str]) -> tuple[dict[str, str], str]:
        """Return which of `required`, if still configured, do not work -> why; and a fatal fault.

        Inference also counts after a change of its configuration: its model may not load.
        """
        unhealthy = {
            one.camera: one.detail or one.state
            for one in self._recorders.statuses
            if one.camera in required and one.state != "recording"
        }
        health, why = self._inference.health()
        if health == "pending" and (INFERENCE in required or self._inference.pending):
            unhealthy[INFERENCE] = why
        return unhealthy, why if health == "failed" else ""
