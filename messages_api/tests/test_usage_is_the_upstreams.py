"""The client is told the upstream's own count of tokens, whenever it comes, and an estimate where none does."""

from typing import Any

import orjson
import pytest

from messages_api.services.translation.chat import AnswerError, decode_chunk
from messages_api.tests.translated import (
    ESTIMATE,
    Json,
    completion_of,
    delta,
    finish,
    message_in,
    text,
    translated,
    translator,
    whole,
)

USAGE: Json = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 12},
}
TOLD: Json = {
    "input_tokens": 15,
    "output_tokens": 30,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 5,
    "output_tokens_details": {"thinking_tokens": 12},
}


@pytest.mark.parametrize(
    "chunks",
    [
        [{"choices": [], "usage": USAGE}, text("a"), finish("stop")],
        [text("a"), {**finish("stop"), "usage": USAGE}],
        [text("a"), finish("stop"), {"choices": [], "usage": USAGE}],
        [text("a"), finish("stop"), {**delta(content=""), "usage": USAGE}, {"choices": [], "usage": None}],
    ],
)
def test_usage_counts_before_with_and_after_the_end(chunks: list[Json]) -> None:
    events = translated(chunks)
    assert events[0]["message"]["usage"]["input_tokens"] == ESTIMATE
    assert events[-2]["usage"] == TOLD


@pytest.mark.parametrize("nothing", [{}, {"prompt_tokens": None}, {"prompt_tokens_details": None}, None])
def test_usage_that_says_nothing_does_not_take_back_what_was_said(nothing: Json | None) -> None:
    events = translated([text("a"), {"choices": [], "usage": USAGE}, finish("stop", usage=None) | {"usage": nothing}])
    assert events[-2]["usage"] == TOLD


def test_an_answer_that_is_not_streamed_counts_the_same() -> None:
    assert whole(completion_of({"content": "a"}, usage=USAGE))["usage"] == TOLD


@pytest.mark.parametrize(("words", "tokens"), [("a", 1), ("abcd" * 10, 10)])
def test_without_usage_estimates_stand(words: str, tokens: int) -> None:
    usage = message_in([text(words), finish("stop")])["usage"]
    assert usage == {"input_tokens": ESTIMATE, "output_tokens": tokens}


def usage_told(**usage: Any) -> Json:
    told: Json = message_in([text("a"), finish("stop"), {"choices": [], "usage": usage}])["usage"]
    return told


def test_more_cached_than_prompted_is_not_negative() -> None:
    assert usage_told(prompt_tokens=5, prompt_tokens_details={"cached_tokens": 9})["input_tokens"] == 0


def test_thoughts_are_never_more_than_the_answer() -> None:
    told = usage_told(completion_tokens=3, completion_tokens_details={"reasoning_tokens": 9})
    assert told["output_tokens_details"] == {"thinking_tokens": 3}


def test_thoughts_that_were_not_counted_are_not_told_as_none() -> None:
    assert "output_tokens_details" not in usage_told(completion_tokens=3)


@pytest.mark.parametrize(("tier", "told"), [("default", "standard"), ("priority", "priority"), ("flex", None)])
def test_the_tier_is_told_where_anthropic_has_it(tier: str, told: str | None) -> None:
    last = {"choices": [], "usage": USAGE, "service_tier": tier}
    assert message_in([text("a"), finish("stop"), last])["usage"].get("service_tier") == told


def test_of_a_broken_answer_is_known_what_was_said_of_it() -> None:
    """For its bill: the usage, if it was told before, else how much there was to read."""
    answer = translator()
    for chunk in (delta(reasoning="abc"), {"choices": [], "usage": USAGE}, text("de")):
        answer.feed(decode_chunk(orjson.dumps(chunk)))
    with pytest.raises(AnswerError):
        answer.finish()
    assert answer.characters == 5
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 120
