"""`vigil edge check`: each fault has its remedy, the table fits, and nothing hangs."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from edge_bridge.check import CheckResult, check, print_table
from edge_bridge.check import cloud as cloud_module
from edge_bridge.check import device as device_module
from edge_bridge.check.cloud import check_store
from edge_bridge.check.device import check_clock
from edge_bridge.config import CloudConfig, EdgeConfig
from tests.footage import write_clip
from tests.hostile_rtsp import Hostile

DEAD = "http://127.0.0.1:9"


def config(folder: Path, s3: str = DEAD, **changes: Any) -> EdgeConfig:
    data = {
        "site": "acme/berlin",
        "edge": "e1",
        "cloud": {
            "bucket": "acme-vigil", "queue_url": f"{DEAD}/0/events",
            "s3_endpoint": s3, "sqs_endpoint": DEAD,
        },
        "spool": {"dir": str(folder / "spool"), "free_floor_bytes": 0, "max_bytes": "1MiB"},
        "cameras": [{"id": "gate", "url": (folder / "clip.mp4").as_uri()}],
    }  # fmt: skip
    return EdgeConfig.model_validate({**data, **changes})


@asynccontextmanager
async def s3_that(answers: Any) -> AsyncIterator[str]:
    """Serve in place of S3; yield the address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answers)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")


async def test_each_problem_is_listed_with_its_remedy_in_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_module, "_WITHIN_S", 1)
    monkeypatch.setattr(device_module, "_ANSWER_S", 1)
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 60)

    async def hangs(_: web.Request) -> web.Response:
        await asyncio.sleep(3_600)
        raise AssertionError

    with Hostile("length", clip) as hostile, Hostile("jpeg", clip) as jpeg:
        cameras = [
            {"id": "gate", "url": clip.as_uri()},
            {"id": "dead", "url": f"rtsp://127.0.0.1:9/{'very-long-path-' * 10}"},
            {"id": "unknown", "url": "rtsp://camera.invalid/x", "sub_url": "rtsp://c.invalid/s"},
            {"id": "no-file", "url": f"{DEAD.replace('http', 'rtsp')}/y", "username": "v",
             "password_file": str(tmp_path / "missing")},
            {"id": "endless", "url": hostile.url},
            {"id": "jpeg", "url": jpeg.url},
        ]  # fmt: skip
        async with s3_that(hangs) as s3:
            found = await check(
                config(
                    tmp_path, s3, cameras=cameras,
                    spool={"dir": str(tmp_path), "free_floor_bytes": "900TiB"},
                    inference={"model": str(tmp_path / "none.yaml")},
                )
            )  # fmt: skip
    by = {one.what: one for one in found}
    assert by.pop("camera gate").state == "good"
    clock = by.pop("clock")
    assert clock.state == "good" or clock.remedy
    assert {one.what for one in by.values() if one.state == "bad"} == set(by), found
    assert all(one.remedy for one in by.values()), found
    assert by["camera unknown"].detail == "the name camera.invalid is not known"
    assert by["camera unknown"].remedy.startswith("correct the address")
    assert "restart the camera" in by["camera endless"].remedy
    assert by["camera jpeg"].remedy == "set it to H.264 or H.265"
    assert by["camera no-file"].remedy == "correct its password_file or password_env"
    assert "900.0" in by[f"disk {tmp_path}"].detail or "921600.0" in by[f"disk {tmp_path}"].detail
    assert by["S3 acme-vigil"].detail == "accepts the connection, but does not answer within 1 s"
    assert "firewall" in by["S3 acme-vigil"].remedy and "firewall" in by["SQS events"].remedy
    assert "inference.model" in by["model"].remedy
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    print_table([*found, CheckResult("x" * 200, "bad", "[red]\x1b[31m" + "y" * 200, "[/]")], out)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in out.getvalue() and "[red]" in out.getvalue()
    assert sum(line.startswith("bad ") for line in lines) == len(by) + 1


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (404, "NoSuchBucket", "correct cloud.bucket"),
        (403, "AccessDenied", "s3:PutObject under fragments/acme/berlin/"),
        (403, "RequestTimeTooSkewed", "set this device's clock"),
        (403, "InvalidAccessKeyId", "valid AWS credentials"),
        (301, "PermanentRedirect", "cloud.region"),
        (500, "InternalError", "correct cloud.*"),
        (200, "", "correct cloud.s3_endpoint"),
    ],
)
async def test_each_refusal_of_s3_has_its_remedy(
    tmp_path: Path, status: int, code: str, remedy: str
) -> None:
    async def refuses(_: web.Request) -> web.Response:
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>" if code else ""
        return web.Response(status=status, text=body, content_type="application/xml")

    async with s3_that(refuses) as s3:
        found = await check_store(config(tmp_path, s3))
    assert found.state == "bad", found
    assert remedy in found.remedy
    assert ".check" not in found.detail


async def test_without_credentials_the_remedy_says_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    found = await check_store(config(tmp_path))
    assert "no credentials" in found.detail
    assert "a role, its environment, or ~/.aws" in found.remedy


@pytest.mark.parametrize(
    ("ahead_s", "state", "says"),
    [
        (600, "bad", "600 s behind the clock of S3"),
        (-600, "bad", "600 s ahead of the clock of S3"),
        (30, "fair", "30 s behind"),
        (0, None, "agrees with S3's"),
    ],
)
async def test_the_clock_is_compared_with_that_of_s3(
    ahead_s: int, state: str | None, says: str
) -> None:
    async def answers(_: web.Request) -> web.Response:
        there = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s), usegmt=True)
        return web.Response(status=403, headers={"Date": there})

    async with s3_that(answers) as s3:
        cloud = CloudConfig(bucket="acme", queue_url=f"{DEAD}/0/events", s3_endpoint=s3)
        found = await check_clock(cloud)
    about = [f"{abs(ahead_s) + by} s" for by in (-1, 0, 1)]
    assert says in found.detail or any(says.replace(f"{abs(ahead_s)} s", one) in found.detail
                                       for one in about)  # fmt: skip
    assert state in (None, found.state)
    assert found.state == "good" or "NTP" in found.remedy
