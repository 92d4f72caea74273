"""Reasoning must come back to the simulator unmodified, whole, in order, and to the family that gave it."""

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from testing.openrouter_simulator.exact_json import Json
from testing.openrouter_simulator.messages import FOREIGN_REASONING_PREFIX
from testing.tests.conftest import Client

CLAUDE = "anthropic/claude-haiku-4.5"
ADAPTIVE = "anthropic/claude-sonnet-5"
THINKER = "openai/gpt-5"
GROK = "x-ai/grok-4"
GEMINI = "google/gemini-3-pro-preview"
KIMI = "moonshotai/kimi-k2"
DEEPSEEK = "deepseek/deepseek-chat"
WITH_DETAILS = (CLAUDE, ADAPTIVE, THINKER, GROK, GEMINI, KIMI)
FAMILIES = (*WITH_DETAILS, DEEPSEEK)
SCRIPTS = ("reasoning_two_tools", "interleaved_reasoning", "reasoning_tool", "reasoning_redacted")
TOOL: Json = {
    "type": "function",
    "function": {"name": "Bash", "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}},
}
NATIVE_TOOL: Json = {"name": "Bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}

CHANGED = {
    CLAUDE: "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified",
    ADAPTIVE: "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified",
    THINKER: "was provided without its required following item",
    GROK: "was provided without its required following item",
    GEMINI: "reasoning_details must be passed back unmodified",
    KIMI: "reasoning_details must be passed back unmodified",
}


async def answer(client: Client, model: str, messages: list[Json], **more: Any) -> Json:
    body = {"model": model, "messages": messages, "tools": [TOOL], **more}
    async with client.post("/chat/completions", body) as response:
        document: Json = orjson.loads(await response.read())
        return document


async def talk(client: Client, model: str, scripts: tuple[str, ...] = SCRIPTS) -> list[Json]:
    """A conversation of several turns, with a call and its result in most of them."""
    messages: list[Json] = []
    for script in scripts:
        messages.append({"role": "user", "content": f"[[{script}]]"})
        while messages[-1]["role"] != "assistant":
            document = await answer(client, model, messages)
            assert "choices" in document, document
            said = document["choices"][0]["message"]
            messages.append(said)
            calls = said.get("tool_calls") or []
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in calls]
    return [*messages, {"role": "user", "content": "And now?"}]


def words_of(document: Json) -> str:
    error = document["error"]
    raw = error.get("metadata", {}).get("raw")
    return str(raw if raw is not None else error["message"])


def thoughtful(messages: list[Json], least: int = 1) -> Json:
    """The first message with at least so many details."""
    return next(message for message in messages if len(message.get("reasoning_details") or []) >= least)


@pytest.mark.asyncio
@pytest.mark.parametrize("model", FAMILIES)
async def test_a_conversation_of_several_turns_comes_back_whole(client: Client, model: str) -> None:
    messages = await talk(client, model)
    assert "choices" in await answer(client, model, messages)
    last = (await client.control("requests"))["requests"][-1]
    given = sum(len(message.get("reasoning_details") or []) for message in messages)
    assert last["reasoning"]["lost_calls"] == []
    assert last["reasoning"]["returned"] == given + (3 if model == DEEPSEEK else 0)


def drop_first(message: Json) -> None:
    del message["reasoning_details"][0]


def drop_last(message: Json) -> None:
    del message["reasoning_details"][-1]


def swap(message: Json) -> None:
    message["reasoning_details"].reverse()


def alter_text(message: Json) -> None:
    detail = message["reasoning_details"][0]
    name = "summary" if "summary" in detail else "text"
    detail[name] = detail[name][:-1]


@pytest.mark.asyncio
@pytest.mark.parametrize("change", [drop_first, drop_last, swap], ids=["first gone", "last gone", "swapped"])
@pytest.mark.parametrize("model", WITH_DETAILS)
async def test_a_sequence_that_is_not_whole_or_in_order_is_refused(
    client: Client, model: str, change: Callable[[Json], None]
) -> None:
    messages = await talk(client, model)
    change(thoughtful(messages, least=2))
    words = words_of(await answer(client, model, messages))
    assert CHANGED[model] in words


@pytest.mark.asyncio
@pytest.mark.parametrize("model", WITH_DETAILS)
async def test_altered_text_is_refused(client: Client, model: str) -> None:
    messages = await talk(client, model)
    alter_text(thoughtful(messages))
    document = await answer(client, model, messages)
    assert document["error"]["code"] == 400


@pytest.mark.asyncio
@pytest.mark.parametrize("model", [CLAUDE, ADAPTIVE, THINKER, GROK, GEMINI])
async def test_altered_seals_are_refused(client: Client, model: str) -> None:
    messages = await talk(client, model)
    sealed = [
        (detail, name)
        for message in messages
        for detail in message.get("reasoning_details") or []
        for name in ("signature", "data")
        if name in detail
    ]
    assert len(sealed) >= 4
    for detail, name in sealed:
        kept = detail[name]
        detail[name] = kept[:-3] + ("A" if kept[-3] != "A" else "B") + kept[-2:]
        words = words_of(await answer(client, model, messages))
        assert any(each in words for each in ("Invalid `", "could not be verified", "Corrupted thought")), words
        detail[name] = kept
    assert "choices" in await answer(client, model, messages)


@pytest.mark.asyncio
@pytest.mark.parametrize("giver", FAMILIES)
@pytest.mark.parametrize("receiver", [*FAMILIES, "qwen/qwen3-coder", "meta-llama/llama-3.3-70b-instruct"])
async def test_foreign_reasoning_is_refused(client: Client, giver: str, receiver: str) -> None:
    if giver.partition("/")[0] == receiver.partition("/")[0]:
        return
    messages = await talk(client, giver, ("reasoning_text",))
    words = words_of(await answer(client, receiver, messages))
    assert "was not issued by" in words
    for message in messages:
        message.pop("reasoning_details", None)
        message.pop("reasoning", None)
    assert "choices" in await answer(client, receiver, messages)


@pytest.mark.asyncio
async def test_a_signature_of_another_call_is_refused(client: Client) -> None:
    messages = await talk(client, GEMINI, ("two_tools",))
    one, two = thoughtful(messages, least=2)["reasoning_details"]
    one["data"], two["data"] = two["data"], one["data"]
    assert "Corrupted thought signature" in words_of(await answer(client, GEMINI, messages))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "words", "more"),
    [
        (CLAUDE, "Expected `thinking` or `redacted_thinking`, but found `tool_use`", {"reasoning": {"enabled": True}}),
        (THINKER, "was provided without its required 'reasoning' item", {}),
        (GROK, "was provided without its required 'reasoning' item", {}),
        (GEMINI, "Function call is missing a thought_signature", {}),
        (DEEPSEEK, "must be passed back to the API", {"reasoning": {"enabled": True}}),
        (
            KIMI,
            "reasoning_content is missing in assistant tool call message at index 1",
            {"reasoning": {"effort": "low"}},
        ),
    ],
)
async def test_calls_without_the_reasoning_before_them_are_refused(
    client: Client, model: str, words: str, more: Json
) -> None:
    question = {"role": "user", "content": "[[reasoning_tool]]"}
    said = (await answer(client, model, [question]))["choices"][0]["message"]
    bare = {name: value for name, value in said.items() if not name.startswith("reasoning")}
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "done"}
    assert words in words_of(await answer(client, model, [question, bare, result], **more))
    assert "choices" in await answer(client, model, [question, said, result], **more)


@pytest.mark.asyncio
async def test_lost_reasoning_of_earlier_turns_is_recorded(client: Client) -> None:
    messages = await talk(client, THINKER, ("reasoning_tool",))
    calling = thoughtful(messages)
    del calling["reasoning_details"], calling["reasoning"]
    assert "choices" in await answer(client, THINKER, messages)
    last = (await client.control("requests"))["requests"][-1]
    assert last["reasoning"] == {"returned": 0, "lost_calls": [calling["tool_calls"][0]["id"]], "moved": []}


@pytest.mark.asyncio
@pytest.mark.parametrize("model", [ADAPTIVE, KIMI])
async def test_a_conversation_that_changed_before_its_thoughts_is_recorded(client: Client, model: str) -> None:
    messages = await talk(client, model, ("reasoning_text", "reasoning_tool"))
    await answer(client, model, messages)
    messages[0]["content"] += " "
    await answer(client, model, messages)
    requests = (await client.control("requests"))["requests"]
    assert [request["reasoning"]["moved"] for request in requests[-2:]] == [[], [1, 3]]


@pytest.mark.asyncio
async def test_claude_wants_thinking_before_calls_of_any_origin(client: Client) -> None:
    """A conversation that another model began cannot go on with thinking in the middle of its calls."""
    question = {"role": "user", "content": "[[two_tools]]"}
    said = (await answer(client, THINKER, [question]))["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in said["tool_calls"]]
    messages = [question, said, *results]
    assert "Expected `thinking`" in words_of(await answer(client, CLAUDE, messages, reasoning={"enabled": True}))
    assert "choices" in await answer(client, CLAUDE, messages)
    assert "choices" in await answer(client, ADAPTIVE, messages, reasoning={"enabled": True})


# the Messages wire


@pytest.mark.asyncio
async def test_the_answers_of_a_loop_are_all_thought_out_or_none(client: Client) -> None:
    """Seen at its first answer; those of Claude's own behind that need no thought, and those of others do."""
    question = {"role": "user", "content": "[[reasoning_tool]]"}
    said = (await answer(client, CLAUDE, [question]))["choices"][0]["message"]
    call_id = said["tool_calls"][0]["id"]
    loop = [question, said, {"role": "tool", "tool_call_id": call_id, "content": "done"}]
    for more_id, words in (("toolu_01x", ""), ("call_1", "messages.3.content.0.type: Expected `thinking`")):
        call = {"id": more_id, "type": "function", "function": {"name": "Bash", "arguments": "{}"}}
        more = {"role": "assistant", "content": None, "tool_calls": [call]}
        messages = [*loop, more, {"role": "tool", "tool_call_id": more_id, "content": "done"}]
        document = await answer(client, CLAUDE, messages, reasoning={"enabled": True})
        assert words in words_of(document) if words else "choices" in document
    words = "messages.1.content.0: When thinking is disabled, an `assistant` message in the final position"
    assert words in words_of(await answer(client, CLAUDE, loop, reasoning={"enabled": False}))
    after = [*loop, {"role": "assistant", "content": "Done."}, question]
    assert "choices" in await answer(client, CLAUDE, after, reasoning={"enabled": False})


async def native_answer(client: Client, model: str, messages: list[Json], **more: Any) -> Json:
    body = {"model": model, "max_tokens": 4000, "messages": messages, "tools": [NATIVE_TOOL], **more}
    async with client.post("/messages", body) as response:
        document: Json = orjson.loads(await response.read())
        return document


async def native_talk(client: Client, model: str, scripts: tuple[str, ...] = SCRIPTS) -> list[Json]:
    messages: list[Json] = []
    for script in scripts:
        messages.append({"role": "user", "content": f"[[{script}]]"})
        while messages[-1]["role"] != "assistant":
            document = await native_answer(client, model, messages)
            assert "content" in document, document
            messages.append({"role": "assistant", "content": document["content"]})
            used = [block["id"] for block in document["content"] if block["type"] == "tool_use"]
            if used:
                results = [{"type": "tool_result", "tool_use_id": each, "content": "done"} for each in used]
                messages.append({"role": "user", "content": results})
    return [*messages, {"role": "user", "content": "And now?"}]


@pytest.mark.asyncio
@pytest.mark.parametrize("model", FAMILIES)
async def test_blocks_of_several_turns_come_back_whole(client: Client, model: str) -> None:
    messages = await native_talk(client, model)
    assert "content" in await native_answer(client, model, messages)
    last = (await client.control("requests"))["requests"][-1]
    assert last["reasoning"]["lost_calls"] == [] or model == DEEPSEEK
    assert last["reasoning"]["returned"] >= (0 if model == DEEPSEEK else 5)
    assert last["reasoning"]["moved"] == []


def block_of(messages: list[Json], kind: str) -> Json:
    blocks = (block for message in messages if message["role"] == "assistant" for block in message["content"])
    return next(block for block in blocks if block["type"] == kind)


def altered_thinking(messages: list[Json]) -> None:
    block_of(messages, "thinking")["thinking"] += " "


def altered_redaction(messages: list[Json]) -> None:
    block = block_of(messages, "redacted_thinking")
    block["data"] = block["data"][:-5] + "AAAAA"


def two_thoughts(messages: list[Json]) -> list[Json]:
    """The blocks of the answer that thought twice."""
    answers: list[list[Json]] = [message["content"] for message in messages if message["role"] == "assistant"]
    return next(blocks for blocks in answers if [block["type"] for block in blocks].count("thinking") == 2)


def thinking_after_call(messages: list[Json]) -> None:
    """The second thought stood before its call."""
    blocks = two_thoughts(messages)
    blocks.append(blocks.pop(2))


def one_thought_gone(messages: list[Json]) -> None:
    del two_thoughts(messages)[0]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (altered_thinking, "Invalid `signature` in `thinking` block"),
        (altered_redaction, "Invalid `data` in `redacted_thinking` block"),
        (thinking_after_call, "blocks in the latest assistant message cannot be modified"),
        (one_thought_gone, "blocks in the latest assistant message cannot be modified"),
    ],
)
async def test_changed_blocks_are_refused(client: Client, change: Callable[[list[Json]], None], words: str) -> None:
    messages = await native_talk(client, ADAPTIVE)
    changed = copy.deepcopy(messages)
    change(changed)
    assert words in (await native_answer(client, ADAPTIVE, changed))["error"]["message"]
    assert "content" in await native_answer(client, ADAPTIVE, messages)


@pytest.mark.asyncio
async def test_a_damaged_token_is_refused_and_a_foreign_one_left_out(client: Client) -> None:
    messages = await native_talk(client, THINKER, ("reasoning_text",))
    block = block_of(messages, "redacted_thinking")
    thinking = block_of(messages, "thinking")
    assert "Invalid `signature`" in (await native_answer(client, CLAUDE, messages))["error"]["message"]
    messages[1]["content"].remove(thinking)
    assert "content" in await native_answer(client, CLAUDE, messages)
    messages[1]["content"].remove(block)
    assert "required following item" in (await native_answer(client, THINKER, messages))["error"]["message"]
    messages[1]["content"].insert(0, block)
    block["data"] = FOREIGN_REASONING_PREFIX + "?"
    assert "Invalid `data`" in (await native_answer(client, THINKER, messages))["error"]["message"]


@pytest.mark.asyncio
async def test_claudes_thinking_moves_between_both_wires(client: Client) -> None:
    messages = await native_talk(client, ADAPTIVE, ("reasoning_redacted", "reasoning_text"))
    redacted, thinking = block_of(messages, "redacted_thinking"), block_of(messages, "thinking")
    said = [
        {"type": "reasoning.encrypted", "data": redacted["data"], "format": "anthropic-claude-v1", "index": 0},
        {
            "type": "reasoning.text",
            "text": thinking["thinking"],
            "signature": thinking["signature"],
            "format": "anthropic-claude-v1",
            "index": 0,
        },
    ]
    user = {"role": "user", "content": "And now?"}
    spoken = [
        each for detail in said for each in (user, {"role": "assistant", "content": "x", "reasoning_details": [detail]})
    ]
    assert "choices" in await answer(client, ADAPTIVE, [*spoken, user])
    assert "was not issued by OpenAI" in (await native_answer(client, THINKER, messages))["error"]["message"]
