"""Memory limits of this process: what FFmpeg allocates at once, and what glibc keeps.

FFmpeg trusts what a camera announces: a response with `Content-Length: 2000000000` is read into
memory as long as bytes come. PyAV has no option against it. FFmpeg has one, `av_max_alloc`.

glibc gives up to eight heaps (arenas) per processor core to a process of many threads. Each keeps
the most that its threads ever needed. All cameras need the same amount, at other times: two heaps
serve them.
"""

import ctypes
from functools import lru_cache
from pathlib import Path

import av  # noqa: F401 - its libraries must be loaded

MAX_ALLOCATION_BYTES = 64 << 20
"""More than a packet of any camera or a decoded 8K frame."""
_ARENAS = 2
_MMAP_THRESHOLD_BYTES = 256 << 10
"""A block of this size, as a growing fragment, has its own mapping and is returned when freed."""
_TRIM_THRESHOLD_BYTES = 4 << 20
"""Freed memory that a heap keeps. With little, pages are returned and faulted in all the time."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc


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


@lru_cache
def limit_heap() -> bool:
    """Limit what glibc keeps, once, before threads start; return False with another libc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        mallopt(option, value)
        for option, value in (
            (_M_ARENA_MAX, _ARENAS),
            (_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES),
            (_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES),
        )
    )
