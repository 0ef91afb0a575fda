"""Renews the digests of the base images in the Dockerfiles: `make bases`."""

import json
import re
import subprocess
from pathlib import Path

from local.images.image_list import DOCKERFILES

_PIN = re.compile(r"^ARG (PYTHON|RUST)=(\S+)@(sha256:[0-9a-f]{64})$", re.MULTILINE)


def pins(dockerfile: Path) -> dict[str, tuple[str, str]]:
    """Return name and digest of the bases of a Dockerfile, by argument."""
    return {pin[1]: (pin[2], pin[3]) for pin in _PIN.finditer(dockerfile.read_text())}


def renew() -> None:
    """Write today's digests of all bases into the Dockerfiles. Needs skopeo and the registry."""
    known: dict[str, str] = {}
    for dockerfile in DOCKERFILES:
        for base, _ in pins(dockerfile).values():
            if base not in known:
                known[base] = _digest(base)

        def renewed(pin: re.Match[str]) -> str:
            return f"ARG {pin[1]}={pin[2]}@{known[pin[2]]}"

        dockerfile.write_text(_PIN.sub(renewed, dockerfile.read_text()))
    for base, digest in known.items():
        print(f"{base}@{digest}")


def _digest(base: str) -> str:
    done = subprocess.run(
        ["skopeo", "inspect", "--no-tags", f"docker://{base}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"bases: the registry does not say what {base} is: {done.stderr.strip()}")
    return str(json.loads(done.stdout)["Digest"])
