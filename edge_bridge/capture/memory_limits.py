"""How much glibc keeps of the memory of this process.

glibc gives up to eight heaps (arenas) per processor core to a process of many threads. Each keeps
the most that its threads ever needed. All cameras need the same amount, at other times: two heaps
serve them. What FFmpeg allocates is limited in media/allocation_limit.py.
"""

import ctypes
from functools import lru_cache

_ARENAS = 2
_MMAP_THRESHOLD_BYTES = 256 << 10
"""A block of this size, as a growing fragment, has its own mapping and is returned when freed."""
_TRIM_THRESHOLD_BYTES = 4 << 20
"""Freed memory that a heap keeps. With little, pages are returned and faulted in all the time."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc


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
