"""Drafts edge.yaml from the devices that were found; it never contains a password."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from domain.identity import SLUG
from domain.printable import printable
from edge_bridge.discovery.onvif import DeviceDescription, Profile

_MAX_CAMERAS = 256
_MAX_ID = 40
_MIN_SUB_WIDTH = 320
"""Least width of a sub stream; a smaller one shows too little to a model."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where the edge reads the cameras' password."""

    username: str | None = None
    password_env: str | None = None
    password_file: str | None = None


@dataclass(frozen=True, slots=True)
class DraftCamera:
    """One video source of a device: its best profile is recorded."""

    id: str
    device: DeviceDescription
    main: Profile
    others: tuple[Profile, ...]


def cameras_of(devices: Sequence[DeviceDescription]) -> list[DraftCamera]:
    """Return the cameras of all devices, each with a unique id; no stream occurs twice."""
    out: list[DraftCamera] = []
    ids: set[str] = set()
    urls: set[str] = set()
    for device in devices:
        usable = [one for one in device.profiles if one.url]
        usable.sort(key=lambda one: (one.source, -one.width * one.height))
        sources = [list(group) for _, group in groupby(usable, key=lambda one: one.source)]
        for place, profiles in enumerate(sources):
            main, *others = profiles
            if main.url in urls or len(out) >= _MAX_CAMERAS:
                continue
            urls.add(main.url)
            wanted = _slug(device.name) or f"camera-{_slug(device.host)}"
            if len(sources) > 1:
                wanted = f"{wanted}-{place + 1}"
            one = _unused_id(wanted, device.host, ids)
            ids.add(one)
            out.append(DraftCamera(one, device, main, tuple(others)))
    return out


def render(found: Sequence[DraftCamera], site: str, edge: str, secrets: Secrets) -> str:
    """Return edge.yaml; it can be loaded once `cloud` names the site's bucket and queue."""
    lines = [
        "# Drafted by `vigil edge discover`. Correct the lines marked `edit`. Give the cameras ids",
        "# that people know. Then check it: vigil edge check --config THIS FILE",
        "",
        f"{f'site: {_yaml(site)}':<28} # tenant/site: edit",
        f"{f'edge: {_yaml(edge)}':<28} # this device's name: edit",
        "",
        "cloud:                       # edit; see edge.example.yaml",
        "  bucket: acme-vigil",
        "  queue_url: https://sqs.eu-central-1.amazonaws.com/123456789012/vigil-events",
        "  region: eu-central-1",
        "",
        "spool:",
        "  dir: spool                 # on a disk that keeps its data over a reboot",
        "",
        "http:                        # health and metrics, on this device only",
        "  port: 9500",
        "  # password_file: page.password   # with it: the device's own page",
        "",
        "cameras:",
    ]
    taken = {camera.main.url for camera in found}
    for camera in found:
        sub = _sub_stream(camera, taken)
        if sub is not None:
            taken.add(sub.url)
        lines += _entry(camera, sub, secrets)
    return "\n".join(lines) + "\n"


def profile_label(profile: Profile) -> str:
    """Return codec and size of a profile as text."""
    size = f"{profile.width}x{profile.height}" if profile.width and profile.height else "size?"
    return f"{profile.codec or 'codec?'} {size}"


def _entry(camera: DraftCamera, sub: Profile | None, secrets: Secrets) -> list[str]:
    about = ", ".join(part for part in (camera.device.model, profile_label(camera.main)) if part)
    lines = [
        f"  - id: {_yaml(camera.id)}  # {printable(about)}",
        f"    url: {_yaml(camera.main.url)}",
    ]
    if secrets.username:
        lines.append(f"    username: {_yaml(secrets.username)}")
        if secrets.password_env:
            lines.append(f"    password_env: {_yaml(secrets.password_env)}")
        elif secrets.password_file:
            lines.append(f"    password_file: {_yaml(secrets.password_file)}")
    if sub is not None:
        about = printable(profile_label(sub))
        lines.insert(2, f"    sub_url: {_yaml(sub.url)}  # {about}: for inference")
    for other in camera.others:
        if other is sub:
            continue
        lines.append(f"    # also: {printable(other.url)}  {printable(profile_label(other))}")
    return lines


def _sub_stream(camera: DraftCamera, taken: set[str]) -> Profile | None:
    """Return the smallest other profile that inference can use, at an unused address."""
    area = camera.main.width * camera.main.height
    usable = [
        one
        for one in camera.others
        if 0 < one.width * one.height < area
        and one.width >= _MIN_SUB_WIDTH
        and one.codec.upper().replace(".", "") in ("H264", "H265", "HEVC")
        and one.url not in taken
    ]
    return min(usable, key=lambda one: one.width * one.height, default=None)


def _yaml(value: str) -> str:
    """Return a value as YAML, quoted where it needs it; a JSON string is valid YAML."""
    bare = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", value)
    reserved = value.lower() in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    return value if bare and not reserved else json.dumps(value)


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())[:_MAX_ID].strip("-")
    return slug if re.fullmatch(SLUG, slug) else ""


def _unused_id(wanted: str, host: str, taken: set[str]) -> str:
    if wanted not in taken:
        return wanted
    with_host = f"{wanted}-{_slug(host)}"[:60].strip("-")
    at, number = with_host, 2
    while at in taken:
        at, number = f"{with_host[:56]}-{number}", number + 1
    return at
