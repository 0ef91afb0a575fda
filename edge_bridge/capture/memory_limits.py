"""Bounds to memory, for this whole process: FFmpeg's pieces, and what glibc keeps for later.

FFmpeg believes what a camera announces: an answer with `Content-Length: 2000000000` is read into
memory as long as bytes come. PyAV offers no option for it; FFmpeg's own does, `av_max_alloc`.

glibc gives up to eight heaps for each processor core to a process of many threads, and each keeps
what its threads needed at most. Cameras all need the same, at other times: a few heaps serve them.
"""

import ctypes
from functools import lru_cache
from pathlib import Path

import av  # noqa: F401 - its libraries must be loaded

MOST_BYTES = 64 << 20
"""More than a packet of any camera or a decoded picture of 8K."""
_ARENAS = 2
_OWN_MAPPING_BYTES = 256 << 10
"""A piece this large, as a fragment that grows, is mapped by itself and given back when freed."""
_KEPT_BYTES = 4 << 20
"""What a heap keeps of what was freed; with little, pages are given back and faulted in all day."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc


@lru_cache
def limit_allocations() -> bool:
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


@lru_cache
def limit_heap() -> bool:
    """Bound what glibc keeps, once, before there are threads; False with another libc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        mallopt(what, value)
        for what, value in (
            (_M_ARENA_MAX, _ARENAS),
            (_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES),
            (_M_TRIM_THRESHOLD, _KEPT_BYTES),
        )
    )
