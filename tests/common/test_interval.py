"""What is done now and then is done at once, and then not for a while."""

from __future__ import annotations

from proxy.common.runtime.interval import Interval


def test_is_due_at_first_and_not_again():
    hourly = Interval(seconds=3600)

    assert [hourly.is_due() for _ in range(3)] == [True, False, False]


def test_is_due_again_when_so_long_has_passed():
    hourly = Interval(seconds=3600)
    hourly.is_due()
    hourly._last -= 3601

    assert [hourly.is_due() for _ in range(2)] == [True, False]


def test_is_not_due_when_it_begins_anew():
    hourly = Interval(seconds=3600)
    hourly.restart()

    assert not hourly.is_due()
