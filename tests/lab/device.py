"""An edge device for Ansible: systemd in a container, with a network of its own, reached by SSH.

Debian is in place of Ubuntu: its packages can be had where Ubuntu's cannot.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.site_file.inventory import inventory
from local.images.engine import Engine, cache_folder
from tests.infra.edge_site import ANSIBLE, BIN, ROOT, Namespace, example_site, join, namespaces
from tests.lab.vpn import Authority, Charon, configure_cloud, give_addresses

PACKAGES = (
    "systemd-sysv", "udev", "dbus", "openssh-server", "python3", "python3-apt", "iproute2",
    "procps", "ca-certificates", "curl", "tzdata", "nftables", "chrony", "unattended-upgrades",
    "strongswan-swanctl", "charon-systemd", "libstrongswan-standard-plugins",
    "libcharon-extra-plugins", "prometheus-node-exporter", "podman", "runc", "catatonit", "unbound",
)  # fmt: skip
"""In the image, so that a device without a network can be configured; roles find them there."""
CONTAINERS_CONF = ROOT / "local/images/containers.conf"
IMAGE = (
    "localhost/vigil-lab-device:bookworm-"
    + hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:8]
)
TECHNICIAN, DEVICE = "10.128.2.163", "10.128.2.162"
ROUTER, OUTSIDE, GATEWAY = "10.128.2.161", "203.0.113.5", "203.0.113.1"
"""The site's router, its address in the internet, and the next router there."""
CAMERA = "192.168.50.10"
EDGE_IMAGE = "localhost/vigil-edge-cpu:dev"
"""`make images BASES=debian IMAGES=vigil-edge-cpu` makes it."""


def engine() -> Engine:
    """Return buildah and podman with the place that images have on this machine."""
    return Engine("buildah", cache_folder() / "storage")


def build() -> None:
    """Make the device's image, once for a machine."""
    tools = engine()
    if tools.has(IMAGE):
        return
    cache_folder().mkdir(parents=True, exist_ok=True)
    root = cache_folder() / "device.tar"
    subprocess.run(
        ["mmdebstrap", "--variant=minbase", "--mode=root", "--dpkgopt=force-unsafe-io", "--quiet",
         f"--include={','.join(PACKAGES)}", "--skip=cleanup/apt/lists", "bookworm", str(root)],
        check=True,
    )  # fmt: skip
    container = tools.buildah("from", "scratch").strip()
    tools.buildah("add", container, str(root), "/")
    tools.buildah("run", "--isolation", "chroot", container, "--", "ssh-keygen", "-A")
    tools.buildah("commit", "-q", container, IMAGE)
    tools.buildah("rm", container)
    root.unlink()


@dataclass(frozen=True)
class Device:
    """The device, who configures it, a camera at its other interface, and the cloud."""

    space: Namespace
    technician: Namespace
    camera: Namespace
    cloud: Namespace
    work: Path
    container: str
    authority: Authority
    """Of the gateways of the VPN, at both ends."""

    def run(self, *command: str, ok: bool = True) -> str:
        """Run a command on the device; return what it printed."""
        return engine().podman("exec", self.container, *command, check=ok)

    def set(self, **variables: Any) -> None:
        """Change variables of the playbook."""
        path = self.work / "lab.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | variables))

    def configure(self, *options: str, fails: bool = False) -> dict[str, int]:
        """Run the playbook from the technician's machine; return Ansible's counts.

        fails: it must fail; what it printed is in last.txt.
        """
        result = subprocess.run(
            ["ip", "netns", "exec", self.technician.name, BIN / "ansible-playbook",
             "-i", str(self.work / "inventory.sh"), "-e", f"@{self.work / 'lab.json'}",
             str(ANSIBLE / "site.yml"), *options],
            cwd=self.work, check=False, capture_output=True, text=True,
            stdin=subprocess.DEVNULL,  # Ansible refuses one that does not block
            env={**os.environ, "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
                 "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"), "LC_ALL": "C.UTF-8",
                 "PATH": f"{BIN}:{os.environ['PATH']}"},
        )  # fmt: skip
        (self.work / "last.txt").write_text(result.stdout)
        assert (result.returncode != 0) == fails, result.stdout[-3000:] + result.stderr[-3000:]
        recap = result.stdout.rpartition("PLAY RECAP")[2]
        return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", recap)}

    def changed(self) -> list[str]:
        """Return the tasks that changed something in the last run."""
        found: list[str] = []
        task = ""
        for line in (self.work / "last.txt").read_text().splitlines():
            if begun := re.match(r"(?:TASK|RUNNING HANDLER) \[(?:.* : )?(.*)\]", line):
                task = begun[1]
            elif line.startswith("changed:"):
                found.append(task)
        return found


@contextmanager
def device(work: Path) -> Iterator[Device]:
    """Start a device; remove it at the end."""
    build()
    key = work / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    name = f"vigil-lab-{os.getpid()}"
    with namespaces("device", "technician", "camera", "cloud") as spaces:
        space, technician, camera, cloud = spaces
        join(space, "eno1", [f"{DEVICE}/28"], technician, "eth0",
             [f"{TECHNICIAN}/28", f"{ROUTER}/28"])  # fmt: skip
        join(space, "eno2", ["192.168.50.2/24"], camera, "eth0", [f"{CAMERA}/24"])
        camera.run("ip", "route", "add", "default", "via", "192.168.50.2")
        _connect_to_the_internet(technician, cloud)
        # IPsec in user space: the kernel of a test machine may have no ESP.
        (work / "libipsec.conf").write_text("kernel-libipsec {\n  load = yes\n}\n")
        # Containers in it have a place of their own, on a file system that overlays can use.
        storage = work / "containers"
        storage.mkdir()
        engine().podman(
            "run", "-d", "--name", name, "--systemd=always",
            "--cap-add", "all", "--cap-drop", "SYS_TIME",
            "--security-opt", "unmask=all", "--security-opt", "seccomp=unconfined",
            "--device", "/dev/net/tun",
            "-v", f"{storage}:/var/lib/containers",
            "-v", f"{CONTAINERS_CONF}:/etc/containers/containers.conf:ro",
            "-v", f"{work}/libipsec.conf:/etc/strongswan.d/charon/kernel-libipsec.conf:ro",
            "--network", f"ns:/run/netns/{space.name}",
            "-v", f"{key}.pub:/root/.ssh/authorized_keys:ro", IMAGE, "/sbin/init",
        )  # fmt: skip
        try:
            made = Device(space, technician, camera, cloud, work, name, Authority())
            _write_inventory(made, key)
            deadline = time.monotonic() + 120
            while "running" not in made.run("systemctl", "is-system-running", ok=False) and (
                "degraded" not in made.run("systemctl", "is-system-running", ok=False)
            ):
                assert time.monotonic() < deadline, made.run("systemctl", "--failed", ok=False)
                time.sleep(0.5)
            # A machine of its own would own its control groups: containers in it need them.
            made.run("sh", "-c", "for each in /sys/fs/cgroup/*; do [ -L $each ] || mount -o "
                     "remount,bind,rw $each 2>/dev/null || :; done")  # fmt: skip
            yield made
        finally:
            engine().podman("rm", "-f", "-t", "2", name, check=False)
            shutil.rmtree(storage, ignore_errors=True)


def _connect_to_the_internet(router: Namespace, cloud: Namespace) -> None:
    """Let the site's router translate addresses, as it does for a device behind it."""
    join(router, "wan", [f"{OUTSIDE}/24"], cloud, "eth0", [f"{GATEWAY}/24"])
    router.run("ip", "route", "add", "default", "via", GATEWAY)
    router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    router.run("nft", "add table ip lab; add chain ip lab out { type nat hook postrouting priority "
               "srcnat; }; add rule ip lab out oifname wan masquerade")  # fmt: skip
    give_addresses(cloud)


@contextmanager
def other_end(made: Device) -> Iterator[Charon]:
    """Run AWS's ends of the device's tunnels."""
    cloud = Charon(made.cloud, made.work / "cloud-end")
    configure_cloud(cloud, made.authority)
    cloud.start()
    try:
        yield cloud
    finally:
        cloud.kill()


def _write_inventory(made: Device, key: Path) -> None:
    site = example_site()
    hosts = inventory([site], {site.id: ["198.51.100.1", "198.51.100.2"]})
    (made.work / "inventory.json").write_text(json.dumps(hosts))
    script = made.work / "inventory.sh"
    script.write_text(f"#!/bin/sh\ncat {made.work}/inventory.json\n")
    script.chmod(0o755)
    authority = made.authority
    certificate, private, _ = authority.issue("s0042.vigil.test", 30)
    for name, content in (
        ("gateway.crt", certificate), ("gateway.key", private), ("aws-ca.crt", authority.pem()),
    ):  # fmt: skip
        (made.work / name).write_bytes(content)
    certificate_key = made.work / "people"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", certificate_key],
                   check=True)  # fmt: skip
    (made.work / "lab.json").write_text(
        json.dumps(
            {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(key),
                "ansible_ssh_common_args": "-o StrictHostKeyChecking=no "
                f"-o UserKnownHostsFile={made.work}/known_hosts",
                "vpn_certificate_file": str(made.work / "gateway.crt"),
                "vpn_key_file": str(made.work / "gateway.key"),
                "vpn_ca_files": [str(made.work / "aws-ca.crt")],
                "vpn_remote_ids": ["cloud.vigil.test"] * 2,
                "ssh_keep": True,
                "ssh_ca_public_key": Path(f"{certificate_key}.pub").read_text().strip(),
                # What a container cannot have: disks, a clock and host names of its own, Docker.
                "disks_manage": False,
                "time_start": False,
                "base_set_hostname": False,
                "container_engine": "podman",
                "app_image": EDGE_IMAGE,
                # More than a machine without CAP_SYS_RESOURCE may give.
                "app_open_files": 10000,
                "app_install": False,
                "monitoring_gpu": False,
                "app_bucket": "acme-vigil",
                "app_queue_url": "https://sqs.us-east-1.amazonaws.com/123456789012/vigil-events",
            }
        )
    )


if __name__ == "__main__":
    build()
    sys.exit(0)
