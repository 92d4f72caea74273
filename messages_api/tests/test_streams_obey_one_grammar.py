"""Whatever an upstream streams, the client receives one well-formed answer that says exactly the same, or an error."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from messages_api.tests.stream_grammar import Event, check_grammar, message_added_up
from messages_api.tests.translated import (
    ESTIMATE,
    Json,
    call,
    delta,
    finish,
    said_by,
    text,
    translated,
    translated_bytes,
    translator,
    whole,
)
from messages_api.tests.upstream_answers import (
    ANY_CHUNK,
    USAGE_TOLD,
    WATCHED,
    Answer,
    Stream,
    answers,
    answers_in_the_usual_order,
    completion,
)

EXAMPLES = settings(max_examples=400, derandomize=True, deadline=None)
WAYS = 3  # in which each answer is streamed
PROOF_STREAMS = 100_000
PROOF_WAYS = 6


# --- every answer ----------------------------------------------------------------------------------------------------


def message_of_stream(answer: Answer, stream: Stream) -> Event:
    """The message that the client adds up, once everything about it is found to be right."""
    translating = translator("anthropic", watched=answer.watched)
    events = translated_bytes(stream.received, translating)
    check_grammar(events)
    assert events[-1]["type"] == "message_stop", events[-1]
    assert events[0]["message"]["usage"]["input_tokens"] == ESTIMATE
    message = message_added_up(events)
    check_text(answer, message, is_stopped=translating.is_stopped)
    if not translating.is_stopped:
        check_calls(answer, events, message)
        check_citations(answer, message)
        assert "".join(said_by(message, "thinking", "thinking")) == answer.said.thinking
        assert {name: message["usage"][name] for name in USAGE_TOLD} == USAGE_TOLD
    return message


def check_text(answer: Answer, message: Event, *, is_stopped: bool) -> None:
    """All of the text, or, where a watched sequence ended it, all that comes before that sequence."""
    blocks = said_by(message, "text", "text")
    told, said = "".join(blocks), answer.said.text
    assert not [stop for stop in answer.watched for block in blocks if stop in block]
    if not is_stopped:
        assert told == said
        return
    assert said.startswith(told)
    assert said[len(told) :].startswith(answer.watched)
    if message["stop_reason"] == "stop_sequence":
        assert said[len(told) :].startswith(message["stop_sequence"])
    else:
        assert message["stop_reason"] in {"tool_use", "max_tokens", "refusal"}


def check_calls(answer: Answer, events: list[Event], message: Event) -> None:
    """Every call, in the order in which they were made, with exactly the arguments that were sent."""
    sent = {
        block["name"]: "".join(
            event["delta"]["partial_json"]
            for event in events
            if event["type"] == "content_block_delta" and event["index"] == index
        )
        for index, block in enumerate(message["content"])
        if block["type"] == "tool_use"
    }
    assert list(sent.items()) == list(answer.said.arguments.items())


def check_citations(answer: Answer, message: Event) -> None:
    """Every page is cited by a text, or told as found where no text was left to cite it."""
    cited = [citation["url"] for block in message["content"] for citation in block.get("citations") or ()]
    found = [page["url"] for pages in said_by(message, "web_search_tool_result", "content") for page in pages]
    assert {*cited, *found} == {annotation["url_citation"]["url"] for annotation in answer.said.annotations}
    assert len(found) == len(set(found))


@given(answers())
@EXAMPLES
def test_every_stream_is_well_formed_and_says_exactly_what_the_upstream_said(answer: Answer) -> None:
    """And says the same however its words are spread over chunks, and these over the network."""
    messages = [message_of_stream(answer, answer.stream(way)) for way in range(WAYS)]
    assert all(message["content"] == messages[0]["content"] for message in messages)


@given(answers_in_the_usual_order())
@EXAMPLES
def test_a_stream_adds_up_to_the_answer_that_is_not_streamed(answer: Answer) -> None:
    message = message_of_stream(answer, answer.stream())
    same = whole(completion(answer), translator("anthropic", watched=answer.watched))
    if message["stop_reason"] == "stop_sequence":  # then the upstream was not heard to its end
        del message["usage"], same["usage"]
    assert message == same


@given(answers(), st.data())
@EXAMPLES
def test_a_stream_that_is_cut_ends_in_an_error_and_never_in_an_invented_end(
    answer: Answer, data: st.DataObject
) -> None:
    chunks = answer.stream().chunks
    end = next(place for place, chunk in enumerate(chunks) if _finish(chunk))
    events = translated(chunks[: data.draw(st.integers(0, end), "cut")])
    if events[0]["type"] != "error":  # nothing was said yet: the failure keeps a status of its own
        check_grammar(events)
    assert events[-1]["type"] == "error"
    assert "message_delta" not in [event["type"] for event in events]


def _finish(chunk: Json) -> str | None:
    reasons = [choice.get("finish_reason") for choice in chunk.get("choices") or []]
    return next((reason for reason in reasons if reason), None)


@given(st.lists(ANY_CHUNK, max_size=12), WATCHED)
@settings(EXAMPLES, max_examples=1000)
def test_however_senseless_the_chunks_the_client_reads_a_whole_answer_or_an_error(
    chunks: list[Json], watched: tuple[str, ...]
) -> None:
    events = translated([*chunks, finish("length")], translator(watched=watched, stop_sequences=["x"]))
    if events[0]["type"] != "error":
        check_grammar(events)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_streams() -> None:
    """The figure for the record. Not derandomized: each run looks at other streams."""
    streams = blocks = 0

    @given(answers())
    @settings(
        max_examples=PROOF_STREAMS // PROOF_WAYS + 1,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    def prove(answer: Answer) -> None:
        nonlocal streams, blocks
        first: Any = None
        for way in range(PROOF_WAYS):
            message = message_of_stream(answer, answer.stream(way))
            first = first or message["content"]
            assert message["content"] == first
            streams, blocks = streams + 1, blocks + len(message["content"])

    prove()
    print(f"\n{streams} generated streams, {blocks} content blocks in them: all well-formed and exact")
    assert streams >= PROOF_STREAMS


# --- the grammar itself ----------------------------------------------------------------------------------------------

GOOD = [
    delta(reasoning="a"),
    text("b"),
    call({"name": "a", "arguments": '{"n":1}'}, index=0, call_id="call_1"),
    finish("tool_calls"),
]


def kind_of(event: Event) -> str:
    return str(event["type"]).removeprefix("content_block_")


@pytest.mark.parametrize("kind", ["message_start", "start", "stop", "message_delta", "message_stop"])
def test_the_grammar_misses_whatever_is_left_out_or_said_twice(kind: str) -> None:
    events = translated(GOOD)
    check_grammar(events)
    for place, event in enumerate(events):
        if kind_of(event) == kind:
            with pytest.raises(AssertionError):
                check_grammar(events[:place] + events[place + 1 :])
            with pytest.raises(AssertionError):
                check_grammar([*events[: place + 1], *events[place:]])


def test_the_grammar_takes_events_in_no_other_order() -> None:
    events = translated(GOOD)
    for place in range(len(events) - 1):
        with pytest.raises(AssertionError):
            check_grammar([*events[:place], events[place + 1], events[place], *events[place + 2 :]])


def test_the_grammar_lets_nothing_follow_an_error() -> None:
    events = translated([text("a")])
    check_grammar(events)
    for more in ({"type": "ping"}, {"type": "content_block_stop", "index": 0}, {"type": "message_stop"}, events[-1]):
        with pytest.raises(AssertionError):
            check_grammar([*events, more])
    with pytest.raises(AssertionError):
        check_grammar(events[:-1])


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"index": 7}, "start"),
        ({"index": 7}, "delta"),
        ({"index": 7}, "stop"),
        ({"delta": {"type": "input_json_delta", "partial_json": "{}"}}, "delta"),
        ({"content_block": {"type": "tool_use", "id": "", "name": "a", "input": {}}}, "start"),
        ({"content_block": {"type": "tool_use", "id": "a", "name": None, "input": {}}}, "start"),
        ({"delta": {"stop_reason": "stop", "stop_sequence": None}}, "message_delta"),
        ({"delta": {"stop_reason": "end_turn", "stop_sequence": None}}, "message_delta"),
        ({"usage": {}}, "message_delta"),
        ({"type": "content_block_end"}, "stop"),
    ],
)
def test_the_grammar_looks_into_events(change: Json, kind: str) -> None:
    events = translated(GOOD)
    place = next(place for place, event in enumerate(events) if kind_of(event) == kind)
    with pytest.raises(AssertionError):
        check_grammar([*events[:place], events[place] | change, *events[place + 1 :]])
