"""What answers teach of a provider's cache."""

from __future__ import annotations

from proxy.cost.policy import PRESETS, decide
from proxy.cost.rates import Rates
from proxy.filtering.cache_estimates import MAX_MISSES, WINDOW, CacheEstimate

from .conversations import turn

RATES = Rates()


def taught(*answers: tuple[int, int, float]) -> CacheEstimate:
    """The belief after answers, each (expected, found, age of the request)."""
    estimate = CacheEstimate()
    for expected, cached, age in answers:
        estimate = estimate.after(expected, cached, age, RATES)
    return estimate


class TestLifetime:
    def test_is_the_tariffs_at_first(self):
        assert CacheEstimate().adjust(RATES) == RATES

    def test_is_longer_once_something_older_was_found(self):
        assert taught((0, 2048, 900.0)).adjust(RATES).lifetime == 900

    def test_is_shorter_once_two_in_a_row_were_not_found(self):
        estimate = taught((4096, 0, 200.0), (4096, 0, 150.0))

        assert estimate.adjust(RATES).lifetime == 150

    def test_does_not_follow_from_one_miss(self):
        assert taught((4096, 0, 200.0)).adjust(RATES).lifetime == RATES.lifetime


class TestNoCache:
    def test_is_believed_after_some_answers_without_a_hit(self):
        estimate = taught(*[(4096, 0, 5.0)] * MAX_MISSES)

        assert not estimate.adjust(RATES).has_cache

    def test_is_over_with_the_next_hit(self):
        estimate = taught(*[(4096, 0, 5.0)] * MAX_MISSES, (0, 1024, 5.0))

        assert estimate.adjust(RATES).has_cache

    def test_does_not_follow_from_answers_of_which_little_was_expected(self):
        assert taught(*[(1024, 0, 5.0)] * 10).adjust(RATES).has_cache


class TestAlarm:
    def test_rings_when_less_than_half_of_what_was_expected_is_found(self):
        assert taught(*[(4096, 1024, 5.0)] * WINDOW).is_unreliable

    def test_needs_enough_answers(self):
        assert not taught(*[(4096, 1024, 5.0)] * (WINDOW - 1)).is_unreliable

    def test_ends_when_more_is_found(self):
        found = [(4096, 1024, 5.0)] * WINDOW + [(4096, 4096, 5.0)] * WINDOW

        assert not taught(*found).is_unreliable


class TestConversations:
    def decided(self):
        each = turn([20, 400] * 10 + [20])
        _, state = decide(each, None, RATES, 0.0, PRESETS["balanced"])
        longer = turn([20, 400] * 11 + [20])
        return decide(longer, state, RATES, 5.0, PRESETS["balanced"])

    def test_are_cold_once_nothing_was_found_twice(self):
        _, state = self.decided()
        state = state.with_feedback(0, state.expected).with_feedback(0, state.expected)

        again, _ = decide(turn([20, 400] * 12 + [20]), state, RATES, 10.0, PRESETS["balanced"])

        assert again.hit == 0

    def test_forget_the_request_of_which_only_a_part_was_found(self):
        _, state = self.decided()

        assert len(state.with_feedback(128, state.expected).sent) == len(state.sent)
        assert all(
            s.sent_at != state.relied_on for s in state.with_feedback(128, state.expected).sent
        )

    def test_stay_as_they_are_where_all_was_found(self):
        _, state = self.decided()

        assert state.with_feedback(state.expected, state.expected) == state
