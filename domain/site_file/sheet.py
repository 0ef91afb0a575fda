"""The sheet of one page that a technician takes to a site: its own values, as HTML to print."""

from html import escape

from domain.errors import ConfigError
from domain.site_file.model import SiteDevice, SiteFile

_BLANK = "_" * 20
_CAMERAS_A_LINE = ((1, 8), (2, 20), (3, 36), (4, 64))
"""Columns of the table of cameras, for so many of them."""
_STYLE = """
@page { size: A4; margin: 12mm }
body { font: 10.5pt/1.35 sans-serif; color: #000; max-width: 182mm; margin: 0 auto }
h1 { font-size: 15pt; margin: 0 0 1mm } h2 { font-size: 11pt; margin: 3.5mm 0 1mm }
p { margin: 0 0 1mm } table { border-collapse: collapse; width: 100% }
td, th { border: 0.3mm solid #888; padding: 0.7mm 1.5mm; text-align: left; vertical-align: top }
ul { margin: 0; padding-left: 6mm } ol { margin: 0; padding-left: 6mm } li { margin-bottom: 1mm }
code { font: 9.5pt monospace; overflow-wrap: anywhere }
"""


def device_of(site: SiteFile, name: str | None) -> SiteDevice:
    """Return a device of the site by its name; None: the only one. Raises ConfigError."""
    names = [device.name for device in site.devices]
    if name is None and len(names) == 1:
        return site.devices[0]
    for device in site.devices:
        if device.name == name:
            return device
    known = " and ".join(names)
    if name is None:
        raise ConfigError(f"{site.id} has the devices {known}: choose one with --device.")
    raise ConfigError(f"{site.id} has no device {name}: it has {known}.")


def sheet(
    site: SiteFile, device: SiteDevice, *, url: str = "", code: str = "", call: str = ""
) -> str:
    """Return the sheet of a device as an HTML page.

    url: the devices' address; code: of the enrolment; call: a number to call. What is empty is a
    line to write on.
    """
    management, cameras = site.management, site.cameras
    rows: list[tuple[str, ...]] = [
        ("Management", device.interfaces.management, _vlan(management.vlan),
         f"{device.address}/{management.network.prefixlen}", str(management.gateway)),
        ("Cameras", device.interfaces.cameras, _vlan(cameras.vlan),
         f"{device.camera_address}/{cameras.network.prefixlen}", "none"),
    ]  # fmt: skip
    config = "--config /etc/vigil/edge.yaml"
    enrol = f"vigil edge enrol {config} --url {url or _BLANK} --code {code or _BLANK}"
    steps = [
        f"Connect {_code(device.interfaces.management)} to the management network and "
        f"{_code(device.interfaces.cameras)} to the cameras' network. {_ports(site, device)}",
        f"Switch the device on. Wait until it answers: {_code(f'ping {device.address}')}",
        "Connect each camera, and write it into the table.",
        f"On the device, type: {_code(enrol)}",
        f"Open {_code(f'https://{device.address}:9500')}. The password is on the device: "
        f"{_code('sudo cat /etc/vigil/page-password')}. Each camera says "
        "&ldquo;recording&rdquo; and shows a picture.",
        f"Type {_code(f'vigil edge check {config}')}. No line says &ldquo;bad&rdquo;. Below each "
        "bad line it says what to do.",
        f"Call {escape(call) or _BLANK}: does the dashboard show the site?",
    ]
    title = f"{site.name or site.site} · {device.name}"
    return "\n".join(
        (
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f"<p>{site.id}, {escape(site.site)}. Time zone {escape(site.time_zone)}. Installed on "
            f"{_BLANK} by {_BLANK}</p>",
            "<h2>Networks</h2>",
            _table(("network", "port of the device", "VLAN", "address", "gateway"), rows),
            f"<p>Disk of the footage: {_code(device.footage_disk)}</p>",
            "<h2>The switch</h2>",
            "<ul><li>The cameras' VLAN goes to the cameras and to the device, and nowhere else. "
            "The switch has no address in it.</li><li>Ports of cameras are isolated from each "
            "other. Ports without a camera are off.</li></ul>",
            "<h2>The router lets out, from the device only</h2>",
            "<p>UDP 500 and 4500 (VPN), UDP 123 (time), UDP and TCP 53 (names). No login page, no "
            "proxy. Nothing comes in.</p>",
            "<h2>Cameras</h2>",
            f"<p>Fixed addresses in {cameras.network}, no gateway, no name server, time server "
            f"{device.camera_address}.</p>",
            _cameras(site),
            "<h2>Steps</h2>",
            "<ol>" + "".join(f"<li>{step}</li>" for step in steps) + "</ol>",
            "</body></html>",
        )
    )


def _ports(site: SiteFile, device: SiteDevice) -> str:
    if device.interfaces.management == device.interfaces.cameras:
        return "It is one cable: the port of the switch has both VLANs tagged."
    tagged = [each for each in (site.management.vlan, site.cameras.vlan) if each is not None]
    return f"VLANs {' and '.join(map(str, tagged))} are tagged." if tagged else "Both are untagged."


def _cameras(site: SiteFile) -> str:
    """Return the table to fill in: some cameras in each line, so that 64 fit on the page."""
    count = site.cameras.count
    columns = next(each for each, most in _CAMERAS_A_LINE if count <= most)
    lines = -(-count // columns)
    numbers = [
        [str(at + column * lines + 1) if at + column * lines < count else "" for column in
         range(columns)]
        for at in range(lines)
    ]  # fmt: skip
    heads = ("camera", "address", "switch port") * columns
    return _table(
        heads, [tuple(cell for each in row for cell in (each, "", "")) for row in numbers]
    )


def _vlan(vlan: int | None) -> str:
    return "untagged" if vlan is None else f"{vlan}, tagged"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(e)}</td>" for e in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
