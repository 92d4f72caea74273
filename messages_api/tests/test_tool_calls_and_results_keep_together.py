"""Providers refuse a call without its results right behind it, and names and ids that are not to their taste."""

import re
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages_api.errors import InvalidRequest
from messages_api.schemas import parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.names import acceptable_id, acceptable_name
from messages_api.services.translation.request import translate_request
from messages_api.services.translation.tools import translate_tools
from testing.openrouter_simulator.rules_provider import GEMINI_NAME, MISTRAL_ID

Json = dict[str, Any]
FAMILIES = ("anthropic", "google", "mistralai", "openai", "x-ai")
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
SCHEMA = {"type": "object", "properties": {}}


def chat_of(messages: list[Json], family: str = "openai") -> list[Json]:
    body = orjson.dumps({"model": "m", "max_tokens": 9, "messages": messages})
    request = parse_request(body)
    chat: list[Json] = translate_request(request, model="m", facts=ModelFacts(id="m", family=family)).body["messages"]
    return chat


def call(call_id: str) -> Json:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": {}}


def result(call_id: str, *content: Json) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": list(content) or "done"}


def text(said: str) -> Json:
    return {"type": "text", "text": said}


# --- order -----------------------------------------------------------------------------------------------------------


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    """Turns of calls whose results come in one user message or several, among texts, images and instructions."""
    messages: list[Json] = [{"role": "user", "content": "Begin."}]
    for turn in range(draw(st.integers(1, 3))):
        ids = [f"toolu_{turn}_{place}" for place in range(draw(st.integers(1, 3)))]
        messages.append({"role": "assistant", "content": [text("So."), *map(call, ids)]})
        beside = st.lists(st.sampled_from([text("Mind this."), IMAGE]), max_size=2)
        if draw(st.booleans()):
            messages.append({"role": "system", "content": "Be quick."})
        answers = [result(one, *draw(beside)) for one in draw(st.permutations(ids))]
        cut = draw(st.integers(0, len(answers)))
        for part in (answers[:cut], answers[cut:]):
            if part:
                messages.append({"role": "user", "content": [*draw(beside), *part, *draw(beside)]})
    return messages


@given(messages=conversations(), family=st.sampled_from(FAMILIES))
def test_every_result_stands_right_behind_its_call(messages: list[Json], family: str) -> None:
    chat = chat_of(messages, family)
    waiting: set[str] = set()
    for message in chat:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting, chat
            waiting = {made["id"] for made in message.get("tool_calls", ())}
    assert not waiting


@given(messages=conversations())
def test_nothing_that_was_said_beside_a_result_is_lost(messages: list[Json]) -> None:
    def images(value: Any) -> int:
        return orjson.dumps(value).count(b"https://example.com/a.png")

    def remarks(value: Any) -> int:
        return orjson.dumps(value).count(b"Mind this.") + orjson.dumps(value).count(b"Be quick.")

    chat = chat_of(messages)
    assert (images(chat), remarks(chat)) == (images(messages), remarks(messages))


def test_what_the_user_adds_to_a_result_comes_behind_it() -> None:
    chat = chat_of(
        [
            {"role": "user", "content": "Begin."},
            {"role": "assistant", "content": [call("toolu_1")]},
            {"role": "user", "content": [text("By the way."), result("toolu_1")]},
        ]
    )
    assert [message["role"] for message in chat[2:]] == ["tool", "user"]


def test_what_was_said_beside_several_results_keeps_its_order() -> None:
    """Results in two user messages, and an instruction before them: that comes behind what belongs to the results."""
    chat = chat_of(
        [
            {"role": "user", "content": "Begin."},
            {"role": "assistant", "content": [call("toolu_1"), call("toolu_2")]},
            {"role": "system", "content": "third"},
            {"role": "user", "content": [result("toolu_1"), text("first")]},
            {"role": "user", "content": [result("toolu_2"), text("second")]},
            {"role": "user", "content": "fourth"},
        ]
    )
    assert [message["content"] for message in chat[4:]] == ["first", "second", "third", "fourth"]


def test_an_image_in_a_result_is_seen_and_not_read_as_text() -> None:
    chat = chat_of(
        [
            {"role": "user", "content": "Begin."},
            {"role": "assistant", "content": [call("toolu_1")]},
            {"role": "user", "content": [result("toolu_1", IMAGE)]},
        ]
    )
    assert "example.com" not in chat[2]["content"]
    assert chat[3]["content"][-1] == {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


# --- names and ids ---------------------------------------------------------------------------------------------------

ODD = (
    st.text(min_size=1, max_size=80)
    | st.from_regex(r"[0-9.:-][a-z_.]{0,80}", fullmatch=True)
    | st.text("abc_-", min_size=41, max_size=80)
)


@given(name=ODD)
def test_every_name_becomes_one_that_every_provider_takes(name: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", acceptable_name(name))
    assert GEMINI_NAME.fullmatch(acceptable_name(name))
    assert acceptable_name(acceptable_name(name)) == acceptable_name(name)


@given(tool_id=ODD, family=st.sampled_from(FAMILIES))
def test_every_id_becomes_one_that_the_family_takes(tool_id: str, family: str) -> None:
    sent = acceptable_id(tool_id, family)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", sent)
    assert family != "openai" or len(sent) <= 40
    assert family != "mistralai" or MISTRAL_ID.fullmatch(sent)
    assert acceptable_id(sent, family) == sent


@given(names=st.sets(ODD, min_size=1, max_size=5))
def test_a_name_that_was_changed_is_changed_back(names: set[str]) -> None:
    tools = translate_tools(orjson.dumps([{"name": name, "input_schema": SCHEMA} for name in names]), "openai")
    assert len(tools.names) == len(names)
    assert {tools.original(sent) for sent in tools.names} == names


def test_a_call_is_told_under_the_name_and_the_id_that_it_was_given() -> None:
    odd = {"type": "tool_use", "id": "call:1/x", "name": "mcp.files/read it", "input": {}}
    chat = chat_of(
        [
            {"role": "user", "content": "Begin."},
            {"role": "assistant", "content": [odd]},
            {"role": "user", "content": [result("call:1/x")]},
        ]
    )
    made = chat[1]["tool_calls"][0]
    assert made["id"] == chat[2]["tool_call_id"] == acceptable_id("call:1/x", "openai")
    assert made["function"]["name"] == acceptable_name("mcp.files/read it")


@pytest.mark.parametrize(
    ("first", "second"), [("look", "look"), ("a.b", "a.b"), ("a.b", acceptable_name("a.b")), ("web_search", None)]
)
def test_two_tools_that_would_have_one_name_are_refused(first: str, second: str | None) -> None:
    other = {"name": second, "input_schema": SCHEMA} if second else {"type": "web_search_20250305", "name": first}
    raw = orjson.dumps([{"name": first, "input_schema": SCHEMA}, other])
    with pytest.raises(InvalidRequest, match=r"^tools\[1\]\.name: .* is the name of another tool"):
        translate_tools(raw, "openai")


@pytest.mark.parametrize("clear_at", ["next_user_message", None])
def test_thousands_of_instructions_take_no_time(clear_at: str | None) -> None:
    instruction = {"role": "system", "content": "a", **({"clear_at": clear_at} if clear_at else {})}
    turns: list[Json] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": [call("call_1")]}]
    began = time.process_time()
    chat_of([*turns, *([instruction] * 16_000)])
    assert time.process_time() - began < 2
