"""A request that was asked of several targets costs what all of them cost, and its record says who was asked."""

from pathlib import Path

import pytest

from testing import cast
from usage.models import UsageRecord
from usage.pricing import Prices, Tokens
from usage.services.ledger import CostSource, Entry, Ledger, Origin, Outcome, State

pytestmark = pytest.mark.django_db(transaction=True)
PRICES = Prices(input=3, output=5)


@pytest.fixture
def request_of_alice() -> Entry:
    return Entry("req_1", cast.alice().caller(), Origin(), "sonnet", "openai/gpt-5", streamed=True, prices=PRICES)


async def recorded(request: Entry, folder: Path, outcome: Outcome) -> UsageRecord:
    ledger = Ledger(folder)
    ledger.open(request)
    ledger.settle(request, outcome)
    await ledger.close()
    return await UsageRecord.objects.aget()


async def test_what_failed_attempts_cost_is_part_of_the_cost(request_of_alice: Entry, tmp_path: Path) -> None:
    request = request_of_alice
    request.tokens, request.charged = Tokens(input=10, output=1), 700
    request.end_attempt(502, "broken")
    request.begin_attempt("google/gemini-3-pro", PRICES)
    request.tokens, request.charged = Tokens(input=20, output=2), 40
    record = await recorded(request, tmp_path, Outcome(State.COMPLETED, 200))
    assert (record.cost, record.cost_source) == (740, CostSource.UPSTREAM)
    assert (record.input_tokens, record.output_tokens) == (30, 3)
    assert record.model == "google/gemini-3-pro"
    told = [(attempt["target"], attempt["status"], attempt["error"], attempt["cost"]) for attempt in record.attempts]
    assert told == [("openai/gpt-5", 502, "broken", 700), ("google/gemini-3-pro", 200, "", 40)]


async def test_one_estimate_among_charges_makes_an_estimate_of_the_whole(
    request_of_alice: Entry, tmp_path: Path
) -> None:
    request = request_of_alice
    request.tokens = Tokens(input=10)  # nobody told what it cost
    request.end_attempt(504, "silent")
    request.begin_attempt("google/gemini-3-pro", PRICES)
    request.charged = 40
    record = await recorded(request, tmp_path, Outcome(State.COMPLETED, 200))
    assert (record.cost, record.cost_source) == (70, CostSource.CATALOGUE)


async def test_a_failed_attempt_that_cost_nothing_does_not_make_the_charge_an_estimate(
    request_of_alice: Entry, tmp_path: Path
) -> None:
    request = request_of_alice
    request.end_attempt(429, "busy")
    request.begin_attempt("openai/gpt-5", PRICES)
    request.charged = 40
    record = await recorded(request, tmp_path, Outcome(State.COMPLETED, 200))
    assert (record.cost, record.cost_source) == (40, CostSource.UPSTREAM)


async def test_where_every_attempt_failed_the_last_one_is_told_too(request_of_alice: Entry, tmp_path: Path) -> None:
    request = request_of_alice
    request.end_attempt(502, "broken")
    request.begin_attempt("openai/gpt-5", PRICES)
    record = await recorded(request, tmp_path, Outcome(State.ERROR, 503, "api_error", "no provider"))
    assert [(attempt["status"], attempt["error"]) for attempt in record.attempts] == [
        (502, "broken"),
        (503, "no provider"),
    ]


async def test_the_usual_single_attempt_takes_no_room(request_of_alice: Entry, tmp_path: Path) -> None:
    assert (await recorded(request_of_alice, tmp_path, Outcome(State.COMPLETED, 200))).attempts == []


async def test_a_nul_in_an_upstreams_words_keeps_no_record_out(request_of_alice: Entry, tmp_path: Path) -> None:
    request_of_alice.provider = "odd\x00"
    request_of_alice.end_attempt(502, "nul\x00 here")
    request_of_alice.begin_attempt("openai/gpt-5", PRICES)
    record = await recorded(request_of_alice, tmp_path, Outcome(State.COMPLETED, 200))
    assert (record.attempts[0]["provider"], record.attempts[0]["error"]) == ("odd", "nul here")


async def test_a_request_that_ends_between_two_attempts_lists_only_those_that_were_made(
    request_of_alice: Entry, tmp_path: Path
) -> None:
    request = request_of_alice
    request.tokens, request.charged = Tokens(input=10, output=1), 700
    request.end_attempt(502, "broken")
    record = await recorded(request, tmp_path, Outcome(State.ABORTED, 499))
    assert [attempt["status"] for attempt in record.attempts] == [502]
    assert (record.cost, record.cost_source, record.input_tokens) == (700, CostSource.UPSTREAM, 10)
    assert record.model == "openai/gpt-5"
