"""Asks the running edge for its health: for a container's health probe, and for people."""

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
class HealthSummary:
    """The health of an edge.

    `healthy`: as GET /healthz reports it. `lines`: one per camera, "id: state detail". Then one
    per problem of the device.
    """

    healthy: bool
    lines: tuple[str, ...]


def fetch_health(http: HttpConfig | None) -> HealthSummary:
    """Return the health; raises ConfigError if no port is configured or nothing answers."""
    if http is None or not http.port:
        raise ConfigError("http.port is not set in the configuration: set it to use this command.")
    host = "127.0.0.1" if http.host in ("0.0.0.0", "::", "") else http.host  # noqa: S104
    address = f"[{host}]:{http.port}" if ":" in host else f"{host}:{http.port}"
    # The certificate is for the name that people use. This address may be another one.
    tls = ssl._create_unverified_context() if http.certificate_file else None  # noqa: S323
    url = f"{'https' if tls else 'http'}://{address}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=tls) as response:  # noqa: S310
            return parse_report(True, response.read())
    except urllib.error.HTTPError as response:
        return parse_report(False, response.read())
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise ConfigError(
            f"The edge does not answer at {address} "
            f"({getattr(reason, 'strerror', None) or reason}): check that it runs."
        ) from error


def parse_report(healthy: bool, body: bytes) -> HealthSummary:
    """Return the summary of a body of GET /healthz."""
    try:
        report = json.loads(body)
        lines = [
            f"{camera['camera']}: {camera['state']} {camera['detail']}".rstrip()
            for camera in report["cameras"]
        ]
        lines += _device_problems(report)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            "The program that answers at http.port is not an edge: choose another port."
        ) from None
    return HealthSummary(healthy, tuple(lines))


def _device_problems(report: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the device. None of it alone stops recording."""
    for name, link in report.get("links", {}).items():
        if link["down_since_s"] is not None:
            yield f"{name}: not reachable: {link['detail']}"
    identity = report.get("identity", {"state": "enrolled", "detail": ""})
    if identity["state"] != "enrolled" or identity["detail"]:
        yield f"identity: {identity['state']} {identity['detail']}".rstrip()
    disk = report.get("disk", {"state": "good"})
    if disk["state"] != "good":
        yield f"disk: {disk['state']} {disk['detail']}".rstrip()
    if report.get("inference") in ("waiting", "stopped"):
        yield f"inference: {report['inference']} {report['inference_detail']}".rstrip()
    config = report.get("config", {"state": "current"})
    if config["state"] != "current":
        yield f"configuration: {config['state']} {config['detail']}".rstrip()
    if report.get("clock", "right") != "right":
        yield "clock: not set. Footage is not uploaded until it is set. Allow NTP (UDP 123)."
    elif report.get("clock_sync", {}).get("state") == "unsynchronised":
        yield "clock: not synchronised. Allow NTP (UDP 123)."
