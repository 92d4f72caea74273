"""Whatever an upstream streams, the client receives one well-formed answer that says exactly the same, or an error."""

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages_api.errors import UpstreamFailed
from messages_api.schemas import parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.sse import encode, encode_error
from messages_api.services.translation.chat import AnswerError, decode_chunk
from messages_api.services.translation.request import translate_request
from messages_api.services.translation.response import message_of
from messages_api.services.translation.stream import StreamTranslator
from messages_api.services.translation.tools import NO_TOOLS, Tools, translate_tools
from messages_api.tests.stream_grammar import Event, check_grammar, events_of, message_added_up

Json = dict[str, Any]

EXAMPLES = settings(max_examples=200, derandomize=True, deadline=None)
LETTERS = st.text(st.sampled_from('ab 1{}[]":,\\\n\u2028é字🙂'), max_size=12)
WORDS = st.text(st.sampled_from('ab 1{}[]":,\\\n\u2028é字🙂'), min_size=1, max_size=12)
VALUES = st.recursive(st.none() | st.integers() | LETTERS, st.lists, max_leaves=3)
ARGUMENTS = st.dictionaries(LETTERS, VALUES, max_size=3)
FINISHES = ["stop", "tool_calls", "length", "content_filter", "function_call"]
CLAUDE, OPENAI, GOOGLE, XAI = "anthropic-claude-v1", "openai-responses-v1", "google-gemini-v1", "xai-responses-v1"


# --- what an upstream may say ----------------------------------------------------------------------------------------


@dataclass
class Said:
    """What was put into a stream, to be found in the answer."""

    deltas: list[Json] = field(default_factory=list)
    text: str = ""
    thinking: str = ""
    details: list[Json] = field(default_factory=list)  # that have to come back
    plain: str = ""  # reasoning that no detail holds
    arguments: dict[str, str] = field(default_factory=dict)  # by the tool's name: here every call has its own
    ids: dict[str, str] = field(default_factory=dict)


def cut(draw: st.DrawFn, text: str, most: int = 4) -> list[str]:
    """`text` in pieces, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=most)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def add_text(draw: st.DrawFn, said: Said) -> None:
    key = draw(st.sampled_from(["content", "content", "content", "refusal"]))
    text = draw(WORDS)
    said.text += text
    said.deltas += [{key: piece} for piece in cut(draw, text)]


def add_plain_reasoning(draw: st.DrawFn, said: Said) -> None:
    key = draw(st.sampled_from(["reasoning", "reasoning_content"]))
    text = draw(WORDS)
    said.thinking += text
    said.plain += text
    said.deltas += [{key: piece} for piece in cut(draw, text)]


def add_reasoning_details(draw: st.DrawFn, said: Said) -> None:
    """Text or summary in pieces under one index, beside a copy in `reasoning` or not; then perhaps its seal."""
    kind, key, form = draw(
        st.sampled_from(
            [
                ("reasoning.text", "text", CLAUDE),
                ("reasoning.text", "text", GOOGLE),
                ("reasoning.summary", "summary", OPENAI),
                ("reasoning.summary", "summary", XAI),
            ]
        )
    )
    text, index = draw(WORDS), len(said.details)
    extra: Json = draw(st.sampled_from([{}, {"id": None}, {"signature": None}]))
    head = {"type": kind, "format": form, "index": index, **extra}
    whole = {**head, key: text}
    for piece in cut(draw, text):
        copies: list[Json] = [{}, {"reasoning": piece}, {"reasoning": None}, {"reasoning_content": piece}]
        copy = draw(st.sampled_from(copies)) if piece else {}
        said.deltas.append({**copy, "reasoning_details": [{**head, key: piece}]})
    if form == CLAUDE:
        whole["signature"] = f"Eq{index}=="
        said.deltas.append({"content": "", "reasoning_details": [{**head, "signature": whole["signature"]}]})
    said.thinking += text
    said.details.append(whole)


def add_sealed_reasoning(draw: st.DrawFn, said: Said) -> None:
    """A detail without text: encrypted, a server's tool call, or a type from next year."""
    detail: Json = draw(
        st.sampled_from(
            [
                {"type": "reasoning.encrypted", "data": "gAAAA", "format": OPENAI, "id": "rs_1"},
                {"type": "reasoning.encrypted", "data": "CiQB", "format": GOOGLE, "id": "tool_1"},
                {"type": "reasoning.encrypted", "data": "EqRE", "format": CLAUDE},
                {"type": "reasoning.server_tool_call", "tool_name": "x", "arguments": "{}", "result": "r"},
                {"type": "reasoning.future", "anything": [1, {"a": None}]},
            ]
        )
    )
    detail = {**detail, "index": len(said.details)}
    said.details.append(detail)
    extra: Json = draw(st.sampled_from([{}, {"reasoning": None}, {"reasoning": ""}, {"content": None}]))
    said.deltas.append({**extra, "reasoning_details": [detail]})


def call_fragments(draw: st.DrawFn, said: Said, number: int, form: Json) -> list[Json]:
    """The fragments of one tool call, in the form in which this upstream sends all of them."""
    name, call_id = f"tool_{number}", draw(st.sampled_from(["call_{}", "functions.x:{}", "9{}"])).format(number)
    text = draw(st.just("") | ARGUMENTS.map(json.dumps) | ARGUMENTS.map(lambda it: json.dumps(it, indent=1)))
    said.arguments[name] = text or "{}"
    said.ids[name] = call_id
    fragments: list[Json] = []
    for position, piece in enumerate(cut(draw, text)):
        named: list[Json] = [{}, {"name": ""}, {"name": None}, {"name": name}]
        function = {"name": name} if position == 0 else draw(st.sampled_from(named))
        if piece or draw(st.booleans()):
            function = {**function, "arguments": piece or draw(st.sampled_from(["", None]))}
        fragment: Json = {"function": function, "type": "function"}
        if form["index"] != "never":
            fragment["index"] = number if form["index"] == "always" else 0
        if form["id"] == "always" or (form["id"] == "first" and position == 0):
            fragment["id"] = call_id
        elif form["id"] == "first":
            fragment |= draw(st.sampled_from([{}, {"id": None}, {"id": ""}]))
        fragments.append(fragment)
    return fragments


#: How upstreams mark which call a fragment belongs to, and whether fragments of several may then be mixed.
FORMS = [
    ({"index": "always", "id": "first"}, True),
    ({"index": "always", "id": "always"}, True),
    ({"index": "always", "id": "never"}, True),
    ({"index": "never", "id": "always"}, True),
    ({"index": "zero", "id": "always"}, True),
    ({"index": "never", "id": "first"}, False),
    ({"index": "zero", "id": "first"}, False),
]


def add_calls(draw: st.DrawFn, said: Said, form: Json, is_mixed: bool) -> None:
    """One to three tool calls; their fragments in turn where the form allows it, several in a delta at times."""
    first = len(said.arguments)
    queues = [call_fragments(draw, said, first + more, form) for more in range(draw(st.integers(1, 3)))]
    ordered: list[Json] = []
    begun = 0
    while any(queues):
        rest = [number for number, queue in enumerate(queues) if queue and number <= begun]
        number = draw(st.sampled_from(rest)) if is_mixed else rest[0]
        begun = max(begun, number + 1)
        ordered.append(queues[number].pop(0))
    while ordered:
        many = draw(st.integers(1, 3))
        said.deltas.append({"tool_calls": ordered[:many]})
        ordered = ordered[many:]


RANK = {"reasoning": 0, "reasoning_content": 0, "reasoning_details": 0, "content": 1, "refusal": 1, "tool_calls": 2}


def merged(draw: st.DrawFn, deltas: list[Json]) -> list[Json]:
    """Neighbours in one delta here and there, where the order in which a delta is read keeps their order."""
    joined: list[Json] = []
    for delta in deltas:
        before = [RANK[key] for key in joined[-1]] if joined else []
        if before and max(before) < min(RANK[key] for key in delta) and draw(st.booleans()):
            joined[-1] = {**joined[-1], **delta}
        else:
            joined.append(delta)
    return joined


NOISE: list[Json] = [
    {"choices": []},
    {"choices": None, "usage": None},
    {"error": None, "choices": [{"index": 0, "delta": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": None, "native_finish_reason": None}]},
    {"choices": [{"delta": {"content": "", "reasoning": None, "tool_calls": []}}]},
    {"choices": [{"delta": {"role": "assistant", "content": None, "tool_calls": None, "reasoning_details": []}}]},
    {"choices": [{"delta": {"content": "", "reasoning": "", "reasoning_details": None, "annotations": []}}]},
    {"openrouter_metadata": {"a": 1}},
]
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "cost": 0.00123,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 5},
}
USAGE_TOLD = {
    "input_tokens": 15,
    "output_tokens": 30,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 5,
}


def chunks_of(draw: st.DrawFn, deltas: list[Json], finish: str) -> list[Json]:
    """The chunks of a whole stream: deltas, noise between them, an end, and usage before, with or behind it."""
    chunks: list[Json] = []
    for delta in merged(draw, deltas):
        chunks += draw(st.lists(st.sampled_from(NOISE), max_size=1))
        chunks.append({"id": "gen-1", "choices": [{"index": 0, "delta": {"role": "assistant", **delta}}]})
    end: Json = {"id": "gen-1", "choices": [{"delta": {"content": ""}, "finish_reason": finish}]}
    match draw(st.sampled_from(["before", "with", "behind", "behind, with a choice"])):
        case "before":
            chunks += [{"choices": [], "usage": USAGE}, end]
        case "with":
            chunks.append({**end, "usage": USAGE})
        case "behind":
            chunks += [end, {"choices": [], "usage": USAGE}]
        case _:
            chunks += [end, {"choices": [{"delta": {"content": ""}, "finish_reason": None}], "usage": USAGE}]
    return chunks + draw(st.lists(st.sampled_from(NOISE), max_size=1))


@st.composite
def answers(draw: st.DrawFn) -> tuple[Said, list[Json]]:
    """A whole answer in any order, and its chunks."""
    said = Said()
    form, is_mixed = draw(st.sampled_from(FORMS))
    reasoning = draw(st.sampled_from([[add_plain_reasoning], [add_reasoning_details, add_sealed_reasoning]]))
    kinds = [add_text, *reasoning, "calls"]
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5)):
        if callable(kind):
            kind(draw, said)
        else:
            add_calls(draw, said, form, is_mixed)
    if not (said.text or said.arguments or said.thinking or said.details):
        add_text(draw, said)
    return said, chunks_of(draw, said.deltas, draw(st.sampled_from(FINISHES)))


@st.composite
def answers_in_the_usual_order(draw: st.DrawFn) -> tuple[list[Json], Json]:
    """Chunks of reasoning, then text, then calls, and the same answer as a completion that is not streamed."""
    said = Said()
    if draw(st.booleans()):
        add_plain_reasoning(draw, said)
    else:
        for add in draw(st.lists(st.sampled_from([add_reasoning_details, add_sealed_reasoning]), max_size=3)):
            add(draw, said)
    if draw(st.booleans()):
        add_text(draw, said)
    if draw(st.booleans()) or not said.deltas:
        form, is_mixed = draw(st.sampled_from([form for form in FORMS if form[0]["id"] != "never"]))
        add_calls(draw, said, form, is_mixed)
    finish = draw(st.sampled_from(FINISHES))
    return chunks_of(draw, said.deltas, finish), whole_answer(said, finish)


def whole_answer(said: Said, finish: str) -> Json:
    key = "refusal" if any("refusal" in delta for delta in said.deltas) else "content"
    message: Json = {"role": "assistant", "content": None, "refusal": None, key: said.text}
    message["reasoning"] = said.plain or said.thinking or None
    if said.details:
        message["reasoning_details"] = said.details
    if said.arguments:
        message["tool_calls"] = [
            {"id": said.ids[name], "type": "function", "function": {"name": name, "arguments": text}}
            for name, text in said.arguments.items()
        ]
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "gen-1", "object": "chat.completion", "choices": [choice], "usage": USAGE}


# --- the way through -------------------------------------------------------------------------------------------------


def translator(family: str = "openai", tools: Tools = NO_TOOLS) -> StreamTranslator:
    return StreamTranslator(message_id="msg_1", model="claude-sonnet-5", family=family, tools=tools, input_tokens=7)


def translated(chunks: list[Json], answer: StreamTranslator | None = None) -> list[Event]:
    """The events as the client reads them; an AnswerError as the error that it is told."""
    answer, sent = answer or translator(), b""
    try:
        for chunk in chunks:
            sent += encode(answer.feed(decode_chunk(orjson.dumps(chunk))))
        sent += encode(answer.finish())
    except AnswerError as error:
        sent += encode_error(UpstreamFailed(str(error)), "req_1")
    return events_of(sent)


def message_in(chunks: list[Json]) -> Event:
    """The message that a stream which ends well adds up to."""
    events = translated(chunks)
    check_grammar(events)
    assert events[-1]["type"] == "message_stop", events[-1]
    return message_added_up(events)


def whole(completion: Json) -> Event:
    """The message of a completion that is not streamed."""
    message = message_of(decode_chunk(orjson.dumps(completion)), translator())
    decoded: Event = json.loads(msgspec.json.encode(message))
    return decoded


def said_by(message: Event, kind: str, key: str) -> list[Any]:
    return [block[key] for block in message["content"] if block["type"] == kind]


def fragments_of(events: list[Event], message: Event) -> dict[str, str]:
    """The arguments of each call by its name, exactly as the client received them."""
    return {
        block["name"]: "".join(
            event["delta"]["partial_json"]
            for event in events
            if event["type"] == "content_block_delta" and event["index"] == index
        )
        for index, block in enumerate(message["content"])
        if block["type"] == "tool_use"
    }


def sent_back(message: Event, family: str) -> Json:
    """What the next turn tells a model of `family` about this answer."""
    results = [{"type": "tool_result", "tool_use_id": call_id} for call_id in said_by(message, "tool_use", "id")]
    history = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": [*results, {"type": "text", "text": "b"}]},
    ]
    request = parse_request(orjson.dumps({"model": "m", "max_tokens": 99, "messages": history}))
    facts = ModelFacts(id="x/y", family=family)
    body: Json = orjson.loads(translate_request(request, model="x/y", facts=facts).encode())
    turn: Json = body["messages"][1]
    return turn


def without_nulls(details: list[Json]) -> list[Json]:
    return [{key: value for key, value in detail.items() if value is not None} for detail in details]


# --- every answer ----------------------------------------------------------------------------------------------------


@given(answers())
@EXAMPLES
def test_a_whole_answer_is_well_formed_and_says_exactly_the_same(answer: tuple[Said, list[Json]]) -> None:
    said, chunks = answer
    events = translated(chunks)
    check_grammar(events)
    assert events[-1]["type"] == "message_stop", events[-1]
    message = message_added_up(events)
    assert "".join(said_by(message, "text", "text")) == said.text
    assert "".join(said_by(message, "thinking", "thinking")) == said.thinking
    sent = fragments_of(events, message)
    assert sent == said.arguments
    assert list(sent) == list(said.arguments), "the calls are not in the order in which they were made"


@given(answers())
@EXAMPLES
def test_the_last_word_on_tokens_is_the_upstreams(answer: tuple[Said, list[Json]]) -> None:
    events = translated(answer[1])
    assert events[0]["message"]["usage"]["input_tokens"] == 7
    assert events[-2]["usage"] == USAGE_TOLD


@given(answers())
@EXAMPLES
def test_reasoning_comes_back_unmodified_whole_and_in_order(answer: tuple[Said, list[Json]]) -> None:
    said, chunks = answer
    turn = sent_back(message_added_up(translated(chunks, translator("anthropic"))), "anthropic")
    assert without_nulls(turn.get("reasoning_details", [])) == without_nulls(said.details)
    assert turn.get("reasoning", "") == said.plain


@given(answers_in_the_usual_order())
@EXAMPLES
def test_a_stream_adds_up_to_the_answer_that_is_not_streamed(answer: tuple[list[Json], Json]) -> None:
    chunks, completion = answer
    assert message_in(chunks) == whole(completion)


@given(answers(), st.data())
@EXAMPLES
def test_a_stream_that_is_cut_ends_in_an_error_and_never_in_an_invented_end(
    answer: tuple[Said, list[Json]], data: st.DataObject
) -> None:
    _, chunks = answer
    finish = next(place for place, chunk in enumerate(chunks) if "finish_reason" in str(chunk) and _finish(chunk))
    events = translated(chunks[: data.draw(st.integers(0, finish), "cut")])
    if events[0]["type"] != "error":  # nothing was said yet: the failure keeps a status of its own
        check_grammar(events)
    assert events[-1]["type"] == "error"
    assert "message_delta" not in [event["type"] for event in events]


def _finish(chunk: Json) -> str | None:
    reasons = [choice.get("finish_reason") for choice in chunk.get("choices") or []]
    return next((reason for reason in reasons if reason), None)


# Anything at all that has the types of the wire, however senseless.
TEXTS = st.none() | st.sampled_from(["", "a", "{", "}", "{}", '{"a":1}', " "])
DETAILS = st.fixed_dictionaries(
    {"type": st.sampled_from(["reasoning.text", "reasoning.summary", "reasoning.encrypted", "reasoning.new"])},
    optional={"text": TEXTS, "summary": TEXTS, "signature": TEXTS, "index": st.none() | st.integers(0, 1)}
    | {"format": st.sampled_from([CLAUDE, OPENAI, GOOGLE, None]), "data": st.sampled_from(["x", "y"])},
)
FRAGMENTS = st.fixed_dictionaries(
    {},
    optional={
        "index": st.none() | st.integers(0, 2),
        "id": st.none() | st.sampled_from(["", "a", "b", "functions.x:0", "é"]),
        "function": st.none()
        | st.fixed_dictionaries({}, optional={"name": st.sampled_from([None, "", "x", "y"]), "arguments": TEXTS}),
    },
)
ANY_DELTA = st.fixed_dictionaries(
    {},
    optional={"content": TEXTS, "refusal": TEXTS, "reasoning": TEXTS, "reasoning_content": TEXTS}
    | {"reasoning_details": st.none() | st.lists(DETAILS, max_size=2)}
    | {"tool_calls": st.none() | st.lists(FRAGMENTS, max_size=2)},
)
ANY_CHOICE = st.fixed_dictionaries(
    {},
    optional={"delta": st.none() | ANY_DELTA, "finish_reason": st.sampled_from([None, "", "stop", "length", "error"])},
)
ANY_CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.none() | st.lists(ANY_CHOICE, max_size=2),
        "usage": st.sampled_from([None, {}, {"prompt_tokens": None}, {"prompt_tokens": -3}, USAGE]),
    },
)
END = {"choices": [{"delta": {}, "finish_reason": "length"}]}


@given(st.lists(ANY_CHUNK, max_size=12))
@settings(EXAMPLES, max_examples=400)
def test_however_senseless_the_chunks_the_client_reads_a_whole_answer_or_an_error(chunks: list[Json]) -> None:
    events = translated([*chunks, END])
    if events[0]["type"] != "error":
        check_grammar(events)


# --- cases of their own ----------------------------------------------------------------------------------------------


def call(fragment: Json, *, index: int | None = None, call_id: str | None = None) -> Json:
    return {"choices": [{"delta": {"tool_calls": [{"index": index, "id": call_id, "function": fragment}]}}]}


def text(words: str) -> Json:
    return {"choices": [{"delta": {"content": words}}]}


def finish(reason: str, **more: Any) -> Json:
    return {"choices": [{"delta": {}, "finish_reason": reason, **more}]}


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


@pytest.mark.parametrize("call_id", ["call_1", "", None])
def test_two_calls_of_an_answer_that_is_not_streamed_stay_two(call_id: str | None) -> None:
    calls = [{"id": call_id, "type": "function", "function": {"name": n, "arguments": "{}"}} for n in ("a", "b")]
    choice = {"message": {"role": "assistant", "tool_calls": calls}, "finish_reason": "tool_calls"}
    message = whole({"choices": [choice]})
    assert said_by(message, "tool_use", "name") == ["a", "b"]
    assert len(set(said_by(message, "tool_use", "id"))) == 2


def test_an_empty_finish_reason_is_none() -> None:
    assert message_in([finish(""), text("a"), finish("stop"), finish("")])["stop_reason"] == "end_turn"


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


@pytest.mark.parametrize("raw_id", ["functions.Bash:0", "call|1", "é", "toolu_1"])
def test_an_id_that_the_client_refuses_is_renamed_and_others_are_not(raw_id: str) -> None:
    message = message_in([call({"name": "a", "arguments": "{}"}, index=0, call_id=raw_id), finish("tool_calls")])
    assert (said_by(message, "tool_use", "id") == [raw_id]) is (raw_id == "toolu_1")


def test_fragments_leave_as_they_come() -> None:
    answer = translator()
    answer.feed(decode_chunk(orjson.dumps(call({"name": "a", "arguments": ""}, index=0, call_id="call_1"))))
    for piece in ('{"path"', ': "/tmp', '/x"', "}"):
        [event] = events_of(encode(answer.feed(decode_chunk(orjson.dumps(call({"arguments": piece}, index=0))))))
        assert event["delta"] == {"type": "input_json_delta", "partial_json": piece}


def test_what_follows_a_call_whose_arguments_are_whole_does_not_wait() -> None:
    answer = translator()
    answer.feed(decode_chunk(orjson.dumps(call({"name": "a", "arguments": '{"n":1}'}, index=0, call_id="call_1"))))
    events = events_of(encode(answer.feed(decode_chunk(orjson.dumps(text("after"))))))
    assert [event["type"] for event in events] == ["content_block_stop", "content_block_start", "content_block_delta"]


def test_empty_lists_beside_text_do_not_cost_the_text() -> None:
    delta = {"content": "a", "tool_calls": [], "reasoning_details": [], "annotations": []}
    message = message_in([{"choices": [{"delta": delta}]}, finish("stop")])
    assert message["content"] == [{"type": "text", "text": "a"}]


TOOLS = translate_tools(
    orjson.dumps(
        [
            {"name": "Bash", "input_schema": {"type": "object", "properties": {"c": {}}, "required": ["c"]}},
            {"name": "List", "input_schema": {"type": "object", "properties": {"c": {}}}},
        ]
    ),
    "openai",
)


@pytest.mark.parametrize("arguments", ["", None, " "])
def test_no_arguments_are_an_empty_object_only_for_a_tool_that_requires_none(arguments: str | None) -> None:
    def events(name: str) -> list[Event]:
        chunks = [call({"name": name, "arguments": arguments}, index=0, call_id="call_1"), finish("tool_calls")]
        told = translated(chunks, translator(tools=TOOLS))
        check_grammar(told)
        return told

    assert message_added_up(events("List"))["content"][0]["input"] == {}
    assert events("Bash")[-1]["type"] == "error"


@pytest.mark.parametrize("arguments", ['{"c": "ec', "[]", '"ls"', "null", "{}{}", "{'c': 1}"])
def test_arguments_that_are_no_object_are_an_error(arguments: str) -> None:
    events = translated([call({"name": "a", "arguments": arguments}, index=0, call_id="call_1"), finish("tool_calls")])
    check_grammar(events)
    assert events[-1]["type"] == "error"


def test_arguments_cut_by_the_limit_are_told_as_such() -> None:
    message = message_in([call({"name": "a", "arguments": '{"c": "ec'}, index=0, call_id="call_1"), finish("length")])
    assert (message["stop_reason"], message["content"][0]["input"]) == ("max_tokens", {})


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [finish("stop")],
        [finish("tool_calls")],
        [text(""), finish("stop")],
        [finish("error", native_finish_reason="MALFORMED_FUNCTION_CALL")],
        [text("a"), finish("error")],
        [text("a")],
        [text("a"), finish("a_reason_from_next_year")],
    ],
)
def test_what_is_not_an_answer_is_an_error(chunks: list[Json]) -> None:
    events = translated(chunks)
    assert events[-1]["type"] == "error"
    assert "message_stop" not in [event["type"] for event in events]


def test_a_malformed_function_call_is_named_in_the_error() -> None:
    [error] = translated([finish("error", native_finish_reason="MALFORMED_FUNCTION_CALL")])
    assert "MALFORMED_FUNCTION_CALL" in error["error"]["message"]


@pytest.mark.parametrize(("reason", "told"), [("length", "max_tokens"), ("content_filter", "refusal")])
def test_an_answer_that_was_stopped_before_its_first_word_has_a_block_all_the_same(reason: str, told: str) -> None:
    message = message_in([finish(reason)])
    assert (message["stop_reason"], message["content"]) == (told, [{"type": "text", "text": ""}])


@pytest.mark.parametrize("finish_reason", ["stop", "tool_calls", "function_call"])
def test_a_call_decides_the_end_and_not_what_the_upstream_calls_it(finish_reason: str) -> None:
    with_call = [call({"name": "a", "arguments": "{}"}, index=0, call_id="call_1"), finish(finish_reason)]
    assert message_in(with_call)["stop_reason"] == "tool_use"
    assert message_in([text("a"), finish(finish_reason)])["stop_reason"] == "end_turn"


def test_without_usage_the_estimate_stands() -> None:
    assert message_in([text("a"), finish("stop")])["usage"] == {"input_tokens": 7, "output_tokens": 0}


def test_more_cached_than_prompted_is_not_negative() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}
    assert message_in([text("a"), finish("stop"), {"usage": usage}])["usage"]["input_tokens"] == 0


# --- the grammar itself ----------------------------------------------------------------------------------------------

GOOD = [
    {"choices": [{"delta": {"reasoning": "a"}}]},
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
