"""Enrolment and renewal at the devices' address: real TLS, a real catalog, the edge's client."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import cli.main
from domain.device_renewal import GRACE_MS, renewal_bytes
from domain.errors import ConfigError
from domain.times import utc_ms
from edge_bridge.identity.enrol import _request, enrol
from edge_bridge.identity.folder import IdentityFolder
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.identity.renewal import IdentityRenewal
from local.ports import HOST
from stores.catalog.devices import change_device_state, get_device
from stores.catalog.enrolment import create_code
from stores.catalog.tenants import ensure_site
from tests.device_address import DeviceAddress, running_devices
from tests.integration.catalog_support import scalar

SITE, DEVICE, OTHER = "acme/hq", "acme/hq/edge-1", "acme/hq/edge-2"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
async def address(services, tmp_path, free_port: int) -> AsyncIterator[DeviceAddress]:
    async with running_devices(services, tmp_path, free_port) as running:
        async with running.catalog.transaction() as connection:
            for site in (SITE, "acme/lab"):
                await ensure_site(connection, site, utc_ms())
        yield running


async def code_of(
    address: DeviceAddress, site: str = SITE, device: str | None = None, lifetime_ms: int = DAY_MS
) -> str:
    async with address.catalog.transaction() as connection:
        _, code = await create_code(
            connection,
            site,
            device,
            lifetime_ms=lifetime_ms,
            created_by="test",
            now_ms=address.services.clock_ms(),
        )
        return code


async def enrolled(
    address: DeviceAddress, root: Path, device: str = DEVICE, code: str = ""
) -> Path:
    code = code or await code_of(address)
    await enrol(root, device, address.url, code, address.files.server_ca)
    return root


async def refusal(address: DeviceAddress, root: Path, device: str, code: str) -> str:
    with pytest.raises(ConfigError) as raised:
        await enrol(root, device, address.url, code, address.files.server_ca)
    return str(raised.value)


def at(address: DeviceAddress, now_ms: int) -> None:
    address.services.clock_ms = lambda: now_ms


def renewal(root: Path, now_ms: int | None = None) -> tuple[DeviceIdentity, IdentityRenewal]:
    """Return what an edge with this folder has, when it starts at a time."""
    identity = DeviceIdentity(root)
    clock = (lambda: now_ms) if now_ms is not None else utc_ms
    return identity, IdentityRenewal(identity, root, now_ms=clock)


async def test_a_code_enrols_one_device(address: DeviceAddress, tmp_path: Path) -> None:
    code = await code_of(address)
    root = await enrolled(address, tmp_path / "one", code=code)
    identity = DeviceIdentity(root)
    assert (identity.state, identity.device, identity.generation) == ("enrolled", DEVICE, 1)
    context = identity.ssl_context()
    async with (
        address.client() as client,
        client.get("/device/v1/status", ssl=context) as answer,
    ):
        assert answer.status == 200
    text = await refusal(address, tmp_path / "two", OTHER, code)
    assert "was used at" in text
    assert DEVICE in text
    entries = "SELECT count(*) FROM vigil_audit.entries WHERE entry LIKE '%device:enrol%'"
    assert await scalar(address.catalog, entries) == 1


async def test_the_answer_of_an_enrolment_comes_again_to_the_same_key(
    address: DeviceAddress, tmp_path: Path
) -> None:
    code = await code_of(address)
    folder = IdentityFolder(tmp_path / "one")
    key = folder.enrolling_key()  # the answer to this key was lost
    body = {"code": code, "device": DEVICE, "csr": _request(key, DEVICE)}
    async with address.client() as client, client.post("/device/v1/enrol", json=body) as answer:
        assert answer.status == 200, await answer.text()
        certificate = (await answer.json())["certificate"]
    root = await enrolled(address, tmp_path / "one", code=code)
    assert (root / "certificate.pem").read_text() == certificate


async def test_two_devices_with_one_code_race(address: DeviceAddress, tmp_path: Path) -> None:
    code = await code_of(address)
    results = await asyncio.gather(
        *(
            enrol(tmp_path / f"{n}", f"{SITE}/edge-{n}", address.url, code, address.files.server_ca)
            for n in range(6)
        ),
        return_exceptions=True,
    )
    refused = [one for one in results if isinstance(one, ConfigError)]
    assert len(refused) == 5, results
    assert all("was used at" in str(one) for one in refused)


async def test_two_codes_for_one_new_name_race(address: DeviceAddress, tmp_path: Path) -> None:
    codes = [await code_of(address) for _ in range(4)]
    results = await asyncio.gather(
        *(
            enrol(tmp_path / f"{n}", DEVICE, address.url, code, address.files.server_ca)
            for n, code in enumerate(codes)
        ),
        return_exceptions=True,
    )
    refused = [one for one in results if isinstance(one, ConfigError)]
    assert len(refused) == 3, results
    assert all(f"{DEVICE} is enrolled already" in str(one) for one in refused)


async def test_codes_of_other_sites_and_times_are_refused(
    address: DeviceAddress, tmp_path: Path
) -> None:
    code = await code_of(address, "acme/lab")
    assert "for the site acme/lab" in await refusal(address, tmp_path / "a", DEVICE, code)
    for _ in range(9):
        await refusal(address, tmp_path / "a", DEVICE, code)
    assert "tried too often" in await refusal(address, tmp_path / "a", "acme/lab/edge-1", code)
    code = await code_of(address, lifetime_ms=60_000)
    at(address, utc_ms() + 61_000)
    assert "expired at" in await refusal(address, tmp_path / "a", DEVICE, code)
    assert "unknown" in await refusal(address, tmp_path / "a", DEVICE, "0" * 20)
    assert "4 groups" in await refusal(address, tmp_path / "a", DEVICE, "what?")


async def test_a_network_that_fails_often_has_to_wait(address: DeviceAddress) -> None:
    async with address.client() as client:
        statuses = []
        for _ in range(30):
            async with client.post("/device/v1/enrol", json={"code": "x"}) as answer:
                statuses.append(answer.status)
                waits = answer.headers.get("Retry-After")
    assert statuses[:20] == [400] * 20
    assert statuses[-1] == 429
    assert int(waits or 0) >= 1


async def test_hostile_enrolments_are_refused(address: DeviceAddress, tmp_path: Path) -> None:
    code = await code_of(address)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, DEVICE)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    keys = (rsa.generate_private_key(65_537, 2_048), ec.generate_private_key(ec.SECP256R1()))
    good = _request(IdentityFolder(tmp_path / "x").enrolling_key(), DEVICE)
    der = bytearray(x509.load_pem_x509_csr(good.encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1  # its signature
    forged = base64.encodebytes(bytes(der)).decode()
    requests = [
        *(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode() for key in keys),
        f"-----BEGIN CERTIFICATE REQUEST-----\n{forged}-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        good[: len(good) // 2],
        "garbage",
        "",
        "A" * 9_000,
    ]
    async with address.client() as client:
        for csr in requests:
            body = {"code": code, "device": DEVICE, "csr": csr}
            async with client.post("/device/v1/enrol", json=body) as answer:
                assert answer.status == 400, (csr[:60], await answer.text())
                assert "csr" in (await answer.json())["detail"]
        for raw in (b"[" * 4_000, b"\xff", b"{}", b"x" * 100_000, b'{"code":"\\ud800"}'):
            async with client.post("/device/v1/enrol", data=raw) as answer:
                assert answer.status == 400, raw[:20]
    # The code is not used by any of these.
    address.services.attempts._buckets.clear()
    await enrolled(address, tmp_path / "good", code=code)


async def test_a_cloned_disk_locks_at_the_second_renewal(
    address: DeviceAddress, tmp_path: Path
) -> None:
    root = await enrolled(address, tmp_path / "one")
    clone = tmp_path / "clone"
    shutil.copytree(root, clone)
    half_ms = utc_ms() + 15 * HOUR_MS
    mine, my_renewal = renewal(root, half_ms)
    theirs, their_renewal = renewal(clone, half_ms)
    await my_renewal.step()
    assert (mine.state, mine.generation) == ("enrolled", 2)
    await their_renewal.step()
    assert theirs.state == "locked"
    assert "two devices hold it" in theirs.detail
    assert theirs.pause_reason is not None
    found = await get_device(address.catalog, DEVICE)
    assert found is not None
    assert found.state == "locked"
    # The first one learns it by its next question for the state.
    mine, my_renewal = renewal(root)
    await address.services.registry.poll()
    await my_renewal.step()
    assert mine.state == "locked"
    # After an unlock, one of them joins again. The other one locks it again.
    async with address.catalog.transaction() as connection:
        await change_device_state(connection, DEVICE, "enrolled", utc_ms())
    await their_renewal.step()
    assert (theirs.state, theirs.generation) == ("enrolled", 3)
    await my_renewal.step()
    assert mine.state == "locked"
    # A new code makes a new key, and the copies stay outside.
    code = await code_of(address, device=DEVICE)
    await enrolled(address, root, code=code)
    assert DeviceIdentity(root).generation == 4
    await their_renewal.step()
    assert theirs.state == "revoked"
    assert "another key" in theirs.detail


async def test_a_lost_answer_locks_nothing(address: DeviceAddress, tmp_path: Path) -> None:
    root = await enrolled(address, tmp_path / "one")
    half_ms = utc_ms() + 15 * HOUR_MS
    at(address, half_ms)
    before = tmp_path / "before"
    shutil.copytree(root, before)
    IdentityFolder(before).pending_renewal(1)  # on the disk before the request is sent
    shutil.copy(before / "renewal.json", root / "renewal.json")
    identity, renewing = renewal(root, half_ms)
    await renewing.step()
    assert identity.generation == 2
    # The device loses its power before the answer is on its disk, and starts again.
    again, renewing = renewal(before, half_ms)
    await renewing.step()
    assert (again.state, again.generation) == ("enrolled", 2)
    assert (before / "certificate.pem").read_text() == (root / "certificate.pem").read_text()


@pytest.mark.parametrize(("days", "state"), [(29, "enrolled"), (31, "expired")])
async def test_an_expired_certificate(
    address: DeviceAddress, tmp_path: Path, days: int, state: str
) -> None:
    root = await enrolled(address, tmp_path / "one")
    later_ms = utc_ms() + DAY_MS + days * DAY_MS
    assert (later_ms - utc_ms() - DAY_MS <= GRACE_MS) == (state == "enrolled")
    at(address, later_ms)
    identity, renewing = renewal(root, later_ms)
    await renewing.step()
    assert identity.state == state
    assert identity.generation == (2 if state == "enrolled" else 1)


async def test_a_revoked_device_learns_it(address: DeviceAddress, tmp_path: Path) -> None:
    root = await enrolled(address, tmp_path / "one")
    identity, renewing = renewal(root)
    await renewing.step()
    assert identity.state == "enrolled"
    async with address.catalog.transaction() as connection:
        await change_device_state(connection, DEVICE, "revoked", utc_ms())
    async with asyncio.timeout(5):
        while identity.state == "enrolled":
            await renewing.step()
            await asyncio.sleep(0.1)
    assert identity.state == "revoked"
    # An expired certificate of a revoked device is not renewed either.
    later_ms = utc_ms() + 2 * DAY_MS
    at(address, later_ms)
    identity, renewing = renewal(root, later_ms)
    await renewing.step()
    assert identity.state == "revoked"
    assert identity.generation == 1


async def test_a_catalog_from_an_older_backup_locks_no_one_out(
    address: DeviceAddress, tmp_path: Path
) -> None:
    root = await enrolled(address, tmp_path / "one")
    later_ms = utc_ms() + 15 * HOUR_MS
    for generation in (2, 3):
        identity, renewing = renewal(root, later_ms)
        await renewing.step()
        assert identity.generation == generation
    old = "UPDATE devices SET generation = 1, renewal_id = key"
    await scalar(address.catalog, old)
    address.services.registry._known.clear()
    identity, renewing = renewal(root)  # not due: it learns by its question for the state
    await renewing.step()
    assert (identity.state, identity.generation) == ("enrolled", 4)
    # Without a certificate of ours that names the generation, nothing is believed.
    pem = address.files.ca.issue(
        IdentityFolder(root).load_key().public_key().public_bytes_raw(), OTHER, 9, utc_ms()
    ).pem
    body = {"device": DEVICE, "generation": 9, "renewal_id": "1" * 32, "certificate": pem}
    signature = identity.sign_bytes(renewal_bytes(DEVICE, 9, "1" * 32)) or b""
    body["signature"] = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    async with address.client() as client, client.post("/device/v1/renew", json=body) as answer:
        assert answer.status == 403


async def test_the_commands_of_operators(
    address: DeviceAddress, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def vigil(*arguments: str) -> str:
        await asyncio.to_thread(main, ["device", *arguments])
        return capsys.readouterr().out

    def main(arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            cli.main.main(arguments)
        assert not ended.value.code, ended.value.code

    code = (await vigil("code", SITE)).strip()
    await enrolled(address, tmp_path / "one", code=code)
    assert DEVICE in await vigil("list", SITE)
    assert "generation 1" in await vigil("show", DEVICE)
    with pytest.raises(AssertionError, match="not locked"):
        await vigil("unlock", DEVICE)
    assert "Revoked" in await vigil("revoke", DEVICE, "--reason", "stolen")
    assert "revoked" in await vigil("list")
    code = (await vigil("code", DEVICE)).strip()
    await enrolled(address, tmp_path / "two", code=code)
    assert "generation 2" in await vigil("show", DEVICE)
    with pytest.raises(AssertionError, match="at most 24h"):
        await vigil("code", SITE, "--expires", "2d")


async def test_forged_renewals_change_nothing(address: DeviceAddress, tmp_path: Path) -> None:
    await enrolled(address, tmp_path / "one")
    await enrolled(address, tmp_path / "two", OTHER, await code_of(address))
    thief = DeviceIdentity(tmp_path / "two")
    async with address.client() as client:
        for device in (DEVICE, "acme/hq/none"):
            body = {
                "device": device,
                "generation": 1,
                "renewal_id": "0" * 32,
                "signature": base64.urlsafe_b64encode(thief.sign_bytes(b"x") or b"")
                .rstrip(b"=")
                .decode(),
            }
            async with client.post("/device/v1/renew", json=body) as answer:
                assert answer.status == 403
                assert (await answer.json())["type"].endswith("device-unknown")
    found = await get_device(address.catalog, DEVICE)
    assert found is not None
    assert (found.state, found.generation) == ("enrolled", 1)


def certificate_of(not_before: datetime) -> tuple[bytes, bytes]:
    """Return an authority, and a server's key and certificate that begins then: PEM."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in ("ca", HOST)]
    made = []
    for key, name, begins in zip(keys, names, (datetime(2020, 1, 1, tzinfo=UTC), not_before),
                                 strict=True):  # fmt: skip
        is_ca = name == names[0]
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(not_before + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if not is_ca:
            address = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))])
            builder = builder.add_extension(address, critical=False)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(Encoding.PEM))
    private = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made[0], made[1] + private


async def test_a_clock_of_the_past_is_named_at_the_enrolment(
    services, tmp_path: Path, free_port: int
) -> None:
    """As in 1970: the server's certificate is not valid yet. The code is not used up."""
    begins = datetime.now(UTC) + timedelta(days=20 * 365)
    authority, pair = certificate_of(begins)
    server, server_ca = tmp_path / "future.pem", tmp_path / "future-ca.pem"
    server.write_bytes(pair)
    server_ca.write_bytes(authority)
    own = {
        "VIGIL_DEVICE_TLS_CERTIFICATE_FILE": str(server),
        "VIGIL_DEVICE_TLS_KEY_FILE": str(server),
    }
    async with running_devices(services, tmp_path, free_port, **own) as address:
        async with address.catalog.transaction() as connection:
            await ensure_site(connection, SITE, utc_ms())
        code = await code_of(address)
        address.services.clock_ms = lambda: int((begins + timedelta(days=1)).timestamp() * 1_000)
        root = tmp_path / "one"
        with pytest.raises(ConfigError, match=r"device's clock is wrong.*NTP"):
            await enrol(root, DEVICE, address.url, code, server_ca)
        async with address.catalog.transaction() as connection:
            used = await connection.fetch("SELECT used_ms, failures FROM enrolment_codes")
        assert [tuple(row) for row in used] == [(None, 0)]
        assert not IdentityFolder(root).is_enrolled


async def test_a_wrong_clock_is_named(address: DeviceAddress, monkeypatch) -> None:
    from edge_bridge.identity import server

    monkeypatch.setattr(server, "utc_ms", lambda: 600_000)
    text = await server.DeviceServer(address.url).clock_problem()
    assert text is not None
    assert "1970-01-01T00:10" in text
    assert "NTP" in text
