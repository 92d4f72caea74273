"""Names under which OpenRouter itself picks a model, or adds a search, are for administrators to allow, by an alias."""

from typing import Any

import pytest

from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import post_messages, send
from tests.aliases import make_aliases

ROUTERS = ["openrouter/auto", "@preset/writer", "openai/gpt-5:online", "openai/gpt-5@preset/writer"]


def asked_for(simulator: SimulatorProcess) -> list[str]:
    return [request["body"]["model"] for request in simulator.requests() if request["method"] == "POST"]


@pytest.mark.parametrize("name", [*ROUTERS, "claude-bridge/openai/gpt-5:online"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_member_cannot_ask_for_a_router(
    server: ServerProcess, simulator: SimulatorProcess, name: str, stream: bool
) -> None:
    before = len(simulator.requests())
    reply = post_messages(server.base_url, server.api_key, model=name, stream=stream)
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
    assert name in reply.json["error"]["message"]
    assert "An administrator can allow it" in reply.json["error"]["message"]
    assert len(simulator.requests()) == before, "it went upstream"


def test_a_router_is_not_listed(server: ServerProcess) -> None:
    reply = send(server.base_url, "GET", "/v1/models?limit=1000", headers={"x-api-key": server.api_key})
    names = {model["id"] for model in reply.json["data"]}
    assert not [name for name in names if "openrouter/" in name or ":online" in name or "@preset/" in name]


@pytest.mark.parametrize("fields", [{"models": ["openai/gpt-5"]}, {"route": "fallback"}, {"plugins": [{"id": "web"}]}])
@pytest.mark.parametrize("model", ["openai/gpt-5", "anthropic/claude-sonnet-5"])
def test_fields_that_pick_a_route_are_no_way_round(server: ServerProcess, model: str, fields: dict[str, Any]) -> None:
    reply = post_messages(server.base_url, server.api_key, model=model, **fields)
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
    assert reply.json["error"]["message"].startswith(f"{next(iter(fields))}: ")


def test_an_alias_of_an_administrator_leads_to_a_router(server: ServerProcess, simulator: SimulatorProcess) -> None:
    make_aliases(server, {"name": "searching", "target": "openai/gpt-5:online"})
    reply = post_messages(server.base_url, server.api_key, model="searching")
    assert reply.status == 200, reply.body
    assert asked_for(simulator)[-1] == "openai/gpt-5:online"
