"""The one cache of what was used last, which families and a session's stages share."""

from __future__ import annotations

import pytest

from limner.models.blocks.lru import LruCache


def test_the_cache_is_bounded() -> None:
    """A get counts as a use: what wasn't used for longest goes."""
    recent: LruCache[int] = LruCache(2)
    recent.put("a", 1)
    recent.put("b", 2)
    recent.get("a")
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    assert len(recent) == 2
    recent.clear()
    assert (len(recent), recent.get("a")) == (0, None)


def test_a_value_is_computed_once_while_it_is_here() -> None:
    """A value that is false is a value; an error leaves nothing behind."""
    recent: LruCache[int] = LruCache(1)
    computed = []

    def compute() -> int:
        computed.append(0)
        return 0

    assert [recent.get_or_compute("a", compute) for _ in range(3)] == [0, 0, 0]
    recent.put("b", 1)
    assert recent.get_or_compute("a", compute) == 0
    assert len(computed) == 2
    with pytest.raises(ZeroDivisionError):
        recent.get_or_compute("c", lambda: 1 // 0)
    assert recent.get("c") is None
