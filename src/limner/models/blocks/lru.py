"""An LRU cache: of many values the few that were used last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class LruCache(Generic[ValueT]):
    """The ``size`` values used last, by key. Threads may share it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[str, ValueT] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> ValueT | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: str, value: ValueT) -> ValueT:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._values)

    def get_or_compute(self, key: str, compute: Callable[[], ValueT]) -> ValueT:
        """The value of a key, computed where it isn't here; two threads may both compute it."""
        value = self.get(key)
        return self.put(key, compute()) if value is None else value

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
