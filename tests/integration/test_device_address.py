"""The devices' own address: real TLS, real certificates, a real catalog."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest

from domain.device_identity import EventSignature, check_signature, key_id
from domain.times import utc_ms
from local.ports import find_free
from stores.catalog.devices import load_devices, lock_device, set_device_state
from stores.device_ca import create_ca, read_ca
from tests.device_address import DeviceAddress, add_device, running_devices

STATUS = "/device/v1/status"
DEVICE = "acme/hq/edge-1"


@pytest.fixture
async def address(services, tmp_path, free_port: int) -> AsyncIterator[DeviceAddress]:
    async with running_devices(services, tmp_path, free_port) as running:
        yield running


async def test_a_device_is_known_by_its_certificate(address: DeviceAddress, tmp_path) -> None:
    device = await add_device(address.catalog, DEVICE, tmp_path, address.files.ca)
    async with address.client(*device.files) as client, client.get(STATUS) as answer:
        assert answer.status == 200, await answer.text()
        assert (await answer.json())["generation"] == 1
    async with address.client() as client:
        async with client.get(STATUS) as answer:
            assert answer.status == 401
            assert "certificate" in (await answer.json())["detail"]
        async with client.get("/healthz") as answer:
            assert answer.status == 200


async def test_a_device_sends_live_pictures_of_its_own_site(
    address: DeviceAddress, tmp_path
) -> None:
    device = await add_device(address.catalog, DEVICE, tmp_path, address.files.ca)
    live = "/device/v1/live?feed=main&camera="
    async with address.client(*device.files) as client:
        async with client.ws_connect(live + "acme/hq/gate") as socket:
            assert not socket.closed
        async with client.get(live + "acme/other/gate") as answer:
            assert answer.status == 403
    async with address.client() as client, client.get(live + "acme/hq/gate") as answer:
        assert answer.status == 401


async def test_a_certificate_of_another_authority_ends_the_handshake(
    address: DeviceAddress, tmp_path
) -> None:
    other, key = tmp_path / "other.pem", tmp_path / "other.key"
    create_ca(other, key, "Vigil devices", datetime.now(UTC))
    device = await add_device(address.catalog, DEVICE, tmp_path, read_ca(other, key))
    async with address.client(*device.files) as client:
        with pytest.raises(aiohttp.ClientError):
            await client.get(STATUS)


async def test_an_expired_certificate_ends_the_handshake(address: DeviceAddress, tmp_path) -> None:
    ca = address.files.ca
    device = await add_device(address.catalog, DEVICE, tmp_path, ca)
    public = device.key.public_key().public_bytes_raw()
    old = ca.issue(public, DEVICE, 1, utc_ms() - 25 * 3_600_000)
    device.certificate_file.write_text(old.pem)
    async with address.client(*device.files) as client:
        with pytest.raises(aiohttp.ClientError):
            await client.get(STATUS)


async def test_a_revoked_device_is_refused_within_five_seconds(
    address: DeviceAddress, tmp_path
) -> None:
    device = await add_device(address.catalog, DEVICE, tmp_path, address.files.ca)
    async with address.client(*device.files) as client:
        async with client.get(STATUS) as answer:
            assert answer.status == 200
        async with address.catalog.transaction() as connection:
            row = await lock_device(connection, DEVICE)
            assert row is not None
            await set_device_state(connection, row, "revoked", utc_ms())
        async with asyncio.timeout(5):
            while True:
                async with client.get(STATUS) as answer:
                    if answer.status == 403:
                        problem = await answer.json()
                        break
                await asyncio.sleep(0.1)
        assert problem["type"].endswith("device-revoked")
        assert DEVICE in problem["detail"]


async def test_old_generations_are_refused(address: DeviceAddress, tmp_path) -> None:
    ca = address.files.ca
    device = await add_device(address.catalog, DEVICE, tmp_path, ca, generation=5)
    public = device.key.public_key().public_bytes_raw()
    for generation, status in ((3, 403), (4, 200), (5, 200), (6, 403)):
        device.certificate_file.write_text(ca.issue(public, DEVICE, generation, utc_ms()).pem)
        async with address.client(*device.files) as client, client.get(STATUS) as answer:
            assert answer.status == status, generation


async def test_two_authorities_are_trusted_during_a_rotation(
    services, tmp_path, free_port: int
) -> None:
    async with running_devices(services, tmp_path, free_port) as first:
        old = first.files.ca
        device = await add_device(first.catalog, DEVICE, tmp_path, old)
        new_file, new_key = tmp_path / "new.pem", tmp_path / "new.key"
        create_ca(new_file, new_key, "Test devices", datetime.now(UTC))
        both = tmp_path / "both.pem"
        both.write_text(new_file.read_text() + old.certificate_pem)
        (tmp_path / "two").mkdir()
        async with running_devices(
            services,
            tmp_path / "two",
            find_free(),
            first.catalog,
            VIGIL_DEVICE_CA_CERTIFICATE_FILE=str(both),
            VIGIL_DEVICE_CA_KEY_FILE=str(new_key),
        ) as second:
            assert second.services.ca.certificate_pem == new_file.read_text()
            async with second.client(*device.files) as client, client.get(STATUS) as answer:
                assert answer.status == 200


async def test_the_address_speaks_only_tls_1_3(address: DeviceAddress) -> None:
    context = ssl.create_default_context(cafile=address.files.server_ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(address.url, connector=connector) as client:
        with pytest.raises(aiohttp.ClientError):
            await client.get("/healthz")


async def test_what_a_device_signs_is_checked_by_the_rows(address: DeviceAddress, tmp_path) -> None:
    device = await add_device(address.catalog, DEVICE, tmp_path, address.files.ca)
    async with address.catalog.transaction() as connection:
        devices = await load_devices(connection, "acme/hq")
        assert await load_devices(connection, "acme/lab") == {}
    key = key_id(device.key.public_key().public_bytes_raw())
    text = str(EventSignature.sign(device.key, key, DEVICE, 1, b"{}"))
    found = check_signature(text, b"{}", "acme/hq", devices, "refuse")
    assert found is not None
    assert found.device == DEVICE


async def test_many_requests_ask_the_catalog_once(address: DeviceAddress, tmp_path) -> None:
    device = await add_device(address.catalog, DEVICE, tmp_path, address.files.ca)
    async with address.client(*device.files) as client:
        began = time.monotonic()
        for _ in range(50):
            async with client.get(STATUS) as answer:
                assert answer.status == 200
        print(f"a request: {(time.monotonic() - began) * 20:.1f} ms")
    assert list(address.services.registry._known) == [DEVICE]
