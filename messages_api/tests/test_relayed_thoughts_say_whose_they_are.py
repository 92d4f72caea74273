"""Thoughts of models other than Claude leave a relay under a seal that names their family, and go back to it alone.

Nothing else about them says whose they are: such models sign nothing, or in a way of their own.
"""

import base64
from typing import Any

import orjson
import pytest

from messages_api.schemas import parse_envelope, parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import NO_TERMS
from messages_api.services.translation.chat import AnswerError
from messages_api.services.translation.reasoning import OPENROUTER_SEAL, SEAL, redacted_data, sealed, signature
from messages_api.services.translation.relay_request import request_to_openrouter, request_to_provider
from messages_api.services.translation.relay_stream import AnswerRelay
from messages_api.services.translation.request import translate_request
from messages_api.tests.stream_grammar import check_grammar, events_of, message_added_up

Json = dict[str, Any]

MESSAGE: Json = {"id": "gen-1", "type": "message", "role": "assistant", "model": "x", "content": []}
ENDING: Json = {"stop_reason": "tool_use", "stop_sequence": None}
USAGE = {"input_tokens": 1, "output_tokens": 2}
CALL = {"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {}}
TEXT = {"type": "text", "text": "Yes."}
#: As different models end a thought: with no signature, with an empty one, with one of their own.
THOUGHTS: dict[str, Json] = {
    "nothing": {"type": "thinking", "thinking": "So\u2026"},
    "null": {"type": "thinking", "thinking": "So\u2026", "signature": None},
    "empty": {"type": "thinking", "thinking": "So\u2026", "signature": ""},
    "its own": {"type": "thinking", "thinking": "So\u2026", "signature": "d41d8cd9"},
}


def openrouters(detail: Json) -> Json:
    data = OPENROUTER_SEAL + base64.b64encode(orjson.dumps(detail)).decode()
    return {"type": "redacted_thinking", "data": data}


def streamed(*blocks: Json, family: str) -> list[Json]:
    """The blocks that a client adds up from a stream of `blocks`."""
    events: list[Json] = [
        {"type": "message_start", "message": {**MESSAGE, **ENDING, "stop_reason": None, "usage": USAGE}}
    ]
    for index, block in enumerate(blocks):
        events += _events_of_block(index, block)
    events += [{"type": "message_delta", "delta": ENDING, "usage": USAGE}, {"type": "message_stop"}]
    data = b"".join(b"event: %s\ndata: %s\n\n" % (each["type"].encode(), orjson.dumps(each)) for each in events)
    relay = AnswerRelay(message_id="msg_1", model="m", family=family)
    told = events_of(
        b"".join(piece for place in range(0, len(data), 100) for piece in relay.feed(data[place : place + 100]))
    )
    relay.finish()
    check_grammar(told)
    content: list[Json] = message_added_up(told)["content"]
    return content


def _events_of_block(index: int, block: Json) -> list[Json]:
    empty, deltas = dict(block), list[Json]()
    match block["type"]:
        case "thinking":
            empty = {**block, "thinking": ""} | ({"signature": ""} if block.get("signature") else {})
            deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
            if block.get("signature"):
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "text":
            empty, deltas = {**block, "text": ""}, [{"type": "text_delta", "text": block["text"]}]
        case "tool_use":
            deltas = [{"type": "input_json_delta", "partial_json": "{}"}]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def whole(*blocks: Json, family: str) -> list[Json]:
    body = orjson.dumps({**MESSAGE, **ENDING, "content": blocks, "usage": USAGE})
    told: Json = orjson.loads(AnswerRelay(message_id="msg_1", model="m", family=family).whole(body))
    content: list[Json] = told["content"]
    return content


def gone_back(content: list[Json], family: str, ask: Any = request_to_provider) -> list[Json]:
    """What of an answer goes back to a model of `family` that is relayed to."""
    turns = [
        {"role": "assistant", "content": [*content, {"type": "text", "text": "end"}]},
        {"role": "user", "content": "?"},
    ]
    envelope = parse_envelope(orjson.dumps({"model": "m", "max_tokens": 9, "messages": turns}))
    request = ask(envelope, model="m", facts=ModelFacts("m", family=family), terms=NO_TERMS)
    left: list[Json] = orjson.loads(request.body)["messages"][0]["content"][:-1]
    return left


def translated(content: list[Json], family: str) -> Json:
    """The answer as a chat completion of `family` gets it back."""
    turns = [{"role": "assistant", "content": content}, {"role": "user", "content": "?"}]
    request = parse_request(orjson.dumps({"model": "m", "max_tokens": 9, "messages": turns}))
    body = translate_request(request, model="m", facts=ModelFacts("m", family=family)).body
    message: Json = body["messages"][0]
    return message


BOTH_FORMS = pytest.mark.parametrize("told", [streamed, whole])
BOTH_RELAYS = pytest.mark.parametrize("ask", [request_to_openrouter, request_to_provider])


@BOTH_FORMS
@BOTH_RELAYS
@pytest.mark.parametrize("form", THOUGHTS)
def test_a_thought_goes_back_to_its_family_as_it_came(told: Any, ask: Any, form: str) -> None:
    thought = THOUGHTS[form]
    content = told(thought, TEXT, family="moonshotai")
    assert content[0]["thinking"] == thought["thinking"]
    assert content[0]["signature"].startswith(SEAL)
    assert content[1] == TEXT
    # OpenRouter takes what is signed for Claude's; its other models sign nothing.
    own = thought.get("signature") or "" if ask is request_to_provider else ""
    back = {**thought, "signature": own}
    assert gone_back(content, "moonshotai", ask) == [back, TEXT]


@BOTH_FORMS
@pytest.mark.parametrize("form", THOUGHTS)
def test_it_goes_to_no_other(told: Any, form: str) -> None:
    content = told(THOUGHTS[form], TEXT, family="moonshotai")
    for family in ("anthropic", "deepseek"):
        assert gone_back(content, family, request_to_openrouter) == [TEXT]
        assert gone_back(content, family, request_to_provider) == [TEXT]
        assert translated(content, family) == {"role": "assistant", "content": "Yes."}


@BOTH_FORMS
def test_a_thought_that_was_relayed_goes_on_as_reasoning_in_translation(told: Any) -> None:
    content = told(THOUGHTS["nothing"], TEXT, family="deepseek")
    assert translated(content, "deepseek")["reasoning"] == THOUGHTS["nothing"]["thinking"]


@BOTH_RELAYS
def test_a_thought_that_was_translated_goes_on_in_a_relay(ask: Any) -> None:
    plain = {"type": "thinking", "thinking": "So.", "signature": signature({"type": "reasoning"}, "deepseek")}
    assert gone_back([plain], "deepseek", ask) == [{"type": "thinking", "thinking": "So.", "signature": ""}]
    assert gone_back([plain], "qwen", ask) == []


def test_what_a_provider_can_read_of_details_goes_on_there() -> None:
    """It opens no seal of OpenRouter's, so what is encrypted stays behind."""
    detail = {"type": "reasoning.text", "format": "unknown", "index": 0}
    encrypted = {"type": "reasoning.encrypted", "data": "x"}
    redacted = {"type": "redacted_thinking", "data": redacted_data(encrypted, "qwen")}
    thought = {"type": "thinking", "thinking": "So.", "signature": signature(detail, "qwen")}
    assert gone_back([thought, redacted], "qwen") == [{"type": "thinking", "thinking": "So.", "signature": ""}]


@BOTH_FORMS
def test_what_openrouter_sealed_of_an_unknown_format_is_known_by_our_seal(told: Any) -> None:
    """Qwen, Kimi, GLM and others share that format, and none takes another's."""
    detail = {"type": "reasoning.text", "text": "So.", "format": "unknown", "index": 0}
    content = told(openrouters(detail), CALL, family="qwen")
    assert content[0]["data"].startswith(SEAL)
    assert gone_back(content, "qwen", request_to_openrouter) == [openrouters(detail), CALL]
    assert gone_back(content, "moonshotai", request_to_openrouter) == [CALL]
    assert translated(content, "qwen")["reasoning_details"] == [detail]
    assert "reasoning_details" not in translated(content, "moonshotai")


@BOTH_FORMS
def test_what_openrouter_sealed_of_a_known_format_stays_as_it_came(told: Any) -> None:
    theirs = openrouters({"type": "reasoning.encrypted", "data": "g", "format": "openai-responses-v1"})
    for family in ("openai", "qwen"):
        assert told(theirs, CALL, family=family) == [theirs, CALL]


@BOTH_FORMS
def test_what_a_model_redacted_in_its_own_way_goes_back_to_its_family(told: Any) -> None:
    redacted = {"type": "redacted_thinking", "data": "abc"}
    content = told(redacted, CALL, family="minimax")
    assert gone_back(content, "minimax") == [redacted, CALL]
    assert gone_back(content, "minimax", request_to_openrouter) == [CALL]  # it takes only what it sealed
    assert gone_back(content, "anthropic") == [CALL]
    assert translated(content, "minimax").keys() == {"role", "content", "tool_calls"}


@BOTH_FORMS
def test_what_openrouter_tells_twice_goes_on_once_in_translation(told: Any) -> None:
    detail = {"type": "reasoning.text", "text": "So.", "format": "unknown", "index": 0}
    content = told({**THOUGHTS["empty"], "thinking": "So."}, openrouters(detail), CALL, family="qwen")
    message = translated(content, "qwen")
    assert message["reasoning_details"] == [detail]
    assert "reasoning" not in message


@BOTH_FORMS
@pytest.mark.parametrize("family", ["anthropic", ""])
def test_thoughts_of_claude_and_of_nobody_known_stay_as_they_came(told: Any, family: str) -> None:
    blocks = [THOUGHTS["its own"], {"type": "redacted_thinking", "data": "Eq+/="}, TEXT, CALL]
    assert told(*blocks, family=family) == blocks


def test_a_thought_without_a_signature_is_nobodys_in_translation() -> None:
    for form in ("nothing", "null", "empty"):
        assert translated([THOUGHTS[form], TEXT], "moonshotai") == {"role": "assistant", "content": "Yes."}


@pytest.mark.parametrize("form", ["nothing", "null", "empty"])
@pytest.mark.parametrize("signed", [{}, {"signature": None}, {"signature": ""}])
def test_a_thought_without_a_signature_does_not_make_others_copies_of_it(form: str, signed: Json) -> None:
    """Such as OpenRouter's answers held, before our seal was put on them."""
    detail = {"type": "reasoning.summary", "summary": "So.", "format": "openai-responses-v1", **signed}
    message = translated([THOUGHTS[form], openrouters(detail), TEXT], "openai")
    assert message["reasoning_details"] == [detail]


@BOTH_FORMS
def test_a_signature_that_is_no_text_is_an_error(told: Any) -> None:
    with pytest.raises(AnswerError):
        told({**THOUGHTS["empty"], "signature": 5}, family="qwen")


@BOTH_FORMS
@pytest.mark.parametrize("family", ["moonshotai", "anthropic"])
def test_an_id_of_a_call_that_claude_refuses_is_renamed(told: Any, family: str) -> None:
    """Kimi counts its calls: the conversation may go on with Claude."""
    [renamed, kept] = told({**CALL, "id": "functions.Bash:0"}, CALL, family=family)
    assert renamed == {**CALL, "id": renamed["id"]}
    assert renamed["id"].startswith("call_")
    assert kept == CALL


@BOTH_RELAYS
@pytest.mark.parametrize(
    "detail",
    [{"type": "redacted_thinking"}, {"type": "redacted_thinking", "data": None}, {"type": "thinking"}, {"type": "x"}],
)
def test_a_seal_that_was_made_up_breaks_nothing(ask: Any, detail: Json) -> None:
    made_up = {"type": "redacted_thinking", "data": sealed(detail, "qwen")}
    assert all(block["type"] == "redacted_thinking" for block in gone_back([made_up], "qwen", ask))


@pytest.mark.parametrize("index", [{}, {"index": None}, {"index": "x"}])
def test_the_end_of_a_thought_that_does_not_say_of_which_is_an_error(index: Json) -> None:
    events: list[Json] = [
        {"type": "message_start", "message": {**MESSAGE, "usage": USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": THOUGHTS["empty"]},
        {"type": "content_block_stop", **index},
    ]
    relay = AnswerRelay(message_id="msg_1", model="m", family="qwen")
    with pytest.raises(AnswerError):
        for each in events:
            list(relay.feed(b"event: %s\ndata: %s\n\n" % (str(each["type"]).encode(), orjson.dumps(each))))
