"""Local inference as the configuration has it: off, on, or by another model from now on."""

import asyncio
import contextlib
from typing import Literal

from edge_bridge.capture.run import FrameSink
from edge_bridge.config import EdgeConfig
from edge_bridge.config.inference import InferenceConfig, Mask
from edge_bridge.inference.supervisor import WorkerSupervisor
from edge_bridge.inference.worker_process import OnDetections


class InferenceManager:
    """Owns the inference process, if there is one. Its methods are called in the event loop."""

    def __init__(self, keep: OnDetections) -> None:
        """`keep` keeps an event durably."""
        self._keep = keep
        self._inference: WorkerSupervisor | None = None
        self._task: asyncio.Task[None] | None = None
        self._by: tuple[InferenceConfig, dict[str, list[Mask]]] | None = None
        self.unsettled = False
        """Whether what was applied last has not worked so far."""
        self._replaced: int | None = None
        """The process that is to be replaced, until it is."""

    @property
    def feed(self) -> FrameSink | None:
        """Where pictures are offered, None while it is off."""
        return self._inference.feed if self._inference else None

    @property
    def state(self) -> str:
        """In a word, for health."""
        return self._inference.state if self._inference else "off"

    @property
    def detail(self) -> str:
        """The last fault in words, or nothing."""
        return self._inference.detail if self._inference else ""

    def reload(self, why: str) -> None:
        """Let another process load the model and take over."""
        if self._inference is not None:
            self._inference.replace(why)

    async def apply(self, config: EdgeConfig) -> None:
        """Look by this configuration: nothing happens where it is as before."""
        masks = {name: masks for name, masks in config.privacy().items() if masks}
        by = (config.inference, masks) if config.inference.enabled else None
        if by == self._by:
            return
        self._by = by
        self.unsettled = by is not None
        if by is None:
            await self.stop()
        elif self._inference is None:
            self._replaced = None
            self._inference = WorkerSupervisor(by[0], self._keep, by[1])
            self._task = asyncio.create_task(self._inference.run(), name="inference")
        else:
            self._replaced = self._inference.pid
            self._inference.replace("the site's configuration has changed", *by)

    def fares(self) -> tuple[Literal["good", "waiting", "bad"], str]:
        """Say how what was applied last fares, and why; `bad` is for good. Off is good."""
        inference = self._inference
        if inference is None:
            return "good", ""
        if inference.takeover == "failed":
            return "bad", inference.detail
        if inference.state != "working":
            return "waiting", inference.detail or f"inference is {inference.state}"
        if self._replaced is not None and inference.pid == self._replaced:
            return "waiting", "the model is not loaded yet"
        self._replaced, self.unsettled = None, False
        return "good", ""

    async def stop(self) -> None:
        """End it, and keep what it had found."""
        task, self._task, self._inference = self._task, None, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
