"""What a request may cost is known by its size and by how long recent answers were, and never by max_tokens alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django.fixtures import DjangoAssertNumQueries

from messages_api.services import cost_estimate
from messages_api.services.cost_estimate import (
    FEWEST,
    FIRST_COST,
    FIRST_OUTPUT_TOKENS,
    REMEMBERED,
    Asking,
    CostEstimates,
)
from usage.models import UsageRecord
from usage.pricing import Prices

SONNET = Asking("sonnet", "anthropic/claude-sonnet-5")
PRICES = Prices(input=3_000_000, output=15_000_000, cache_read=300_000, request=7)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def taught(*output_tokens: int, cost: int = 0) -> CostEstimates:
    estimates = CostEstimates()
    for tokens in output_tokens:
        estimates.learn(SONNET, tokens, cost)
    return estimates


def output_of(estimates: CostEstimates, most: int | None = 64_000) -> int:
    """The tokens of output that an estimate counts with."""
    return (estimates.estimate(SONNET, PRICES, 0, most) - PRICES.request) // PRICES.output


def test_input_costs_what_no_cache_has_and_a_request_what_it_costs_by_itself() -> None:
    estimate = CostEstimates().estimate(SONNET, PRICES, 20_000, 1)
    assert estimate == 20_000 * PRICES.input + PRICES.output + PRICES.request


def test_before_anything_is_learned_an_answer_has_a_usual_length_and_not_the_longest() -> None:
    assert output_of(CostEstimates()) == FIRST_OUTPUT_TOKENS
    assert output_of(taught(*[9] * (FEWEST - 1))) == FIRST_OUTPUT_TOKENS


def test_sixty_four_thousand_tokens_refuse_nobody_who_has_a_quarter_left() -> None:
    assert CostEstimates().estimate(SONNET, PRICES, 20_000, 64_000) < 25 * 10**10


def test_a_short_answer_that_is_asked_for_is_short() -> None:
    assert output_of(CostEstimates(), most=100) == 100
    assert output_of(CostEstimates(), most=None) == FIRST_OUTPUT_TOKENS


def test_of_a_hundred_answers_the_ninety_fifth_counts() -> None:
    assert output_of(taught(*range(100, 0, -1))) == 95
    assert output_of(taught(*range(1, 21))) == 19


def test_only_recent_answers_count() -> None:
    assert output_of(taught(*[9_000] * REMEMBERED, *[50] * REMEMBERED)) == 50


def test_another_name_or_target_is_learned_apart() -> None:
    estimates = taught(*[50] * FEWEST)
    for other in (Asking("opus", SONNET.target), Asking("sonnet", "openai/gpt-5")):
        assert estimates.estimate(other, PRICES, 0, None) == FIRST_OUTPUT_TOKENS * PRICES.output + PRICES.request


def test_without_a_price_what_the_latest_cost_counts_or_a_cent() -> None:
    assert CostEstimates().estimate(SONNET, None, 20_000, 64_000) == FIRST_COST
    assert taught(*[50] * FEWEST, cost=123).estimate(SONNET, None, 20_000, 64_000) == 123
    assert taught(*[50] * FEWEST, cost=0).estimate(SONNET, None, 20_000, 64_000) == 0, "what is free stays so"


def test_names_that_clients_make_up_do_not_fill_the_memory() -> None:
    estimates = CostEstimates()
    for number in range(cost_estimate.MOST_NAMES + 10):
        estimates.learn(Asking(f"name-{number}", "openai/gpt-5"), 1, 1)
    assert len(estimates._learned) == cost_estimate.MOST_NAMES


# --- after a restart -------------------------------------------------------------------------------------------------


def record(name: str, minutes: int = 0, **fields: Any) -> UsageRecord:
    given = {"state": "completed", "output_tokens": 70, "cost": 5, **fields}
    at = NOON + timedelta(minutes=minutes)
    return UsageRecord(
        request_id=name,
        requested_model=SONNET.requested,
        model=SONNET.target,
        started_at=at,
        settled_at=None if given["state"] == "open" else at,
        lease_expires_at=at,
        **given,
    )


@pytest.mark.django_db(transaction=True)
def test_a_new_process_knows_what_the_last_one_learned() -> None:
    UsageRecord.objects.bulk_create(record(f"r{number}") for number in range(FEWEST))
    estimates = CostEstimates()
    asyncio.run(estimates.load())
    assert output_of(estimates) == 70
    assert estimates.estimate(SONNET, None, 0, None) == 5


@pytest.mark.django_db
def test_only_completed_requests_of_one_attempt_teach() -> None:
    states = ("open", "error", "aborted", "lost")
    UsageRecord.objects.bulk_create(record(state, state=state) for state in states)
    UsageRecord.objects.bulk_create([record("twice", attempts=[{}, {}])])
    assert list(cost_estimate.recorded()) == []


@pytest.mark.django_db
def test_the_latest_records_are_read_in_one_query_and_the_newest_counts_last(
    django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost_estimate, "READ_AT_START", 3)
    UsageRecord.objects.bulk_create(record(f"r{n}", minutes=n, output_tokens=n) for n in (2, 4, 1, 3))
    with django_assert_num_queries(1):
        assert [tokens for _, tokens, _ in cost_estimate.recorded()] == [2, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_a_process_starts_without_its_database(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> list[Any]:
        raise OperationalError("the database is away")

    monkeypatch.setattr(cost_estimate, "recorded", away)
    estimates = CostEstimates()
    asyncio.run(estimates.load())
    assert output_of(estimates) == FIRST_OUTPUT_TOKENS
    assert "the database is away" in caplog.text
