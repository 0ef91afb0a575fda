"""The commands that this device carries out, by their kinds."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from domain.commands import CommandKind
from domain.link_messages import CommandMessage
from edge_bridge.clock import EdgeClock
from edge_bridge.clock_sync import clock_sync
from edge_bridge.config import EdgeConfig
from edge_bridge.inference_manager import InferenceManager
from edge_bridge.link.checks import clock_outcome, route_outcome
from edge_bridge.link.diagnostics import make_bundle
from edge_bridge.link.handler import Carry, CommandFailedError, CommandOutcome
from edge_bridge.link.live_command import live_command
from edge_bridge.link.snapshot import take_snapshot
from edge_bridge.live.manager import LiveManager
from edge_bridge.recorders import RecorderManager


class DeviceCommands:
    """Carries out what needs the device's parts."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        recorders: RecorderManager,
        live: LiveManager,
        inference: InferenceManager,
        clock: EdgeClock,
        report: Callable[[], dict[str, Any]],
    ) -> None:
        """`report` returns the device's health."""
        self._config = config
        self._recorders = recorders
        self._live = live
        self._inference = inference
        self._clock = clock
        self._report = report
        self.cloud_ms: Callable[[], int | None] = lambda: None
        """The cloud's clock, as the link knows it."""

    def by_kind(self) -> Mapping[CommandKind, Carry]:
        """Return what carries out each kind."""
        return {
            CommandKind.SNAPSHOT: self._snapshot,
            CommandKind.LIVE: live_command(self._live, self._recorders),
            CommandKind.DIAGNOSTICS: self._diagnostics,
            CommandKind.RESTART_INFERENCE: self._restart_inference,
            CommandKind.CLOCK_CHECK: self._check_clock,
            CommandKind.ROUTE_CHECK: self._check_routes,
        }

    @property
    def _now(self) -> EdgeConfig:
        return self._recorders.config or self._config

    async def _snapshot(self, command: CommandMessage) -> CommandOutcome:
        return await take_snapshot(command, self._live, self._recorders)

    async def _diagnostics(self, _: CommandMessage) -> CommandOutcome:
        report = self._report()
        data = await asyncio.to_thread(make_bundle, self._now, lambda: report)
        return CommandOutcome("The bundle is ready. It holds no secrets.", None, data)

    async def _restart_inference(self, _: CommandMessage) -> CommandOutcome:
        if self._inference.state == "off":
            raise CommandFailedError("Inference is off in this device's configuration.")
        self._inference.reload("requested over the link")
        return CommandOutcome(
            "Another inference worker starts, and takes over when it has loaded the model.",
            {"state": self._inference.state},
        )

    async def _check_clock(self, _: CommandMessage) -> CommandOutcome:
        wrong = self._clock.shift_ms() is None
        return clock_outcome(clock_sync(), self.cloud_ms(), wrong)

    async def _check_routes(self, _: CommandMessage) -> CommandOutcome:
        return await route_outcome(self._now)
