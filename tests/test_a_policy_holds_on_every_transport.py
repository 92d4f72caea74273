"""What a policy imposes on a team holds whichever way a request goes out, in every process, within seconds."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import pytest

from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import Reply, message_body, send

IN_FORCE_SECONDS = 5.0
CLAUDE = "anthropic/claude-sonnet-5"
MAKE_ALIASES = f"""
from messages_api.models import ModelAlias, Provider
for transport in ("native", "translate", "litellm"):
    ModelAlias.objects.update_or_create(team=None, name=f"by-{{transport}}", defaults=dict(
        target="{CLAUDE}", fallbacks="openai/gpt-5", transport=transport, system_addendum="Of the alias.",
        provider_preferences={{"only": ["anthropic", "azure", "openai"], "data_collection": "allow"}}, max_output=3000))
Provider.objects.update_or_create(
    name="beside", defaults=dict(litellm_provider="hosted_vllm", base_url="http://127.0.0.1:9/v1"))
ModelAlias.objects.update_or_create(team=None, name="elsewhere", defaults=dict(target="litellm:beside/qwen"))
"""
SET_POLICY = """
import json
from accounts.models import Policy, Team
Policy.objects.all().delete()
fields = json.loads({fields!r})
if fields:
    policy = Policy(team=Team.objects.get(name="Acme"), **fields)
    policy.full_clean()
    policy.save()
"""
#: Where each transport goes, and where it puts the effort.
PATHS = {
    "native": ("/messages", ("output_config", "effort")),
    "translate": ("/chat/completions", ("reasoning", "effort")),
    "litellm": ("/chat/completions", ("reasoning", "effort")),
}
IMPOSED = {
    "data_collection": "deny",
    "zdr": True,
    "only_providers": "anthropic\ngroq",
    "ignored_providers": "deepinfra",
    "sort": "price",
    "max_prompt_price": "12.15",
    "max_completion_price": "75",
    "max_output": 2000,
    "max_effort": "low",
    "system_addendum": "Of the policy.",
}
PROVIDER = {
    "data_collection": "deny",
    "zdr": True,
    "only": ["anthropic"],
    "ignore": ["deepinfra"],
    "sort": "price",
    "max_price": {"prompt": 12.15, "completion": 75},
}


@dataclass(frozen=True)
class House:
    """Two processes on one database."""

    first: ServerProcess
    second: ServerProcess

    def set_policy(self, **fields: Any) -> None:
        """What a superuser's form does. Returns when both processes must have heard of it."""
        self.first.manage("shell", "-v", "0", "-c", SET_POLICY.format(fields=orjson.dumps(fields).decode()))
        time.sleep(2.5)

    def ask(
        self, path: str = "/v1/messages", *, session: str = "", at: ServerProcess | None = None, **body: Any
    ) -> Reply:
        headers = {"x-api-key": self.first.api_key, "x-claude-code-session-id": session or str(uuid4())}
        return send((at or self.first).base_url, "POST", path, message_body(**body), headers)

    def see(self, path: str) -> Reply:
        return send(self.first.base_url, "GET", path, headers={"x-api-key": self.first.api_key})


@pytest.fixture(scope="module")
def house(simulator: SimulatorProcess) -> Iterator[House]:
    with ServerProcess(simulator.base_url) as first:
        first.manage("sync_models")
        first.manage("shell", "-v", "0", "-c", MAKE_ALIASES)
        second = ServerProcess(simulator.base_url, DATABASE_URL=first.database_url)
        second.start()
        yield House(first, second)
        second.stop()


@pytest.fixture(scope="module")
def imposed(house: House) -> House:
    house.set_policy(**IMPOSED)
    return house


def received(simulator: SimulatorProcess, session: str) -> list[dict[str, Any]]:
    return [request for request in simulator.requests() if (request["body"] or {}).get("session_id") == session]


# --- terms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", PATHS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_a_policy_imposes_reaches_the_upstream(
    imposed: House, simulator: SimulatorProcess, transport: str, stream: bool
) -> None:
    session = str(uuid4())
    asked: dict[str, Any] = {"max_tokens": 30_000, "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}
    reply = imposed.ask(session=session, model=f"by-{transport}", system="Be kind.", stream=stream, **asked)
    assert reply.status == 200, reply.body
    (sent,) = received(simulator, session)
    path, (outer, inner) = PATHS[transport]
    assert sent["path"].endswith(path)
    assert sent["body"]["max_tokens"] == 2000
    assert sent["body"]["provider"] == PROVIDER
    assert sent["body"][outer][inner] == "low"
    text = orjson.dumps(sent["body"]).decode()
    assert text.index("Be kind.") < text.index("Of the alias.") < text.index("Of the policy.")


@pytest.mark.parametrize("transport", PATHS)
def test_a_budget_is_held_to_the_most_effort(imposed: House, simulator: SimulatorProcess, transport: str) -> None:
    session = str(uuid4())
    thinking = {"type": "enabled", "budget_tokens": 20_000}
    reply = imposed.ask(session=session, model=f"by-{transport}", max_tokens=30_000, thinking=thinking)
    assert reply.status == 200, reply.body
    (sent,) = received(simulator, session)
    body = sent["body"]
    budget = body.get("thinking", {}).get("budget_tokens") or body.get("reasoning", {}).get("max_tokens")
    assert budget is None or budget < 2000
    assert budget is not None or body["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize("transport", PATHS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("models", ["openai/gpt-5"]),
        ("fallbacks", [{"model": "openai/gpt-5"}]),
        ("provider", {"zdr": False, "order": ["elsewhere"]}),
        ("plugins", [{"id": "web"}]),
    ],
)
def test_a_request_does_not_widen_it(imposed: House, transport: str, name: str, value: Any) -> None:
    reply = imposed.ask(model=f"by-{transport}", **{name: value})
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
    assert reply.json["error"]["message"].startswith(f"{name}: ")


def test_a_provider_beside_openrouter_is_not_sent_what_nobody_holds_it_to(imposed: House) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        reply = imposed.ask(path, model="elsewhere")
        assert (reply.status, reply.json["error"]["type"]) == (403, "permission_error")
        assert "beside, which serves this model, cannot be held to it" in reply.json["error"]["message"]


def test_where_alias_and_policy_leave_no_provider_that_is_said(house: House, simulator: SimulatorProcess) -> None:
    house.set_policy(only_providers="groq")
    before = len(simulator.requests())
    for transport in PATHS:
        reply = house.ask(model=f"by-{transport}")
        assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
        assert "no provider is left" in reply.json["error"]["message"]
    assert len(simulator.requests()) == before


# --- models ----------------------------------------------------------------------------------------------------------


def test_a_denied_model_is_refused_with_the_reason_wherever_it_is_asked_for(
    house: House, simulator: SimulatorProcess
) -> None:
    house.set_policy(denied_models="anthropic/*\nopenai/gpt-5-mini")
    before = len(simulator.requests())
    for name in (CLAUDE, "openai/gpt-5-mini", "openai/gpt-5-mini:nitro", "claude-bridge/openai/gpt-5-mini", "haiku"):
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            reply = house.ask(path, model=name)
            assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
            assert "denied by your team's policy. A superuser of this server" in reply.json["error"]["message"]
        assert house.see(f"/v1/models/{name}").status == 404
    assert len(simulator.requests()) == before, "it went upstream"
    names = {model["id"] for model in house.see("/v1/models?limit=1000").json["data"]}
    assert {"by-native", "by-translate", "openai/gpt-5"} <= names
    assert not {name for name in names if "anthropic/" in name or "gpt-5-mini" in name or name == "haiku"}


@pytest.mark.parametrize("transport", ["translate", "litellm"])
def test_a_fallback_answers_where_the_first_target_is_denied(
    house: House, simulator: SimulatorProcess, transport: str
) -> None:
    house.set_policy(denied_models="anthropic/*")
    session = str(uuid4())
    assert house.ask(session=session, model=f"by-{transport}").status == 200
    (sent,) = received(simulator, session)
    assert sent["body"]["model"] == "openai/gpt-5"


def test_a_router_is_to_be_had_where_the_policy_lists_it(house: House, simulator: SimulatorProcess) -> None:
    house.set_policy(allowed_models="*\nopenai/*:online")
    session = str(uuid4())
    assert house.ask(session=session, model="openai/gpt-5:online").status == 200
    assert received(simulator, session)[0]["body"]["model"] == "openai/gpt-5:online"
    reply = house.ask(model="openrouter/auto")
    assert reply.status == 400
    assert "lets OpenRouter choose" in reply.json["error"]["message"]


def test_a_change_is_in_force_in_every_process_within_seconds(house: House) -> None:
    house.set_policy()
    for process in (house.first, house.second):
        assert house.ask(at=process, model="openai/gpt-5").status == 200
    house.first.manage(
        "shell", "-v", "0", "-c", SET_POLICY.format(fields=orjson.dumps({"denied_models": "openai/*"}).decode())
    )
    changed = time.monotonic()
    for process in (house.first, house.second):
        while house.ask(at=process, model="openai/gpt-5").status == 200:
            assert time.monotonic() - changed < IN_FORCE_SECONDS, f"{process.base_url} has not heard of it"
            time.sleep(0.05)
        assert house.ask(at=process, model="openai/gpt-5").status == 400
