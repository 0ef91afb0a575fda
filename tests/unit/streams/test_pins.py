"""Other versions of what the private parts belong to are refused."""

import subprocess
import sys

import pytest

from domain.errors import ConfigError
from streams.delivery import pins


def test_the_installed_versions_are_the_pinned_ones() -> None:
    pins.check()


@pytest.mark.parametrize("pin", [{"aiokafka": "0.99"}, {"no-such-package": "1"}])
def test_another_version_is_refused_with_the_remedy(pin: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"is needed, .* is installed.*requirements/cloud.txt"):
        pins.check(pin)


def test_it_is_checked_before_anything_is_patched() -> None:
    code = (
        "import importlib.metadata as m; m.version = lambda name: '0';"
        "from domain.errors import ConfigError\n"
        "try: import streams.delivery.app\n"
        "except ConfigError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused"
