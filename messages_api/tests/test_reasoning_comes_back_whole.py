"""What a model thought goes back to it unmodified, whole and in order, however often; to no other family."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages_api.schemas import parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.reasoning import has_text, redacted_data, signature, text_of
from messages_api.services.translation.request import translate_request

Json = dict[str, Any]
CLAUDE_TEXT = {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}
FORMATS = {
    "anthropic": [
        CLAUDE_TEXT,
        {"type": "reasoning.encrypted", "data": "EmwK", "format": "anthropic-claude-v1", "index": 1},
    ],
    "openai": [
        {"type": "reasoning.summary", "summary": "I look.", "format": "openai-responses-v1", "index": 0, "id": "rs_1"},
        {"type": "reasoning.encrypted", "data": "gAAA", "format": "openai-responses-v1", "index": 0, "id": "rs_1"},
    ],
    "google": [
        {"type": "reasoning.text", "text": "Plan.", "format": "google-gemini-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "CiQB", "format": "google-gemini-v1", "index": 0, "id": "tool_1"},
        {"type": "reasoning.encrypted", "data": "CiQB", "format": "google-gemini-v1", "index": 1, "id": "tool_2"},
    ],
    "x-ai": [{"type": "reasoning.encrypted", "data": "x", "format": "xai-responses-v1", "index": 0, "id": "rs_2"}],
    "deepseek": [{"type": "reasoning.text", "text": "So.", "format": "unknown", "index": 0}],
}


def block_of(detail: Json, family: str) -> Json:
    """The block that the client received for a detail."""
    if has_text(detail):
        return {"type": "thinking", "thinking": text_of(detail), "signature": signature(detail, family)}
    return {"type": "redacted_thinking", "data": redacted_data(detail, family)}


def turns(family: str, *histories: list[Json]) -> list[Json]:
    """The assistant messages that `family` gets for a conversation with these thoughts in its turns."""
    messages: list[Json] = []
    for blocks in histories:
        messages += [
            {"role": "user", "content": "Go on."},
            {"role": "assistant", "content": [*blocks, {"type": "text", "text": "Yes."}]},
        ]
    body = orjson.dumps({"model": "m", "max_tokens": 9, "messages": [*messages, {"role": "user", "content": "And?"}]})
    request = parse_request(body)
    chat = translate_request(request, model="m", facts=ModelFacts(id="m", family=family)).body["messages"]
    return [message for message in chat if message["role"] == "assistant"]


def by_openrouter(detail: Any) -> Json:
    data = base64.b64encode(orjson.dumps(detail)).decode()
    return {"type": "redacted_thinking", "data": f"openrouter.reasoning:{data}"}


@pytest.mark.parametrize("family", FORMATS)
def test_reasoning_of_every_format_goes_back_as_it_came_in_every_turn(family: str) -> None:
    blocks = [block_of(detail, family) for detail in FORMATS[family]]
    for turn in turns(family, blocks, blocks, blocks):
        assert turn["reasoning_details"] == FORMATS[family]


@pytest.mark.parametrize("family", FORMATS)
def test_reasoning_is_left_out_for_every_other_family_and_the_rest_of_the_turn_stays(family: str) -> None:
    blocks = [block_of(detail, family) for detail in FORMATS[family]]
    for other in FORMATS.keys() - {family}:
        assert turns(other, blocks) == [{"role": "assistant", "content": "Yes."}]


def test_a_conversation_that_changes_models_gives_each_only_what_is_its_own() -> None:
    claude, gemini = ([block_of(d, family) for d in FORMATS[family]] for family in ("anthropic", "google"))
    first, second = turns("google", claude, gemini)
    assert "reasoning_details" not in first
    assert second["reasoning_details"] == FORMATS["google"]


def test_a_signature_without_text_is_kept() -> None:
    turn = turns("anthropic", [{"type": "thinking", "thinking": "", "signature": "sig"}])[0]
    assert turn["reasoning_details"] == [
        {"type": "reasoning.text", "text": "", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}
    ]


def test_a_plain_thought_goes_back_as_plain_reasoning() -> None:
    plain = {"type": "reasoning", "text": "Well."}
    assert turns("qwen", [block_of(plain, "qwen")])[0]["reasoning"] == "Well."


@pytest.mark.parametrize("family", ["openai", "google", "x-ai"])
def test_what_openrouter_sealed_itself_is_opened_for_its_family(family: str) -> None:
    blocks = [by_openrouter(detail) for detail in FORMATS[family]]
    assert turns(family, blocks)[0]["reasoning_details"] == FORMATS[family]
    assert "reasoning_details" not in turns("anthropic", blocks)[0]


def test_a_thought_that_openrouter_told_twice_goes_back_once() -> None:
    """As its Messages endpoint ends an answer of Claude: the thought signed, then sealed, without a format."""
    sealed = by_openrouter({"signature": "sig", "text": "Hm.", "type": "reasoning.text"})
    turn = turns("anthropic", [block_of(CLAUDE_TEXT, "anthropic"), sealed])[0]
    assert turn["reasoning_details"] == [CLAUDE_TEXT]


def test_a_thought_that_only_openrouter_sealed_goes_back_to_claude() -> None:
    sealed = by_openrouter({"signature": "sig", "text": "Hm.", "type": "reasoning.text"})
    detail = turns("anthropic", [sealed])[0]["reasoning_details"][0]
    assert detail == {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1"}


FORGED = [b"", b"5", b"[]", b"{}", b'{"type": 5}', b'{"type": "reasoning", "text": 5}', b'{"type": "x", "data": []}']


@pytest.mark.parametrize("held", [*FORGED, *(b'{"family": "openai", "detail": ' + held + b"}" for held in FORGED)])
@pytest.mark.parametrize("seal", ["bridge.reasoning:", "openrouter.reasoning:"])
def test_a_token_that_was_made_up_is_left_out(seal: str, held: bytes) -> None:
    token = seal + base64.b64encode(held).decode()
    made_up = [
        {"type": "redacted_thinking", "data": token},
        {"type": "thinking", "thinking": "a", "signature": token},
    ]
    assert turns("openai", made_up) == [{"role": "assistant", "content": "Yes."}]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    more=st.dictionaries(st.sampled_from(["index", "later", "x"]), JSON_VALUES),
    text=st.text(max_size=30),
    data=st.text(min_size=1, max_size=30),
    family=st.sampled_from(["openai", "google", "x-ai", "mistralai"]),
)
def test_whatever_a_detail_holds_comes_back(more: Json, text: str, data: str, family: str) -> None:
    details = [
        {"type": "reasoning.summary", "summary": text, "id": "a", **more},
        {"type": "reasoning.encrypted", "data": data, "id": "b", **more},
    ]
    blocks = [block_of(detail, family) for detail in details]
    assert turns(family, blocks)[0]["reasoning_details"] == details
