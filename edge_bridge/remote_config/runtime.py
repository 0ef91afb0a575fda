"""What of a running edge follows the site's configuration."""

from edge_bridge.config import EdgeConfig
from edge_bridge.inference_manager import InferenceManager
from edge_bridge.recorders import RecorderManager
from edge_bridge.remote_config.rollout import INFERENCE
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload.manager import UploadManager


class EdgeRuntime:
    """The cameras, the inference, the uploads and the spool's priorities of one edge."""

    def __init__(
        self,
        owner: SpoolThread,
        cameras: RecorderManager,
        looking: InferenceManager,
        uploading: UploadManager,
    ) -> None:
        self._owner, self._cameras = owner, cameras
        self._looking, self._uploading = looking, uploading

    async def apply(self, config: EdgeConfig) -> None:
        """Record by another configuration; what it does not change goes on."""
        await self._looking.apply(config)
        await self._cameras.apply(config, self._looking.feed)
        await self._uploading.apply(config.upload)
        self._owner.spool.set_limits(config.spool_limits())

    @property
    def settled(self) -> bool:
        """Whether each camera has recorded or failed, and inference has."""
        connecting = any(one.state == "connecting" for one in self._cameras.statuses)
        return not connecting and self._looking.state != "loading"

    def working(self) -> frozenset[str]:
        """Return which cameras record, and `inference` where it works."""
        recording = {one.camera for one in self._cameras.statuses if one.state == "recording"}
        return frozenset(recording | ({INFERENCE} if self._looking.state == "working" else set()))

    def ailing(self, must: frozenset[str]) -> tuple[dict[str, str], str]:
        """Return which of these, where still configured, do not work -> why; and what is hopeless.

        Inference counts where it was changed, too: its model may not load.
        """
        ailing = {
            one.camera: one.detail or one.state
            for one in self._cameras.statuses
            if one.camera in must and one.state != "recording"
        }
        fares, why = self._looking.fares()
        if fares == "waiting" and (INFERENCE in must or self._looking.unsettled):
            ailing[INFERENCE] = why
        return ailing, why if fares == "bad" else ""
