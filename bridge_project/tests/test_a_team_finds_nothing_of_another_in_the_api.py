"""A member of one team asks every route of `/v1` for what another team has, and is told nothing of it.

The routes come from the URLconf: a new one is asked from its first day.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from django.urls import get_resolver

from accounts.models import ApiKey
from bridge_project.lane import ApiLane
from messages_api.models import ModelAlias
from testing import cast
from testing.admin_pages import addresses_under
from testing.admin_rows import ROWS
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

SECRET_NAME = "project-chimera"
SECRET_WORDS = "Never speak of Chimera."
ROUTES = 4


@dataclass(frozen=True)
class Answer:
    """What the lane has sent."""

    status: int
    text: str


class World:
    """Globex has an alias that nobody else may know of, and a request on record; Alice of Acme asks."""

    def __init__(self) -> None:
        self.alice, carol = cast.alice(), cast.carol()
        ModelAlias.objects.create(
            team=carol.team, name=SECRET_NAME, target="openai/gpt-5-mini", system_addendum=SECRET_WORDS
        )
        ModelAlias.objects.filter(team=carol.team, name="sonnet").update(target="google/gemini-2.5-pro")
        self.record = ROWS[UsageRecord](carol)
        self.hints = {SECRET_WORDS, "carol", "globex", ApiKey.objects.get(membership=carol.membership).prefix}

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, query: str = "") -> Answer:
        sent: list[dict[str, Any]] = []
        received: list[bytes] = []

        async def receive() -> dict[str, Any]:
            if received:
                await asyncio.Event().wait()  # the client stays
            received.append(orjson.dumps(body or {}))
            return {"type": "http.request", "body": received[0], "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [(b"x-api-key", self.alice.api_key.encode()), (b"x-claude-code-session-id", b"globex-session")]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
        }
        asyncio.run(ApiLane().handle(scope, receive, send))
        return Answer(sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode())


@pytest.fixture
def world() -> World:
    return World()


def names() -> Iterator[str]:
    """The ways to spell a name that would lead to it, if it were Alice's."""
    yield from (SECRET_NAME, f"claude-bridge/{SECRET_NAME}", f"{SECRET_NAME}[1m]", f"{SECRET_NAME}:free")


def routes(argument: str) -> list[str]:
    return list(addresses_under(get_resolver("messages_api.urls").url_patterns, "/", argument))


def body(model: str) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def test_every_route_is_asked() -> None:
    assert len(routes("x")) == ROUTES, "a new route: say here what of another team it could tell"


@pytest.mark.parametrize("name", list(names()))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_teams_alias_is_not_there(world: World, method: str, name: str) -> None:
    for path in routes(name):
        answer = world.ask(method, path, body(name))
        if "models" in path and name not in path:
            assert SECRET_NAME not in answer.text
        else:
            assert answer.status in {404, 405}, path
        assert "gpt-5-mini" not in answer.text or "models" in path
        assert not any(hint in answer.text for hint in world.hints - {"globex"})


@pytest.mark.parametrize("nearly", ["project-chimer", "chimera", "project", "globex-alias"])
def test_the_nearest_names_are_those_of_ones_own_team(world: World, nearly: str) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        answer = world.ask("POST", path, body(nearly))
        assert answer.status == 404
        assert SECRET_NAME not in answer.text


def test_the_list_has_ones_own_names_alone(world: World) -> None:
    listed = world.ask("GET", "/v1/models", query="limit=1000")
    assert listed.status == 200
    assert SECRET_NAME not in listed.text
    assert not any(hint in listed.text.lower() for hint in world.hints)
    cursor = world.ask("GET", "/v1/models", query=f"after_id={SECRET_NAME}")
    assert (cursor.status, "is not in the list" in cursor.text) == (400, True)


def test_a_name_that_both_have_leads_where_ones_own_team_says(world: World) -> None:
    described = orjson.loads(world.ask("GET", "/v1/models/sonnet").text)
    assert "Gemini" not in described["display_name"]


def test_a_foreign_request_or_session_leads_nowhere(world: World) -> None:
    for identifier in (world.record.pk, f"req_{world.record}", "globex-session", str(world.record)):
        for method in ("GET", "POST"):
            answer = world.ask(method, f"/v1/messages/{quote(str(identifier))}")
            assert answer.status == 404
            assert "carol" not in answer.text.replace(str(identifier), "").replace(quote(str(identifier)), "")


@pytest.mark.parametrize("limit", ["9" * 5000, "x", "-1", "0", "%00"])
def test_a_limit_of_nonsense_is_refused(world: World, limit: str) -> None:
    assert world.ask("GET", "/v1/models", query=f"limit={limit}").status == 400
