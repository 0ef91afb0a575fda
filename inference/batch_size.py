"""Which batch size pays: found by measuring when a model is loaded, never assumed.

On CPUs a batch often costs more for each picture than a single one: its tensors leave the caches.
"""

from collections.abc import Callable

GAIN = 0.05
"""A size must make a row cheaper by this share than the best smaller one."""
ROUNDS = 3
SIZES = (1, 2, 4, 8, 16, 32)


def sizes_up_to(max_batch: int) -> list[int]:
    """Return the sizes to try."""
    return [size for size in SIZES if size < max_batch] + [max_batch]


def measure_batch_size(
    max_batch: int, measure_s: Callable[[int], float]
) -> tuple[int, dict[int, float]]:
    """Return the best batch size, and the milliseconds of a row at each size that was tried.

    `measure_s` computes a batch of that many rows, and returns how long it took. It stops at the
    first size that does not gain: larger ones were never cheaper where we measured.
    """
    best = 1
    ms_by_size: dict[int, float] = {}
    for size in sizes_up_to(max_batch):
        measure_s(size)  # the first call allocates
        # The least, not the median: other work of the machine only ever adds to it.
        seconds = min(measure_s(size) for _ in range(ROUNDS))
        ms_by_size[size] = 1_000 * seconds / size
        if size > 1 and ms_by_size[size] > (1 - GAIN) * ms_by_size[best]:
            break
        best = size
    return best, ms_by_size
