"""All tries of `vigil edge check`."""

import asyncio
from typing import Literal

from edge_bridge.check.camera import check_camera, streams_of
from edge_bridge.check.cloud import check_queue, check_store
from edge_bridge.check.device import check_clock, check_disk, check_model
from edge_bridge.check.result import CheckResult
from edge_bridge.config import CameraConfig, EdgeConfig
from edge_bridge.remote_config.preflight import fetch_config

_AT_ONCE = 4


async def check(config: EdgeConfig) -> list[CheckResult]:
    """Try everything; faults are findings, nothing is raised."""
    preflight = await fetch_config(config)
    config = preflight.config
    limit = asyncio.Semaphore(_AT_ONCE)

    async def camera(one: CameraConfig) -> CheckResult:
        async with limit:
            return await asyncio.to_thread(check_camera, one, config.no_data_s)

    streams = [stream for one in config.cameras for stream in streams_of(one)]
    cameras = await asyncio.gather(*(camera(one) for one in streams))
    disk = await asyncio.to_thread(check_disk, config)
    clock, *cloud = await asyncio.gather(
        check_clock(config.cloud), check_store(config), check_queue(config)
    )
    model = await asyncio.to_thread(check_model, config.inference)
    findings = [*cameras, disk, clock, *cloud, model]
    if config.central is not None:
        error = preflight.error
        remedy = "mend central.*, its key, or the site's configuration" if error else ""
        state: Literal["good", "bad"] = "bad" if error else "good"
        findings.append(CheckResult("configuration", state, error or preflight.summary, remedy))
    return findings
