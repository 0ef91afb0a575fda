"""The exact versions this package needs: faust_private.py uses private parts of all three."""

from importlib.metadata import PackageNotFoundError, version

from domain.errors import ConfigError

PINS = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}


def check(pins: dict[str, str] = PINS) -> None:
    """Raise ConfigError unless exactly these versions are installed.

    To move to newer ones: change PINS and pyproject.toml, then let tests/unit/streams and
    tests/integration/test_delivery.py decide.
    """
    for name, wanted in pins.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "none"
        if found != wanted:
            raise ConfigError(
                f"{name} {wanted} is needed, {found} is installed: events could be lost. "
                "Install requirements/cloud.txt."
            )
