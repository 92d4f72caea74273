"""In the middle of a tool loop that another model began Claude is not asked to think; from the next turn on, it is.

Claude refuses thinking with a budget there: its thought would have to begin the loop.
"""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from messages_api.schemas import parse_envelope, parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import NO_TERMS, Terms
from messages_api.services.translation.reasoning import redacted_data, signature
from messages_api.services.translation.relay_request import request_to_openrouter, request_to_provider
from messages_api.services.translation.request import translate_request

Json = dict[str, Any]
Ask = Callable[..., tuple[Json, list[str]]]

HAIKU = ModelFacts("anthropic/claude-haiku-4.5", family="anthropic", reasoning_takes_budget=True)
ADAPTIVE = ModelFacts("anthropic/claude-sonnet-5", family="anthropic", efforts=("low", "high"))
BUDGET = {"type": "enabled", "budget_tokens": 1024}

QUESTION = {"role": "user", "content": "Look."}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "Eq+/="}
SUMMARY = {"type": "reasoning.summary", "format": "openai-responses-v1", "index": 0}
FOREIGN = {"type": "thinking", "thinking": "I look.", "signature": signature(SUMMARY, "openai")}
FOREIGN_SEALED = {
    "type": "redacted_thinking",
    "data": redacted_data({"type": "reasoning.encrypted", "data": "g", "format": "openai-responses-v1"}, "openai"),
}
CLEARING = {"type": "clear_thinking_20251015", "keep": "all"}
OTHER_EDIT = {"type": "clear_tool_uses_20250919"}


def call(call_id: str) -> Json:
    return {"type": "tool_use", "id": call_id, "name": "Bash", "input": {}}


def called(*blocks: Json) -> list[Json]:
    """An answer that ends in calls, and their results."""
    ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call_id, "content": "ok"} for call_id in ids]
    return [{"role": "assistant", "content": list(blocks)}, {"role": "user", "content": results}]


OWN, OTHERS = call("toolu_01A"), call("call_1")
OWN_TOO = call("toolu_01B")


def request_of(messages: list[Json], more: Json) -> bytes:
    return orjson.dumps({"model": "m", "max_tokens": 4000, "thinking": BUDGET, "messages": messages, **more})


def relayed(messages: list[Json], facts: ModelFacts = HAIKU, terms: Terms = NO_TERMS, **more: Any) -> Any:
    request = request_to_openrouter(
        parse_envelope(request_of(messages, more)), model=facts.id, facts=facts, terms=terms
    )
    return orjson.loads(request.body), request.warnings


def relayed_to_provider(messages: list[Json], facts: ModelFacts = HAIKU, terms: Terms = NO_TERMS, **more: Any) -> Any:
    request = request_to_provider(parse_envelope(request_of(messages, more)), model=facts.id, facts=facts, terms=terms)
    return orjson.loads(request.body), request.warnings


def translated(messages: list[Json], facts: ModelFacts = HAIKU, terms: Terms = NO_TERMS, **more: Any) -> Any:
    translation = translate_request(parse_request(request_of(messages, more)), model=facts.id, facts=facts, terms=terms)
    return translation.body, translation.warnings


RELAYS = pytest.mark.parametrize("ask", [relayed, relayed_to_provider])
ALL_WAYS = pytest.mark.parametrize("ask", [relayed, relayed_to_provider, translated])


def asks_to_think(body: Json) -> bool:
    return "thinking" in body or body.get("reasoning", {"enabled": False}) != {"enabled": False}


def has_thoughts(body: Json) -> bool:
    return any(
        "reasoning_details" in message
        or any(block["type"] in {"thinking", "redacted_thinking"} for block in message["content"] or ())
        for message in body["messages"]
        if message["role"] == "assistant" and (message["content"] is None or isinstance(message["content"], list))
    )


UNTHOUGHT = {
    "a call of another model": called(OTHERS),
    "a call behind a foreign thought": called(FOREIGN, OTHERS),
    "a call behind what is sealed": called(FOREIGN_SEALED, OTHERS),
    "a call behind words": called({"type": "text", "text": "I look."}, OTHERS),
    "thoughts that only Claude's later calls have": [*called(OTHERS), *called(THOUGHT, OWN)],
    "a call of another model behind Claude's": [*called(THOUGHT, OWN), *called(FOREIGN, OTHERS)],
    "a call of another model before Claude's": [*called(THOUGHT, OWN), *called(OTHERS), *called(OWN_TOO)],
    "a foreign thought before a call that looks like Claude's": [*called(THOUGHT, OWN), *called(FOREIGN, OWN_TOO)],
    "instructions in the middle": [*called(OTHERS), {"role": "system", "content": "Be quick."}],
}
THOUGHT_OUT = {
    "nothing": [],
    "Claude's own calls": called(THOUGHT, OWN),
    "what Claude thought and sealed": called({"type": "redacted_thinking", "data": "Eq+/="}, OWN),
    "calls that Claude made without thinking again": [*called(THOUGHT, OWN), *called(OWN_TOO)],
    "a new turn behind others' calls": [
        *called(OTHERS),
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "And now?"},
    ],
    "a new turn of Claude's behind others' calls": [*called(OTHERS), QUESTION, *called(THOUGHT, OWN)],
}


@ALL_WAYS
@pytest.mark.parametrize("loop", UNTHOUGHT)
def test_claude_is_not_asked_to_think_in_a_loop_without_its_thoughts(ask: Ask, loop: str) -> None:
    body, warnings = ask([QUESTION, *UNTHOUGHT[loop]])
    assert not asks_to_think(body)
    assert not has_thoughts(body)  # refused where no thinking is asked for
    assert [warning for warning in warnings if "thinking is left out" in warning and HAIKU.id in warning]


@ALL_WAYS
@pytest.mark.parametrize("loop", THOUGHT_OUT)
def test_it_is_asked_to_think_everywhere_else(ask: Ask, loop: str) -> None:
    body, warnings = ask([QUESTION, *THOUGHT_OUT[loop]])
    assert body.get("thinking") == BUDGET or body["reasoning"] == {"max_tokens": 1024}
    assert warnings == []


@RELAYS
def test_a_loop_of_claudes_own_is_relayed_as_it_came(ask: Ask) -> None:
    messages = [QUESTION, *THOUGHT_OUT["calls that Claude made without thinking again"]]
    assert ask(messages)[0]["messages"] == messages


@ALL_WAYS
def test_thoughts_of_earlier_turns_stay(ask: Ask) -> None:
    body, _ = ask([QUESTION, *called(THOUGHT, OWN), QUESTION, *called(OTHERS)])
    assert not asks_to_think(body)
    assert has_thoughts(body)


@ALL_WAYS
def test_models_that_think_as_they_see_fit_go_on_thinking(ask: Ask) -> None:
    body, warnings = ask([QUESTION, *called(OTHERS)], ADAPTIVE, thinking={"type": "adaptive"})
    assert asks_to_think(body)
    assert warnings == []


@pytest.mark.parametrize(
    "more", [{"thinking": {"type": "adaptive"}}, {"thinking": None, "output_config": {"effort": "low"}}]
)
def test_what_openrouter_would_turn_into_a_budget_is_left_out_too(more: Json) -> None:
    assert not asks_to_think(translated([QUESTION, *called(OTHERS)], **more)[0])
    assert asks_to_think(translated([QUESTION], **more)[0])


@ALL_WAYS
def test_other_models_are_asked_all_the_same(ask: Ask) -> None:
    body, warnings = ask([QUESTION, *called(OWN)], ModelFacts("openai/gpt-5", family="openai"))
    assert asks_to_think(body)
    assert warnings == []


@RELAYS
@pytest.mark.parametrize(("edits", "left"), [([CLEARING, OTHER_EDIT], [OTHER_EDIT]), ([CLEARING], []), (None, None)])
def test_edits_of_thoughts_are_not_asked_for_without_thinking(ask: Ask, edits: Any, left: Any) -> None:
    """Claude Code asks for them with every request; Claude refuses them where it is not to think."""
    context = {"edits": edits}
    body, _ = ask([QUESTION, *called(OTHERS)], context_management=context)
    assert body["context_management"] == {"edits": left}
    assert ask([QUESTION], context_management=context)[0]["context_management"] == context


@RELAYS
def test_a_budget_that_does_not_fit_leaves_no_thoughts_and_no_edits_either(ask: Ask) -> None:
    """A limit of the alias leaves no room for thinking, in the middle of a loop of Claude's own."""
    context = {"edits": [CLEARING]}
    body, _ = ask([QUESTION, *called(THOUGHT, OWN)], HAIKU, Terms(max_output=1000), context_management=context)
    assert body["thinking"] == {"type": "disabled"}
    assert body["context_management"] == {"edits": []}
    assert not has_thoughts(body)


def test_no_room_for_a_budget_leaves_no_thoughts_in_translation_either() -> None:
    body, _ = translated([QUESTION, *called(THOUGHT, OWN)], HAIKU, Terms(max_output=1000))
    assert body["reasoning"] == {"enabled": False}
    assert not has_thoughts(body)
