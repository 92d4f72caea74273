"""From headers to a caller: which credential counts, what is refused, and what it costs the database."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts import authentication, configuration
from accounts.authentication import AuthenticationFailed, Caller, CannotVerify, TeamDisabled, authenticate
from accounts.keys import new_key
from accounts.models import ApiKey, Membership, Team
from accounts.services import revoke_api_key
from testing import cast

pytestmark = pytest.mark.django_db(transaction=True)


def who(**headers: str) -> Caller:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return asyncio.run(authenticate(raw))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prefixes that reach the database from now on."""
    asked: list[str] = []
    find = authentication._find

    def note(prefix: str, digest: str) -> Caller | None:
        asked.append(prefix)
        return find(prefix, digest)

    monkeypatch.setattr(authentication, "_find", note)
    return asked


def test_a_key_or_a_bearer_token_or_both_name_the_caller() -> None:
    alice = cast.alice()
    for headers in (
        {"x_api_key": alice.api_key},
        {"authorization": f"Bearer {alice.api_key}"},
        {"authorization": f"bearer {alice.api_key}", "x_api_key": alice.api_key},
        {"authorization": f"Bearer {alice.api_key}", "x_api_key": "dummy"},
    ):
        caller = who(**headers)
        assert (caller.email, caller.team) == ("alice@acme.example", "Acme")


def test_the_key_in_x_api_key_counts_before_the_bearer_token() -> None:
    alice, carol = cast.alice(), cast.carol()
    assert who(x_api_key=alice.api_key, authorization=f"Bearer {carol.api_key}").email == alice.user.email


def test_a_warm_key_asks_the_database_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    alice, asked = cast.alice(), counted(monkeypatch)
    for _ in range(3):
        who(x_api_key=alice.api_key)
    assert len(asked) == 1


def test_a_malformed_key_asks_the_database_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    alice, asked = cast.alice(), counted(monkeypatch)
    for text in ("", "dummy", alice.api_key[:-1], alice.api_key[:-1] + "!", alice.api_key + "0", alice.api_key.lower()):
        with pytest.raises(AuthenticationFailed):
            who(x_api_key=text)
    assert asked == []


def test_an_unknown_key_asks_the_database_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, stranger = counted(monkeypatch), new_key()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            who(x_api_key=stranger.text)
    assert asked == [stranger.prefix]


def test_a_known_prefix_with_another_secret_is_refused() -> None:
    alice, other = cast.alice(), new_key()
    ApiKey.objects.filter(membership=alice.membership).update(prefix=other.prefix)
    with pytest.raises(AuthenticationFailed):
        who(x_api_key=other.text)


def test_a_revoked_key_is_refused_at_once_in_this_process() -> None:
    alice = cast.alice()
    who(x_api_key=alice.api_key)
    revoke_api_key(ApiKey.objects.get(membership=alice.membership))
    with pytest.raises(AuthenticationFailed):
        who(x_api_key=alice.api_key)


def test_a_key_expires_while_it_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    ApiKey.objects.filter(membership=alice.membership).update(expires_at=timezone.now() + timedelta(minutes=1))
    who(x_api_key=alice.api_key)
    later = timezone.now() + timedelta(minutes=2)
    monkeypatch.setattr("accounts.authentication.timezone.now", lambda: later)
    with pytest.raises(AuthenticationFailed):
        who(x_api_key=alice.api_key)


def test_a_member_of_a_disabled_team_is_told_so() -> None:
    alice = cast.alice()
    Team.objects.update(is_active=False)
    with pytest.raises(TeamDisabled):
        who(x_api_key=alice.api_key)


def test_an_inactive_user_is_refused() -> None:
    alice = cast.alice()
    alice.user.is_active = False
    alice.user.save()
    with pytest.raises(AuthenticationFailed):
        who(x_api_key=alice.api_key)


def test_a_key_that_cannot_be_checked_is_not_called_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    monkeypatch.setattr(authentication, "_find", away)
    with pytest.raises(CannotVerify):
        who(x_api_key=alice.api_key)


def away(prefix: str, digest: str) -> Caller | None:
    raise OperationalError("away")


def minutes_without_the_database(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    monkeypatch.setattr(authentication, "_find", away)
    monkeypatch.setattr(configuration, "_confirmed_at", time.monotonic() - minutes * 60)


def test_a_cached_caller_is_believed_for_ten_minutes_without_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    who(x_api_key=alice.api_key)
    minutes_without_the_database(monkeypatch, 9)
    assert who(x_api_key=alice.api_key).email == alice.user.email
    minutes_without_the_database(monkeypatch, 11)
    with pytest.raises(CannotVerify):
        who(x_api_key=alice.api_key)


def test_after_ten_minutes_a_database_that_answers_again_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    who(x_api_key=alice.api_key)
    monkeypatch.setattr(configuration, "_confirmed_at", time.monotonic() - 11 * 60)
    assert who(x_api_key=alice.api_key).email == alice.user.email


def test_looking_at_the_configuration_confirms_what_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    async def watch_for_a_moment() -> None:
        watcher = asyncio.create_task(configuration.watch())
        await asyncio.sleep(0.3)
        watcher.cancel()

    monkeypatch.setattr(configuration, "_confirmed_at", time.monotonic() - 11 * 60)
    assert not configuration.is_trusted()
    asyncio.run(watch_for_a_moment())
    assert configuration.is_trusted()


def test_a_database_that_never_answers_is_one_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    monkeypatch.setattr(authentication, "LOOK_UP_SECONDS", 0.05)
    monkeypatch.setattr(authentication, "_find", lambda prefix, digest: time.sleep(0.5))
    with pytest.raises(CannotVerify):
        who(x_api_key=alice.api_key)


def test_unknown_keys_are_forgotten_after_half_a_minute_and_never_more_than_ten_thousand() -> None:
    for number in range(10_100):
        authentication._remember(str(number), None)
    assert len(authentication._unknown) == 10_000
    assert authentication._unknown.ttl == 30


def test_the_models_that_a_key_may_use_go_with_its_caller() -> None:
    alice = cast.alice()
    assert who(x_api_key=alice.api_key).allowed_models == ()
    ApiKey.objects.update(allowed_models="openai/*\n\n sonnet \n")
    assert who(x_api_key=alice.api_key).allowed_models == ("openai/*", "sonnet")


def test_the_personal_keys_own_openrouter_key_pays_before_the_members_and_the_teams() -> None:
    alice = cast.alice()
    assert who(x_api_key=alice.api_key).openrouter_key is None
    Team.objects.update(openrouter_key=cast.openrouter_key("team", "sk-or-v1-team"))
    assert who(x_api_key=alice.api_key).openrouter_key == "sk-or-v1-team"
    Membership.objects.update(openrouter_key=cast.openrouter_key("member", "sk-or-v1-member"))
    assert who(x_api_key=alice.api_key).openrouter_key == "sk-or-v1-member"
    ApiKey.objects.update(openrouter_key=cast.openrouter_key("own", "sk-or-v1-own"))
    assert who(x_api_key=alice.api_key).openrouter_key == "sk-or-v1-own"


def test_a_caller_shows_no_secret() -> None:
    alice = cast.alice()
    Team.objects.update(openrouter_key=cast.openrouter_key("team", "sk-or-v1-team"))
    shown: Any = repr(who(x_api_key=alice.api_key))
    assert "sk-or-v1-team" not in shown
    assert ApiKey.objects.get().digest not in shown
