"""What was read a moment ago, and never what was read before an invalidation."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from proxy.common.ttl_cache import CachedValue, TTLCache

LONG = 1000.0


class TestACache:
    def test_gives_what_was_put_into_it(self):
        cache: TTLCache[str, int] = TTLCache(10)

        cache.put("a", 1, seconds=LONG, generation=cache.generation)

        assert cache.get("a") == 1
        assert cache.get("b") is None

    def test_gives_nothing_whose_time_is_over(self):
        cache: TTLCache[str, int] = TTLCache(10)

        cache.put("a", 1, seconds=0, generation=cache.generation)

        assert cache.get("a") is None

    def test_never_holds_more_than_its_bound(self):
        cache: TTLCache[int, int] = TTLCache(3)

        for number in range(10):
            cache.put(number, number, seconds=LONG, generation=0)

        assert len(cache) == 3
        assert [cache.get(number) for number in range(10)] == [None] * 7 + [7, 8, 9]

    def test_takes_nothing_that_was_read_before_an_invalidation(self):
        cache: TTLCache[str, int] = TTLCache(10)
        before = cache.generation
        cache.clear()

        cache.put("a", 1, seconds=LONG, generation=before)

        assert cache.get("a") is None

    def test_invalidates_what_is_meant_and_nothing_else(self):
        cache: TTLCache[str, int] = TTLCache(10)
        cache.put("a", 1, seconds=LONG, generation=0)
        cache.put("b", 2, seconds=LONG, generation=0)

        cache.discard(lambda value: value == 1)

        assert cache.get("a") is None
        assert cache.get("b") == 2

    def test_stands_many_threads(self):
        cache: TTLCache[int, int] = TTLCache(100)

        def use() -> None:
            for number in range(500):
                cache.put(number, number, seconds=LONG, generation=cache.generation)
                cache.get(number)
                if number % 100 == 0:
                    cache.discard(lambda value: value % 2 == 0)

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(cache) == 100
        cache.clear()
        assert len(cache) == 0


class Source:
    """Something to read, which counts how often it was read."""

    def __init__(self) -> None:
        self.reads = 0
        self.seconds = LONG
        self.meanwhile: Callable[[], None] = lambda: None

    def read(self) -> int:
        self.reads += 1
        read = self.reads
        self.meanwhile()
        return read


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cached(source: Source) -> CachedValue[int]:
    return CachedValue(source.read, seconds=lambda: source.seconds)


class TestACachedValue:
    def test_is_read_once_while_it_is_fresh(self, source: Source, cached: CachedValue[int]):
        assert cached.fresh() is None
        assert [cached.get(), cached.get()] == [1, 1]
        assert cached.fresh() == 1

    def test_is_read_again_when_it_is_old(self, source: Source, cached: CachedValue[int]):
        source.seconds = 0

        assert [cached.get(), cached.get()] == [1, 2]
        assert cached.last() == 2

    def test_that_was_invalidated_is_read_again(self, source: Source, cached: CachedValue[int]):
        cached.get()

        cached.invalidate()

        assert cached.last() is None
        assert cached.get() == 2

    def test_is_not_kept_if_it_was_invalidated_while_it_was_read(
        self, source: Source, cached: CachedValue[int]
    ):
        source.meanwhile = cached.invalidate

        assert cached.get() == 1
        assert cached.fresh() is None

    def test_serves_others_while_it_is_read_again(self, source: Source, cached: CachedValue[int]):
        cached.get()
        source.seconds = 0
        others: list[int | None] = []

        def meanwhile() -> None:
            source.seconds = LONG
            others.append(cached.fresh())

        source.meanwhile = meanwhile

        assert cached.get() == 2
        assert others == [1]

    def test_stays_when_it_cannot_be_read_again(self, source: Source, cached: CachedValue[int]):
        cached.get()
        source.seconds = 0

        def fails() -> None:
            raise OSError

        source.meanwhile = fails

        with pytest.raises(OSError):
            cached.get()
        assert cached.last() == 1

    @pytest.mark.django_db(transaction=True)
    async def test_is_read_on_a_thread_where_a_loop_asks(
        self, source: Source, cached: CachedValue[int]
    ):
        readers: list[str] = []
        source.meanwhile = lambda: readers.append(threading.current_thread().name)

        assert await cached.aget() == 1
        assert await cached.aget() == 1
        assert len(readers) == 1
        assert readers[0].startswith("database")
