"""Which codings a client takes, by RFC 9110's rules."""

import pytest

from web.compression import accepts_gzip


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("*", True),
        ("br, zstd", False),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("identity", False),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, gzip", True),
        ("gzip;q=x", False),
        (",,;;", False),
        ("gzip" * 10_000, False),
    ],
)
def test_what_a_client_takes(header: str, takes: bool) -> None:
    assert accepts_gzip(header) == takes
