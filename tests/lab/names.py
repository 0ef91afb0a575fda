"""A resolver of a laboratory: it answers each name of its domains, and notes what it was asked."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.infra.edge_site import Namespace

_PROGRAM = Path(__file__).parents[1] / "infra/packets/resolve.py"


@dataclass(frozen=True)
class Resolver:
    """A resolver that runs."""

    log: Path

    def asked(self) -> set[str]:
        """Return the names that it was asked for."""
        return set(self.log.read_text().split()) - {"ready"}


@contextmanager
def resolver(
    space: Namespace, address: str, domain: str, answer: str, log: Path, *, ttl_s: int = 5
) -> Iterator[Resolver]:
    """Answer each name below `domain` ("": any name) by one address."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["ip", "netns", "exec", space.name, sys.executable, _PROGRAM, address, domain,
             answer, str(ttl_s)],
            stdout=out, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while "ready" not in log.read_text():
            assert process.poll() is None, "the resolver ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield Resolver(log)
    finally:
        process.kill()
        process.wait()
