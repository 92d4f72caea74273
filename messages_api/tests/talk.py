"""Owns a conversation with models over both ways, as its client keeps it; tests hold it against the simulator."""

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from messages_api.schemas import RedactedThinkingBlock, ThinkingBlock, parse_envelope
from messages_api.services.attempts.base import Asked
from messages_api.services.attempts.relayed import RelayedAttempt
from messages_api.services.attempts.translated import TranslatedAttempt
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import Target, Transport
from messages_api.services.terms import NO_TERMS
from messages_api.services.translation.reasoning import PLAIN, RELAYED_THOUGHT, carried_by
from messages_api.services.translation.relay_messages import THOUGHTS
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.messages import MessagesUpstream
from messages_api.services.upstream.openrouter import OpenRouterUpstream
from messages_api.tests.stream_grammar import check_grammar, events_of, message_added_up
from testing.openrouter_simulator.models import BY_ID
from testing.simulator_process import SimulatorProcess

Json = dict[str, Any]

KEY = "sk-or-v1-moving-abcd"
BASH = {
    "name": "Bash",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}
#: A model of each family whose models can call tools.
FIRST_OF_FAMILY = {model.family: model.id for model in reversed(BY_ID.values()) if "tools" in model.parameters}


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
        attempt = self.attempt(asked, Target(model, facts_of(model), transport=way))
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
        """How many thoughts were told before the last answer; those of one answer that have no details are one."""
        return sum(_told(message["content"]) for message in self.messages[1:-1:2])

    def returned(self) -> int:
        """How many thoughts came back with the last request, of which no call lacked its own."""
        reasoning = self.simulator.requests()[-1]["reasoning"]
        assert reasoning["lost_calls"] == []
        return int(reasoning["returned"])


def _told(content: list[Json]) -> int:
    """A model's thought without details is told once more, with its details, if it has any."""
    kinds = [carried_by(_block(block))[1]["type"] for block in content if block["type"] in THOUGHTS]
    return sum(kind not in {PLAIN, RELAYED_THOUGHT} for kind in kinds) or min(1, len(kinds))


def _block(block: Json) -> ThinkingBlock | RedactedThinkingBlock:
    if block["type"] == "thinking":
        return ThinkingBlock(block["thinking"], block["signature"])
    return RedactedThinkingBlock(block["data"])


def facts_of(model_id: str) -> ModelFacts:
    """What the simulator's catalogue says about a model."""
    model = BY_ID[model_id]
    reasoning = model.reasoning or {}
    return ModelFacts(
        model_id,
        family=model.family,
        max_output=model.max_completion_tokens,
        modalities=frozenset(model.inputs),
        parameters=frozenset(model.parameters),
        efforts=tuple(reasoning.get("supported_efforts") or ()),
        reasoning_is_mandatory=bool(reasoning.get("mandatory")),
        reasoning_takes_budget=bool(reasoning.get("supports_max_tokens")),
    )
