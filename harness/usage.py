"""What processes use: CPU, memory, threads, open files, their children's included."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from domain.errors import VigilError

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a set of processes at one time. cpu_s: since they began; memory: pages shared by several
    processes are shared out among them, rss: they count for each.
    """

    cpu_s: float
    memory_mib: float
    threads: int
    files: int
    processes: int
    rss_mib: float


def usage(pids: Iterable[int]) -> Usage:
    """Measure processes and their children; raises VigilError where one of `pids` has ended."""
    found: list[psutil.Process] = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            raise VigilError(f"The process {pid} ended while it was measured.") from None
    cpu_s = memory = rss = 0.0
    threads = files = 0
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):  # a child may come and go
            times = process.cpu_times()
            cpu_s += times.user + times.system
            used = process.memory_full_info()
            memory, rss = memory + used.pss, rss + used.rss
            threads += process.num_threads()
            files += process.num_fds()
    return Usage(cpu_s, memory / MIB, threads, files, len(found), rss / MIB)
