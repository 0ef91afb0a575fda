"""What an enrolled device gets at the devices' address: credentials and its configuration."""

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.audit import BY_SYSTEM
from domain.signed_config import check_offer, sign_config
from domain.site_config import ConfigSignature, canonical
from domain.times import utc_ms
from edge_bridge.remote_config.client import parse_offer
from local.aws import REGION
from local.aws_gate import AwsGate, SessionTokens
from local.gate import ROLE_ARN
from stores.aws_credentials import AwsCredentials, CredentialCache
from stores.aws_endpoint import AwsEndpoint
from stores.catalog.config_keys import add_config_key
from stores.catalog.devices import lock_device, set_device_state
from stores.catalog.site_configs import set_config
from stores.signed_queue import SignedQueue
from tests.device_address import DeviceAddress, TestDevice, add_device, running_devices
from tests.integration.catalog_support import T0
from tests.waiting import wait_for

CREDENTIALS, CONFIG = "/device/v1/credentials", "/device/v1/config"


@pytest.fixture
async def gate(services) -> AsyncIterator[str]:
    settings = services.settings
    core = AwsGate(settings.s3_endpoint, settings.sqs_endpoint, SessionTokens(b"secret"))
    async with TestServer(core.application()) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def address(services, tmp_path, free_port: int, gate: str) -> AsyncIterator[DeviceAddress]:
    more = {"VIGIL_DEVICE_ROLE_ARN": ROLE_ARN, "VIGIL_STS_ENDPOINT": gate}
    async with running_devices(services, tmp_path, free_port, **more) as running:
        yield running


async def asked(
    address: DeviceAddress, device: TestDevice, method: str, path: str, **headers: str
) -> tuple[int, bytes, str | None]:
    async with (
        address.client(*device.files) as client,
        client.request(method, path, headers=headers) as answer,
    ):
        return answer.status, await answer.read(), answer.headers.get("ETag")


async def test_credentials_are_of_the_devices_own_site(
    address: DeviceAddress, gate: str, services, tmp_path
) -> None:
    device = await add_device(address.catalog, "acme/hq/edge-1", tmp_path, address.files.ca)
    async with address.client(*device.files) as client, client.post(CREDENTIALS) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Cache-Control"] == "no-store"
        fields = await answer.json()
    assert 3_400_000 < fields["expires_ms"] - fields["now_ms"] <= 3_600_000
    policy = SessionTokens(b"secret").read(fields["session_token"]).policy
    assert policy["Statement"][0]["Resource"] == "arn:aws:s3:::vigil/fragments/acme/hq/*"
    found = AwsCredentials(
        fields["access_key_id"], fields["secret_access_key"], fields["session_token"]
    )

    async def source() -> AwsCredentials:
        return found

    settings = services.settings
    url = settings.sqs_queue_url.replace(settings.sqs_endpoint, gate)
    async with SignedQueue(
        AwsEndpoint(REGION, gate), url, credentials=CredentialCache(source)
    ) as q:
        assert await q.send([b"{}"]) == []


async def test_a_locked_a_revoked_and_an_unknown_device_get_none(
    address: DeviceAddress, tmp_path
) -> None:
    for state in ("locked", "revoked"):
        id_ = f"acme/hq/{state}"
        device = await add_device(address.catalog, id_, tmp_path, address.files.ca)
        assert (await asked(address, device, "POST", CREDENTIALS))[0] == 200
        async with address.catalog.transaction() as connection:
            row = await lock_device(connection, id_)
            assert row is not None
            await set_device_state(connection, row, state, utc_ms())

        async def refused(device: TestDevice = device, state: str = state) -> bool:
            status, body, _ = await asked(address, device, "POST", CREDENTIALS)
            return status == 403 and f"device-{state}".encode() in body

        await wait_for(refused, within_s=5, what=f"{state} is refused")
        assert (await asked(address, device, "GET", CONFIG))[0] == 403
    async with address.client() as client, client.post(CREDENTIALS) as answer:
        assert answer.status == 401


async def test_without_sts_or_a_role_there_is_a_clear_answer(
    services, tmp_path, free_port: int
) -> None:
    nowhere = {"VIGIL_DEVICE_ROLE_ARN": ROLE_ARN, "VIGIL_STS_ENDPOINT": "http://127.0.0.1:9"}
    async with running_devices(services, tmp_path, free_port, **nowhere) as address:
        device = await add_device(address.catalog, "acme/hq/edge-1", tmp_path, address.files.ca)
        status, body, _ = await asked(address, device, "POST", CREDENTIALS)
        assert (status, b"STS gives no credentials" in body) == (503, True)
        address.services.issuer = None
        status, body, _ = await asked(address, device, "POST", CREDENTIALS)
        assert (status, b"VIGIL_DEVICE_ROLE_ARN" in body) == (404, True)


async def test_a_device_reads_the_signed_configuration_of_its_site(
    address: DeviceAddress, tmp_path
) -> None:
    key, catalog = Ed25519PrivateKey.generate(), address.catalog
    public = key.public_key().public_bytes_raw()
    ca = address.files.ca
    here = await add_device(catalog, "acme/hq/edge-1", tmp_path, ca)
    elsewhere = await add_device(catalog, "acme/lab/edge-1", tmp_path, ca)
    async with catalog.transaction() as connection:
        await add_config_key(connection, public, None, now_ms=T0, origin=BY_SYSTEM)

    def sign(site: str, version: int, text: str) -> ConfigSignature:
        return sign_config(key, site, version, T0, text)

    text = canonical({"cameras": [{"id": "gate", "url": "rtsp://192.0.2.1/x"}]})
    await set_config(catalog, "acme/hq", text, now_ms=T0, by="Ann", note="", sign=sign)
    status, body, tag = await asked(address, here, "GET", CONFIG)
    assert status == 200, body
    offer = parse_offer(body)
    assert offer.version.text == text
    assert check_offer(offer, "acme/hq", public, None, T0) == public
    assert (await asked(address, here, "GET", CONFIG, **{"If-None-Match": str(tag)}))[0] == 304
    assert (await asked(address, elsewhere, "GET", CONFIG))[0] == 404
    with pytest.raises(aiohttp.ClientError):  # a certificate of its own making
        stranger = replace(
            here, certificate_file=address.files.server, key_file=address.files.server
        )
        await asked(address, stranger, "GET", CONFIG)
