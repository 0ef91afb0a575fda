"""The edge's HTTPS port: a stranger who never finishes a handshake does not hold it."""

import asyncio
from pathlib import Path

import pytest

import stores.tls_site
from edge_bridge.config import HttpConfig
from edge_bridge.health import HealthServer
from local.certificates import make_pair


async def test_a_client_without_a_handshake_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores.tls_site, "HANDSHAKE_S", 0.1)
    pair = tmp_path / "pair.pem"
    pair.write_bytes(make_pair("127.0.0.1")[1])
    config = HttpConfig(host="127.0.0.1", port=0, certificate_file=pair, key_file=pair)
    async with HealthServer(config, dict) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()
