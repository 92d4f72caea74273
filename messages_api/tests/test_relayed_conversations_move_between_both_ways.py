"""A conversation moves between the relay and the translation, and each model has its own reasoning back every time.

The simulator refuses reasoning that is altered, out of order or foreign, and tells how much of it came back.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from messages_api.schemas import parse_envelope
from messages_api.services.attempts.base import Asked
from messages_api.services.attempts.relayed import RelayedAttempt
from messages_api.services.attempts.translated import TranslatedAttempt
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import Target, Transport
from messages_api.services.terms import NO_TERMS
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.messages import MessagesUpstream
from messages_api.services.upstream.openrouter import OpenRouterUpstream
from messages_api.tests.stream_grammar import check_grammar, events_of, message_added_up
from testing.simulator_process import SimulatorProcess

Json = dict[str, Any]

KEY = "sk-or-v1-moving-abcd"
HAIKU, SONNET, GPT = "anthropic/claude-haiku-4.5", "anthropic/claude-sonnet-5", "openai/gpt-5"
GEMINI = "google/gemini-3-pro-preview"
BASH = {
    "name": "Bash",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
#: Each a turn of its own: thoughts before a call, between words, without words, before two calls.
SCRIPTS = ("reasoning_tool", "interleaved_reasoning", "reasoning_redacted", "reasoning_two_tools")
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


@dataclass
class Talk:
    """A conversation as its client keeps it: what it received is sent back as it came."""

    session: aiohttp.ClientSession
    simulator: SimulatorProcess
    messages: list[Json] = field(default_factory=list)

    async def turn(self, script: str, model: str, *ways: Transport, **more: Any) -> None:
        """A question, and its tools' results until there is an answer; each request goes the next way."""
        content: str | list[Json] = f"[[{script}]]"
        while content:
            self.messages.append({"role": "user", "content": content})
            answered = await self.ask(model, ways[len(self.messages) // 2 % len(ways)], **more)
            self.messages.append({"role": "assistant", "content": answered})
            calls = [block["id"] for block in answered if block["type"] == "tool_use"]
            content = [{"type": "tool_result", "tool_use_id": call_id, "content": "done"} for call_id in calls]

    async def ask(self, model: str, way: Transport, **more: Any) -> list[Json]:
        body = {"model": "m", "max_tokens": 4000, "stream": True, "messages": self.messages, "tools": [BASH], **more}
        asked = Asked(f"msg_{len(self.messages)}", parse_envelope(orjson.dumps(body)), NO_TERMS)
        facts = ModelFacts(model, family=model.partition("/")[0], reasoning_takes_budget=model == HAIKU)
        target = Target(model, facts, transport=way)
        attempt = self.attempt(asked, target)
        async with aclosing(attempt.stream()) as pieces:
            events = events_of(b"".join([piece async for piece in pieces]))
        await attempt.close()
        check_grammar(events)
        content: list[Json] = message_added_up(events)["content"]
        return content

    def attempt(self, asked: Asked, target: Target) -> RelayedAttempt | TranslatedAttempt:
        base_url, sessions = self.simulator.base_url, Sessions(self.session, self.session)
        if target.transport == "native":
            return RelayedAttempt(asked, target, MessagesUpstream(sessions, base_url), KEY, 7)
        return TranslatedAttempt(asked, target, OpenRouterUpstream(sessions, base_url), KEY, 7)

    def told(self) -> int:
        """How many thoughts were told before the last answer: what is not signed is told once more, sealed."""
        blocks = [block for message in self.messages[1:-1:2] for block in message["content"]]
        thoughts = [block for block in blocks if block["type"] in {"thinking", "redacted_thinking"}]
        return sum(block.get("signature") != "" for block in thoughts)

    def returned(self) -> int:
        """How many thoughts came back with the last request, of which no call lacked its own."""
        reasoning = self.simulator.requests()[-1]["reasoning"]
        assert reasoning["lost_calls"] == []
        return int(reasoning["returned"])


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as running:
        yield running


@pytest_asyncio.fixture
async def talk(simulator: SimulatorProcess) -> AsyncIterator[Talk]:
    simulator.reset()
    async with aiohttp.ClientSession() as session:
        yield Talk(session, simulator)


BOTH_ORDERS = pytest.mark.parametrize("ways", [("native", "translate"), ("translate", "native")], ids="-".join)
MODELS = pytest.mark.parametrize(
    ("model", "more"),
    [(HAIKU, BUDGET), (SONNET, {}), (GPT, {}), (GEMINI, {})],
    ids=["budget", "adaptive", "gpt", "gemini"],
)


@BOTH_ORDERS
@MODELS
async def test_a_model_goes_on_the_other_way_and_back(
    ways: tuple[Transport, Transport], model: str, more: Json, talk: Talk
) -> None:
    for way in (ways[0], ways[1], ways[0]):
        for script in SCRIPTS:
            await talk.turn(script, model, way, **more)
            assert talk.returned() == talk.told()
    assert talk.told() >= 3 * len(SCRIPTS)


@BOTH_ORDERS
@MODELS
async def test_it_goes_the_other_way_between_a_call_and_its_result(
    ways: tuple[Transport, Transport], model: str, more: Json, talk: Talk
) -> None:
    for script in SCRIPTS:
        await talk.turn(script, model, *ways, **more)
        assert talk.returned() == talk.told()


@pytest.mark.parametrize("way", ["native", "translate"])
async def test_thoughts_of_another_model_are_left_out(way: Transport, talk: Talk) -> None:
    for model in (GPT, SONNET, GPT, SONNET):
        for script in SCRIPTS:
            await talk.turn(script, model, way)
            assert talk.returned() > 0


async def test_a_search_that_was_translated_is_relayed_in_words(talk: Talk) -> None:
    tools = [BASH, WEB_SEARCH]
    await talk.turn("citations", GPT, "translate", tools=tools)
    kinds = {block["type"] for block in talk.messages[-1]["content"]}
    assert kinds == {"text", "server_tool_use", "web_search_tool_result"}
    assert any(block.get("citations") for block in talk.messages[-1]["content"])
    await talk.turn("text", SONNET, "native", tools=tools)
    told = talk.simulator.requests()[-1]["body"]["messages"][1]["content"]
    assert {block["type"] for block in told} == {"text"}
    assert "https://example.com/simulated" in told[-1]["text"]
    await talk.turn("searches 1", SONNET, "native", tools=tools)
    await talk.turn("text", SONNET, "native", tools=tools)
    await talk.turn("text", GPT, "translate", tools=tools)
