"""Ansible configures a device over SSH: once, again without a change, and after drift."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.infra.edge_site import Namespace
from tests.lab.device import DEVICE, Device, device

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("podman", "buildah", "mmdebstrap"))),
        reason="needs podman, buildah, mmdebstrap and root",
    ),
]
TRY = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Device, dict[str, int]]]:
    with device(tmp_path_factory.mktemp("device")) as made:
        counts = made.configure()
        yield made, counts


def reaches(sender: Namespace, host: str, port: int) -> bool:
    """Say whether a connection is made."""
    return "no" not in sender.run(
        "sh", "-c", f'python3 -c "{TRY}" {host} {port} 2>/dev/null || echo no', ok=False
    )


def test_a_second_run_changes_nothing(configured: tuple[Device, dict[str, int]]) -> None:
    made, counts = configured
    assert counts["changed"] > 20
    print(f"first run: {counts}")
    again = made.configure()
    assert again["changed"] == 0, made.changed()


def test_drift_is_reported_and_corrected(configured: tuple[Device, dict[str, int]]) -> None:
    made, _ = configured
    made.run("sh", "-c", "echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/60-vigil-network.conf")
    made.run("nft", "delete", "table", "inet", "vigil")
    counts = made.configure("--check", "--diff")
    assert counts["changed"] > 0
    assert "Forward nothing" in made.changed()
    assert "= 1" in made.run("cat", "/etc/sysctl.d/60-vigil-network.conf"), (
        "a check changes nothing"
    )
    made.configure()
    assert "Load the rules that somebody has removed" in made.changed()
    assert "ip_forward = 0" in made.run("cat", "/etc/sysctl.d/60-vigil-network.conf")
    assert made.configure()["changed"] == 0, made.changed()


def test_the_device_from_outside(configured: tuple[Device, dict[str, int]]) -> None:
    made, _ = configured
    assert reaches(made.technician, DEVICE, 22)
    assert reaches(made.technician, DEVICE, 9100)
    assert not reaches(made.camera, DEVICE, 22)
    assert not reaches(made.camera, "192.168.50.2", 22)
    assert not reaches(made.camera, "192.168.50.2", 9100)
    assert not reaches(made.camera, "10.128.2.163", 22)
    assert made.run("systemctl", "is-enabled", "nftables").strip() == "enabled"
    assert made.run("systemctl", "is-active", "strongswan").strip() == "active"
    assert "vigil-1" in made.run("swanctl", "--list-conns")
    assert "site: acme/berlin" in made.run("cat", "/etc/vigil/edge.yaml")
