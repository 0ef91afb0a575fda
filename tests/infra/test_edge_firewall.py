"""The rules of the device's firewall against real packets: a camera reaches nothing.

The control: without the rules the same camera does get out, so the claims are not true by luck.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.infra.edge_site import Namespace, example_site, join, namespaces, rendered

pytestmark = [
    pytest.mark.infra,
    pytest.mark.skipif(
        not Path("/usr/sbin/nft").exists() or os.geteuid() != 0,
        reason="real packets need nftables and root",
    ),
]

PACKETS = Path(__file__).parent / "packets"
"""Programs that run in the namespaces."""
DEVICE, DEVICE_CAMERAS = "10.128.2.162", "192.168.50.2"
CAMERA, OFFICE, CLOUD = "192.168.50.10", "10.128.2.170", "10.64.244.10"
CAMERA6, DEVICE_CAMERAS6, OFFICE6, DEVICE6 = "fd00:50::10", "fd00:50::2", "fd00:2::170", "fd00:2::2"
DOCKER = """
table ip filter {
  chain FORWARD { type filter hook forward priority filter; policy accept; accept; }
  chain INPUT { type filter hook input priority filter - 10; policy accept; accept; }
}
table ip nat {
  chain PREROUTING {
    type nat hook prerouting priority dstnat;
    tcp dport 8080 dnat to 10.128.2.170:80;
  }
}
"""


@dataclass
class Site:
    """The device with its rules, a camera, and the office, which also routes to the cloud."""

    device: Namespace
    camera: Namespace
    office: Namespace

    def reaches(
        self, sender: Namespace, kind: str, host: str, port: int, source: int = 0, tries: int = 5
    ) -> bool:
        """Say whether a connection is made, or a datagram is answered, in some tries.

        The first packet to a new neighbour may be late: its address must be found out.
        """
        return any(
            subprocess.run(
                ["ip", "netns", "exec", sender.name, "python3", PACKETS / "ask.py",
                 kind, host, str(port), str(source)],
                check=False,
            ).returncode == 0
            for _ in range(tries)
        )  # fmt: skip


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered(
        "firewall", "nftables.conf.j2", example_site(), tmp_path_factory.mktemp("firewall"),
        ssh_ca_public_key="ssh-ed25519 AAAA people",
    )  # fmt: skip


@pytest.fixture
def site(rules: Path) -> Iterator[Site]:
    with namespaces("device", "camera", "office") as (device, camera, office):
        join(device, "eno2", [f"{DEVICE_CAMERAS}/24", f"{DEVICE_CAMERAS6}/64"],
             camera, "eth0", [f"{CAMERA}/24", f"{CAMERA6}/64"])  # fmt: skip
        join(device, "eno1", [f"{DEVICE}/28", f"{DEVICE6}/64"],
             office, "eth0", [f"{OFFICE}/28", f"{OFFICE6}/64", f"{CLOUD}/32"])  # fmt: skip
        for each in (device, office):
            each.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        camera.run("ip", "route", "add", "default", "via", DEVICE_CAMERAS)
        camera.run("ip", "-6", "route", "add", "default", "via", DEVICE_CAMERAS6)
        office.run("ip", "route", "add", "192.168.50.0/24", "via", DEVICE)
        office.run("ip", "-6", "route", "add", "fd00:50::/64", "via", DEVICE6)
        device.run("ip", "route", "add", "default", "via", OFFICE)
        device.run("nft", "-f", rules)
        programs = [
            _listen(camera, "tcp:554"),
            _listen(office, "tcp:80", "tcp:443", "udp:53"),
            _listen(device, "tcp:22", "tcp:9500", "tcp:8080", "udp:123", "udp:5353"),
        ]
        try:
            yield Site(device, camera, office)
        finally:
            for each in programs:
                each.kill()
                each.wait()


def _listen(namespace: Namespace, *ports: str) -> "subprocess.Popen[bytes]":
    program = subprocess.Popen(
        ["ip", "netns", "exec", namespace.name, "python3", PACKETS / "listen.py", *ports],
        stdout=subprocess.PIPE,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"ready\n"
    return program


def out_of_the_camera(site: Site, tries: int = 1) -> dict[str, bool]:
    """Return what a camera reaches of all that it should not."""
    camera = site.camera

    def reaches(kind: str, host: str, port: int, source: int = 0) -> bool:
        return site.reaches(camera, kind, host, port, source, tries)

    return {
        "office": reaches("tcp", OFFICE, 80),
        "cloud": reaches("tcp", CLOUD, 443),
        "names": reaches("udp", OFFICE, 53),
        "office by IPv6": reaches("tcp", OFFICE6, 80),
        "device's page": reaches("tcp", DEVICE_CAMERAS, 9500),
        "device's page by its other address": reaches("tcp", DEVICE, 9500),
        "device's SSH": reaches("tcp", DEVICE_CAMERAS, 22),
        "device's other port": reaches("tcp", DEVICE_CAMERAS, 8080),
        "device by IPv6": reaches("tcp", DEVICE_CAMERAS6, 9500),
        "device's mDNS": reaches("udp", DEVICE_CAMERAS, 5353),
        "as if it answered discovery": reaches("udp", DEVICE_CAMERAS, 5353, 3703),
    }


def test_a_camera_reaches_nothing_but_the_time(site: Site) -> None:
    assert not any(out_of_the_camera(site).values())
    assert site.reaches(site.camera, "udp", DEVICE_CAMERAS, 123)
    counted = site.device.run("nft", "list", "counters", "table", "inet", "vigil")
    assert "packets 0" not in counted.split("camera_input")[1].split("}")[0]
    assert "packets 0" not in counted.split("forwarded")[1].split("}")[0]
    site.device.run("nft", "flush", "ruleset")
    reached = out_of_the_camera(site, tries=5)
    assert all(reached.values()), reached  # the control: else nothing above proves a rule


def test_the_device_reaches_cameras_and_finds_them(site: Site) -> None:
    assert site.reaches(site.device, "tcp", CAMERA, 554)
    assert not site.reaches(site.office, "tcp", CAMERA, 554, tries=1)
    site.camera.run("ip", "route", "add", "239.0.0.0/8", "dev", "eth0")
    site.device.run("ip", "route", "add", "239.0.0.0/8", "dev", "eno2")
    answerer = subprocess.Popen(
        ["ip", "netns", "exec", site.camera.name, "python3", PACKETS / "answer.py", CAMERA],
        stdout=subprocess.PIPE,
    )
    try:
        assert answerer.stdout is not None
        assert answerer.stdout.readline() == b"ready\n"
        site.device.run("python3", PACKETS / "discover.py", DEVICE_CAMERAS)
    finally:
        answerer.kill()
        answerer.wait()


def test_the_management_network_reaches_the_page_only(site: Site) -> None:
    assert site.reaches(site.office, "tcp", DEVICE, 9500)
    assert site.reaches(site.office, "tcp", DEVICE, 22)
    assert not site.reaches(site.office, "tcp", DEVICE, 8080, tries=1)
    assert not site.reaches(site.office, "tcp", DEVICE_CAMERAS, 8080, tries=1)


def test_rules_of_docker_open_nothing(site: Site, tmp_path: Path) -> None:
    docker = tmp_path / "docker.nft"
    docker.write_text(DOCKER)
    site.device.run("nft", "-f", docker)
    assert not any(out_of_the_camera(site).values())


def test_without_a_ca_ssh_is_closed(tmp_path: Path) -> None:
    text = rendered("firewall", "nftables.conf.j2", example_site(), tmp_path).read_text()
    assert "tcp dport { 9500, 9100, 9400 } accept" in text
