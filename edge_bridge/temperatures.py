"""The device's temperatures, as Linux reports them."""

from pathlib import Path

from domain.events.edge import Temperature

_SYS = Path("/sys/class")
_MAX_SENSORS = 32


def temperatures(sys: Path = _SYS) -> list[Temperature]:
    """Return the readable sensors: thermal zones and hardware monitors."""
    found: dict[str, int] = {}
    for zone in sorted(sys.glob("thermal/thermal_zone*")):
        _add(found, zone / "temp", _read(zone / "type") or zone.name)
    for sensor in sorted(sys.glob("hwmon/hwmon*/temp*_input")):
        chip = _read(sensor.parent / "name") or sensor.parent.name
        label = _read(sensor.with_name(sensor.name.replace("_input", "_label")))
        _add(found, sensor, f"{chip} {label or sensor.name.removesuffix('_input')}")
    readings = [Temperature(name=name, celsius=degrees) for name, degrees in found.items()]
    return readings[:_MAX_SENSORS]


def _add(found: dict[str, int], path: Path, name: str) -> None:
    """Add a sensor's temperature, °C; nothing if it is not plausible."""
    text = _read(path)
    try:
        degrees = round(int(text) / 1_000)
    except ValueError:
        return
    if -100 <= degrees <= 250:
        found.setdefault(name[:100], degrees)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
