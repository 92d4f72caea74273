"""How a model counts is learned from the requests it answered, and known again after a restart."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django.fixtures import DjangoAssertNumQueries

from messages_api.services import token_factors
from messages_api.services.token_factors import FIRST_WEIGHT, REMEMBERED, TokenFactors
from usage.models import UsageRecord

CLAUDE, GLM = "anthropic/claude-sonnet-5", "z-ai/glm-5"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def taught(*ratios: float, model: str = GLM) -> float:
    factors = TokenFactors()
    for ratio in ratios:
        factors.learn(model, 10_000, round(10_000 * ratio))
    return factors.factor(model)


def record(name: str, model: str = GLM, minutes: int = 0, **fields: Any) -> UsageRecord:
    given = {"estimated_tokens": 10_000, "input_tokens": 15_000, "state": "completed", **fields}
    at = NOON + timedelta(minutes=minutes)
    return UsageRecord(
        request_id=name,
        model=model,
        started_at=at,
        settled_at=None if given["state"] == "open" else at,
        lease_expires_at=at,
        **given,
    )


# --- learning --------------------------------------------------------------------------------------------------------


def test_before_anything_is_learned_only_openais_estimate_stands_as_it_is() -> None:
    assert [TokenFactors().factor(name) for name in ("openai/gpt-5", CLAUDE, "litellm:local/x")] == [1.0, 1.25, 1.1]


def test_a_models_factor_comes_to_what_it_counts() -> None:
    assert taught(*[1.4] * 20) == 1.4


def test_models_are_learned_apart() -> None:
    factors = TokenFactors()
    for _ in range(20):
        factors.learn(GLM, 10_000, 20_000)
    assert (factors.factor(GLM), factors.factor(CLAUDE)) == (2.0, 1.25)


def test_the_first_requests_alone_do_not_decide() -> None:
    assert taught(3.0) == taught(*[3.0] * (FIRST_WEIGHT - 1)) == 1.1
    assert taught(*[3.0] * (FIRST_WEIGHT + 1)) == 3.0


def test_outliers_do_not_move_it() -> None:
    assert taught(*[1.4, 1.4, 1.4, 30.0, 0.01] * 10) == 1.4


def test_it_stays_within_bounds() -> None:
    assert (taught(*[30.0] * 20), taught(*[0.01] * 20)) == (3.0, 0.5)


def test_it_follows_a_model_that_changes() -> None:
    assert taught(*[1.2] * 500, *[1.6] * (REMEMBERED // 2 + 1)) == 1.6


@pytest.mark.parametrize(("estimated", "true"), [(0, 5_000), (499, 5_000), (10_000, 0)])
def test_nothing_is_learned_from_a_short_prompt_or_from_no_count(estimated: int, true: int) -> None:
    factors = TokenFactors()
    for _ in range(20):
        factors.learn(GLM, estimated, true)
    assert factors.factor(GLM) == 1.1


def test_names_without_end_are_forgotten_again() -> None:
    factors = TokenFactors()
    for number in range(token_factors.MOST_MODELS + 10):
        factors.learn(f"openai/gpt-5:{number}", 10_000, 10_000)
    assert len(factors._learned) == token_factors.MOST_MODELS


# --- after a restart -------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_new_process_knows_what_the_last_one_learned() -> None:
    cached = {"input_tokens": 1_000, "cache_read_tokens": 9_000, "cache_write_tokens": 6_000}
    UsageRecord.objects.bulk_create(record(f"glm{n}") for n in range(10))
    UsageRecord.objects.bulk_create(record(f"claude{n}", CLAUDE, **cached) for n in range(10))
    factors = TokenFactors()
    asyncio.run(factors.load())
    assert (factors.factor(GLM), factors.factor(CLAUDE)) == (1.5, 1.6)


@pytest.mark.django_db
def test_only_completed_requests_teach() -> None:
    states = ("open", "error", "aborted", "lost")
    UsageRecord.objects.bulk_create(record(state, state=state) for state in states)
    assert token_factors.recorded() == []


@pytest.mark.django_db
def test_the_latest_records_are_read_in_one_query_and_the_newest_counts_last(
    django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_factors, "READ_AT_START", 3)
    UsageRecord.objects.bulk_create(record(f"r{n}", minutes=n, input_tokens=n) for n in (2, 4, 1, 3))
    with django_assert_num_queries(1):
        assert [true for _, _, true in token_factors.recorded()] == [2, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_a_process_starts_without_its_database(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> list[tuple[str, int, int]]:
        raise OperationalError("the database is away")

    monkeypatch.setattr(token_factors, "recorded", away)
    factors = TokenFactors()
    asyncio.run(factors.load())
    assert factors.factor(CLAUDE) == 1.25
    assert "the database is away" in caplog.text
