"""The CPU time of a process and all that it started, also of what has ended since."""

import contextlib

import psutil


def cpu_s(pid: int, *, tree: bool = True) -> float:
    """Return the seconds of CPU that a process used; with `tree`, its descendants too.

    A child that ended and was waited for counts in its parent. Raises psutil.NoSuchProcess where
    the process is gone.
    """
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system
    if tree:
        total += own.children_user + own.children_system
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended just now: its parent has it
                times = child.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return float(total)
