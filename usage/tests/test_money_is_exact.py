"""Money is whole numbers of 10^-12 USD: what is stored is what was charged, to the last digit."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage.pricing import Prices, Tokens, estimate, picodollars, usd

LARGEST_STORED = 2**63 - 1  # a BigIntegerField holds no more: nine million dollars


@pytest.mark.parametrize(
    ("dollars", "pico"),
    [
        ("0", 0),
        ("1", 1_000_000_000_000),
        ("0.000003", 3_000_000),  # a token at $3 a million
        ("0.0000000375", 37_500),
        ("3.75e-8", 37_500),
        ("0.01234567", 12_345_670_000),
        ("0.000000000001", 1),
        ("1234567.890123456789", 1_234_567_890_123_456_789),
    ],
)
def test_dollars_become_picodollars(dollars: str, pico: int) -> None:
    assert picodollars(dollars) == pico
    assert picodollars(Decimal(dollars)) == pico


@pytest.mark.parametrize(
    ("dollars", "pico"),
    [
        ("0.0000000000004", 0),
        ("0.0000000000005", 0),
        ("0.0000000000015", 2),
        ("0.0000000000025", 2),
        ("0.00000000000250001", 3),
        ("0.0000000000006", 1),
    ],
)
def test_what_is_finer_is_rounded_half_to_even(dollars: str, pico: int) -> None:
    assert picodollars(dollars) == pico


def test_tenths_add_up_as_they_do_on_paper() -> None:
    assert picodollars("0.1") + picodollars("0.2") == picodollars("0.3")
    assert usd(10 * picodollars("0.1")) == 1


@given(st.integers(-LARGEST_STORED, LARGEST_STORED))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_picodollars_come_back_from_dollars(pico: int) -> None:
    assert picodollars(usd(pico)) == pico
    assert picodollars(str(usd(pico))) == pico


@given(st.decimals(min_value=0, max_value=1_000_000, places=12))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_dollars_come_back_from_picodollars(dollars: Decimal) -> None:
    assert usd(picodollars(dollars)) == dollars


def test_each_kind_of_token_has_its_price() -> None:
    # $3 and $15 a million, cache reads a tenth of input, cache writes a quarter more, a cent a search.
    prices = Prices(
        input=3_000_000,
        output=15_000_000,
        cache_read=300_000,
        cache_write=3_750_000,
        request=1_000,
        web_search=10_000_000_000,
    )
    tokens = Tokens(input=1_000, output=200, cache_read=50_000, cache_write=400, web_searches=2)
    # 0.003 + 0.003 + 0.015 + 0.0015 + 0.02 + 0.000000001
    assert usd(estimate(tokens, prices)) == Decimal("0.042500001")


def test_a_cache_without_a_price_costs_what_input_costs() -> None:
    prices = Prices(input=2, output=5)
    assert estimate(Tokens(input=1, cache_read=10, cache_write=100), prices) == 222


def test_a_cache_that_is_free_costs_nothing() -> None:
    assert estimate(Tokens(cache_read=10, cache_write=10), Prices(input=2, output=5, cache_read=0, cache_write=0)) == 0


def test_reasoning_is_charged_once_as_output() -> None:
    prices = Prices(input=2, output=5)
    assert estimate(Tokens(output=10, reasoning=8), prices) == estimate(Tokens(output=10), prices) == 50


def test_a_request_without_tokens_costs_its_own_price_only() -> None:
    assert estimate(Tokens(), Prices(input=2, output=5, request=7)) == 7
