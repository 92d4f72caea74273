"""Owns what tests ask an upstream for, and what would come of it for a client of ours."""

from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from messages_api.errors import ApiError
from messages_api.schemas import parse_request
from messages_api.services.routing import Target
from messages_api.services.terms import NO_TERMS, Terms
from messages_api.services.translation.chat import AnswerError, ChatUsage
from messages_api.services.translation.request import translate_request
from messages_api.services.translation.response import fold, message_of
from messages_api.services.translation.stream import StreamTranslator
from messages_api.services.translation.usage import charged, tokens_of
from messages_api.services.upstream.base import ChatCall, ChatUpstream

KEY = "sk-or-v1-contract-abcd"
BASH = {
    "name": "Bash",
    "description": "Run a command",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}, "description": {"type": "string"}},
        "required": ["command"],
    },
    "cache_control": {"type": "ephemeral"},
}
LIST = {"name": "List", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}
SYSTEM = [{"type": "text", "text": "You are a test.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
BLOCK_TEXT = {"thinking": "thinking", "text": "text", "tool_use": "input", "redacted_thinking": "data"}


def call_to(
    target: Target, prompt: str, *, streamed: bool, key: str = KEY, terms: Terms = NO_TERMS, **more: Any
) -> ChatCall:
    body = {"model": "any", "max_tokens": 2000, "stream": streamed, "tools": [BASH], **more}
    body.setdefault("messages", [{"role": "user", "content": prompt}])
    translation = translate_request(
        parse_request(orjson.dumps(body)),
        model=target.model,
        facts=target.facts,
        terms=terms,
        session_id="session-of-a-test",
    )
    return ChatCall(target, translation, key)


def turn_after(content: list[Any], prompt: str = "Hi") -> list[Any]:
    """The conversation that goes on from an answer of `content`, every tool call answered."""
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}
        for block in content
        if block["type"] == "tool_use"
    ]
    return [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": content},
        {"role": "user", "content": results or "Go on."},
    ]


@dataclass
class Outcome:
    """What a client of ours would get: the message, what it used and cost, or the error it is told."""

    message: Any = None
    usage: ChatUsage | None = None
    tokens: Any = None
    charged: int | None = None
    generation: bool = False
    error: tuple[type, int, str, str | None] | None = None
    events_before_error: int = 0


async def outcome(upstream: ChatUpstream, call: ChatCall) -> Outcome:
    facts = call.target.facts
    translator = StreamTranslator(message_id="msg_1", model="any", family=facts.family, tools=call.translation.tools)
    result, events = Outcome(), []
    try:
        if call.translation.body.get("stream"):
            stream = await upstream.stream(call)
            try:
                async for chunks in stream:
                    events += [event for chunk in chunks for event in translator.feed(chunk)]
            finally:
                result.events_before_error = len(events)
                result.generation = bool(stream.generation_id)
                await stream.close()
            message = fold([*events, *translator.finish()])
        else:
            completion = await upstream.complete(call)
            result.generation = bool(completion.generation_id)
            message = message_of(completion.answer, translator)
        result.message = orjson.loads(msgspec.json.encode(message))
    except ApiError as error:
        result.error = (type(error), error.status, error.message, error.retry_after)
    except AnswerError as error:
        result.error = (AnswerError, 502, str(error), None)
    result.usage = translator.usage
    if translator.usage is not None:
        result.tokens, result.charged = tokens_of(translator.usage), charged(translator.usage)
    return result


def said(found: Outcome) -> list[tuple[str, Any]]:
    """The type and the content of each block."""
    assert found.error is None
    return [(block["type"], block[BLOCK_TEXT[block["type"]]]) for block in found.message["content"]]
