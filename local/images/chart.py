"""The chart's containers without a cluster: `podman play kube` starts what Helm renders.

Podman takes Pods. What a cluster does for a Pod is done here: StatefulSets, Deployments and Jobs
become Pods with names, volumes get folders, secrets get files, and $(POD_NAME) its value. All pods
share this machine's network, so each port of the chart is mapped to a free one.
"""

import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from domain.errors import ConfigError, VigilError
from local.images.container import USER, Ended
from local.images.engine import Engine
from local.ports import HOST

Manifest = dict[str, Any]
PROBE_TIMEOUT_S = 5
_TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vigil/tools"


def render(chart: Path, values: Sequence[Path], settings: Mapping[str, str]) -> list[Manifest]:
    """Return the manifests of a chart. `settings`: values by their path, as `--set-string`."""
    helm = shutil.which("helm", path=f"{_TOOLS}{os.pathsep}{os.environ['PATH']}")
    if helm is None:
        raise ConfigError("helm is not on this machine: bash local/setup/infra.sh builds it.")
    command = [helm, "template", "vigil", str(chart), "--namespace", "vigil", "--kube-version"]
    command.append("1.34.0")
    for file in values:
        command += ["--values", str(file)]
    for name, value in settings.items():
        escaped = value.replace(",", "\\,")
        command += ["--set-string", f"{name}={escaped}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"helm template: {done.stderr.strip()}")
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


@dataclass
class Cluster:
    """What pods get from a cluster: secrets, folders, ports, an environment (Pod Identity).

    `free_port` returns a port that nothing listens on.
    """

    engine: Engine
    folder: Path
    secrets: Mapping[str, Mapping[str, bytes]]
    environment: Mapping[str, str]
    free_port: Callable[[], int]
    config_maps: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def add_config_maps(self, manifests: Sequence[Manifest]) -> None:
        """Keep the ConfigMaps of a chart."""
        for manifest in manifests:
            if manifest["kind"] == "ConfigMap":
                self.config_maps[manifest["metadata"]["name"]] = manifest["data"]

    def pod(self, workload: Manifest, ordinal: int = 0, suffix: str = "") -> "Pod":
        """Return one pod of a StatefulSet, a Deployment or a Job.

        `suffix`: as a ReplicaSet names its pods, so that an old and a new one run side by side.
        """
        name = f"{workload['metadata']['name']}-{suffix or ordinal}"
        claims = workload["spec"].get("volumeClaimTemplates", [])
        return Pod(self, name, deepcopy(workload["spec"]["template"]["spec"]), claims)


class Pod:
    """One pod. Its methods block: with an event loop, call them from a thread."""

    def __init__(
        self, cluster: Cluster, name: str, spec: Manifest, claims: Sequence[Manifest]
    ) -> None:
        self.name = name
        self._cluster = cluster
        self._spec = spec
        self._folder = cluster.folder / name
        self._file = cluster.folder / f"{name}.yaml"
        self._ports: dict[int, int] = {}
        self._probes: dict[str, Manifest] = {}
        self.grace_s = int(spec.get("terminationGracePeriodSeconds", 30))
        self.restarts = spec.get("restartPolicy", "Always") == "Always"
        """Whether a container that ends is started again."""
        for claim in claims:
            source = {"hostPath": {"path": str(self._disk(claim["metadata"]["name"]))}}
            spec["volumes"].append({"name": claim["metadata"]["name"], **source})
        spec["volumes"] = [self._volume(volume) for volume in spec["volumes"]]
        containers = spec["containers"]
        for container in (*spec.get("initContainers", []), *containers):
            self._container(container)
        self.container = f"{name}-{containers[0]['name']}"

    def port(self, chart_port: int) -> int:
        """Return the port of this machine for a port of the chart."""
        return self._ports[chart_port]

    def start(self) -> None:
        """Start it; returns once its containers were started, and init containers have ended."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "labels": {"app": self.name}},
            "spec": {**self._spec, "restartPolicy": "Always" if self.restarts else "Never"},
        }
        self._file.write_text(yaml.safe_dump(manifest, sort_keys=False))
        self._file.chmod(0o600)
        self._podman("play", "kube", "--replace", "--network", "host", str(self._file))

    def probe(self, kind: str) -> bool:
        """Run a probe of the first container once: startupProbe, livenessProbe, readinessProbe.

        A pod without such a probe passes it.
        """
        if kind not in self._probes:
            return True
        get = self._probes[kind]["httpGet"]
        context = ssl._create_unverified_context()  # noqa: S323 - as the kubelet does
        url = f"{get['scheme'].lower()}://{HOST}:{get['port']}{get['path']}"
        try:
            with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S, context=context) as answer:  # noqa: S310
                return bool(200 <= answer.status < 400)
        except (OSError, urllib.error.HTTPError):
            return False

    def wait_ready(self, within_s: float) -> float:
        """Wait until startup and readiness probe pass; return the seconds it took."""
        began = time.monotonic()
        while not (self.probe("startupProbe") and self.probe("readinessProbe")):
            if not self.running:
                raise VigilError(f"{self.name} ended:\n{self.output()}")
            if time.monotonic() - began > within_s:
                raise VigilError(f"{self.name} is not ready in {within_s} s:\n{self.output()}")
            time.sleep(0.2)
        return time.monotonic() - began

    @property
    def running(self) -> bool:
        """Whether its first container runs."""
        return self._inspect("{{.State.Running}}") == "true"

    def stop(self) -> Ended:
        """Delete it as a cluster does: SIGTERM, and SIGKILL after the grace period."""
        self._podman("pod", "stop", "--time", str(self.grace_s), self.name)
        return self.ended()

    def ended(self) -> Ended:
        """Return how its first container ended."""
        return Ended(int(self._inspect("{{.State.ExitCode}}") or -1), self.output())

    def wait_end(self, within_s: float) -> Ended:
        """Wait until its first container ended by itself."""
        began = time.monotonic()
        while self.running:
            if time.monotonic() - began > within_s:
                raise VigilError(f"{self.name} did not end in {within_s} s:\n{self.output()}")
            time.sleep(0.2)
        return self.ended()

    def inspect(self, form: str) -> str:
        """Return what podman says of its first container."""
        return self._inspect(form)

    def output(self, lines: int = 30) -> str:
        """Return the last lines of its first container."""
        engine = self._cluster.engine
        return subprocess.run(
            engine.podman_command("logs", "--tail", str(lines), self.container),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env=engine.environment,
        ).stdout  # fmt: skip

    def remove(self) -> None:
        """Kill it, and forget it; its folders stay."""
        self._podman("pod", "rm", "--force", "--time", "0", self.name, check=False)

    # -- what a cluster does for a pod

    def _container(self, container: Manifest) -> None:
        config = {
            name: value
            for source in container.pop("envFrom", [])
            for name, value in self._config_map(source["configMapRef"]["name"]).items()
        }
        for port in container.get("ports", []):
            if port["containerPort"] not in self._ports:
                self._ports[port["containerPort"]] = self._cluster.free_port()
        names = {p.get("name"): self._ports[p["containerPort"]] for p in container.pop("ports", [])}
        env: dict[str, str] = {**self._cluster.environment, **config}
        for entry in container.get("env", []):
            value = self.name if "valueFrom" in entry else str(entry["value"])
            value = value.replace("$(POD_NAME)", self.name)
            if value.isdecimal() and int(value) in self._ports and entry["name"].endswith("_PORT"):
                value = str(self._ports[int(value)])
            env[entry["name"]] = value
        container["env"] = [{"name": name, "value": value} for name, value in env.items()]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            # Podman would run curl in the container; the kubelet asks from outside, as we do.
            probe = container.pop(kind, None)
            if probe is not None:
                port = probe["httpGet"]["port"]
                probe["httpGet"]["port"] = names[port] if isinstance(port, str) else port
                self._probes.setdefault(kind, probe)

    def _config_map(self, name: str) -> Mapping[str, str]:
        try:
            return self._cluster.config_maps[name]
        except KeyError:
            raise ConfigError(f"{self.name}: there is no ConfigMap {name}") from None

    def _volume(self, volume: Manifest) -> Manifest:
        if "secret" in volume:
            folder = self._secret(volume["secret"])
        elif "emptyDir" in volume:
            folder = self._disk(volume["name"])
            shutil.rmtree(folder, ignore_errors=True)
            folder = self._disk(volume["name"])
        else:
            return volume
        return {"name": volume["name"], "hostPath": {"path": str(folder)}}

    def _disk(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, USER, USER)  # fsGroup
        return folder

    def _secret(self, source: Manifest) -> Path:
        name = source["secretName"]
        if name not in self._cluster.secrets:
            raise ConfigError(f"{self.name}: there is no secret {name}")
        data = self._cluster.secrets[name]
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        folder = self._folder / f"secret-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for item in items:
            if item["key"] not in data:
                raise ConfigError(f"{self.name}: secret {name} has no key {item['key']}")
            file = folder / item["path"]
            file.write_bytes(data[item["key"]])
            os.chown(file, 0, USER)
            file.chmod(source.get("defaultMode", 0o644))
        return folder

    def _inspect(self, form: str) -> str:
        return self._podman("inspect", "--format", form, self.container, check=False).strip()

    def _podman(self, *arguments: str, check: bool = True) -> str:
        engine = self._cluster.engine
        done = subprocess.run(
            engine.podman_command(*arguments), capture_output=True, text=True, check=False,
            env=engine.environment,
        )  # fmt: skip
        if check and done.returncode:
            raise VigilError(f"podman {' '.join(arguments[:2])} {self.name}: {done.stderr.strip()}")
        return done.stdout
