"""Asking the edge that runs here how it is: for a container's health check, and for people."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from domain.errors import ConfigError
from edge_bridge.config import HttpConfig

TIMEOUT_S = 4.0


@dataclass(frozen=True)
class State:
    """`well` as GET /healthz tells it; `lines`: one for each camera, "id: state detail", then one
    for whatever else is not as it should be.
    """

    well: bool
    lines: tuple[str, ...]


def ask(http: HttpConfig | None) -> State:
    """Return the state; raises ConfigError where nothing answers or no port is configured."""
    if http is None or not http.port:
        raise ConfigError("http.port is not set in the configuration: there is nobody to ask.")
    host = "127.0.0.1" if http.host in ("0.0.0.0", "::", "") else http.host  # noqa: S104
    address = f"[{host}]:{http.port}" if ":" in host else f"{host}:{http.port}"
    # The certificate is in the name that people use, which need not be this address.
    tls = ssl._create_unverified_context() if http.certificate_file else None  # noqa: S323
    url = f"{'https' if tls else 'http'}://{address}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=tls) as got:  # noqa: S310
            return _state(True, got.read())
    except urllib.error.HTTPError as refusal:
        return _state(False, refusal.read())
    except OSError as error:
        why = getattr(error, "reason", None) or error
        raise ConfigError(
            f"The edge does not answer at {address} ({getattr(why, 'strerror', None) or why}): "
            "does it run?"
        ) from error


def _state(well: bool, body: bytes) -> State:
    try:
        said = json.loads(body)
        lines = [
            f"{each['camera']}: {each['state']} {each['detail']}".rstrip()
            for each in said["cameras"]
        ]
        lines += _troubles(said)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError("What answers at http.port is no edge: choose another port.") from None
    return State(well, tuple(lines))


def _troubles(said: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the device itself; none of it stops recording by itself."""
    for name, link in said.get("links", {}).items():
        if link["down_since_s"] is not None:
            yield f"{name}: out of reach: {link['detail']}"
    disk = said.get("disk", {"state": "good"})
    if disk["state"] != "good":
        yield f"disk: {disk['state']} {disk['detail']}".rstrip()
    if said.get("inference") in ("waiting", "stopped"):
        yield f"inference: {said['inference']} {said['inference_detail']}".rstrip()
    config = said.get("config", {"state": "current"})
    if config["state"] != "current":
        yield f"configuration: {config['state']} {config['detail']}".rstrip()
    if said.get("clock", "right") != "right":
        yield "clock: not set: footage is held back until it is"
    elif said.get("clock_sync", {}).get("state") == "unsynchronised":
        yield "clock: not synchronised: nobody keeps it; let NTP reach this device"
