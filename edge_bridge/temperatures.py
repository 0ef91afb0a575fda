"""How warm the device is, as Linux tells it."""

from pathlib import Path

from domain.events.edge import Temperature

_SYS = Path("/sys/class")
_MOST = 32


def temperatures(sys: Path = _SYS) -> list[Temperature]:
    """Return what sensors can be read: thermal zones and hardware monitors."""
    found: dict[str, int] = {}
    for zone in sorted(sys.glob("thermal/thermal_zone*")):
        _read(found, zone / "temp", _text(zone / "type") or zone.name)
    for sensor in sorted(sys.glob("hwmon/hwmon*/temp*_input")):
        chip = _text(sensor.parent / "name") or sensor.parent.name
        label = _text(sensor.with_name(sensor.name.replace("_input", "_label")))
        _read(found, sensor, f"{chip} {label or sensor.name.removesuffix('_input')}")
    return [Temperature(name=name, celsius=degrees) for name, degrees in found.items()][:_MOST]


def _read(found: dict[str, int], path: Path, name: str) -> None:
    text = _text(path)
    try:
        degrees = round(int(text) / 1_000)
    except ValueError:
        return
    if -100 <= degrees <= 250:
        found.setdefault(name[:100], degrees)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
