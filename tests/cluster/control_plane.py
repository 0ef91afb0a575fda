"""A Kubernetes control plane on this machine: the real programs, with nodes that only pretend."""

import json
import os
import secrets
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.folder import DataFolder
from local.ports import HOST, find_free
from local.process import Process
from tests.cluster.pretended_nodes import STORAGE_CLASS, PretendedNodes
from tests.infra.helm import TOOLS

HERE = Path(__file__).parent
OPS = HERE.parents[1] / "ops/cluster"
MISSING_DIGEST = "sha256:" + "b" * 64
"""An image that no registry has: its pods never become ready."""
Manifest = dict[str, Any]


class CommandError(AssertionError):
    """A command failed; its text is what the command reported."""


class ControlPlane:
    """Access to a running API server, as its administrator."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.programs = programs
        self.kubeconfig = folder / "kubeconfig"
        self.broken = {missing_image()}
        """Images whose pods never become ready."""

    def kubectl(self, *arguments: str, stdin: str | None = None, within_s: float = 180) -> str:
        """Run kubectl; returns its standard output. Raises CommandError with its errors."""
        return self._run([str(self.programs / "kubectl"), *arguments], stdin, within_s)

    def helm(self, *arguments: str, within_s: float = 400) -> str:
        """Run helm; returns its standard output. Raises CommandError with its errors."""
        return self._run([str(TOOLS / "helm"), *arguments], None, within_s)

    def apply(self, *manifests: Manifest, namespace: str = "default", dry_run: bool = False) -> str:
        """Apply manifests server-side; the server validates every field."""
        mode = ("--dry-run=server",) if dry_run else ()
        return self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--validate=strict", *mode,
            "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(manifests),
        )  # fmt: skip

    def items(self, kind: str, namespace: str, *arguments: str) -> list[Manifest]:
        """Return the objects of a kind."""
        text = self.kubectl("get", kind, "-n", namespace, "-o", "json", *arguments)
        found: list[Manifest] = json.loads(text)["items"]
        return found

    def _run(self, command: list[str], stdin: str | None, within_s: float) -> str:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=within_s,
            env={
                **os.environ,
                "KUBECONFIG": str(self.kubeconfig),
                "HELM_CACHE_HOME": str(self.folder),
            },
        )
        if done.returncode:
            raise CommandError(done.stderr + done.stdout)
        return done.stdout


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Start etcd, API server, controllers, scheduler and nodes; stop them at the end."""
    programs = Path(_script("build.sh"))
    definitions = Path(_script("definitions.sh"))
    plane = ControlPlane(folder, programs)
    data = DataFolder(folder / "data")
    data.open()
    started: list[Process] = []
    nodes: PretendedNodes | None = None

    def start(name: str, *command: str) -> Process:
        process = Process(name, data, stop_within_s=5)
        process.start(command, env=os.environ, cwd=folder)
        started.append(process)
        return process

    try:
        etcd, peer, api = find_free(), find_free(), find_free()
        client = f"http://{HOST}:{etcd}"
        start(
            "etcd", "etcd", "--data-dir", "etcd", "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", f"http://{HOST}:{peer}",
            "--log-level", "warn",
        )  # fmt: skip
        token = secrets.token_hex(16)
        _write_keys(folder, token)
        server = start(
            "kube-apiserver", str(programs / "kube-apiserver"), f"--etcd-servers={client}",
            f"--cert-dir={folder}/pki", f"--secure-port={api}", f"--bind-address={HOST}",
            f"--advertise-address={HOST}", "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC",
            "--allow-privileged",
            "--service-account-key-file=account.pub",
            "--service-account-issuer=https://cluster.local",
            "--service-account-signing-key-file=account.key", "--token-auth-file=tokens.csv",
        )  # fmt: skip
        server.wait_ready((folder / "pki/apiserver.crt").exists, 60)
        plane.kubeconfig.write_text(_kubeconfig(folder, api, token))
        server.wait_ready(lambda: _answers(plane), 120)
        kubeconfig = f"--kubeconfig={plane.kubeconfig}"
        start(
            "kube-controller-manager", str(programs / "kube-controller-manager"), kubeconfig,
            "--service-account-private-key-file=account.key", "--leader-elect=false",
            f"--bind-address={HOST}", f"--secure-port={find_free()}",
        )  # fmt: skip
        start(
            "kube-scheduler", str(programs / "kube-scheduler"), kubeconfig,
            "--leader-elect=false", f"--bind-address={HOST}", f"--secure-port={find_free()}",
        )  # fmt: skip
        trust = ssl.create_default_context(cafile=str(folder / "pki/apiserver.crt"))
        nodes = PretendedNodes(f"https://{HOST}:{api}", token, trust, plane.broken)
        nodes.start()
        plane.apply({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "vigil.example/pretended",
        })  # fmt: skip
        plane.kubectl("apply", "--server-side", "-f", str(definitions))
        plane.kubectl("apply", "--server-side", "-f", str(HERE / "eks_kinds.yaml"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield plane
    finally:
        if nodes is not None:
            nodes.stop()
        for process in reversed(started):
            process.stop()
        data.close()


def missing_image() -> str:
    """Return the image that no registry has, as the chart names it."""
    return f"registry.example.com/vigil/cloud@{MISSING_DIGEST}"


def add_node(plane: ControlPlane, name: str, zone: str, pool: Manifest, **resources: str) -> None:
    """Add a node as Karpenter would make it for a NodePool: with its labels and taints."""
    template = pool["spec"]["template"]
    capacity = {"cpu": "8", "memory": "32Gi", "pods": "110", **resources}
    plane.apply({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": zone,
                "karpenter.sh/nodepool": pool["metadata"]["name"],
                **template.get("metadata", {}).get("labels", {}),
            },
        },
        "spec": {"taints": template["spec"].get("taints", [])},
    })  # fmt: skip
    status = json.dumps({"status": {"allocatable": capacity, "capacity": capacity}})
    plane.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", status)
    plane.kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=60s")


def _script(name: str) -> str:
    done = subprocess.run(["bash", str(OPS / name)], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def _write_keys(folder: Path, token: str) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "account.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "account.pub").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")


def _kubeconfig(folder: Path, port: int, token: str) -> str:
    authority = str(folder / "pki/apiserver.crt")
    return json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "vigil", "cluster": {
            "server": f"https://{HOST}:{port}", "certificate-authority": authority}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "vigil", "context": {"cluster": "vigil", "user": "admin"}}],
        "current-context": "vigil",
    })  # fmt: skip


def _answers(plane: ControlPlane) -> bool:
    try:
        return plane.kubectl("get", "--raw", "/readyz", within_s=20) == "ok"
    except (CommandError, subprocess.TimeoutExpired):
        time.sleep(0.5)
        return False
