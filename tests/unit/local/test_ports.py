"""Ports stay with their folder, and a busy one is replaced or complained about."""

import socket
from pathlib import Path

import pytest

from domain.errors import ConfigError, VigilError
from local.folder import DataFolder
from local.ports import HOST, Ports, is_free, parse_ports


def test_a_port_is_remembered(tmp_path: Path) -> None:
    port = Ports(DataFolder(tmp_path)).take("kafka")
    assert is_free(port)
    assert Ports(DataFolder(tmp_path)).take("kafka") == port
    assert Ports(DataFolder(tmp_path)).take("s3") != port


def test_a_remembered_port_that_is_busy_is_replaced(tmp_path: Path) -> None:
    port = Ports(DataFolder(tmp_path)).take("kafka")
    with socket.create_server((HOST, port)):
        other = Ports(DataFolder(tmp_path)).take("kafka")
    assert other != port
    assert Ports(DataFolder(tmp_path)).take("kafka") == other


def test_a_port_that_others_know_already_is_not_replaced(tmp_path: Path) -> None:
    ports = Ports(DataFolder(tmp_path))
    port = ports.take("kafka")
    with (
        socket.create_server((HOST, port)),
        pytest.raises(VigilError, match=f"Port {port} of kafka is in use"),
    ):
        ports.take("kafka")
    assert ports.take("kafka") == port


@pytest.mark.parametrize("text", ["kafka", "=1", "kafka=", "kafka=0", "kafka=65536", "kafka=-1"])
def test_a_wrong_port_option_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--port {text}: write NAME=NUMBER"):
        parse_ports([text])


def test_port_options_are_read() -> None:
    assert parse_ports(["kafka=9092", "web=65535"]) == {"kafka": 9092, "web": 65535}
