"""What a target that speaks Messages says reaches the client byte for byte, but for the model's name and our ids."""

import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson
import pytest

from messages_api.errors import ApiError, InvalidRequest, Overloaded, RateLimited, UpstreamFailed
from messages_api.services.translation.chat import AnswerError
from messages_api.services.translation.relay_stream import AnswerRelay
from messages_api.services.translation.usage import charged, tokens_of
from messages_api.tests.stream_grammar import check_grammar, events_of, message_added_up
from usage.pricing import Tokens

Json = dict[str, Any]

USAGE = {"input_tokens": 10, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 100, "output_tokens": 1}
MESSAGE: Json = {
    "id": "gen-1",
    "type": "message",
    "role": "assistant",
    "model": "anthropic/claude-sonnet-5-20260901",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": USAGE,
    "provider": "Amazon Bedrock",
}
START = {"type": "message_start", "message": MESSAGE}
#: As Anthropic writes them: a space behind each colon, escapes that another encoder would not choose.
THINKING = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
    b'{"type":"thinking","thinking":"","signature":""}             }\n\n'
)
THOUGHT = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"thinking_delta","thinking":"caf\\u00e9 \\/ event: error \xf0\x9f\x99\x82"}}\n\n'
)
SEAL = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"signature_delta","signature":"Eq+\\/=="}}\n\n'
)
STOP_0 = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0         }\n\n'
TEXT = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":1,"content_block":'
    b'{"type":"text","text":""}}\n\n'
)
SAID = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,'
    b'"delta":{"type":"text_delta","text":"Hello [DONE] \\u2028"}}\n\n'
)
STOP_1 = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":1}\n\n'
CONTENT = [THINKING, THOUGHT, SEAL, STOP_0, TEXT, SAID, STOP_1]
COST = b'"cost":0.00123,"is_byok":true,"cost_details":{"upstream_inference_cost":0.001}'
JUDGED = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens": 42,"output_tokens_details":{"thinking_tokens":30},'
    b'"server_tool_use":{"web_search_requests":2},' + COST + b"}}\n\n"
)
ENDED = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
COMMENT = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"


def event(value: Json) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (value["type"].encode(), orjson.dumps(value))


STREAM = [COMMENT, event(START), PING, *CONTENT, JUDGED, ENDED, DONE]


def relay_of() -> AnswerRelay:
    return AnswerRelay(message_id="msg_ours", model="claude-sonnet-5", input_tokens=77)


def fed(relay: AnswerRelay, pieces: Iterable[bytes]) -> list[bytes]:
    """What the client gets for each piece that says something to it."""
    given = [data for piece in pieces for data in relay.feed(piece)]
    relay.finish()
    return given


def answer(pieces: Iterable[bytes]) -> bytes:
    return b"".join(fed(relay_of(), pieces))


# --- bytes -----------------------------------------------------------------------------------------------------------


def test_only_the_name_and_the_id_are_changed_and_what_is_no_event_is_dropped() -> None:
    data = answer(STREAM)
    assert data.endswith(b"".join([*CONTENT, JUDGED, ENDED]))
    events = events_of(data)
    check_grammar(events)
    assert events[0] == {**START, "message": {**MESSAGE, "id": "msg_ours", "model": "claude-sonnet-5"}}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 333, 1000, 10_000])
def test_it_does_not_matter_where_the_network_cuts(size: int) -> None:
    whole = b"".join(STREAM)
    assert answer(whole[place : place + size] for place in range(0, len(whole), size)) == answer(STREAM)


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_lines_may_end_in_crlf(size: int) -> None:
    whole = b"".join(STREAM).replace(b"\n", b"\r\n")
    assert answer(whole[place : place + size] for place in range(0, len(whole), size)) == answer(STREAM)


def test_a_long_event_in_many_pieces_is_looked_through_once() -> None:
    long = SAID.replace(b"Hello", b"x" * 4_000_000)
    pieces = [long[start : start + 4096] for start in range(0, len(long), 4096)]
    began = time.process_time()
    assert long in answer([event(START), *CONTENT[:5], *pieces, STOP_1, JUDGED, ENDED])
    assert time.process_time() - began < 2


def test_many_events_that_came_together_leave_together() -> None:
    pieces = [event(START) + THINKING, THOUGHT * 300, SEAL + STOP_0 + TEXT, SAID, STOP_1 + JUDGED + ENDED + DONE]
    given = fed(relay_of(), pieces)
    assert len(given) == len(pieces)
    assert given[1] is pieces[1]  # not so much as copied


@pytest.mark.parametrize(
    "odd",
    [
        THOUGHT.partition(b"\n")[2],  # without its name, by which the client's SDK would know it
        b": a comment before\n" + THOUGHT,
        b"id: 1\n" + THOUGHT,
        THOUGHT.replace(b"event: ", b"event:", 1).replace(b"data: ", b"data:", 1),
        THOUGHT.replace(b',"delta"', b',\ndata: "delta"'),
    ],
    ids=["nameless", "commented", "numbered", "tight", "broken up"],
)
def test_an_event_that_is_framed_unusually_still_is_the_same_event(odd: bytes) -> None:
    frames = answer([*STREAM[:4], odd, *STREAM[4:]]).split(b"\n\n")
    name, _, data = frames[2].partition(b"\n")
    assert name.removeprefix(b"event:").strip() == b"content_block_delta"
    assert orjson.loads(data.removeprefix(b"data:")) == orjson.loads(THOUGHT.partition(b"data: ")[2])


def test_blocks_that_are_not_known_yet_pass_whatever_they_hold() -> None:
    later = {"type": "later", "data": {"a": 1}}
    odd = event({"type": "content_block_start", "index": 1, "content_block": later})
    assert odd in answer([*STREAM[:7], odd, *STREAM[8:]])
    whole = orjson.loads(relay_of().whole(orjson.dumps({**MESSAGE, "content": [later]})))
    assert whole["content"] == [later]


def test_events_that_are_not_known_yet_pass_within_the_answer() -> None:
    odd = b'event: content_block_hint\ndata: {"type":"content_block_hint","index":0}\n\n'
    assert odd in answer([*STREAM[:4], odd, *STREAM[4:]])


ODD_EVENTS: list[Json] = [
    {"delta": "a text"},
    {"delta": [1]},
    {"delta": {"type": 5, "stop_reason": 7, "signature": {}}},
    {"content_block": "a text"},
    {"content_block": {"type": 5}},
    {"usage": 3},
    {"message": None, "index": "x"},
]


@pytest.mark.parametrize("held", ODD_EVENTS)
@pytest.mark.parametrize("family", ["anthropic", "qwen"])
def test_events_that_are_not_known_yet_pass_whatever_they_hold(held: Json, family: str) -> None:
    odd = event({"type": "content_block_hint", **held})
    relay = AnswerRelay(message_id="msg_ours", model="m", family=family)
    assert odd in b"".join(fed(relay, [*STREAM[:4], odd, *STREAM[4:]]))


def test_deltas_that_are_not_known_yet_pass_whatever_they_hold() -> None:
    odd = event({"type": "content_block_delta", "index": 0, "delta": {"type": "later_delta", "signature": [1]}})
    for family in ("anthropic", "qwen"):
        relay = AnswerRelay(message_id="msg_ours", model="m", family=family)
        assert odd in b"".join(fed(relay, [*STREAM[:4], odd, *STREAM[4:]]))


# --- the beginning ---------------------------------------------------------------------------------------------------


def test_nothing_is_given_before_the_first_content() -> None:
    """So that another target can still be asked."""
    relay = relay_of()
    assert not [*relay.feed(b"".join(STREAM[:3]))]
    [first] = relay.feed(THINKING)
    assert [told["type"] for told in events_of(first)] == ["message_start", "content_block_start"]


def test_a_start_of_ours_stands_for_the_upstreams_and_the_true_numbers_come_at_the_end() -> None:
    relay = relay_of()
    started = relay.start()
    assert events_of(started)[0]["message"]["usage"] == {"input_tokens": 77, "output_tokens": 0}
    assert relay.start() == b""
    events = events_of(started + b"".join(fed(relay, STREAM)))
    check_grammar(events)
    assert [told["type"] for told in events].count("message_start") == 1
    usage = message_added_up(events)["usage"]
    assert usage == {**orjson.loads(JUDGED.partition(b"data: ")[2])["usage"], **USAGE, "output_tokens": 42}


def test_a_start_that_the_upstream_has_given_by_then_is_given_as_it_is() -> None:
    relay = relay_of()
    assert not [*relay.feed(event(START))]
    started = relay.start()
    assert events_of(started)[0]["message"]["usage"] == USAGE
    assert relay.start() == b""
    data = started + b"".join(fed(relay, STREAM[2:]))
    check_grammar(events_of(data))
    assert JUDGED in data


def test_what_an_attempt_before_told_of_its_cache_is_overruled() -> None:
    """It failed after its message_start was given; this one's target has no cache, and tells nothing of one."""
    relay = relay_of()
    relay.start()
    start = event({"type": "message_start", "message": {**MESSAGE, "usage": {"input_tokens": 9, "output_tokens": 0}}})
    later = JUDGED.replace(b'"output_tokens": 42', b'"cache_read_input_tokens":null,"output_tokens": 42')
    usage = events_of(b"".join(fed(relay, [start, *CONTENT, later, ENDED])))[-2]["usage"]
    counts = {name: usage[name] for name in USAGE}
    assert counts == {**USAGE, "input_tokens": 9, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0} | {
        "output_tokens": 42
    }


def test_a_number_of_message_delta_is_not_overruled_by_message_start() -> None:
    relay = relay_of()
    relay.start()
    later = JUDGED.replace(b'"output_tokens": 42', b'"input_tokens": 11,"output_tokens": 42')
    events = events_of(b"".join(fed(relay, [later if piece == JUDGED else piece for piece in STREAM])))
    assert events[-2]["usage"]["input_tokens"] == 11


# --- the end ---------------------------------------------------------------------------------------------------------

CALL = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
REASONS = [
    (CALL, "end_turn", "tool_use"),
    (CALL, "tool_use", "tool_use"),
    (CALL, "max_tokens", "max_tokens"),
    (CALL, "pause_turn", "pause_turn"),
    (SEARCH, "end_turn", "end_turn"),
    (SEARCH, "tool_use", "end_turn"),
    ({"type": "text", "text": ""}, "tool_use", "end_turn"),
    ({"type": "text", "text": ""}, "refusal", "refusal"),
]


@pytest.mark.parametrize("is_started", [False, True])
@pytest.mark.parametrize(("block", "told", "true"), REASONS)
def test_a_reason_that_contradicts_the_content_is_corrected(
    block: Json, told: str, true: str, is_started: bool
) -> None:
    relay = relay_of()
    if is_started:
        relay.start()
    begun = event({"type": "content_block_start", "index": 0, "content_block": block})
    judged = JUDGED.replace(b"end_turn", told.encode())
    given = fed(relay, [event(START) + THINKING + SEAL + STOP_0 + begun, STOP_0 + judged + ENDED])
    delta = events_of(b"".join(given))[-2]["delta"]
    assert delta == {"stop_reason": true, "stop_sequence": None}
    assert relay.stop_reason == true
    assert (judged in given[1]) == (told == true and not is_started)


@pytest.mark.parametrize(("block", "told", "true"), REASONS)
def test_the_reason_of_a_whole_answer_is_corrected_likewise(block: Json, told: str, true: str) -> None:
    relay = relay_of()
    body = orjson.dumps({**MESSAGE, "content": [{"type": "text", "text": "I look."}, block], "stop_reason": told})
    assert orjson.loads(relay.whole(body))["stop_reason"] == relay.stop_reason == true


# --- what is noted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_started", [False, True])
def test_tokens_cost_and_provider_are_noted_in_passing(is_started: bool) -> None:
    relay = relay_of()
    if is_started:
        relay.start()
    fed(relay, STREAM)
    assert tokens_of(relay.usage) == Tokens(
        input=10, output=42, cache_read=100, cache_write=7, reasoning=30, web_searches=2
    )
    assert charged(relay.usage) == 2_230_000_000  # with a key of one's own, the provider's part is paid beside it
    assert relay.usage.cost == Decimal("0.00123")
    assert (relay.provider, relay.upstream_id, relay.stop_reason) == ("Amazon Bedrock", "gen-1", "end_turn")


def test_a_count_that_is_null_at_the_end_stays_what_it_was() -> None:
    relay = relay_of()
    relay.start()
    later = JUDGED.replace(b'"output_tokens": 42', b'"cache_read_input_tokens":null,"output_tokens": 42')
    events = events_of(b"".join(fed(relay, [later if piece == JUDGED else piece for piece in STREAM])))
    assert tokens_of(relay.usage).cache_read == events[-2]["usage"]["cache_read_input_tokens"] == 100


def test_what_was_written_to_the_cache_is_known_from_its_parts_too() -> None:
    usage = {
        "input_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 30},
        "cache_read_input_tokens": None,
        "output_tokens": 4,
    }
    relay = relay_of()
    relay.whole(orjson.dumps({**MESSAGE, **WHOLE, "usage": usage}))
    assert tokens_of(relay.usage) == Tokens(input=1, output=4, cache_write=32)


def test_an_answer_that_was_left_early_is_noted_as_far_as_it_was_told() -> None:
    relay = relay_of()
    assert [*relay.feed(b"".join(STREAM[:5]))]
    assert tokens_of(relay.usage) == Tokens(input=10, output=1, cache_read=100, cache_write=7)


def block_of(index: int, kind: str, name: str, words: list[str]) -> list[bytes]:
    """A block whose content comes in as many events as there are words."""
    delta = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}[kind]
    begun = (
        {"type": kind, "id": "toolu_01", "name": "Bash", "input": {}}
        if kind == "tool_use"
        else {"type": kind, name: ""}
    )
    return [
        event({"type": "content_block_start", "index": index, "content_block": begun}),
        *(
            event({"type": "content_block_delta", "index": index, "delta": {"type": delta, name: word}})
            for word in words
        ),
        event({"type": "content_block_stop", "index": index}),
    ]


WORDS = ["a", "token", "of an answer ", "x" * 300] * 25
LEFT = [
    *block_of(0, "thinking", "thinking", WORDS),
    *block_of(1, "text", "text", WORDS),
    *block_of(2, "tool_use", "partial_json", WORDS),
]
SAID_BY_THEN = 3 * sum(map(len, WORDS))


@pytest.mark.parametrize("size", [1, 60, 230, 1000, 100_000])
@pytest.mark.parametrize("family", ["anthropic", "qwen"])
def test_how_much_was_said_is_known_when_an_answer_is_left(size: int, family: str) -> None:
    """Within two percent, whatever the pieces are in which it came."""
    relay = AnswerRelay(message_id="msg_ours", model="m", family=family, input_tokens=77)
    assert relay.characters == 0
    whole = b"".join([event(START), PING, *LEFT])
    for piece in [whole[place : place + size] for place in range(0, len(whole), size)]:
        assert all(relay.feed(piece))
    assert abs(relay.characters - SAID_BY_THEN) < SAID_BY_THEN * 0.02 + 100
    assert not relay.is_counted


def test_each_event_that_comes_alone_is_counted_as_one() -> None:
    relay = relay_of()
    for piece in [event(START), *LEFT]:
        assert all(relay.feed(piece))
    assert abs(relay.characters - SAID_BY_THEN) < SAID_BY_THEN * 0.02


def test_the_upstreams_own_count_is_known_from_an_estimate() -> None:
    relay = relay_of()
    fed(relay, STREAM)
    assert relay.is_counted
    untold = JUDGED.replace(b'"output_tokens": 42', b'"output_tokens":null')
    relay = relay_of()
    fed(relay, [*STREAM[:-3], untold, ENDED])
    assert not relay.is_counted


# --- usage that is not told ---

UNTOLD_START = event({"type": "message_start", "message": {**MESSAGE, "usage": None}})


@pytest.mark.parametrize("judged", [{"usage": {"output_tokens": None}}, {"usage": None}, {}])
@pytest.mark.parametrize("is_started", [False, True])
def test_usage_that_is_not_told_is_estimated(judged: Json, is_started: bool) -> None:
    """Clients read it of every answer; some local servers tell none."""
    relay = relay_of()
    started = relay.start() if is_started else b""
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, **judged}
    data = started + b"".join(fed(relay, [UNTOLD_START, *CONTENT, event(delta), ENDED]))
    events = events_of(data)
    check_grammar(events)
    assert events[0]["message"]["usage"] == {"input_tokens": 77, "output_tokens": 0}
    assert 0 < events[-2]["usage"]["output_tokens"] < 50
    assert "input_tokens" not in events[-2]["usage"]


@pytest.mark.parametrize("usage", [{"usage": None}, {"usage": {}}])
def test_usage_that_a_whole_answer_does_not_tell_is_estimated(usage: Json) -> None:
    content = [{"type": "text", "text": "x" * 400}]
    relay = relay_of()
    told = orjson.loads(relay.whole(orjson.dumps({**MESSAGE, "stop_reason": "end_turn", "content": content, **usage})))
    assert told["usage"]["input_tokens"] == 77
    assert 100 <= told["usage"]["output_tokens"] < 120
    assert not relay.is_counted


# --- what is no answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(len(STREAM) - 1))
def test_a_cut_stream_is_an_error(count: int) -> None:
    relay = relay_of()
    with pytest.raises(AnswerError, match="before it was complete"):
        fed(relay, STREAM[:count])
    assert not relay.is_ended


TROUBLE = {
    "an error without its words": [*STREAM[:5], event({"type": "error", "message": "boom"}), *STREAM[5:]],
    "an error without anything": [*STREAM[:3], b"event: error\ndata: {}\n\n", *STREAM[3:]],
    "an error that is null": [*STREAM[:3], event({"type": "error", "error": None}), *STREAM[3:]],
    "content behind the judgement": [*STREAM[:-2], SAID, *STREAM[-2:]],
    "a second beginning": [*STREAM[:4], event(START), *STREAM[4:]],
    "no beginning": STREAM[3:],
    "a delta without a block": [*STREAM[:3], *STREAM[4:]],
    "an end without a judgement": [*STREAM[:-3], ENDED],
    "no content": [event(START), JUDGED, ENDED],
    "no content and no reason": [event(START), JUDGED.replace(b'"end_turn"', b"null"), ENDED],
    "no message": [event({"type": "message_start"})],
    "a message that is none": [event({"type": "message_start", "message": 7})],
    "usage that is none": [event({**START, "message": {**MESSAGE, "usage": {"input_tokens": "many"}}})],
    "a late usage that is none": [*STREAM[:-3], JUDGED.replace(b": 42", b':"x"')],
    "no JSON": [event(START), b"event: message_delta\ndata: {\n\n"],
    "bytes that are no text": [event(START), b'event: message_delta\ndata: {"type":"\xff"}\n\n'],
    "a page": [b"<html>\n\n<body>\n\n"],
    "nothing": [],
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_what_is_not_a_whole_answer_is_an_error(trouble: str) -> None:
    with pytest.raises((AnswerError, UpstreamFailed)):
        fed(relay_of(), TROUBLE[trouble])


def test_a_late_usage_that_is_none_leaves_what_was_told_before() -> None:
    relay = relay_of()
    with pytest.raises(AnswerError):
        fed(relay, TROUBLE["a late usage that is none"])
    assert tokens_of(relay.usage).cache_read == 100


def test_an_event_whose_end_is_missing_is_not_overtaken_by_the_next() -> None:
    relay = relay_of()
    assert [*relay.feed(b"".join(STREAM[:4]))]
    assert not [*relay.feed(THOUGHT.removesuffix(b"\n"))]
    with pytest.raises(AnswerError):
        [*relay.feed(THOUGHT)]


@pytest.mark.parametrize("reason", ["refusal", "max_tokens", "model_context_window_exceeded", "stop_sequence"])
def test_an_answer_may_end_without_content_for_a_reason_of_its_own(reason: str) -> None:
    events = events_of(answer([event(START), JUDGED.replace(b"end_turn", reason.encode()), ENDED]))
    assert [told["type"] for told in events] == ["message_start", "message_delta", "message_stop"]
    assert events[1]["delta"]["stop_reason"] == reason


def test_an_event_that_does_not_end_is_given_up() -> None:
    relay = relay_of()
    with pytest.raises(AnswerError, match="more than"):
        for _ in range(20):
            [*relay.feed(b"x" * 1024 * 1024)]


def told_error(**error: Any) -> bytes:
    return event({"type": "error", "error": error, "request_id": "req_upstream"})


ERRORS: list[tuple[bytes, type[ApiError], str]] = [
    (told_error(type="overloaded_error", message="Overloaded"), Overloaded, "Overloaded"),
    (told_error(type="rate_limit_error", message="Slow."), RateLimited, "Slow."),
    (told_error(type="api_error", message="Busy.", error_type="provider_overloaded"), Overloaded, "Busy."),
    (
        told_error(type="invalid_request_error", message="Bad key sk-ant-0123456789 of org_1a2b3c4d5e"),
        InvalidRequest,
        "Bad key [redacted] of [account]",
    ),
    (b'data: {"error":{"code":529,"message":"As a chat tells it."}}\n\n', Overloaded, "As a chat tells it."),
]


@pytest.mark.parametrize(("told", "kind", "words"), ERRORS)
@pytest.mark.parametrize("place", [1, 4, 6, 10])
def test_an_error_in_the_middle_is_raised_in_its_own_words(
    place: int, told: bytes, kind: type[ApiError], words: str
) -> None:
    with pytest.raises(ApiError) as raised:
        fed(relay_of(), [*STREAM[:place], told, *STREAM[place:]])
    assert type(raised.value) is kind
    assert raised.value.message == words


def test_what_came_before_an_error_is_given_first() -> None:
    relay, given = relay_of(), []
    with pytest.raises(Overloaded):
        for data in relay.feed(b"".join([*STREAM[:5], ERRORS[0][0], *STREAM[5:]])):
            given.append(data)
    assert given[0].endswith(THINKING + THOUGHT)


def test_nothing_is_given_after_the_end() -> None:
    relay = relay_of()
    fed(relay, STREAM)
    assert not [*relay.feed(b"".join(STREAM))]


# --- an answer that is not streamed ----------------------------------------------------------------------------------

WHOLE = {
    "content": [{"type": "thinking", "thinking": "Hm.", "signature": "Eq/="}, {"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
}


def test_a_whole_answer_keeps_its_bytes() -> None:
    content = rb'[ {"type":"tool_use","id":"t","name":"Bash","input":{"n": 1.0,"s":"caf\u00e9 \/"}} ]'
    body = b'\n\n  {"type":"message","id":"gen-1","model":"m","content":%s,"stop_reason":"tool_use",' % content
    data = relay_of().whole(body + b'"usage":{"input_tokens":1,"output_tokens":2,"cost": 1e-05}}')
    assert content in data
    assert b'"cost": 1e-05' in data
    message = orjson.loads(data)
    assert (message["id"], message["model"]) == ("msg_ours", "claude-sonnet-5")


def test_a_whole_answer_is_noted() -> None:
    relay = relay_of()
    relay.whole(orjson.dumps({**MESSAGE, **WHOLE, "usage": {**USAGE, "cost": 0.00123}}))
    assert tokens_of(relay.usage) == Tokens(input=10, output=1, cache_read=100, cache_write=7)
    assert charged(relay.usage) == 1_230_000_000
    assert (relay.provider, relay.upstream_id, relay.stop_reason) == ("Amazon Bedrock", "gen-1", "end_turn")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b"null", b"{}", b'{"type":"other"}', b'{"type":"message","content":7}', b'{"content":[{}]}']
    + [orjson.dumps({**MESSAGE, "content": [], "stop_reason": reason}) for reason in ("end_turn", "tool_use", None)],
)
def test_a_whole_answer_that_is_none_is_an_error(body: bytes) -> None:
    with pytest.raises(AnswerError):
        relay_of().whole(body)


def test_a_whole_refusal_may_be_empty() -> None:
    body = orjson.dumps({**MESSAGE, "stop_reason": "refusal"})
    assert orjson.loads(relay_of().whole(body))["stop_reason"] == "refusal"


@pytest.mark.parametrize(("told", "kind", "words"), ERRORS)
def test_an_error_told_with_200_is_an_error(told: bytes, kind: type[ApiError], words: str) -> None:
    with pytest.raises(ApiError) as raised:
        relay_of().whole(told.partition(b"data: ")[2])
    assert (type(raised.value), raised.value.message) == (kind, words)


COPY = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":'
    b'{"type":"redacted_thinking","data":"openrouter.reasoning:e30="}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_thought_that_openrouter_tells_again_behind_claudes_answer_is_left_out(size: int) -> None:
    later = SAID.replace(b'"index":1', b'"index":3')
    block = TEXT.replace(b'"index":1', b'"index":3')
    stream = b"".join([event(START), *CONTENT, COPY % (2, 2), block, later, JUDGED, ENDED])
    relay = AnswerRelay(message_id="msg_ours", model="claude-sonnet-5", family="anthropic")
    told = b"".join(fed(relay, [stream[at : at + size] for at in range(0, len(stream), size)]))
    assert b"redacted_thinking" not in told
    starts = [each for each in events_of(told) if each["type"] == "content_block_start"]
    assert [each["index"] for each in starts] == [0, 1, 2]


def test_of_a_whole_answer_likewise() -> None:
    said = [{"type": "text", "text": "Hi"}, {"type": "redacted_thinking", "data": "openrouter.reasoning:e30="}]
    relay = AnswerRelay(message_id="msg_ours", model="claude-sonnet-5", family="anthropic")
    whole = orjson.loads(relay.whole(orjson.dumps({**MESSAGE, "content": said, "stop_reason": "end_turn"})))
    assert whole["content"] == said[:1]


def test_a_key_that_is_refused_in_mid_stream_is_not_said_to_be_openrouters() -> None:
    with pytest.raises(ApiError, match="The upstream refused the key that pays for this request: No such key"):
        fed(relay_of(), [told_error(type="authentication_error", message="No such key")])


def test_an_error_in_mid_stream_does_not_tell_the_key_that_pays() -> None:
    relay = AnswerRelay(message_id="msg_ours", model="m", secret="hunter two")
    with pytest.raises(ApiError) as told:
        fed(relay, [event({"type": "error", "error": {"type": "api_error", "message": "key hunter two is bad"}})])
    assert told.value.message == "key [redacted] is bad"
