"""Runs the programs that delivery needs: cosign, skopeo, helm, kubectl, aws."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vigil/tools"
_LAST_LINES = 8


class DeliveryError(Exception):
    """What was asked for is not done. The text says why, and what to do."""


class ProgramError(DeliveryError):
    """A program failed; the text has its last lines."""


def program(name: str) -> str:
    """Return the path of a program. Raises DeliveryError where it is missing."""
    found = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}{_TOOLS}")
    if found is None:
        raise DeliveryError(f"{name} is not on this machine: local/setup/release.sh installs it.")
    return found


def run(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a program; return its standard output. Raises ProgramError where it fails."""
    done = subprocess.run(
        [program(name), *arguments],
        env=os.environ | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ProgramError(f"{name} {arguments[0]} failed: {_end(done.stderr or done.stdout)}")
    return done.stdout


def _end(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-_LAST_LINES:])


def required(values: Mapping[str, str | None]) -> None:
    """Raise DeliveryError that names what is empty."""
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise DeliveryError(f"Set {' and '.join(missing)}: see docs/how-to/release.md.")


def report(title: str, lines: Sequence[str]) -> None:
    """Print what was done."""
    print(title)
    for line in lines:
        print(f"  {line}")
