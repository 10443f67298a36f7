"""Money sheets worked out by hand: what two turns cost, what they saved, what is told of it."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from proxy.wire import token_count
from tests.cost.billing import BillingProvider

pytestmark = pytest.mark.django_db(transaction=True)

TEA = " tea"


def said(count: int) -> str:
    """A text of so many tokens."""
    text = TEA * count
    assert token_count.count(text) == count
    return text


# Three a message and three for the request: turns of 2,000 and of 3,000 tokens.
FIRST = [{"role": "user", "content": said(1994)}]
SECOND = [
    *FIRST,
    {"role": "assistant", "content": said(697)},
    {"role": "user", "content": said(297)},
]


@pytest.fixture
def usage(as_alice, rows):
    """The caller's total, once all rows are written."""

    def total() -> dict:
        rows()
        return as_alice.get("/api/v1/usage").json()["total"]

    return total


class TestTwoTurns:
    """5.00 dollars for a million tokens of input, 0.50 cached, 6.25 written, 25.00 of output.

    First turn: 2,000 written = 12,500 millionths of a dollar. Second: 1,997 were seen before and
    are no message of it; 1,920 of them are cached, 15 pieces of 128; 1,080 are written:
    960 + 6,750 = 7,710. Two answers of 40 tokens: 2,000. In all 22,210 millionths.
    """

    def test_cost_what_the_sheet_says(self, ask, billing, price, usage):
        ask(FIRST)
        ask(SECOND)

        assert [call["prompt"] for call in billing.calls] == [2000, 3000]
        told = usage()
        assert told["priced"] == 2
        assert told["cost"] == "0.022210000"
        assert told["saved_estimate"] == "0.000000000"
        assert (told["cached_tokens"], told["written_tokens"]) == (1920, 3080)

    def test_cost_more_where_hits_are_lost_and_that_is_told_too(self, ask, billing, price, usage):
        """All 3,000 of the second turn are written: 18,750 in place of 7,710, so 11,040 lost."""
        ask(FIRST)
        billing.forgets = True
        ask(SECOND)

        told = usage()
        assert told["cost"] == "0.033250000"
        assert told["saved_estimate"] == "-0.011040000"

    def test_are_the_same_in_a_sheet_and_no_cell_of_it_is_a_formula(
        self, ask, billing, price, rows, as_alice
    ):
        ask(FIRST)
        billing.forgets = True
        ask(SECOND)
        rows()

        sheet = as_alice.get("/api/v1/usage?group_by=model&format=csv").content.decode()

        (line,) = csv.DictReader(io.StringIO(sheet))
        assert line["model"] == "gpt-test"
        assert Decimal(line["cost"]) == Decimal("0.03325")
        assert Decimal(line["saved_estimate"]) == Decimal("-0.01104")


class TestAnHour:
    """What is written for an hour costs 10.00 dollars for a million tokens in place of 6.25."""

    def test_is_billed_by_its_own_price(self, ask, billing, price, usage):
        """2,000 written for an hour at 10.00 = 20,000 millionths, and an answer of 40 = 1,000."""
        price.hour_write = Decimal("10.00")
        price.save()
        billing.keeps_an_hour = True

        ask(FIRST)

        told = usage()
        assert told["cost"] == "0.021000000"
        assert (told["written_tokens"], told["written_for_long_tokens"]) == (2000, 2000)


def test_what_a_client_has_cached_by_its_own_marks_is_no_saving(ask, billing, price, usage):
    """A price as of Claude, of whose cache the gate knows nothing: it holds what clients mark."""
    price.lifetime = 0
    price.save()
    marked = [{**FIRST[0], "cache_control": {"type": "ephemeral"}}, *SECOND[1:]]
    ask(marked)
    ask(marked)

    told = usage()
    assert told["cached_tokens"] > 0
    assert told["saved_estimate"] == "0.000000000"


class TestLongPrompts:
    """Above 2,500 tokens: 10.00 dollars for a million tokens of input, 1.00 cached, 12.50 written,
    50.00 of output.
    """

    @pytest.fixture(autouse=True)
    def long(self, price):
        price.long_above = 2500
        price.long_input, price.long_cached = Decimal("10.00"), Decimal("1.00")
        price.long_write, price.long_output = Decimal("12.50"), Decimal("50.00")
        price.save()

    def test_are_billed_by_their_own_prices(self, ask, billing, usage):
        """2,000 written at 6.25 = 12,500 millionths and an answer of 40 = 1,000. Then 3,000 tokens:
        1,920 cached at 1.00 and 1,080 written at 12.50 = 15,420, and an answer at 50.00 = 2,000.
        """
        ask(FIRST)
        ask(SECOND)

        told = usage()
        assert told["cost"] == "0.030920000"
        assert told["saved_estimate"] == "0.000000000"

    def test_left_short_save_what_the_long_one_would_have_cost(self, ask, billing, rows):
        """All would be written at 12.50; what is left of it is too short to be cached, at 5.00."""
        bread = [
            {"role": role, "content": f"{said} {number} rye bread?"}
            for number in range(5)
            for role, said in (("user", "How long to bake"), ("assistant", "An hour for"))
        ]
        asked = [*FIRST, *SECOND[1:2], *bread, {"role": "user", "content": "Is rye bread good?"}]
        ask(asked)

        (row,), (call,) = rows(), billing.calls
        whole = 3 + sum(3 + token_count.count(message["content"]) for message in asked)
        assert call["prompt"] < 1024
        assert whole > 2500
        assert row.cost == call["prompt"] * 5_000 + 40 * 25_000
        assert row.estimated_whole == whole * 12_500
        assert row.saved == whole * 12_500 - call["prompt"] * 5_000


class TestWhatIsNotKnown:
    def test_a_model_without_a_price_has_no_cost(self, ask, billing: BillingProvider, usage):
        ask(FIRST)

        assert usage()["priced"] == 0

    def test_a_call_whose_cost_was_not_looked_at_has_a_cost_and_saved_nothing(
        self, ask, price, usage
    ):
        ask(FIRST, Cost="off")

        told = usage()
        assert told["cost"] == "0.013500000"
        assert (told["estimated_calls"], told["saved_estimate"]) == (0, "0.000000000")


class TestPages:
    def test_a_persons_own_shows_what_was_lost_on_which_day(
        self, ask, billing, price, rows, client, alice
    ):
        ask(FIRST)
        billing.forgets = True
        ask(SECOND)
        rows()
        client.force_login(alice)

        page = client.get("/usage").content.decode()

        assert "$0.0332" in page
        assert '<dd class="loss">−$0.0110</dd>' in page
        assert "Days on which filtering cost money" in page

    def test_the_dashboard_tells_cost_and_names_the_estimate(self, ask, price, rows, admin_client):
        ask(FIRST)
        rows()

        page = admin_client.get("/admin/").content.decode()

        assert "Spent this month" in page
        assert "$0.01" in page
        assert "an estimate" in page
