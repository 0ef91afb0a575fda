"""Metrics and health over HTTPS, by configuration."""

import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from domain.errors import ConfigError
from local.certificates import make_pair
from local.ports import HOST, find_free
from streams.probe import serve_probe
from streams.settings import Settings


def settings(tmp_path: Path, **more: Any) -> Settings:
    authority, server = make_pair(HOST)
    (tmp_path / "ca.pem").write_bytes(authority)
    (tmp_path / "server.pem").write_bytes(server)
    return Settings(
        metrics_port=find_free(),
        metrics_tls_certificate_file=tmp_path / "server.pem",
        metrics_tls_key_file=tmp_path / "server.pem",
        **more,
    )


async def test_a_certificate_makes_the_probe_https(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    address = f"{HOST}:{chosen.metrics_port}"
    async with serve_probe(lambda: True, chosen), aiohttp.ClientSession() as client:
        async with client.get(f"https://{address}/readyz", ssl=trust) as answer:
            assert answer.status == 200
        async with client.get(f"https://{address}/metrics", ssl=trust) as answer:
            assert "vigil_" in await answer.text()
        with pytest.raises(aiohttp.ClientError):
            await client.get(f"http://{address}/metrics")


async def test_without_one_it_stays_http(tmp_path: Path) -> None:
    chosen = Settings(metrics_port=find_free())
    async with (
        serve_probe(lambda: False, chosen),
        aiohttp.ClientSession() as client,
        client.get(f"http://{HOST}:{chosen.metrics_port}/readyz") as answer,
    ):
        assert answer.status == 503


def test_one_of_the_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="VIGIL_METRICS_TLS_KEY_FILE"):
        Settings(metrics_tls_certificate_file=tmp_path / "server.pem")
