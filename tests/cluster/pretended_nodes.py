"""Nodes that only pretend: what a kubelet, a disk driver and a load balancer would report.

Nothing runs. A pod becomes ready if its image exists. A job succeeds, a deleted pod is gone, and a
claim gets a disk. kwok does the same. It takes three minutes to build, and this needs nothing.
"""

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

Manifest = dict[str, Any]
STORAGE_CLASS = "pretended"
_PERIOD_S = 0.5
_HEARTBEAT_S = 8.0
_MERGE = "application/merge-patch+json"


class PretendedNodes(threading.Thread):
    """Asks the API server again and again, and reports what should have happened."""

    def __init__(self, address: str, token: str, trust: ssl.SSLContext, broken: set[str]) -> None:
        """`broken`: images whose pods never become ready; the caller may change it."""
        super().__init__(name="pretended-nodes", daemon=True)
        self._address = address
        self._token = token
        self._trust = trust
        self._broken = broken
        self._over = threading.Event()
        self._heartbeat_s = 0.0
        self._addresses = 0

    def run(self) -> None:
        """Report until `stop`."""
        while not self._over.wait(_PERIOD_S):
            for report in (self._nodes, self._pods, self._claims, self._services):
                try:
                    report()
                except (OSError, urllib.error.HTTPError):
                    continue  # it was changed or deleted in between: the next round sees it

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self.join()

    def _nodes(self) -> None:
        now_s = time.monotonic()
        for node in self._list("nodes"):
            ready = [c for c in node["status"].get("conditions", []) if c["type"] == "Ready"]
            if ready and ready[0]["status"] == "True" and now_s - self._heartbeat_s < _HEARTBEAT_S:
                continue
            condition = {"type": "Ready", "status": "True", "reason": "Pretended", **_times()}
            self._report(f"/api/v1/nodes/{node['metadata']['name']}", {"conditions": [condition]})
        if now_s - self._heartbeat_s >= _HEARTBEAT_S:
            self._heartbeat_s = now_s

    def _pods(self) -> None:
        for pod in self._list("pods"):
            if not pod["spec"].get("nodeName"):
                continue
            meta, path = pod["metadata"], _path("pods", pod)
            phase = pod["status"].get("phase")
            if "deletionTimestamp" in meta:
                self._ask("DELETE", f"{path}?gracePeriodSeconds=0")
            elif pod["spec"]["containers"][0]["image"] in self._broken:
                if not pod["status"].get("containerStatuses"):
                    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
                    self._report(path, _status(pod, "Pending", waiting, ready=False))
            elif phase == "Pending":
                self._addresses += 1
                address = f"10.1.{self._addresses // 250}.{self._addresses % 250 + 1}"
                running = {"running": {"startedAt": _now()}}
                status = _status(pod, "Running", running, ready=True)
                self._report(path, {**status, "podIP": address, "podIPs": [{"ip": address}]})
            elif phase == "Running" and _is_job(pod):
                ended = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": _now()}}
                self._report(path, _status(pod, "Succeeded", ended, ready=False))

    def _claims(self) -> None:
        volumes = {each["metadata"]["name"] for each in self._list("persistentvolumes")}
        for claim in self._list("persistentvolumeclaims"):
            name = f"pretended-{claim['metadata']['uid']}"
            if claim["spec"].get("volumeName") or name in volumes:
                continue
            keys = ("name", "namespace", "uid")
            volume = {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name},
                "spec": {
                    "accessModes": claim["spec"]["accessModes"],
                    "capacity": claim["spec"]["resources"]["requests"],
                    "storageClassName": claim["spec"]["storageClassName"],
                    "hostPath": {"path": f"/pretended/{name}"},
                    "claimRef": {
                        "apiVersion": "v1",
                        "kind": "PersistentVolumeClaim",
                        **{key: claim["metadata"][key] for key in keys},
                    },
                },
            }
            self._ask("POST", "/api/v1/persistentvolumes", volume, "application/json")

    def _services(self) -> None:
        for service in self._list("services"):
            wanted = service["spec"]["type"] == "LoadBalancer"
            if wanted and not service["status"]["loadBalancer"].get("ingress"):
                ingress = [{"hostname": "balancer.example.com"}]
                self._report(_path("services", service), {"loadBalancer": {"ingress": ingress}})

    def _list(self, kind: str) -> list[Manifest]:
        found: list[Manifest] = self._ask("GET", f"/api/v1/{kind}")["items"]
        return found

    def _report(self, path: str, status: Manifest) -> None:
        self._ask("PATCH", f"{path}/status", {"status": status}, _MERGE)

    def _ask(self, method: str, path: str, body: Manifest | None = None, kind: str = _MERGE) -> Any:
        request = urllib.request.Request(
            self._address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": kind},
        )
        with urllib.request.urlopen(request, context=self._trust, timeout=30) as answer:
            return json.load(answer)


def _path(kind: str, each: Manifest) -> str:
    return f"/api/v1/namespaces/{each['metadata']['namespace']}/{kind}/{each['metadata']['name']}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _times() -> dict[str, str]:
    return {"lastHeartbeatTime": _now(), "lastTransitionTime": _now()}


def _is_job(pod: Manifest) -> bool:
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))


def _status(pod: Manifest, phase: str, state: Manifest, *, ready: bool) -> Manifest:
    kinds = ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": phase,
        "startTime": _now(),
        "conditions": [
            {
                "type": kind,
                "status": "True" if ready or kind == "PodScheduled" else "False",
                "lastTransitionTime": _now(),
            }
            for kind in kinds
        ],
        "containerStatuses": [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": each["image"],
                "ready": ready,
                "restartCount": 0,
                "state": state,
            }
            for each in pod["spec"]["containers"]
        ],
    }
