"""Which origins can be allowed."""

import pytest

from domain.errors import ConfigError
from web.cors import AllowedOrigins


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "portal.example.com",
        "https://",
        "https://portal.example.com/",
        "https://portal.example.com/path",
        "https://Portal.example.com",
        "https://*.example.com",
        "https://user@portal.example.com",
        "ftp://portal.example.com",
        "https://portal.example.com?x",
        "https://a b",
    ],
)
def test_what_is_not_an_origin(origin: str) -> None:
    with pytest.raises(ConfigError, match="VIGIL_CORS_ORIGINS"):
        AllowedOrigins(f"https://good.example.com, {origin}")


def test_there_are_not_too_many() -> None:
    good = ["https://a.example.com", "http://127.0.0.1:5173", "https://[::1]:8443"]
    AllowedOrigins(", ".join(good))
    AllowedOrigins("")
    with pytest.raises(ConfigError, match="at most 50"):
        AllowedOrigins(",".join(f"https://a{number}.example.com" for number in range(51)))
