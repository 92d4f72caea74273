"""A tool call reaches the client whole: under one block, with an id and a name it takes, and the exact arguments."""

import json

import orjson
import pytest

from messages_api.services.sse import encode
from messages_api.services.translation.chat import decode_chunk
from messages_api.services.translation.stream import StreamTranslator
from messages_api.services.translation.tools import translate_tools
from messages_api.tests.stream_grammar import Event, check_grammar, events_of, message_added_up
from messages_api.tests.translated import (
    Json,
    call,
    completion_of,
    delta,
    finish,
    message_in,
    said_by,
    text,
    translated,
    translator,
    whole,
)

TOOLS = translate_tools(
    orjson.dumps(
        [
            {"name": "Bash", "input_schema": {"type": "object", "properties": {"c": {}}, "required": ["c"]}},
            {"name": "List", "input_schema": {"type": "object", "properties": {"c": {}}}},
        ]
    ),
    "openai",
)


def fed(answer: StreamTranslator, chunk: Json) -> list[Event]:
    return events_of(encode(answer.feed(decode_chunk(orjson.dumps(chunk)))))


# --- arguments -------------------------------------------------------------------------------------------------------


def test_fragments_leave_as_they_come() -> None:
    answer = translator()
    fed(answer, call({"name": "a", "arguments": ""}, index=0, call_id="call_1"))
    for piece in ('{"path"', ': "/tmp', '/x"', "}"):
        [event] = fed(answer, call({"arguments": piece}, index=0))
        assert event["delta"] == {"type": "input_json_delta", "partial_json": piece}


def test_long_arguments_are_neither_changed_nor_slow() -> None:
    """A file of 50 KB in small fragments, as models write them."""
    arguments = json.dumps({"content": "0123456789" * 5_000})
    pieces = [arguments[at : at + 8] for at in range(0, len(arguments), 8)]
    message = message_in(
        [
            call({"name": "Write"}, index=0, call_id="call_1"),
            *[call({"arguments": piece}, index=0) for piece in pieces],
            finish("tool_calls"),
        ]
    )
    assert message["content"][0]["input"] == json.loads(arguments)


@pytest.mark.parametrize("arguments", ["", None, " "])
def test_no_arguments_are_an_empty_object_only_for_a_tool_that_requires_none(arguments: str | None) -> None:
    def events(name: str) -> list[Event]:
        chunks = [call({"name": name, "arguments": arguments}, index=0, call_id="call_1"), finish("tool_calls")]
        told = translated(chunks, translator(tools=TOOLS))
        check_grammar(told)
        return told

    assert message_added_up(events("List"))["content"][0]["input"] == {}
    assert events("Bash")[-1]["type"] == "error"


def test_arguments_with_half_a_character_in_them_arrive_as_the_model_wrote_them() -> None:
    """JSON may hold it, escaped; the client's own JSON decides what it makes of it."""
    arguments = '{"c": "\\ud83d", "d": "\\ude00"}'
    chunks = [call({"name": "Bash", "arguments": arguments}, index=0, call_id="call_1"), finish("tool_calls")]
    events = translated(chunks)
    check_grammar(events)
    deltas = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(deltas) == arguments
    assert message_added_up(events)["content"][0]["input"] == {"c": "\ud83d", "d": "\ude00"}
    calls = [{"id": "call_1", "type": "function", "function": {"name": "Bash", "arguments": arguments}}]
    assert whole(completion_of({"tool_calls": calls}, "tool_calls"))["content"][0]["input"]["d"] == "\ude00"


def test_an_empty_piece_of_a_call_that_is_whole_does_not_part_what_is_said_after_it() -> None:
    begun = call({"name": "a", "arguments": '{"n":1}'}, index=0, call_id="call_1")
    empty = [call({"arguments": piece}, index=0) for piece in ("", " ", None)]
    message = message_in([begun, text("b"), *empty, text("c"), finish("tool_calls")])
    assert said_by(message, "text", "text") == ["bc"]


@pytest.mark.parametrize("arguments", ['{"c": "ec', "[]", '"ls"', "null", "{}{}", "{'c': 1}"])
def test_arguments_that_are_no_object_are_an_error(arguments: str) -> None:
    events = translated([call({"name": "a", "arguments": arguments}, index=0, call_id="call_1"), finish("tool_calls")])
    check_grammar(events)
    assert events[-1]["type"] == "error"


def test_arguments_that_go_on_after_their_end_are_an_error() -> None:
    begun = call({"name": "a", "arguments": '{"n":1}'}, index=0, call_id="call_1")
    for more, last in ((" ", "message_stop"), ("}", "error")):
        events = translated([begun, text("b"), call({"arguments": more}, index=0), finish("tool_calls")])
        check_grammar(events)
        assert events[-1]["type"] == last


@pytest.mark.parametrize(
    ("reason", "native", "told"),
    [
        ("length", None, "max_tokens"),
        ("length", "model_context_window_exceeded", "model_context_window_exceeded"),
        ("content_filter", None, "refusal"),
    ],
)
def test_arguments_that_were_cut_are_told_as_such(reason: str, native: str | None, told: str) -> None:
    cut = call({"name": "Bash", "arguments": '{"c": "ec'}, index=0, call_id="call_1")
    message = message_in([cut, finish(reason, native_finish_reason=native)], translator(tools=TOOLS))
    assert (message["stop_reason"], message["content"][0]["input"]) == (told, {})


# --- which call a fragment belongs to --------------------------------------------------------------------------------


def test_calls_whose_fragments_are_mixed_are_two_blocks_one_after_the_other() -> None:
    message = message_in(
        [
            call({"name": "a", "arguments": '{"n"'}, index=0, call_id="call_1"),
            call({"name": "b", "arguments": '{"m"'}, index=1, call_id="call_2"),
            call({"arguments": ":1}"}, index=0),
            call({"arguments": ":2}"}, index=1),
            finish("tool_calls"),
        ]
    )
    assert said_by(message, "tool_use", "input") == [{"n": 1}, {"m": 2}]


def test_one_id_given_to_two_calls_does_not_make_them_one() -> None:
    message = message_in(
        [
            call({"name": "a", "arguments": '{"n":1}'}, index=0, call_id="call_1"),
            call({"name": "b", "arguments": '{"n":2}'}, index=1, call_id="call_1"),
            finish("tool_calls"),
        ]
    )
    assert said_by(message, "tool_use", "name") == ["a", "b"]
    assert len(set(said_by(message, "tool_use", "id"))) == 2, "two results would answer to one call"


def test_an_id_that_is_repeated_with_every_fragment_is_one_call() -> None:
    message = message_in(
        [
            call({"name": "a", "arguments": '{"n"'}, index=0, call_id="call_1"),
            call({"name": "a", "arguments": ":1}"}, index=0, call_id="call_1"),
            finish("tool_calls"),
        ]
    )
    assert said_by(message, "tool_use", "input") == [{"n": 1}]


ONE_PIECE = [{"name": "a", "arguments": '{"n":1}'}, {"name": "a", "arguments": '{"n":2}'}]
NAME_FIRST = [{"name": "a"}, {"arguments": '{"n"'}, {"arguments": ":1}"}, {"name": "a"}, {"arguments": '\n{"n":2}'}]
EVERY_NAME = [{"name": "a", "arguments": piece} for piece in ('{"n"', ":1}", "", " ", '{"n"', ":2}", "")]


@pytest.mark.parametrize("index", [0, None])
@pytest.mark.parametrize(
    "fragments", [ONE_PIECE, NAME_FIRST, EVERY_NAME], ids=["one piece", "name first", "every name"]
)
def test_two_calls_of_one_tool_are_two_where_nothing_but_its_name_says_so(
    fragments: list[Json], index: int | None
) -> None:
    """No ids, one index: behind whole arguments the tool is named again, and arguments begin again."""
    message = message_in([*[call(fragment, index=index) for fragment in fragments], finish("tool_calls")])
    assert said_by(message, "tool_use", "input") == [{"n": 1}, {"n": 2}]
    assert len(set(said_by(message, "tool_use", "id"))) == 2


def test_a_name_that_is_repeated_behind_whole_arguments_is_no_other_call() -> None:
    pieces = ['{"n"', ":1}", "", "\n", None]
    message = message_in(
        [*[call({"name": "a", "arguments": piece}, index=0) for piece in pieces], finish("tool_calls")]
    )
    assert said_by(message, "tool_use", "input") == [{"n": 1}]


@pytest.mark.parametrize(
    ("more", "call_id"),
    [
        ({"arguments": '{"n":2}'}, None),
        ({"name": "a", "arguments": '{"n":2}'}, "call_1"),
        ({"name": "a", "arguments": "}"}, None),
    ],
    ids=["no name", "the same id", "no beginning"],
)
def test_what_may_be_one_call_written_wrongly_is_an_error_and_not_two(more: Json, call_id: str | None) -> None:
    first = call({"name": "a", "arguments": '{"n":1}'}, index=0, call_id=call_id)
    events = translated([first, call(more, index=0, call_id=call_id), finish("tool_calls")])
    check_grammar(events)
    assert events[-1]["type"] == "error"


@pytest.mark.parametrize("call_id", ["call_1", "", None])
def test_two_calls_of_an_answer_that_is_not_streamed_stay_two(call_id: str | None) -> None:
    calls = [
        {"id": call_id, "type": "function", "function": {"name": "a", "arguments": arguments}}
        for arguments in ('{"n":1}', '{"n":2}')
    ]
    message = whole(completion_of({"tool_calls": calls}, "tool_calls"))
    assert said_by(message, "tool_use", "input") == [{"n": 1}, {"n": 2}]
    assert len(set(said_by(message, "tool_use", "id"))) == 2


def test_empty_lists_beside_text_do_not_cost_the_text() -> None:
    both = delta(content="a", tool_calls=[], reasoning_details=[], annotations=[])
    assert message_in([both, finish("stop")])["content"] == [{"type": "text", "text": "a"}]


def test_a_delta_of_nothing_but_nulls_says_nothing() -> None:
    names = ("content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "tool_calls", "annotations")
    nothing = delta(**dict.fromkeys(names))
    assert message_in([nothing, text("a"), nothing, text("b"), finish("stop")])["content"] == [
        {"type": "text", "text": "ab"}
    ]


# --- names and ids ---------------------------------------------------------------------------------------------------


def test_a_name_that_comes_later_than_the_arguments_is_waited_for() -> None:
    message = message_in(
        [
            call({"arguments": '{"n"'}, index=0, call_id="call_1"),
            text("between"),
            call({"name": "a", "arguments": ":1}"}, index=0),
            finish("tool_calls"),
        ]
    )
    assert message["content"][-1] == {"type": "tool_use", "id": "call_1", "name": "a", "input": {"n": 1}}
    assert said_by(message, "text", "text") == ["between"]


def test_a_call_that_is_never_named_is_an_error() -> None:
    events = translated([text("a"), call({"arguments": "{}"}, index=0, call_id="call_1"), finish("tool_calls")])
    check_grammar(events)
    assert events[-1]["type"] == "error"


@pytest.mark.parametrize("call_id", ["", None])
def test_a_call_without_an_id_is_given_one(call_id: str | None) -> None:
    message = message_in([call({"name": "a", "arguments": "{}"}, index=0, call_id=call_id), finish("tool_calls")])
    assert said_by(message, "tool_use", "id") == ["toolu_msg_1_0"]


@pytest.mark.parametrize("raw_id", ["functions.Bash:0", "call|1", "é", "toolu_1"])
def test_an_id_that_the_client_refuses_is_renamed_and_others_are_not(raw_id: str) -> None:
    message = message_in([call({"name": "a", "arguments": "{}"}, index=0, call_id=raw_id), finish("tool_calls")])
    assert (said_by(message, "tool_use", "id") == [raw_id]) is (raw_id == "toolu_1")


# --- what waits ------------------------------------------------------------------------------------------------------


def test_what_follows_a_call_whose_arguments_are_whole_does_not_wait() -> None:
    answer = translator()
    fed(answer, call({"name": "a", "arguments": '{"n":1}'}, index=0, call_id="call_1"))
    events = fed(answer, text("after"))
    assert [event["type"] for event in events] == ["content_block_stop", "content_block_start", "content_block_delta"]
    assert answer.held_seconds == 0


def test_what_comes_in_the_middle_of_a_call_waits_and_the_wait_is_measured() -> None:
    now = [100.0]
    answer = translator(clock=lambda: now[0])
    fed(answer, call({"name": "a", "arguments": '{"n"'}, index=0, call_id="call_1"))
    now[0] = 103.0
    assert fed(answer, text("after")) == []
    now[0] = 104.0
    assert fed(answer, text("wards")) == []
    now[0] = 105.5
    events = fed(answer, call({"arguments": ":1}"}, index=0))
    assert [event["type"].removeprefix("content_block_") for event in events] == [
        "delta",
        "stop",
        "start",
        *["delta"] * 2,
    ]
    assert answer.held_seconds == 2.5
    now[0] = 200.0
    fed(answer, text("more"))
    assert answer.held_seconds == 2.5
