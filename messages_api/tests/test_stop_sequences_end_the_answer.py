"""Stop sequences that no upstream takes end the answer here; those that one takes are told as it told them."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages_api.services.translation.chat import decode_chunk
from messages_api.services.translation.events import MessageStop
from messages_api.services.translation.stop_sequences import StopWatch
from messages_api.tests.translated import (
    Json,
    call,
    completion_of,
    delta,
    finish,
    message_in,
    said_by,
    text,
    translator,
    whole,
)

LETTERS = st.text(st.sampled_from("ab🙂"), max_size=20)
STOPS = st.lists(st.text(st.sampled_from("ab🙂"), min_size=1, max_size=4), min_size=1, max_size=3)


def stopped_at(text: str, stops: list[str]) -> tuple[str, str | None]:
    """What comes of a text, letter by letter: it ends with the first sequence that is complete."""
    for end in range(len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            stop = max(found, key=len)
            return text[: end - len(stop)], stop
    return text, None


@given(LETTERS, STOPS, st.data())
@settings(max_examples=1000, derandomize=True, deadline=None)
def test_a_sequence_is_found_wherever_the_text_is_cut(said: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=6)))
    watch, passed = StopWatch(stops), ""
    for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True):
        passed += watch.let_pass(said[start:end])
        assert not [stop for stop in stops if stop in passed]
        if watch.found:
            break
    assert (passed + watch.rest(), watch.found) == stopped_at(said, stops)


def test_no_more_is_kept_back_than_may_begin_a_sequence() -> None:
    watch = StopWatch(["\n\nHuman:", "END"])
    assert watch.let_pass("a\n") == "a"
    assert watch.let_pass("b E") == "\nb "
    assert watch.let_pass("N") == ""
    assert watch.let_pass("d\n\n") == "ENd"
    assert (watch.rest(), watch.found) == ("\n\n", None)


def test_the_answer_ends_at_the_sequence_and_names_it() -> None:
    message = message_in([text("one E"), text("ND two"), finish("stop")], translator(watched=["x", "END"]))
    assert message["content"] == [{"type": "text", "text": "one "}]
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")


def test_the_answer_is_stopped_at_once_and_nothing_more_is_told() -> None:
    answer, is_stopped = translator(watched=["END"]), []
    for chunk in (text("one E"), text("ND")):
        answer.feed(decode_chunk(orjson.dumps(chunk)))
        is_stopped.append(answer.is_stopped)
    assert is_stopped == [False, True]
    late = [text("two"), call({"name": "a", "arguments": "{"}, index=0), delta(reasoning="r"), finish("error")]
    assert [answer.feed(decode_chunk(orjson.dumps(chunk))) for chunk in late] == [[], [], [], []]
    assert isinstance(answer.finish()[-1], MessageStop)


def test_an_answer_that_is_not_streamed_ends_there_too() -> None:
    message = whole(completion_of({"content": "one END two"}), translator(watched=["END"]))
    assert message["content"] == [{"type": "text", "text": "one "}]
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")


def test_what_might_have_become_a_sequence_is_not_lost() -> None:
    answer = [
        text("one EN"),
        call({"name": "a", "arguments": "{}"}, index=0, call_id="call_1"),
        text("D"),
        finish("stop"),
    ]
    message = message_in(answer, translator(watched=["END"]))
    assert said_by(message, "text", "text") == ["one EN", "D"]


def test_thoughts_and_arguments_are_not_watched() -> None:
    answer = [
        delta(reasoning="END"),
        delta(reasoning_details=[{"type": "reasoning.text", "text": "END"}]),
        call({"name": "a", "arguments": '{"n":"END"}'}, index=0, call_id="call_1"),
        finish("tool_calls"),
    ]
    message = message_in(answer, translator(watched=["END"]))
    assert message["stop_reason"] == "tool_use"
    assert said_by(message, "tool_use", "input") == [{"n": "END"}]


def test_a_call_before_the_sequence_is_still_to_be_answered() -> None:
    answer = [call({"name": "a", "arguments": "{}"}, index=0, call_id="call_1"), text("one END two")]
    message = message_in([*answer, finish("stop")], translator(watched=["END"]))
    assert (message["stop_reason"], said_by(message, "text", "text")) == ("tool_use", ["one "])


def test_a_call_that_the_limit_cut_is_told_as_cut_though_a_sequence_follows_it() -> None:
    cut = call({"name": "a", "arguments": '{"n"'}, index=0, call_id="call_1")
    message = message_in([cut, text("one END two"), finish("length")], translator(watched=["END"]))
    assert (message["stop_reason"], said_by(message, "text", "text")) == ("max_tokens", ["one "])


@pytest.mark.parametrize(
    ("sent", "native", "told"),
    [
        (["END"], "stop_sequence", ("stop_sequence", "END")),
        (["END", "x"], "stop_sequence", ("stop_sequence", None)),
        (["END"], "stop", ("end_turn", None)),
        ([], "stop_sequence", ("end_turn", None)),
    ],
)
def test_a_stop_of_the_upstreams_is_told_only_where_it_says_so(
    sent: list[str], native: str, told: tuple[str, str | None]
) -> None:
    answer: list[Json] = [text("a"), finish("stop", native_finish_reason=native)]
    message = message_in(answer, translator(stop_sequences=sent))
    assert (message["stop_reason"], message["stop_sequence"]) == told
