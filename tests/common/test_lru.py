"""The cache that forgets what was not asked for longest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from proxy.common.lru import LRUCache, digest_of


def filled(*names: bytes, size: int = 3) -> LRUCache[str]:
    cache: LRUCache[str] = LRUCache(size, largest=size)
    for name in names:
        cache.put(name, name.decode(), cost=1)
    return cache


def test_what_was_not_asked_for_longest_goes_first():
    cache = filled(b"a", b"b", b"c")
    cache.get(b"a")

    cache.put(b"d", "d", cost=1)

    assert cache.get_many([b"a", b"b", b"c", b"d"]) == ["a", None, "c", "d"]


def test_a_value_that_is_put_again_takes_its_place_once():
    cache = filled(b"a", b"a", b"a", b"b")

    cache.put(b"a", "new", cost=2)

    assert len(cache) == 2
    assert cache.get(b"a") == "new"


def test_as_many_go_as_a_large_one_needs():
    cache = filled(b"a", b"b", b"c")

    cache.put(b"d", "d", cost=2)

    assert cache.get_many([b"a", b"b", b"c", b"d"]) == [None, None, "c", "d"]


def test_what_costs_more_than_an_eighth_is_not_kept():
    cache: LRUCache[str] = LRUCache(80)

    cache.put(b"large", "", cost=11)
    cache.put(b"small", "", cost=10)

    assert cache.get(b"large") is None
    assert cache.get(b"small") == ""


def test_threads_share_it_without_loss_of_its_bound():
    cache: LRUCache[int] = LRUCache(100)

    def use(start: int) -> None:
        for number in range(start, start + 500):
            cache.put(digest_of(str(number).encode()), number, cost=2)
            cache.get(digest_of(str(number - 1).encode()))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(0, 2000, 250)))

    assert len(cache) == 50


def test_digests_differ_where_texts_do():
    assert digest_of(b"a") == digest_of(b"a") != digest_of(b"b")
