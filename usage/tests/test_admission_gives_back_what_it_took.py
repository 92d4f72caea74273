"""What a request takes of its limits is given back however it ends, and whatever refuses it later."""

import asyncio
import os
from pathlib import Path

import pytest

from accounts.authentication import Caller
from testing import cast
from usage.models import Limit
from usage.pricing import Tokens
from usage.services.admission import Admission
from usage.services.ledger import Entry, Ledger, Origin, Outcome, State
from usage.services.limits.arithmetic import Kind
from usage.services.refusals import LimitReached, NotRecorded

pytestmark = pytest.mark.django_db(transaction=True)

OUTCOMES = [
    Outcome(State.COMPLETED, 200),
    Outcome(State.ERROR, 502, "api_error"),
    Outcome(State.ABORTED, 499),
]


def entry(who: Caller, name: str, estimated: int = 10) -> Entry:
    return Entry(
        request_id=name,
        caller=who,
        origin=Origin(),
        requested_model="sonnet",
        model="openai/gpt-5",
        streamed=True,
        prices=None,
        estimated_tokens=estimated,
    )


def limited(**amounts: int) -> Caller:
    alice = cast.alice()
    Limit.objects.create(team=alice.team, **amounts)
    return alice.caller()


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.state)
def test_a_place_is_free_however_its_request_ends(tmp_path: Path, outcome: Outcome) -> None:
    async def story() -> None:
        admission = Admission(Ledger(tmp_path))
        for number in range(5):
            asked = entry(who, f"req_{number}")
            await admission.admit(asked)
            with pytest.raises(LimitReached, match="at most 1 request at the same time") as refused:
                await admission.admit(entry(who, f"req_{number}_too_many"))
            assert refused.value.seconds is None
            admission.settle(asked, outcome)
            admission.settle(asked, outcome)

    who = limited(concurrent_requests=1)
    asyncio.run(story())


def test_a_request_that_cannot_be_recorded_has_taken_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        ledger = Ledger(tmp_path)
        admission = Admission(ledger)
        working = os.dup(ledger._spool._descriptor)
        os.dup2(os.open("/dev/full", os.O_RDWR), ledger._spool._descriptor)
        with pytest.raises(NotRecorded):
            await admission.admit(entry(who, "req_1"))
        os.dup2(working, ledger._spool._descriptor)
        await admission.admit(entry(who, "req_2"))

    who = limited(requests_per_minute=1, tokens_per_minute=10, concurrent_requests=1)
    asyncio.run(story())


def test_a_refused_request_has_no_record(tmp_path: Path) -> None:
    async def story() -> None:
        ledger = Ledger(tmp_path)
        admission = Admission(ledger)
        await admission.admit(entry(who, "req_1"))
        with pytest.raises(LimitReached, match=r"the team Acme: at most 1 request a minute\. Try again in 6"):
            await admission.admit(entry(who, "req_2"))
        assert list(ledger.in_flight) == ["req_1"]

    who = limited(requests_per_minute=1)
    asyncio.run(story())


def test_tokens_count_as_they_were_used_without_what_came_from_a_cache(tmp_path: Path) -> None:
    async def story() -> list[int]:
        admission, left = Admission(Ledger(tmp_path)), []
        for number, used in enumerate(
            [
                Tokens(input=100, output=20, cache_read=5_000, cache_write=30, reasoning=15),
                Tokens(),
                Tokens(output=2_000),
            ]
        ):
            asked = entry(who, f"req_{number}", estimated=1_000)
            left.append((await admission.admit(asked))[Kind.TOKENS].remaining)
            asked.tokens = used
            admission.settle(asked, OUTCOMES[0])
        left.append((await admission.admit(entry(who, "req_last", estimated=0)))[Kind.TOKENS].remaining)
        return left

    who = limited(tokens_per_minute=10_000)
    assert asyncio.run(story()) == [9_000, 8_850, 8_850, 7_850]


def test_who_has_no_limit_is_told_of_none(tmp_path: Path) -> None:
    async def story() -> None:
        admission = Admission(Ledger(tmp_path))
        for number in range(100):
            assert await admission.admit(entry(who, f"req_{number}")) == {}

    who = cast.carol().caller()
    limited(requests_per_minute=1, concurrent_requests=1)
    asyncio.run(story())
