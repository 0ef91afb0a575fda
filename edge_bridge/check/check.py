"""Runs all checks of `vigil edge check`."""

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
    """Check everything; problems are results, nothing is raised."""
    preflight = await fetch_config(config)
    config = preflight.config
    limit = asyncio.Semaphore(_AT_ONCE)

    async def check_stream(stream: CameraConfig) -> CheckResult:
        async with limit:
            return await asyncio.to_thread(check_camera, stream, config.no_data_s)

    streams = [stream for camera in config.cameras for stream in streams_of(camera)]
    cameras = await asyncio.gather(*(check_stream(stream) for stream in streams))
    disk = await asyncio.to_thread(check_disk, config)
    clock, *cloud = await asyncio.gather(
        check_clock(config.cloud), check_store(config), check_queue(config)
    )
    model = await asyncio.to_thread(check_model, config.inference)
    results = [*cameras, disk, clock, *cloud, model]
    if config.central is not None:
        error = preflight.error
        remedy = "correct central.*, its key, or the site's configuration" if error else ""
        state: Literal["good", "bad"] = "bad" if error else "good"
        results.append(CheckResult("configuration", state, error or preflight.summary, remedy))
    return results
