"""Work tried again after a while."""

from __future__ import annotations

import pytest

from proxy.common.runtime.retry import with_retries


class Flaky:
    """Work that fails as often as one likes, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.tries = 0

    async def work(self) -> str:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


async def test_what_fails_for_a_while_succeeds_in_the_end():
    flaky = Flaky(OSError(), OSError())

    assert await with_retries(flaky.work, on=OSError, tries=3, pause=0) == "done"
    assert flaky.tries == 3


async def test_the_last_failure_is_raised_and_each_was_told_of():
    first, last = OSError("first"), OSError("last")
    failures: list[Exception] = []

    with pytest.raises(OSError, match="last"):
        await with_retries(
            Flaky(first, last).work, on=OSError, tries=2, pause=0, failed=failures.append
        )

    assert failures == [first, last]


async def test_what_is_no_such_failure_is_raised_at_once():
    flaky = Flaky(ValueError())

    with pytest.raises(ValueError):
        await with_retries(flaky.work, on=OSError, tries=3, pause=0)

    assert flaky.tries == 1
