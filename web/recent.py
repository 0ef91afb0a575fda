"""A bounded memory of what was used last."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps values up to `capacity` (in the units of `weigh`) and `live_ms`, oldest use out."""

    def __init__(self, capacity: int, *, weigh: Callable[[V], int], live_ms: int) -> None:
        self._capacity, self._weigh, self._live_ms = capacity, weigh, live_ms
        self._kept: OrderedDict[K, tuple[int, V]] = OrderedDict()
        self._weight = 0

    def get(self, key: K, now_ms: int) -> V | None:
        """Return what was kept under `key`, None where nothing is or it is too old."""
        found = self._kept.get(key)
        if found is None:
            return None
        if now_ms - found[0] >= self._live_ms:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found[1]

    def put(self, key: K, value: V, now_ms: int) -> None:
        """Keep a value, unless it alone is more than all that may be kept."""
        self._drop(key)
        weight = self._weigh(value)
        if weight > self._capacity:
            return
        self._kept[key] = (now_ms, value)
        self._weight += weight
        while self._weight > self._capacity:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: K) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._weight -= self._weigh(found[1])
