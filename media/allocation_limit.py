"""The limit of what FFmpeg allocates at once.

FFmpeg trusts what its input announces: a picture of 16,000 x 16,000 pixels in a small fragment, or
a response of 2 GB. PyAV has no option against it. FFmpeg has one, `av_max_alloc`.
"""

import ctypes
from functools import lru_cache
from pathlib import Path

import av  # noqa: F401 - its libraries must be loaded

MAX_ALLOCATION_BYTES = 64 << 20
"""More than a packet of any camera or a decoded 8K frame."""


@lru_cache
def limit_allocations() -> bool:
    """Limit FFmpeg's allocations, once; return False if its library is not found in memory."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return False
    paths = {line.split(maxsplit=5)[-1] for line in lines if "/libavutil" in line}
    for path in paths:
        set_limit = ctypes.CDLL(path).av_max_alloc
        set_limit.argtypes = [ctypes.c_size_t]
        set_limit.restype = None
        set_limit(MAX_ALLOCATION_BYTES)
    return bool(paths)
