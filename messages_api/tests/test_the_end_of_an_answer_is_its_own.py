"""An answer ends as it ended: by what it said first, then by the upstream's word; what broke off is an error."""

import orjson
import pytest

from messages_api.services.translation import events as out
from messages_api.services.translation.chat import decode_chunk
from messages_api.tests.stream_grammar import Event, check_grammar
from messages_api.tests.translated import (
    Json,
    call,
    completion_of,
    delta,
    finish,
    message_in,
    text,
    translated,
    translator,
    whole,
)

A_CALL = call({"name": "a", "arguments": "{}"}, index=0, call_id="call_1")


@pytest.mark.parametrize("finish_reason", ["stop", "tool_calls", "function_call"])
@pytest.mark.parametrize("native", [None, "pause_turn", "stop_sequence"])
def test_a_call_decides_the_end_and_not_what_the_upstream_calls_it(finish_reason: str, native: str | None) -> None:
    end = finish(finish_reason, native_finish_reason=native)
    assert message_in([A_CALL, end], translator(stop_sequences=["x"]))["stop_reason"] == "tool_use"


@pytest.mark.parametrize("finish_reason", ["stop", "tool_calls", "function_call"])
def test_without_a_call_no_end_is_tool_use(finish_reason: str) -> None:
    assert message_in([text("a"), finish(finish_reason)])["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("reason", "native", "told"),
    [
        ("stop", "stop", "end_turn"),
        ("stop", "STOP", "end_turn"),
        ("length", "MAX_TOKENS", "max_tokens"),
        ("length", "model_context_window_exceeded", "model_context_window_exceeded"),
        ("length", "max_context_length", "model_context_window_exceeded"),
        ("stop", "pause_turn", "pause_turn"),
        ("stop", "refusal", "refusal"),
        ("content_filter", "refusal", "refusal"),
        ("content_filter", "SAFETY", "refusal"),
    ],
)
def test_the_upstreams_word_for_the_end_is_translated(reason: str, native: str, told: str) -> None:
    assert message_in([text("a"), finish(reason, native_finish_reason=native)])["stop_reason"] == told


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("eos", "end_turn"),  # Together
        ("end_turn", "end_turn"),
        ("model_length", "model_context_window_exceeded"),  # Mistral
        ("model_context_window_exceeded", "model_context_window_exceeded"),  # Z.AI
        ("max_tokens", "max_tokens"),
        ("sensitive", "refusal"),  # Z.AI
    ],
)
def test_providers_of_ones_own_have_their_own_words_for_an_end(reason: str, told: str) -> None:
    assert message_in([text("a"), finish(reason)])["stop_reason"] == told
    cut = call({"name": "a", "arguments": '{"n"'}, index=0, call_id="call_1")
    events = translated([cut, finish(reason)])
    check_grammar(events)
    assert events[-1]["type"] == ("error" if told == "end_turn" else "message_stop")


@pytest.mark.parametrize("reason", ["network_error", "insufficient_system_resource", "abort", "never heard of"])
def test_an_end_that_is_a_failure_or_unknown_is_an_error(reason: str) -> None:
    events = translated([text("a"), finish(reason)])
    check_grammar(events)
    assert reason in events[-1]["error"]["message"]


def refused(chunks: list[Json]) -> Event:
    message = message_in(chunks)
    assert message["stop_reason"] == "refusal"
    details: Event = message["stop_details"]
    return details


def test_a_refusal_says_why_where_that_is_known() -> None:
    about = {"type": "refusal", "category": None}
    for beside in ("", None):
        in_words = [delta(refusal="I can", content=beside), delta(refusal="not.", content=beside), finish("stop")]
        assert refused(in_words) == {**about, "explanation": "I cannot."}
    by_name = [text("a"), finish("content_filter", native_finish_reason="SAFETY")]
    assert "SAFETY" in refused(by_name)["explanation"]
    assert refused([text("a"), finish("content_filter")]) == {**about, "explanation": None}


def test_other_ends_have_no_details() -> None:
    assert message_in([text("a"), finish("stop")])["stop_details"] is None


def test_a_refusal_that_is_not_streamed_is_told_likewise() -> None:
    message = whole(completion_of({"content": None, "refusal": "I cannot."}))
    assert (message["stop_reason"], message["stop_details"]["explanation"]) == ("refusal", "I cannot.")
    assert message["content"] == [{"type": "text", "text": "I cannot."}]


def test_an_empty_finish_reason_is_none() -> None:
    assert message_in([finish(""), text("a"), finish("stop"), finish("")])["stop_reason"] == "end_turn"


NULL_DETAIL = {"type": "reasoning.text", "text": None, "signature": None, "format": "anthropic-claude-v1"}


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [finish("stop")],
        [finish("tool_calls")],
        [finish("stop", native_finish_reason="pause_turn")],
        [text(""), finish("stop")],
        [delta(reasoning_details=[NULL_DETAIL]), finish("stop")],
        [finish("error", native_finish_reason="MALFORMED_FUNCTION_CALL")],
        [text("a"), finish("stop", native_finish_reason="MALFORMED_FUNCTION_CALL")],
        [text("a"), finish("error")],
        [text("a")],
        [A_CALL],
        [text("a"), finish("a_reason_from_next_year")],
    ],
)
def test_what_is_not_an_answer_is_an_error(chunks: list[Json]) -> None:
    events = translated(chunks)
    if events[0]["type"] != "error":
        check_grammar(events)
    assert events[-1]["type"] == "error"
    assert "message_stop" not in [event["type"] for event in events]


def test_a_malformed_function_call_is_named_in_the_error() -> None:
    [error] = translated([finish("error", native_finish_reason="MALFORMED_FUNCTION_CALL")])
    assert "MALFORMED_FUNCTION_CALL" in error["error"]["message"]


@pytest.mark.parametrize(
    ("reason", "native", "told"),
    [
        ("length", None, "max_tokens"),
        ("length", "model_context_window_exceeded", "model_context_window_exceeded"),
        ("content_filter", None, "refusal"),
        ("stop", "stop_sequence", "stop_sequence"),
    ],
)
def test_an_answer_that_was_stopped_before_its_first_word_has_a_block_all_the_same(
    reason: str, native: str | None, told: str
) -> None:
    message = message_in([finish(reason, native_finish_reason=native)], translator(stop_sequences=["x"]))
    assert (message["stop_reason"], message["content"]) == (told, [{"type": "text", "text": ""}])


def test_after_an_attempt_that_only_began_the_answer_begins_no_second_time() -> None:
    answer = translator()
    answer.start()
    assert answer.start() == []
    events = answer.feed(decode_chunk(orjson.dumps(text("a"))))
    assert [type(event) for event in events] == [out.ContentBlockStart, out.ContentBlockDelta]
