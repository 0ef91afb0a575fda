"""The diagnostics bundle: what a person needs to help from afar, as JSON, without any secret."""

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from domain.times import utc_ms
from edge_bridge.config import EdgeConfig
from edge_bridge.link.redact import known_secrets, redact
from edge_bridge.logs import RECENT

MAX_BYTES = 512 << 10
_PACKAGES = ("vigil", "av", "aiohttp", "onnxruntime", "opencv-python-headless", "cryptography")
_STATUS = ("VmRSS", "VmHWM", "VmSwap", "Threads")


def make_bundle(config: EdgeConfig, report: Callable[[], dict[str, Any]]) -> bytes:
    """Return the bundle. Blocking. `report`: the device's health."""
    bundle = {
        "made_ms": utc_ms(),
        "health": report(),
        "config": _config_of(config),
        "software": {name: _version(name) for name in _PACKAGES},
        "system": _system(),
        "process": _process(),
        "disk": _disk(config.spool.dir),
        "log": list(RECENT.lines),
    }
    bundle = redact(bundle, known_secrets(config))
    while True:
        data = json.dumps(bundle, indent=1, default=str).encode()
        if len(data) <= MAX_BYTES or not bundle["log"]:
            return data[:MAX_BYTES]
        # The newest lines matter most.
        bundle["log"] = bundle["log"][len(bundle["log"]) // 2 + 1 :]


def _config_of(config: EdgeConfig) -> dict[str, Any]:
    """Return the configuration; of cameras' addresses the host only, and no user."""
    fields: dict[str, Any] = config.model_dump(mode="json")
    for camera in fields["cameras"]:
        camera.pop("username", None)
        for name in ("url", "sub_url"):
            if camera.get(name):
                parts = urlsplit(camera[name])
                camera[name] = f"{parts.scheme}://{parts.hostname or ''}:{parts.port or ''}"
    return fields


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _system() -> dict[str, Any]:
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": sys.version.split()[0],
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "uptime_s": _first_number(Path("/proc/uptime")),
        "memory": _fields(Path("/proc/meminfo"), ("MemTotal", "MemAvailable", "SwapFree")),
    }


def _process() -> dict[str, Any]:
    times = os.times()
    return {
        "pid": os.getpid(),
        "cpu_s": round(times.user + times.system, 1),
        "monotonic_s": round(time.monotonic(), 1),
        **_fields(Path("/proc/self/status"), _STATUS),
    }


def _disk(folder: Path) -> dict[str, Any]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return {"error": error.strerror}
    return {"total": usage.total, "used": usage.used, "free": usage.free}


def _fields(file: Path, names: tuple[str, ...]) -> dict[str, str]:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name: value.strip() for name, _, value in pairs if name in names}


def _first_number(file: Path) -> float | None:
    try:
        return float(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
