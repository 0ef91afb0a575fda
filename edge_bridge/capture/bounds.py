"""A bound to what FFmpeg allocates in one piece, for this whole process.

FFmpeg believes what a camera announces: an answer with `Content-Length: 2000000000` is read into
memory as long as bytes come. PyAV offers no option for it; FFmpeg's own does, `av_max_alloc`.
"""

import ctypes
from functools import lru_cache
from pathlib import Path

import av  # noqa: F401 - its libraries must be loaded

MOST_BYTES = 64 << 20
"""More than a packet of any camera or a decoded picture of 8K."""


@lru_cache
def bound_allocations() -> bool:
    """Bound them, once; False where FFmpeg's library cannot be found among what is loaded."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return False
    paths = {line.split(maxsplit=5)[-1] for line in lines if "/libavutil" in line}
    for path in paths:
        bound = ctypes.CDLL(path).av_max_alloc
        bound.argtypes, bound.restype = [ctypes.c_size_t], None
        bound(MOST_BYTES)
    return bool(paths)
