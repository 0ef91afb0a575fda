"""How much memory this process has."""

import os
from pathlib import Path


def resident_mib() -> int:
    """Return this process's resident memory, MiB. Linux only."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
