"""The cloud side in a namespace, behind the VPN: its services, and the address of devices.

`python -m tests.lab.cloud FOLDER` runs them until SIGTERM; FOLDER/ready.json has the settings. They
listen on loopback: what comes out of a tunnel for INSIDE is sent on to it.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.edge_cloud import EdgeCloud
from local import java
from local.certificates import make_pair
from local.devices import LocalDevices
from local.folder import project_root
from local.program import vigil
from local.stack import Stack
from tests.cloud import quick
from tests.infra.edge_site import Namespace
from tests.lab.vpn import INSIDE

_CLONE_NEWNET = 0x40000000
_READY_WITHIN_S = 240


@contextmanager
def inside(space: Namespace) -> Iterator[None]:
    """Let this thread, and threads that it begins, use the network of a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{space.name}", os.O_RDONLY)
    try:
        assert libc.setns(there, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        assert libc.setns(home, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(home)
        os.close(there)


def answer_behind_the_vpn(space: Namespace) -> None:
    """Send on what comes out of the tunnels for INSIDE to the services on loopback."""
    space.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    # Only from a tunnel's interface: what is not encrypted finds no one at INSIDE.
    space.run(
        "nft", "add table ip behind; add chain ip behind prerouting { type nat hook prerouting "
        "priority dstnat; }; add rule ip behind prerouting iifname \"ipsec*\" ip daddr "
        f"{INSIDE} tcp dport 1024-65535 dnat to 127.0.0.1",
    )  # fmt: skip


class LabCloud:
    """Services, catalog and the devices' address in a namespace. A context manager.

    stores: S3 and SQS alone.
    """

    def __init__(self, space: Namespace, folder: Path, *, stores: bool = False) -> None:
        self.space = space
        self._arguments = ["stores"] if stores else []
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.env: Mapping[str, str] = {}
        self.url = ""
        self.endpoint = ""
        """Where devices reach S3 and SQS, at INSIDE."""

    def __enter__(self) -> "LabCloud":
        self._folder.mkdir(parents=True, exist_ok=True)
        for service in ("kafka", "elasticmq", "s3proxy"):  # the namespace leads to no download
            java.jars(service, print)
        log = (self._folder / "cloud.log").open("wb")
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", self.space.name, sys.executable, "-m", "tests.lab.cloud",
             str(self._folder), *self._arguments],
            cwd=project_root(), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + _READY_WITHIN_S
        while not (self._folder / "ready.json").exists():
            tail = (self._folder / "cloud.log").read_text()[-2_000:]
            assert self._process.poll() is None, tail
            assert time.monotonic() < deadline, tail
            time.sleep(0.1)
        ready = json.loads((self._folder / "ready.json").read_text())
        self.env, self.url, self.endpoint = ready["env"], ready["url"], ready["endpoint"]
        answer_behind_the_vpn(self.space)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    @property
    def ca_file(self) -> Path:
        """The authority of the devices' address."""
        return self._folder / "data/devices/tls/ca.pem"

    def vigil(self, *arguments: str) -> str:
        """Run a command of the cloud; return what it printed."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.space.name, sys.executable, *vigil(*arguments)],
            cwd=project_root(), env={**os.environ, **self.env}, check=False, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _serve_stores(folder: Path, ended: threading.Event) -> None:
    """Run S3 and SQS alone until the end."""
    with EdgeCloud(folder / "data", print) as cloud:
        _be_ready(folder, dict(cloud.env), "", "")
        ended.wait()


def _serve(folder: Path, ended: threading.Event) -> None:
    """Run the services and the devices' address until the end."""
    with Stack(folder / "data", devices=True) as stack:
        assert stack.gate is not None
        tls = stack.folder.path / "devices/tls"
        tls.mkdir(parents=True, exist_ok=True)
        authority, server = make_pair(INSIDE)
        (tls / "ca.pem").write_bytes(authority)
        (tls / "server.pem").write_bytes(server)
        (tls / "password").write_text("not used")
        devices = LocalDevices(stack.folder, stack.ports)
        env: dict[str, str] = {
            **stack.env, **devices.prepare(), **devices.config_key_settings, **quick("lab"),
            "VIGIL_METRICS_PORT": "0",
        }  # fmt: skip

        def run(*arguments: str) -> str:
            return subprocess.run(
                [sys.executable, *vigil(*arguments)], cwd=project_root(),
                env={**os.environ, **env}, check=True, stdout=subprocess.PIPE, text=True,
                stdin=subprocess.DEVNULL,
            ).stdout  # fmt: skip

        run("catalog", "migrate")
        run("topics", "ensure")
        devices.make_config_key(run)
        worker = devices.worker({**os.environ, **env})
        worker.launch()
        try:
            worker.process.wait_ready(lambda: _answers(devices.url), 120)
            _be_ready(folder, env, devices.url, stack.gate.endpoint)
            ended.wait()
        finally:
            worker.process.stop()


def _be_ready(folder: Path, env: Mapping[str, str], url: str, endpoint: str) -> None:
    ready: dict[str, Any] = {
        "env": dict(env),
        "url": url.replace("127.0.0.1", INSIDE),
        "endpoint": endpoint.replace("127.0.0.1", INSIDE),
    }
    part = folder / "ready.part"
    part.write_text(json.dumps(ready))
    part.rename(folder / "ready.json")


def _answers(url: str) -> bool:
    import socket
    from urllib.parse import urlsplit

    at = urlsplit(url)
    try:
        with socket.create_connection((at.hostname or "", at.port or 0), timeout=2):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    signalled = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: signalled.set())
    (_serve_stores if "stores" in sys.argv[2:] else _serve)(Path(sys.argv[1]), signalled)
