"""The file of OpenID providers, and the addresses that requests to them may reach."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from domain.access import Grant, Role
from domain.errors import ConfigError
from stores.addresses import is_loopback, may_connect, parse_address
from streams.settings import Settings
from web.oidc.config import read_providers
from web.oidc.sealing import SealedBox

GOOD = """
providers:
  - id: staff
    name: Acme staff
    issuer: https://id.example.com/realms/acme
    client_id: vigil
    client_secret: secret
    groups_claim: [realm_access, roles]
    groups: {guards: ["viewer:acme/hq"], it: ["admin:*", "auditor:acme"]}
"""
PUBLIC = "https://vigil.example.com"


def read(folder: Path, text: str, public_url: str = PUBLIC):
    file = folder / "oidc.yaml"
    file.write_text(text)
    return read_providers(Settings(oidc_file=file, public_url=public_url))


def test_a_right_file(tmp_path: Path) -> None:
    (provider,) = read(tmp_path, GOOD)
    assert provider.grants["it"] == (Grant(Role.ADMIN, "*"), Grant(Role.AUDITOR, "acme"))
    assert provider.claim_path == ("realm_access", "roles")
    assert provider.secret() == "secret"
    assert "secret'" not in repr(provider)
    assert read_providers(Settings()) == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("viewer:acme/hq", "viewer", "is not a scope"),
        ("viewer:acme/hq", "owner:acme", "is not a role"),
        ("viewer:acme/hq", "edge:acme/hq", "for devices only"),
        ("issuer: https://", "issuer: http://", "not an https address"),
        ("issuer: https://id", "issuer: ftp://id", "write https://host"),
        ("issuer: https://id.example.com", "issuer: https://127.0.0.1", None),
        ("id: staff", "id: Staff", "id"),
        ("client_id: vigil", "client: vigil", "client"),
        ("groups_claim", "private_networks: [169.254.0.0/16]\n    groups_claim", "no provider is"),
        ("groups_claim", "private_networks: [10.0.0.1/8]\n    groups_claim", "host bits"),
        ("client_secret: secret", "client_secret_file: /none", "cannot be read"),
        ("client_secret: secret", "client_secret: s\n    client_secret_file: /n", "both set"),
        (GOOD, "providers: []", "providers"),
        (GOOD, "[1, 2]", "no list `providers`"),
        (GOOD, "a: [", "not YAML"),
        (GOOD, "[" * 3_000, "not YAML"),
        (GOOD, GOOD + GOOD.partition("providers:")[2], "same id"),
        (GOOD, GOOD + GOOD.partition("providers:")[2].replace("staff", "b"), "same issuer"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str | None) -> None:
    text = GOOD.replace(old, new, 1)
    if message is None:  # https is allowed; the address is refused when it is connected to
        assert read(tmp_path, text)
        return
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("url", ["", "http://vigil.example.com", "vigil", "https://a/path"])
def test_the_public_address_is_https(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="VIGIL_PUBLIC_URL"):
        read(tmp_path, GOOD, url)


INNER = (
    "127.0.0.1", "127.8.8.8", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "fe80::1", "fe80::1%eth0", "fd00::1",
    "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::", "2001:0:53aa:64c::", "::", "ff02::1",
    "64:ff9b:1::1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1",
)  # fmt: skip


@pytest.mark.parametrize("text", INNER)
def test_inner_addresses_are_refused(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert not may_connect(address, (), loopback=False)


def test_explicitly_allowed_addresses() -> None:
    def may(text: str, *networks: str, loopback: bool = False) -> bool:
        address = parse_address(text)
        assert address is not None
        return may_connect(address, [ip_network(each) for each in networks], loopback=loopback)

    assert may("93.184.216.34")
    assert may("2606:2800:220:1:248:1893:25c8:1946")
    assert may("64:ff9b::93.184.216.34")
    assert may("10.1.2.3", "10.1.0.0/16")
    assert may("::ffff:10.1.2.3", "10.1.0.0/16")
    assert not may("10.2.2.3", "10.1.0.0/16")
    assert may("127.0.0.1", loopback=True)
    assert not may("127.0.0.1", "127.0.0.0/8"), "only by its own setting"
    assert not may("169.254.169.254", "0.0.0.0/0", loopback=True)
    assert is_loopback("localhost")
    assert not is_loopback("localhost.example.com")


def test_a_sealed_text_opens_for_its_owner_and_purpose_only() -> None:
    secret = "an-example-secret-of-the-tests-123456"
    box = SealedBox(secret, "a")
    sealed = box.seal("text", "row-1")
    assert box.open(sealed, "row-1") == "text"
    assert b"text" not in sealed
    assert sealed != box.seal("text", "row-1")
    assert box.open(sealed, "row-2") is None
    assert SealedBox(secret, "b").open(sealed, "row-1") is None
    assert SealedBox(secret + "x", "a").open(sealed, "row-1") is None
    for changed in (b"", sealed[:12], sealed[:-1], bytes([sealed[0] ^ 1]) + sealed[1:]):
        assert box.open(changed, "row-1") is None
