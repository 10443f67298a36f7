"""The table of prices: which one counts, what a call costs by it, to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from proxy.cost.prices import Table, Tariff, Used, shipped
from proxy.cost.rates import SAFE


@pytest.fixture
def table() -> Table:
    return Table(shipped())


class TestLookingUp:
    def test_the_longest_name_counts(self, table):
        assert table.of("api.openai.com", "gpt-5.4-mini").model == "gpt-5.4-mini"
        assert table.of("api.openai.com", "gpt-5.4-mini-2026-03-17").model == "gpt-5.4-mini"
        assert table.of("api.openai.com", "gpt-5.4-2026-03-05").model == "gpt-5.4"

    def test_a_name_that_goes_on_without_a_hyphen_is_another_model(self, table):
        assert table.of("api.openai.com", "gpt-5.49").model == ""

    @pytest.mark.parametrize(
        ("host", "name", "model"),
        [
            ("generativelanguage.googleapis.com", "models/gemini-2.5-pro", "gemini-2.5-pro"),
            ("api.anthropic.com", "anthropic/claude-opus-5-5-20260922", "claude-opus-5-5"),
            ("openrouter.ai", "openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
            ("openrouter.ai", "gpt-5-mini", ""),
            ("openrouter.ai", "openai/gpt-5-mini:free", ""),
            ("api.groq.com", "elsewhere/gpt-oss-120b", ""),
        ],
    )
    def test_a_name_before_a_slash_is_left_out_where_the_whole_is_not_known(
        self, table, host: str, name: str, model: str
    ):
        assert table.of(host, name).model == model

    def test_an_unknown_model_of_a_known_host_gets_the_safe_default(self, table):
        tariff = table.of("api.openai.com", "gpt-99")

        assert tariff.rates == SAFE
        assert tariff.cost(Used(prompt=1000)) is None

    def test_a_host_can_be_named_by_its_domain(self, table):
        assert table.of("mine.openai.azure.com", "deployment").rates.has_cache
        assert table.of("openai.azure.com.example.org", "deployment") is None

    def test_an_unknown_host_has_no_tariff(self, table):
        assert table.of("llm.example.org", "gpt-5.4") is None

    def test_the_last_of_the_same_name_stands(self):
        old, new = (Tariff("h", "m", input=Decimal(n), output=Decimal(n)) for n in (1, 2))

        assert Table([old, new]).of("h", "m") is new


class TestShippedPrices:
    def test_each_tells_its_source_and_when_it_was_read(self):
        for tariff in shipped():
            assert "https://" in tariff.source
            assert date(2026, 1, 1) < tariff.read <= date(2026, 11, 29)

    def test_none_asks_more_for_a_cached_token_than_for_another(self):
        for tariff in shipped():
            assert tariff.rates.read <= 1
            assert tariff.rates.write >= 1
            assert tariff.rates.step >= 1

    def test_claude_asks_for_an_hour_twice_what_input_costs(self, table):
        claude = [t for t in shipped() if t.host == "api.anthropic.com" and t.model]

        assert {(t.write / t.input, t.hour_write / t.input) for t in claude} == {
            (Decimal("1.25"), Decimal(2))
        }
        reads = {t.model: t.cached / t.input for t in claude}
        assert reads["claude-fable-5-1"] == reads["claude-fable-5-2"] == Decimal("0.025")
        assert reads["claude-fable-5"] == Decimal("0.1")

    @pytest.mark.parametrize(
        ("host", "model", "has_cache", "is_whole"),
        [
            ("api.anthropic.com", "claude-opus-5-5", False, False),
            ("openrouter.ai", "anthropic/claude-opus-5.5", False, False),
            ("openrouter.ai", "openai/gpt-5.2", True, False),
            ("openrouter.ai", "google/gemini-2.5-pro", True, False),
            ("openrouter.ai", "somebody/new-model", True, False),
            ("api.openai.com", "gpt-5.5", True, False),
            ("api.openai.com", "gpt-5.6-terra", True, True),
            ("api.openai.com", "gpt-4-turbo", False, False),
            ("api.groq.com", "openai/gpt-oss-120b", True, False),
            ("api.groq.com", "llama-3.3-70b-versatile", False, False),
            ("api.mistral.ai", "mistral-medium-latest", True, False),
            ("api.moonshot.ai", "kimi-k3", True, False),
            ("api.together.xyz", "moonshotai/Kimi-K3", True, False),
            ("api.fireworks.ai", "accounts/fireworks/models/glm-5p3", True, False),
            ("api.x.ai", "grok-4.7", True, False),
            ("api.deepseek.com", "deepseek-flash", True, True),
        ],
    )
    def test_tell_which_provider_caches_unasked_and_how(
        self, table, host: str, model: str, has_cache: bool, is_whole: bool
    ):
        rates = table.of(host, model).rates

        assert (rates.has_cache, rates.exact_match_only) == (has_cache, is_whole)

    def test_each_model_of_a_host_has_one_price_for_each_day(self):
        keys = [(tariff.host, tariff.model, tariff.since) for tariff in shipped()]

        assert len(keys) == len(set(keys))

    def test_those_of_long_prompts_are_dearer(self):
        long = [tariff for tariff in shipped() if tariff.long_above]

        assert "gemini-2.5-pro" in [tariff.model for tariff in long]
        for tariff in long:
            assert tariff.long_output > tariff.output
            assert tariff.rates.factor(tariff.long_above) == 1
            assert tariff.rates.factor(tariff.long_above + 1) == tariff.long_input / tariff.input


class TestMoney:
    """Each sum worked out by hand from the prices of a million tokens."""

    CLAUDE = Tariff(
        "h",
        input=Decimal("5.00"),
        cached=Decimal("0.50"),
        write=Decimal("6.25"),
        hour_write=Decimal("10.00"),
        output=Decimal("25.00"),
    )

    def test_every_kind_of_token_has_its_price(self):
        used = Used(prompt=100_000, cached=60_000, written=30_000, completion=2_000)

        # 10,000 x 5.00 + 60,000 x 0.50 + 30,000 x 6.25 + 2,000 x 25.00 = 317,500 millionths
        assert self.CLAUDE.cost(used) == 317_500_000

    def test_what_is_written_for_an_hour_is_of_what_is_written_and_dearer(self):
        used = Used(prompt=100_000, cached=60_000, written=30_000, written_for_long=20_000)

        # 10,000 x 5.00 + 60,000 x 0.50 + 10,000 x 6.25 + 20,000 x 10.00 = 342,500 millionths
        assert self.CLAUDE.cost(used) == 342_500_000

    def test_without_a_price_of_its_own_it_costs_what_writing_costs(self):
        plain = replace(self.CLAUDE, hour_write=None)

        # 1,000 x 6.25 = 6,250 millionths
        assert plain.cost(Used(prompt=1_000, written=1_000, written_for_long=1_000)) == 6_250_000

    def test_tokens_without_a_price_of_their_own_cost_what_input_costs(self):
        plain = Tariff("h", input=Decimal("2.00"), output=Decimal("8.00"))

        # 1,000 x 2.00 + 10 x 8.00 = 2,080 millionths
        assert plain.cost(Used(prompt=1_000, cached=400, written=100, completion=10)) == 2_080_000

    def test_a_long_prompt_makes_every_token_of_its_call_dearer(self):
        table = Table(shipped())
        pro = table.of("generativelanguage.googleapis.com", "gemini-2.5-pro")

        # 200,000 x 1.25 = 250,000 millionths; one token more: 200,001 x 2.50 = 500,002.5
        assert pro.cost(Used(prompt=200_000)) == 250_000_000
        assert pro.cost(Used(prompt=200_001)) == 500_002_500
        # 50,000 x 2.50 + 250,000 x 0.25 + 1,000 x 15.00 = 202,500
        assert pro.cost(Used(prompt=300_000, cached=250_000, completion=1_000)) == 202_500_000
        # 50,000 x 1.25 + 100,000 x 0.125 + 1,000 x 10.00 = 85,000
        assert pro.cost(Used(prompt=150_000, cached=100_000, completion=1_000)) == 85_000_000

    def test_a_fraction_of_a_billionth_is_rounded(self):
        small = Tariff("h", input=Decimal("0.0375"), output=Decimal(1))

        assert small.cost(Used(prompt=1)) == 38
        assert small.of_input(1.0) == 38
