"""Every key that opens nothing gets the same 401, byte for byte; a disabled team gets a 403 that says so."""

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts import authentication
from accounts.keys import new_key
from accounts.models import ApiKey, Team, User
from accounts.services import revoke_api_key, rotate_api_key
from bridge_project.lane import ApiLane
from testing import cast

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = {"type": "authentication_error", "message": "invalid x-api-key"}


def ask(*headers: tuple[bytes, bytes]) -> tuple[int, dict[str, Any]]:
    """The status and the error of GET /v1/models through the lane."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/v1/models", "query_string": b"", "headers": list(headers)}
    asyncio.run(ApiLane().handle(scope, receive, send))
    body = orjson.loads(sent[1]["body"])
    assert body["type"] == "error"
    return sent[0]["status"], body["error"]


def with_key(text: str) -> tuple[int, dict[str, Any]]:
    return ask((b"x-api-key", text.encode()))


def expired() -> str:
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    return ""


def revoked() -> str:
    revoke_api_key(ApiKey.objects.get())
    return ""


def rotated() -> str:
    rotate_api_key(ApiKey.objects.get(), grace=timedelta(0))
    return ""


def of_an_inactive_user() -> str:
    User.objects.update(is_active=False)
    return ""


def of_a_user_who_is_gone() -> str:
    User.objects.all().delete()
    return ""


@pytest.mark.parametrize("spoil", [expired, revoked, rotated, of_an_inactive_user, of_a_user_who_is_gone])
def test_a_key_that_was_good(spoil: Any) -> None:
    key = cast.alice().api_key
    spoil()
    assert with_key(key) == (401, REFUSED)


@pytest.mark.parametrize(
    "text",
    ["", "dummy", "sk-or-v1-0123456789abcdef", new_key().text, new_key().text[:-1]],
    ids=["empty", "a word", "another service's", "well-formed", "cut"],
)
def test_a_key_that_never_was(text: str) -> None:
    cast.alice()
    assert with_key(text) == (401, REFUSED)


def test_no_key_at_all() -> None:
    assert ask() == (401, REFUSED)


def test_a_member_of_a_disabled_team_is_told_so() -> None:
    key = cast.alice().api_key
    Team.objects.update(is_active=False)
    status, error = with_key(key)
    assert (status, error["type"]) == (403, "permission_error")
    assert "Acme" in error["message"]


def test_a_key_that_cannot_be_checked_gets_529(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(prefix: str, digest: str) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(authentication, "_find", away)
    status, error = with_key(new_key().text)
    assert (status, error["type"]) == (529, "overloaded_error")
