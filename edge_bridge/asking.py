"""Asking the edge that runs here how it is: for a container's health check, and for people."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

from domain.errors import ConfigError
from edge_bridge.config import HttpConfig

TIMEOUT_S = 4.0


@dataclass(frozen=True)
class State:
    """`well` as GET /healthz tells it; `cameras`: a line for each, "id: state detail"."""

    well: bool
    cameras: tuple[str, ...]


def ask(http: HttpConfig | None) -> State:
    """Return the state; raises ConfigError where nothing answers or no port is configured."""
    if http is None or not http.port:
        raise ConfigError("http.port is not set in the configuration: there is nobody to ask.")
    host = "127.0.0.1" if http.host in ("0.0.0.0", "::", "") else http.host  # noqa: S104
    try:
        with urllib.request.urlopen(f"http://{host}:{http.port}/healthz", timeout=TIMEOUT_S) as got:
            return _state(True, got.read())
    except urllib.error.HTTPError as refusal:
        return _state(False, refusal.read())
    except OSError as error:
        raise ConfigError(
            f"The edge does not answer at {host}:{http.port} ({error}): does it run?"
        ) from error


def _state(well: bool, body: bytes) -> State:
    try:
        cameras = json.loads(body)["cameras"]
        lines = tuple(
            f"{each['camera']}: {each['state']} {each['detail']}".rstrip() for each in cameras
        )
    except (ValueError, KeyError, TypeError):
        raise ConfigError("What answers at http.port is no edge: choose another port.") from None
    return State(well, lines)
