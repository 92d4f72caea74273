"""Which limits a request is counted by: its team's, its member's, its key's; and what it costs to have none."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from accounts.authentication import Caller
from accounts.models import ApiKey
from testing import cast
from usage.models import Limit
from usage.services.limits import rules as rules_module
from usage.services.limits.in_redis import RedisCounters
from usage.services.limits.limits import LimitExceeded, Limits
from usage.services.limits.rules import meters_of

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")


def caller(member: cast.Member) -> Caller:
    return replace(member.caller(), key_id=key_of(member).pk, key_name="laptop")


def key_of(member: cast.Member) -> ApiKey:
    return ApiKey.objects.filter(membership=member.membership)[0]


def in_force(who: Caller) -> dict[str, int]:
    return {f"{meter.whose}: {meter.kind}": meter.limit for meter in asyncio.run(meters_of(who))}


def run(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(story)


def test_a_request_is_counted_by_the_limits_of_its_team_its_member_and_its_key() -> None:
    alice, bob, carol = cast.alice(), cast.bob(), cast.carol()
    Limit.objects.create(team=alice.team, requests_per_minute=600, tokens_per_minute=10_000)
    Limit.objects.create(team=alice.team, applies_to="each_member", requests_per_minute=60)
    Limit.objects.create(team=alice.team, applies_to="key", api_key=key_of(bob), concurrent_requests=2)
    team = {"the team Acme: requests": 600, "the team Acme: tokens": 10_000}
    assert in_force(caller(alice)) == {**team, "the member alice@acme.example: requests": 60}
    assert in_force(caller(bob)) == {
        **team,
        "the member bob@acme.example: requests": 60,
        "the key 'laptop' of bob@acme.example: concurrent": 2,
    }
    assert in_force(caller(carol)) == {}


def test_a_limit_for_one_member_takes_the_place_of_the_one_for_each() -> None:
    alice, bob = cast.alice(), cast.bob()
    Limit.objects.create(team=alice.team, applies_to="each_member", requests_per_minute=60, concurrent_requests=2)
    Limit.objects.create(team=alice.team, applies_to="member", membership=bob.membership, requests_per_minute=300)
    assert in_force(caller(bob)) == {"the member bob@acme.example: requests": 300}
    assert len(in_force(caller(alice))) == 2


def test_a_change_is_in_force_for_the_next_request() -> None:
    alice = cast.alice()
    who = caller(alice)
    assert in_force(who) == {}
    limit = Limit.objects.create(team=alice.team, requests_per_minute=1)
    assert in_force(who) == {"the team Acme: requests": 1}
    Limit.objects.update(requests_per_minute=2)
    assert in_force(who) == {"the team Acme: requests": 2}
    limit.delete()
    assert in_force(who) == {}


def test_a_warm_request_asks_the_database_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    who = caller(cast.alice())
    Limit.objects.create(team=cast.alice().team, requests_per_minute=1)
    assert len(run(meters_of(who))) == 1

    def unexpected() -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(rules_module, "load_rules", unexpected)
    assert len(run(meters_of(who))) == 1


def test_a_caller_without_a_limit_is_not_asked_about_in_redis() -> None:
    alice, carol = cast.alice(), cast.carol()
    Limit.objects.create(team=alice.team, requests_per_minute=1)
    asked: list[object] = []

    class Watched(RedisCounters):
        async def take(self, demand: object) -> Any:
            asked.append(demand)
            raise ConnectionError

    async def story() -> None:
        limits = Limits(Watched("redis://127.0.0.1:1/0"))
        assert await limits.take(caller_of_carol, "req_1", 10) is None
        assert not asked
        assert await limits.take(caller_of_alice, "req_2", 10) is not None
        assert len(asked) == 1

    caller_of_alice, caller_of_carol = caller(alice), caller(carol)
    run(story())


def test_members_do_not_use_up_each_others_limits_and_share_their_teams() -> None:
    alice, bob = cast.alice(), cast.bob()
    Limit.objects.create(team=alice.team, requests_per_minute=3)
    Limit.objects.create(team=alice.team, applies_to="each_member", requests_per_minute=2)
    callers = [caller(alice), caller(bob)]

    async def story() -> list[str]:
        limits, told = Limits(), []
        for number, who in enumerate([0, 0, 0, 1, 1]):
            try:
                await limits.take(callers[who], f"req_{number}", 1)
                told.append("")
            except LimitExceeded as error:
                told.append(error.why.meter.whose)
        return told

    assert run(story()) == ["", "", "the member alice@acme.example", "", "the team Acme"]
