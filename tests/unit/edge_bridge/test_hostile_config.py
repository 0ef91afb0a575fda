"""A hostile web worker: whatever it offers, recording continues, and the heartbeat says why.

The device pins a configuration key and records with version 5. The worker knows every version that
was ever signed, for each site, and may answer anything. What is signed but leads out of edge.yaml
is refused too: that is a hostile writer.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.signed_config import sign_config, sign_successor
from domain.site_config import MAX_BYTES, OfferedConfig, SiteVersion, canonical, digest_of
from edge_bridge.config import EdgeConfig, load
from edge_bridge.remote_config.manager import ConfigState, RemoteConfigManager
from edge_bridge.remote_config.rollout import RolloutState
from edge_bridge.remote_config.store import ConfigStore
from edge_bridge.upload.link import Link
from tests.unit.edge_bridge.test_config import changed
from tests.unit.edge_bridge.test_remote_config import CAMERA
from tests.unit.edge_bridge.test_remote_config_client import HealthyTarget
from tests.waiting import wait_for

SITE, NOW_MS = "acme/berlin", 1_796_000_000_000
KEY, NEXT, EVIL = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 9))


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def signed(
    number: int,
    document: dict[str, Any] | None = None,
    *,
    key: Ed25519PrivateKey = KEY,
    site: str = SITE,
    from_ms: int = 0,
    **more: Any,
) -> OfferedConfig:
    text = canonical(
        {"cameras": [CAMERA], "no_data_s": 10 + number} if document is None else document
    )
    signature = sign_config(key, site, number, from_ms, text)
    return OfferedConfig(SiteVersion(number, digest_of(text), text), signature, **more)


def body_of(offer: OfferedConfig, **changes: Any) -> bytes:
    """Return the answer of a web worker, with `changes` of its fields."""

    def plain(value: Any) -> Any:
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value

    def fields(one: Any) -> dict[str, Any]:
        return {name: plain(value) for name, value in asdict(one).items()}

    version, signature = offer.version, offer.signature
    answer = {
        "version": version.version, "digest": version.digest, "document": version.text,
        "signature": signature and fields(signature), "disabled": sorted(offer.disabled),
        "successors": [fields(one) for one in offer.successors],
    }  # fmt: skip
    return json.dumps({**answer, **changes}).encode()


@dataclass
class Worker:
    """The worker, and the device that asks it."""

    own: EdgeConfig
    body: bytes = b""
    target: HealthyTarget = field(default_factory=HealthyTarget)
    now_ms: int = NOW_MS

    async def answer(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.body)

    def device(self) -> RemoteConfigManager:
        assert self.own.central is not None
        clock: Callable[[], int] = lambda: self.now_ms  # noqa: E731
        return RemoteConfigManager(self.own, self.own.central, Link("central"), clock_ms=clock)

    async def until(
        self, version: int, state: ConfigState, detail: str, body: bytes, applied: int = 0
    ) -> None:
        """Let a device that starts again ask for `body`, until its heartbeat would say this.

        `applied`: and until so many configurations were applied in all.
        """
        self.body = body
        manager = self.device()
        assert manager.boot().cameras
        running = asyncio.create_task(manager.run(self.target))
        try:
            await wait_for(
                lambda: (
                    (manager.status.version, manager.status.state) == (version, state)
                    and detail in manager.status.detail
                    and len(self.target.applied) >= applied
                ),
                within_s=20,
                what=lambda: f"{version} {state} {detail}, not {manager.status}",
            )
        finally:
            running.cancel()
            await asyncio.wait([running])


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    (tmp_path / "central.key").write_text("vigil_the-key")
    (tmp_path / "config.key").write_text(f"{public(KEY).hex()}\n")
    made = Worker(EdgeConfig.model_construct())
    app = web.Application()
    app.router.add_get(f"/api/v1/sites/{SITE}/signed-config", made.answer)
    async with TestServer(app) as server:
        central = {
            "url": str(server.make_url("/")), "key_file": "central.key", "every_s": 1, "trial_s": 5,
            "config_key_file": "config.key", "hosts": ["192.0.2.0/24"],
            "password_hosts": {"gate.password": ["192.0.2.9"], "CAMERA_DOOR": ["192.0.2.8"]},
            "allow_basic": False,
        }  # fmt: skip
        made.own = load(changed(tmp_path, central=central))
        five = signed(5).version
        ConfigStore(made.own.spool.dir / "central").save(RolloutState().see(five).accept(five))
        yield made


NOT_SIGNED = [
    (body_of(signed(4)), "older than version 5"),
    (body_of(signed(1)), "older than version 5"),
    (body_of(signed(6, site="acme/munich")), "the signature is not of version 6"),
    (body_of(signed(6), signature=None), "not signed"),
    (body_of(signed(6, key=EVIL)), "not with the key that this device has pinned"),
    (body_of(signed(4), version=6), "the signature is not of version 6"),
    (body_of(signed(5, {"cameras": [CAMERA]})), "two versions 5"),
    (
        body_of(signed(6, key=EVIL, successors=(sign_successor(EVIL, public(EVIL)),))),
        "not with the key that this device has pinned",
    ),
    (body_of(signed(6), disabled=[CAMERA["id"]]), "`cameras` is missing"),
]


@pytest.mark.parametrize(("body", "detail"), NOT_SIGNED)
async def test_what_no_one_signed_for_this_device_is_refused(
    worker: Worker, body: bytes, detail: str
) -> None:
    await worker.until(5, "refused", detail, body)
    assert worker.target.applied == []


async def test_what_is_too_large_is_not_read(worker: Worker) -> None:
    body = body_of(signed(6), padding="x" * (3 * MAX_BYTES))
    await worker.until(5, "out-of-reach", "larger than allowed", body)
    assert worker.target.applied == []


def camera(**changes: Any) -> dict[str, Any]:
    return {"cameras": [{**CAMERA, "allow_basic": False, **changes}]}


SECRET = {"username": "u", "password_file": "gate.password"}
OUTSIDE = [
    (camera(url="rtsp://attacker.example/x", **SECRET), r"not in central.hosts"),
    (camera(url="file:///var/lib/vigil/spool/fragments/a/b/c/1.ts?loop=1"), "name a file"),
    (camera(url="file:///etc/passwd"), "name a file"),
    (camera(url="rtsp://169.254.169.254:80/latest"), "not in central.hosts"),
    (camera(url="rtsp://127.0.0.1:9500/"), "not in central.hosts"),
    (
        {**camera(), "inference": {"model": "/elsewhere/evil.yaml"}},
        "inference.model must be inside",
    ),
    ({**camera(), "inference": {"model": "../../evil.yaml"}}, "inference.model must be inside"),
    ({**camera(), "inference": {"gpu": {"engine_cache": "/elsewhere"}}}, "engine_cache must be"),
    (camera(username="u", password_file="../x"), "path inside"),
    (camera(username="u", password_file="/etc/shadow"), "path inside"),
    (camera(username="u", password_file="other.password"), "not in central.password_hosts"),
    (camera(username="u", password_env="PATH"), "begin with CAMERA_"),
    (camera(username="u", password_env="CAMERA_DOOR"), "may not get the password CAMERA_DOOR"),
    (camera(**SECRET, url="rtsp://192.0.2.8/x"), "may not get the password gate.password"),
    (camera(**SECRET, sub_url="rtsp://192.0.2.8/x"), "may not get the password gate.password"),
    (camera(**SECRET, allow_basic=True), "central.allow_basic"),
    (camera(url="rtsp://u:p@192.0.2.9/x"), "password"),
    (camera(url="rtsp://192.0.2.9/x\r\nX: y"), "control character"),
    (camera(username="u\r\nX: y"), "control character"),
    ({"cameras": [{**CAMERA, "id": f"c{n}"} for n in range(10_000)]}, "`cameras`"),
    ({**camera(), "cloud": {"bucket": "evil"}}, "`cloud` is not kept in the catalog"),
    ({**camera(), "central": {"url": "https://evil"}}, "`central` is not kept in the catalog"),
]


@pytest.mark.parametrize(("document", "detail"), OUTSIDE)
async def test_what_leads_out_of_the_devices_own_file_is_refused(
    worker: Worker, document: dict[str, Any], detail: str
) -> None:
    await worker.until(5, "refused", detail, body_of(signed(6, document)))
    assert worker.target.applied == []


async def test_a_password_goes_to_the_hosts_of_its_file(worker: Worker) -> None:
    await worker.until(6, "current", "", body_of(signed(6, camera(**SECRET))))
    assert worker.target.applied == [[CAMERA["url"]]]


async def test_after_a_refused_version_the_next_good_one_is_taken(worker: Worker) -> None:
    await worker.until(5, "refused", "not signed", body_of(signed(6), signature=None))
    await worker.until(6, "current", "", body_of(signed(6)))
    # The device started again, and has no other memory than its disk.
    await worker.until(6, "refused", "older than version 6", body_of(signed(5)))
    assert len(worker.target.applied) == 1


async def test_a_device_that_does_not_know_the_time_does_not_wait(worker: Worker) -> None:
    worker.now_ms = 5_000  # 1970
    await worker.until(6, "current", "", body_of(signed(6, from_ms=NOW_MS)))


async def test_a_version_waits_for_its_time(worker: Worker) -> None:
    later = body_of(signed(6, from_ms=NOW_MS + 1))
    await worker.until(5, "current", "this device waits", later)
    await worker.until(5, "refused", "older", body_of(signed(4)))  # 6 was not seen as in force
    worker.now_ms += 1
    await worker.until(6, "current", "", later)


async def test_a_rotation_is_followed_and_survives_a_restart(worker: Worker) -> None:
    chain = (sign_successor(KEY, public(NEXT)),)
    await worker.until(6, "current", "", body_of(signed(6, key=NEXT, successors=chain)))
    await worker.until(6, "refused", "has pinned", body_of(signed(7, key=KEY)))
    await worker.until(7, "current", "", body_of(signed(7, key=NEXT)))


async def test_people_may_disable_a_camera_unless_the_device_forbids_it(worker: Worker) -> None:
    two = {"cameras": [CAMERA, {"id": "door", "url": "rtsp://192.0.2.8/x"}]}
    body = body_of(signed(6, two), disabled=["door"])
    await worker.until(6, "current", "", body)
    assert worker.target.applied == [[CAMERA["url"]]]
    assert worker.own.central is not None
    strict = worker.own.central.model_copy(update={"allow_disable": False})
    worker.own = worker.own.model_copy(update={"central": strict})
    await worker.until(6, "current", "", body, applied=2)
    assert worker.target.applied[1:] == [[CAMERA["url"], "rtsp://192.0.2.8/x"]]
