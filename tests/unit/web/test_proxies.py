"""Only a proxy of ours is believed about who is behind it."""

import pytest
from aiohttp.test_utils import make_mocked_request

from domain.errors import ConfigError
from web.proxies import TrustedProxies

PROXIES = TrustedProxies("10.0.0.0/8, fd00::/8")


def request(remote: str, **headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", "/", headers=named).clone(remote=remote)


@pytest.mark.parametrize(
    ("remote", "forwarded", "client"),
    [
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "192.0.2.7, 10.0.0.9", "192.0.2.7"),
        ("10.0.0.1", "127.0.0.1, 192.0.2.7", "192.0.2.7"),  # the first part is the client's own
        ("192.0.2.8", "127.0.0.1", "192.0.2.8"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_that_no_proxy_of_ours_is(
    remote: str, forwarded: str, client: str
) -> None:
    assert PROXIES.client_of(request(remote, X_Forwarded_For=forwarded)) == client


def test_only_a_proxy_of_ours_says_that_it_is_https() -> None:
    assert PROXIES.is_https(request("10.0.0.1", X_Forwarded_Proto="https"))
    assert not PROXIES.is_https(request("192.0.2.8", X_Forwarded_Proto="https"))
    assert not PROXIES.is_https(request("10.0.0.1"))


def test_what_is_not_a_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="VIGIL_TRUSTED_PROXIES"):
        TrustedProxies("10.0.0.1/8")
