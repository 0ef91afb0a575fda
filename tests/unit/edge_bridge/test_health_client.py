"""`vigil edge health` asks the running edge by HTTP or HTTPS, and prints what is wrong."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ConfigError
from edge_bridge.config import HttpConfig
from edge_bridge.health import HealthServer
from edge_bridge.health_client import fetch_health
from local.certificates import make_pair

GATE = {"camera": "acme/berlin/gate", "state": "recording", "since_ms": 1, "detail": ""}
YARD = {"camera": "acme/berlin/yard", "state": "failing", "since_ms": 1, "detail": "no data"}
HEALTHY: dict[str, Any] = {
    "cameras": [GATE],
    "links": {"s3": {"down_since_s": None, "detail": ""}},
    "disk": {"state": "good", "detail": "", "since_ms": 1},
    "inference": "working",
    "inference_detail": "",
    "clock": "right",
}


async def health_of(config: HttpConfig, report: dict[str, Any]) -> tuple[bool, tuple[str, ...]]:
    async with HealthServer(config, lambda: report) as health:
        here = config.model_copy(update={"port": health.port})
        state = await asyncio.to_thread(fetch_health, here)
    return state.healthy, state.lines


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0"])
async def test_each_address_that_the_port_can_be_on(host: str) -> None:
    summary = await health_of(HttpConfig(host=host, port=0), HEALTHY)
    assert summary == (True, ("acme/berlin/gate: recording",))


async def test_https_with_a_certificate_for_another_name(tmp_path: Path) -> None:
    _, both = make_pair("192.0.2.77")
    (tmp_path / "page.pem").write_bytes(both)
    config = HttpConfig(host="127.0.0.1", port=0, certificate_file=tmp_path / "page.pem")
    assert (await health_of(config, HEALTHY))[0]


async def test_it_is_unhealthy_if_all_cameras_fail_and_other_problems_are_listed() -> None:
    unhealthy = {
        "cameras": [YARD],
        "links": {"s3": {"down_since_s": 5.0, "detail": "no answer."}},
        "disk": {"state": "full", "detail": "0 bytes are free", "since_ms": 1},
        "inference": "waiting",
        "inference_detail": "no such model",
        "clock": "wrong",
        "config": {"version": 3, "state": "refused", "detail": "version 4 is refused."},
    }
    assert await health_of(HttpConfig(port=0), unhealthy) == (
        False,
        (
            "acme/berlin/yard: failing no data",
            "s3: not reachable: no answer.",
            "disk: full 0 bytes are free",
            "inference: waiting no such model",
            "configuration: refused version 4 is refused.",
            "clock: not set. Footage is not uploaded until it is set. Allow NTP (UDP 123).",
        ),
    )
    assert (await health_of(HttpConfig(port=0), unhealthy | {"cameras": [YARD, GATE]}))[0]


async def test_no_program_and_another_program() -> None:
    async with HealthServer(HttpConfig(port=0), lambda: {"cameras": []}) as health:
        closed = HttpConfig(port=health.port)
    with pytest.raises(ConfigError, match=r"does not answer at .*\(Connection refused\)"):
        fetch_health(closed)
    with pytest.raises(ConfigError, match=r"http\.port is not set"):
        fetch_health(None)
    with pytest.raises(ConfigError, match="is not an edge"):
        await health_of(HttpConfig(port=0), {"cameras": "none"})
