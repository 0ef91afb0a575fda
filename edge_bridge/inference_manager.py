"""Starts, reconfigures and stops local inference, as the configuration says."""

import asyncio
import contextlib
from typing import Literal

from edge_bridge.capture.run import FrameSink
from edge_bridge.config import EdgeConfig
from edge_bridge.config.inference import InferenceConfig, Mask
from edge_bridge.inference.supervisor import WorkerSupervisor
from edge_bridge.inference.worker_process import OnDetections, OnFrames


class InferenceManager:
    """Owns the inference worker, if there is one. Call its methods in the event loop."""

    def __init__(self, on_detection: OnDetections, on_frames: OnFrames | None = None) -> None:
        """`on_detection` stores an event durably. `on_frames` gets each frame's objects at once."""
        self._on_detection = on_detection
        self._on_frames = on_frames
        self._inference: WorkerSupervisor | None = None
        self._task: asyncio.Task[None] | None = None
        self._applied: tuple[InferenceConfig, dict[str, list[Mask]]] | None = None
        self.pending = False
        """Whether the configuration applied last has not worked yet."""
        self._replaced_pid: int | None = None
        """The worker to replace, until another one has taken over."""

    @property
    def frame_sink(self) -> FrameSink | None:
        """Where to offer frames; None while inference is off."""
        return self._inference.frames if self._inference else None

    @property
    def state(self) -> str:
        """One word, for health."""
        return self._inference.state if self._inference else "off"

    @property
    def detail(self) -> str:
        """The text of the last error, or ""."""
        return self._inference.detail if self._inference else ""

    def reload(self, why: str) -> None:
        """Start another worker, which loads the model and takes over."""
        if self._inference is not None:
            self._inference.replace(why)

    async def apply(self, config: EdgeConfig) -> None:
        """Use this configuration. Nothing happens if it has not changed."""
        masks = {name: masks for name, masks in config.privacy_masks().items() if masks}
        wanted = (config.inference, masks) if config.inference.enabled else None
        if wanted == self._applied:
            return
        self._applied = wanted
        self.pending = wanted is not None
        if wanted is None:
            await self.stop()
        elif self._inference is None:
            self._replaced_pid = None
            self._inference = WorkerSupervisor(
                wanted[0], self._on_detection, wanted[1], self._on_frames
            )
            self._task = asyncio.create_task(self._inference.run(), name="inference")
        else:
            self._replaced_pid = self._inference.pid
            self._inference.replace("the site's configuration has changed", *wanted)

    def health(self) -> tuple[Literal["healthy", "pending", "failed"], str]:
        """Return the health of the configuration applied last, and why.

        `failed` does not change any more. Inference that is off is healthy.
        """
        inference = self._inference
        if inference is None:
            return "healthy", ""
        if inference.takeover == "failed":
            return "failed", inference.detail
        if inference.state != "working":
            return "pending", inference.detail or f"inference is {inference.state}"
        if self._replaced_pid is not None and inference.pid == self._replaced_pid:
            return "pending", "the model is not loaded yet"
        self._replaced_pid = None
        self.pending = False
        return "healthy", ""

    async def stop(self) -> None:
        """Stop the worker, and store the detections that it has made."""
        task, self._task, self._inference = self._task, None, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
