"""What a site's configuration from the catalog must not do to the device that follows it.

Its writer may choose cameras. But the device's passwords, files and other services stay its own.
Models and engines come from one folder only, because engines are code.
"""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from domain.errors import ConfigError
from edge_bridge.config import EdgeConfig
from edge_bridge.config.camera import CameraConfig
from edge_bridge.config.inference import HOG
from edge_bridge.config.remote import CentralConfig


def check_confined(
    config: EdgeConfig, central: CentralConfig, document: Mapping[str, Any], source: str
) -> None:
    """Raise ConfigError if a document leads out of what `central` in edge.yaml allows."""
    for camera in config.cameras:
        for url in filter(None, (camera.url, camera.sub_url)):
            if (fault := _address_fault(url, central)) is not None:
                raise ConfigError(f"{source}: camera {camera.id}: {fault}")
        if (fault := _password_fault(camera, central)) is not None:
            raise ConfigError(f"{source}: camera {camera.id}: {fault}")
    inference = document.get("inference")
    if not isinstance(inference, Mapping):
        return
    paths = {}
    if config.inference.model != HOG:
        paths["inference.model"] = Path(config.inference.model)
    gpu = inference.get("gpu")
    if isinstance(gpu, Mapping) and gpu.get("engine_cache") is not None:
        paths["inference.gpu.engine_cache"] = config.inference.gpu.engine_cache or Path()
    root = central.files.resolve()
    for name, path in paths.items():
        # A symbolic link must not lead out either.
        if not path.resolve().is_relative_to(root):
            raise ConfigError(f"{source}: {name} must be inside {central.files}, not {path}.")


def _address_fault(url: str, central: CentralConfig) -> str | None:
    parts = urlsplit(url)
    if parts.scheme == "file":
        if central.allow_clips:
            return None
        return "the catalog must not name a file of the device: use an rtsp address."
    host = (parts.hostname or "").lower()
    if central.hosts is not None:
        if _is_listed(host, central.hosts):
            return None
        return f"{host} is not in central.hosts of the device's own file: add it there."
    try:
        address = ip_address(host)
    except ValueError:
        local = host == "localhost" or host.endswith(".localhost")
    else:
        local = address.is_loopback or address.is_link_local or address.is_unspecified
    if local:
        return f"{host} is the device itself, or link-local: list it in central.hosts to allow it."
    return None


def _password_fault(camera: CameraConfig, central: CentralConfig) -> str | None:
    """Return why a camera may not get the password that the document names for it."""
    file, variable = camera.password_file, camera.password_env
    if file is None and variable is None:
        return None
    if not central.allow_basic and camera.allow_basic:
        return (
            "set allow_basic: false, because central.allow_basic of the device's own file forbids "
            "passwords in clear text."
        )
    if central.password_hosts is None:
        return None
    name = str(variable) if file is None else _below(file, central.files)
    allowed = central.password_hosts.get(name)
    if allowed is None:
        return f"{name} is not in central.password_hosts of the device's own file: add it there."
    for url in filter(None, (camera.url, camera.sub_url)):
        host = (urlsplit(url).hostname or "").lower()
        if not _is_listed(host, allowed):
            return (
                f"{host} may not get the password {name}: add it to central.password_hosts of the "
                "device's own file."
            )
    return None


def _below(file: Path, root: Path) -> str:
    """Return a path as the document names it: relative to the folder, without detours."""
    return file.resolve().relative_to(root.resolve()).as_posix()


def _is_listed(host: str, hosts: tuple[str, ...]) -> bool:
    if host in hosts:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    networks = [ip_network(each) for each in hosts if _is_network(each)]
    return any(address in network for network in networks if network.version == address.version)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
