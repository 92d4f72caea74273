"""A count of tokens covers everything that a model reads: a client that is told too few never shortens its talk."""

import json
import math
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from benchmarks.workloads import WORKLOADS, ask
from messages_api.schemas import Envelope, parse_envelope
from messages_api.services import token_count
from messages_api.services.token_count import PART_TOKENS, count_tokens, has_own_tokenizer
from messages_api.services.token_estimate import REQUEST_TOKENS
from messages_api.tests.token_requests import (
    CODE,
    PROSE,
    TOOL,
    asked,
    base64_source,
    image,
    pdf,
    said,
    thinking,
    tool_result,
)

OPENAI, CLAUDE, OTHER = "openai/gpt-5.1", "anthropic/claude-sonnet-5", "z-ai/glm-5"
NONE_ASKED = asked(said(""))


def count(request: Envelope, target: str = OPENAI, factor: float = 1.0, addendum: str = "") -> int:
    return token_count._count(request, target, factor, addendum)


def tokens(text: str) -> int:
    return len(token_count._tokenizer().encode_ordinary(text))


def added(*content: Any, target: str = OPENAI, **fields: Any) -> int:
    """What `content` and `fields` add to an empty request."""
    return count(asked(*content, **fields), target) - count(asked(), target)


# --- exact where the tokenizer is the model's own --------------------------------------------------------------------


@pytest.mark.parametrize("text", [PROSE, CODE * 20, "数える" * 200, "naïve 😀\n\t" * 50, "x", ""])
def test_a_text_for_openai_is_counted_exactly_with_what_a_chat_has_around_it(text: str) -> None:
    assert count(asked(said(text))) == tokens(text) + REQUEST_TOKENS + 2 * PART_TOKENS


def test_a_long_text_is_counted_in_pieces_and_at_most_one_token_a_piece_is_added() -> None:
    text = PROSE * 60
    pieces = math.ceil(len(text) / token_count.PIECE_LENGTH)
    assert pieces > 10
    exact = tokens(text) + REQUEST_TOKENS + 2 * PART_TOKENS
    assert exact <= count(asked(said(text))) <= exact + pieces


def test_a_request_of_claude_codes_size_is_counted_within_a_few_percent_for_openai() -> None:
    body = orjson.loads(ask(WORKLOADS["W2"], 1, 1).body)
    call = orjson.dumps(body["messages"][2]["content"][1]["input"]).decode()
    texts = [block["text"] for block in body["system"]] + [body["messages"][1]["content"], "Tool7", call]
    texts += [block["text"] for message in (0, 3) for block in body["messages"][message]["content"] if "text" in block]
    texts += [body["messages"][2]["content"][0]["text"], body["messages"][3]["content"][0]["content"]]
    exact = sum(map(tokens, texts)) + tokens(orjson.dumps(body["tools"]).decode())
    assert exact <= count(parse_envelope(orjson.dumps(body))) <= exact * 1.01


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5.1", "gpt-5.1:nitro", "o3-mini", "gpt-oss-120b"])
def test_a_claim_is_made_for_openais_models_of_this_tokenizer(model: str) -> None:
    assert has_own_tokenizer(f"openai/{model}")


@pytest.mark.parametrize(
    "target", ["openai/gpt-4-turbo", "openai/gpt-99", CLAUDE, OTHER, "litellm:openai/gpt-4o", "gpt-4o"]
)
def test_no_claim_is_made_for_any_other(target: str) -> None:
    assert not has_own_tokenizer(target)


# --- a floor and a factor for the others -----------------------------------------------------------------------------


def test_other_models_count_what_was_learned_of_them() -> None:
    request = asked(said(PROSE))
    once, twice = count(request, OTHER, factor=1.5), count(request, OTHER, factor=3.0)
    assert twice == pytest.approx(2 * once, abs=2)
    assert once > 1.2 * count(request, OPENAI)


def test_a_factor_below_one_never_counts_less_than_the_tokenizer() -> None:
    request = asked(said(PROSE))
    assert count(request, OTHER, factor=0.5) >= count(request, OPENAI)


def test_what_the_alias_adds_to_the_system_prompt_is_counted() -> None:
    assert count(NONE_ASKED, addendum=PROSE) - count(NONE_ASKED) == tokens(PROSE)
    assert count(NONE_ASKED, OTHER, 3.0, PROSE) - count(NONE_ASKED, OTHER, 3.0) > 2 * tokens(PROSE)


# --- pitfall 21: everything is counted, and nothing is 0 -------------------------------------------------------------


def test_the_least_request_is_not_zero() -> None:
    assert count(parse_envelope(b'{"model":"m","messages":[]}')) >= 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(said(PROSE), id="text"),
        pytest.param(thinking(PROSE), id="thinking"),
        pytest.param(tool_result(said(PROSE)), id="a tool's result"),
        pytest.param({"type": "tool_result", "tool_use_id": "t", "content": PROSE}, id="a tool's result as a string"),
        pytest.param({"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": PROSE}}, id="a call"),
        pytest.param({"type": "document", "source": {"type": "text", "data": PROSE}}, id="a plain document"),
        pytest.param({"type": "document", "source": {"type": "content", "content": [said(PROSE)]}}, id="of blocks"),
        pytest.param({"type": "document", "context": PROSE, "source": {"type": "text", "data": ""}}, id="context"),
        pytest.param({"type": "search_result", "title": "", "source": "", "content": [said(PROSE)]}, id="search"),
        pytest.param({"type": "made_up_2027", "content": {"deep": [{"inside": PROSE}]}}, id="a block nobody knows"),
    ],
)
def test_a_block_counts_for_the_text_in_it(content: Any) -> None:
    assert tokens(PROSE) <= added(content) <= tokens(PROSE) * 1.05 + 5 * PART_TOKENS


@pytest.mark.parametrize(
    "fields",
    [
        {"system": PROSE},
        {"system": [said(PROSE)]},
        {"tools": [TOOL]},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "description": PROSE}}}},
        {"tool_choice": {"type": "tool", "name": PROSE}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_field_counts_for_the_text_in_it(fields: Any) -> None:
    assert tokens(PROSE) <= added(**fields) <= tokens(PROSE) + 80


def test_a_message_in_the_middle_counts() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "system", "content": PROSE}]
    request = parse_envelope(orjson.dumps({"model": "m", "messages": messages}))
    assert count(request) == REQUEST_TOKENS + 2 * PART_TOKENS + 1 + tokens(PROSE)


def test_the_keys_of_an_argument_count() -> None:
    arguments = {f"{word}_{number}": 10**18 for number, word in enumerate(PROSE.split())}
    call = {"type": "tool_use", "id": "t", "name": "Bash", "input": arguments}
    assert added(call) >= tokens(orjson.dumps(list(arguments)).decode())


def test_claude_is_told_about_tools() -> None:
    plain, with_tool = (count(asked(tools=tools), CLAUDE, factor=0.5) for tools in ([], [TOOL]))
    told = with_tool - plain - token_count.SAFETY * tokens(orjson.dumps([TOOL]).decode())
    assert told == pytest.approx(token_count.CLAUDE_TOOL_PROMPT * token_count.SAFETY, abs=2)


def test_an_image_in_a_tools_result_counts_as_an_image() -> None:
    assert added(tool_result(image(750, 100))) == 100 + 2 * PART_TOKENS


def test_an_image_elsewhere_counts_as_the_largest() -> None:
    assert added({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}) == 1_600 + PART_TOKENS
    assert added({"type": "image", "source": {"type": "file", "file_id": "file_1"}}) == 1_600 + PART_TOKENS


def test_a_pdf_counts_by_its_pages_and_one_that_hides_them_by_its_size() -> None:
    assert added(pdf(7)) == 21_000 + PART_TOKENS
    assert added(pdf(0, padding=48_000)) == pytest.approx(64_000 / 24, abs=20)
    assert added({"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}}) == 30_000 + PART_TOKENS


def test_signatures_and_encrypted_content_count_by_their_size() -> None:
    seal = base64_source(bytes(range(256)) * 20, "")["data"]
    assert added(thinking("", seal)) == math.ceil(len(seal) / 6) + PART_TOKENS
    assert added({"type": "redacted_thinking", "data": seal}) == math.ceil(len(seal) / 6) + PART_TOKENS


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(b'["\xff and more of it"]', id="not UTF-8"),
        pytest.param(b'{"deep":' * 600 + b'"x"' + b"}" * 600, id="nested too deeply"),
        pytest.param(b'[{"content": 1e999, "and": "more"}]', id="a number too large"),
        pytest.param(b'[{"input": {"n": %s}}]' % (b"9" * 30), id="an integer too large"),
        pytest.param(b'"a text where messages are wanted"', id="no list"),
    ],
)
def test_what_cannot_be_opened_is_counted_by_its_text(messages: bytes) -> None:
    text = messages.decode(errors="replace")
    assert count(Envelope("m", False, {"messages": Raw(messages)})) >= REQUEST_TOKENS + tokens(text) // 2


def test_more_than_any_model_takes_is_counted_by_its_size() -> None:
    started = time.thread_time()
    assert count(asked(said(" " * 12_000_000))) > 2_000_000
    assert time.thread_time() - started < 1


# --- cost ------------------------------------------------------------------------------------------------------------


def test_64_thousand_tokens_cost_less_than_100_ms() -> None:
    code = CODE * (64_000 // tokens(CODE) + 1)
    request = asked(*(said(code[start : start + 4_000]) for start in range(0, len(code), 4_000)))
    count(request)  # the tokenizer is there
    best = min(_seconds(request) for _ in range(3))
    assert count(request) >= 64_000
    assert best < 0.1


def _seconds(request: Envelope) -> float:
    started = time.thread_time()
    count(request)
    return time.thread_time() - started


def test_the_same_tools_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(tools=[{**TOOL, "name": "Counted_once"}])
    first = count(request)
    monkeypatch.setattr(token_count, "_json_tokens", None)
    assert count(request) == first


async def test_a_count_does_not_hold_up_the_event_loop() -> None:
    assert await count_tokens(asked(said(PROSE)), target=OPENAI, factor=1.0) == count(asked(said(PROSE)))


# --- whatever is asked -----------------------------------------------------------------------------------------------

FILES = st.sampled_from(["iVBORw0KGgo=", "/9j/4AAQ", "JVBERi0x", "UklGRg=="])
KINDS = st.sampled_from(["text", "image", "document", "base64", "url", "thinking", "tool_use", "tool_result", "new"])
KEYS = st.sampled_from(["type", "source", "data", "content", "text", "input", "signature", "title"]) | st.text()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
SOURCES = st.fixed_dictionaries({"type": KINDS}, optional={"data": st.text() | FILES})
BLOCKS = VALUES | st.fixed_dictionaries(
    {"type": KINDS}, optional={"source": SOURCES, "content": VALUES, "input": VALUES}
)


def request_of(blocks: list[Any]) -> Envelope:
    return parse_envelope(json.dumps({"model": "m", "messages": [{"role": "user", "content": blocks}]}).encode())


@given(st.lists(BLOCKS, max_size=4), BLOCKS)
def test_any_request_is_counted_and_more_of_it_counts_more(blocks: list[Any], more: Any) -> None:
    few, many = request_of(blocks), request_of([*blocks, more])
    assert 1 <= count(few, OPENAI) < count(many, OPENAI)
    assert 1 <= count(few, CLAUDE) <= count(many, CLAUDE)
