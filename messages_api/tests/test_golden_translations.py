"""Pairs written by hand from wire.md: what Claude Code sends and what goes upstream, what comes back and what it reads.

A case is up to five files in `fixtures/golden`: `request` and `chat` for the way there; `chunks`, `events` and
`message` for the way back. In a request, "$ANSWER" stands for the content that the client received for the case's own
chunks (so its `chat` shows the round trip of reasoning) and "$CALL" for the id of the call in it. "<sealed>" stands for
a token of ours, and "$ID" for an id that is ours to choose.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from messages_api.schemas import MessagesRequest, parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.sse import encode
from messages_api.services.terms import Terms
from messages_api.services.translation.chat import ChatChunk, decode_chunk
from messages_api.services.translation.last_words import last_words
from messages_api.services.translation.request import Translation, translate_request
from messages_api.services.translation.response import fold, message_of
from messages_api.services.translation.stream import StreamTranslator
from messages_api.tests.stream_grammar import Event, check_grammar, events_of, message_added_up

Json = dict[str, Any]

GOLDEN = Path(__file__).parent / "fixtures" / "golden"
CASES = sorted(path.name.removesuffix(".chat.json") for path in GOLDEN.glob("*.chat.json"))
ANSWERED = sorted(path.name.removesuffix(".chunks.jsonl") for path in GOLDEN.glob("*.chunks.jsonl"))
THINKING = [case for case in ANSWERED if case.startswith("thinking_")]
ESTIMATE = 7
SEAL = "bridge.reasoning:"  # what clients hold already: it may not change

COMMON = frozenset({"tools", "tool_choice", "max_tokens", "stop"})
REASONING = COMMON | {"reasoning", "response_format", "structured_outputs"}
SAMPLING = frozenset({"temperature", "top_p", "top_k"})
MODELS = {
    facts.id: facts
    for facts in (
        ModelFacts(
            id="anthropic/claude-sonnet-5",
            family="anthropic",
            max_output=128_000,
            parameters=REASONING,
            efforts=("low", "medium", "high", "xhigh", "max"),
        ),
        ModelFacts(
            id="anthropic/claude-haiku-4.5",
            family="anthropic",
            max_output=64_000,
            parameters=REASONING | SAMPLING,
            reasoning_takes_budget=True,
        ),
        ModelFacts(
            id="openai/gpt-5",
            family="openai",
            max_output=128_000,
            parameters=REASONING,
            efforts=("minimal", "low", "medium", "high"),
        ),
        ModelFacts(
            id="google/gemini-3-pro",
            family="google",
            max_output=65_536,
            parameters=REASONING | SAMPLING,
            efforts=("low", "high"),
            reasoning_is_mandatory=True,
        ),
        ModelFacts(
            id="deepseek/deepseek-v3",
            family="deepseek",
            max_output=8_192,
            modalities=frozenset({"text"}),
            parameters=REASONING | SAMPLING,
        ),
        ModelFacts(id="mistralai/mistral-large", family="mistralai", parameters=COMMON | SAMPLING),
    )
}


# --- reading a case --------------------------------------------------------------------------------------------------


def read(case: str, part: str) -> Any:
    return json.loads((GOLDEN / f"{case}.{part}.json").read_text())


def lines(case: str, part: str) -> list[Any]:
    return [json.loads(line) for line in (GOLDEN / f"{case}.{part}.jsonl").read_text().split("\n") if line]


def request_of(case: str, content: list[Json] | None = None) -> MessagesRequest:
    """The request of a case, with the client's own copy of the answer to its chunks, or another, in its history."""
    document = read(case, "request")
    if case in ANSWERED:
        content = content or answer_of(case)["content"]
        calls = [block["id"] for block in content if block["type"] == "tool_use"]
        document = replaced(document, {"$ANSWER": content, "$CALL": calls[0] if calls else None})
    return parse_request(orjson.dumps(document))


def replaced(value: Any, by: Json) -> Any:
    match value:
        case dict():
            return {key: replaced(inner, by) for key, inner in value.items()}
        case list():
            return [replaced(inner, by) for inner in value]
        case str() if value in by:
            return by[value]
        case _:
            return value


def sealed(value: Any) -> Any:
    """`value` with our own tokens out of sight: what is in them shows in the round trip."""
    match value:
        case dict():
            return {key: sealed(inner) for key, inner in value.items()}
        case list():
            return [sealed(inner) for inner in value]
        case str() if value.startswith(SEAL):
            return "<sealed>"
        case _:
            return value


def with_chosen_ids(expected: Any, seen: Any) -> Any:
    """`expected` with ids from `seen` where the case leaves them to us."""
    ids = [block["id"] for block in _blocks(seen) if block["type"] == "tool_use"]
    return replaced(expected, {"$ID": ids[0]}) if ids else expected


def _blocks(seen: Any) -> list[Json]:
    if isinstance(seen, dict):
        return list(seen["content"])
    return [event["content_block"] for event in seen if event["type"] == "content_block_start"]


# --- the way there and back ------------------------------------------------------------------------------------------


def translate(request: MessagesRequest, model: str, **more: Any) -> Translation:
    return translate_request(request, model=model, facts=MODELS[model], **more)


def sent(request: MessagesRequest, model: str, **more: Any) -> Json:
    body: Json = orjson.loads(translate(request, model, **more).encode())
    return body


def translator_of(case: str) -> StreamTranslator:
    model = read(case, "chat")["model"]
    document = read(case, "request")
    request = parse_request(orjson.dumps(replaced(document, {"$ANSWER": "a", "$CALL": "a"})))
    return StreamTranslator(
        message_id="msg_1",
        model=request.model,
        family=MODELS[model].family,
        tools=translate(request, model).tools,
        input_tokens=ESTIMATE,
        search_query=last_words(request),
    )


def chunks_of(case: str) -> list[ChatChunk]:
    return [decode_chunk(orjson.dumps(chunk)) for chunk in lines(case, "chunks")]


def streamed(case: str) -> list[Event]:
    """The events of a case as the client reads them."""
    translator = translator_of(case)
    sent_bytes = b"".join(encode(translator.feed(chunk)) for chunk in chunks_of(case))
    return events_of(sent_bytes + encode(translator.finish()))


def answer_of(case: str) -> Json:
    return message_added_up(streamed(case))


def decoded(message: Any) -> Json:
    document: Json = orjson.loads(msgspec.json.encode(message))
    return document


def completion_of(chunks: list[Json]) -> Json:
    """The same answer as a completion that is not streamed (wire.md 2.3, 2.4)."""
    message: Json = {"role": "assistant", "content": "", "refusal": None, "reasoning": None}
    details: list[Json] = []
    calls: dict[int, Json] = {}
    choice: Json = {"index": 0, "message": message}
    whole: Json = {"id": "gen-1", "object": "chat.completion", "choices": [choice]}
    for chunk in chunks:
        whole |= {"usage": chunk["usage"]} if "usage" in chunk else {}
        for part in chunk["choices"]:
            delta = part["delta"]
            for name in ("content", "refusal", "reasoning"):
                if delta.get(name):
                    message[name] = (message[name] or "") + delta[name]
            for detail in delta.get("reasoning_details") or []:
                _add_detail(details, detail)
            for piece in delta.get("tool_calls") or []:
                _add_call(calls, piece)
            message["annotations"] = message.get("annotations", []) + delta.get("annotations", [])
            if part["finish_reason"]:
                choice |= {"finish_reason": part["finish_reason"], "native_finish_reason": part["native_finish_reason"]}
    message["reasoning_details"] = details
    message["tool_calls"] = list(calls.values()) or None
    return whole


def _add_detail(details: list[Json], detail: Json) -> None:
    last = details[-1] if details else {}
    if "data" in detail or (last.get("type"), last.get("index")) != (detail["type"], detail["index"]):
        details.append({**detail})
        return
    for name, value in detail.items():
        last[name] = last.get(name, "") + value if name in {"text", "summary"} else value


def _add_call(calls: dict[int, Json], piece: Json) -> None:
    if piece["index"] not in calls:
        calls[piece["index"]] = {"id": piece["id"], "type": "function", "function": {**piece["function"]}}
        return
    calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]


# --- golden pairs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_request_becomes_the_chat_body(case: str) -> None:
    expected = read(case, "chat")
    assert sent(request_of(case), expected["model"]) == expected


@pytest.mark.parametrize("case", ANSWERED)
def test_the_chunks_become_the_events(case: str) -> None:
    events = streamed(case)
    check_grammar(events)
    assert sealed(events) == with_chosen_ids(lines(case, "events"), events)


@pytest.mark.parametrize("case", ANSWERED)
def test_the_written_events_are_well_formed_and_add_up_to_the_written_message(case: str) -> None:
    """Holds the fixtures themselves against the grammar."""
    events = replaced(lines(case, "events"), {"$ID": "call_1"})
    check_grammar(events)
    assert message_added_up(events) == replaced(read(case, "message"), {"$ID": "call_1"})


@pytest.mark.parametrize("case", ANSWERED)
def test_the_events_folded_are_the_message(case: str) -> None:
    translator = translator_of(case)
    events = [event for chunk in chunks_of(case) for event in translator.feed(chunk)]
    message = decoded(fold([*events, *translator.finish()]))
    assert sealed(message) == with_chosen_ids(read(case, "message"), message)
    assert message == answer_of(case)


@pytest.mark.parametrize("case", ANSWERED)
def test_the_answer_that_is_not_streamed_is_the_same_message(case: str) -> None:
    completion = decode_chunk(orjson.dumps(completion_of(lines(case, "chunks"))))
    assert decoded(message_of(completion, translator_of(case))) == answer_of(case)


def test_every_file_belongs_to_a_case() -> None:
    parts = {path.name.partition(".")[0]: set[str]() for path in GOLDEN.iterdir()}
    for path in GOLDEN.iterdir():
        parts[path.name.partition(".")[0]].add(path.name.partition(".")[2])
    way_there = {"request.json", "chat.json"}
    for case, files in parts.items():
        assert files in (way_there, way_there | {"chunks.jsonl", "events.jsonl", "message.json"}), case


def foreign_to(case: str) -> list[str]:
    """Models of other families than the one that answers in this case."""
    own = MODELS[read(case, "chat")["model"]].family
    return [model for model, facts in MODELS.items() if facts.family != own]


# --- what has no file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "model"), [(case, model) for case in THINKING for model in foreign_to(case)])
def test_reasoning_of_another_family_is_left_out(case: str, model: str) -> None:
    turn = next(turn for turn in sent(request_of(case), model)["messages"] if turn["role"] == "assistant")
    assert not turn.keys() & {"reasoning", "reasoning_details"}


@pytest.mark.parametrize("case", [case for case in THINKING if case != "thinking_of_claude"])  # seals its own
def test_reasoning_that_was_damaged_on_the_way_is_left_out(case: str) -> None:
    content = [
        {key: value[:-9] if str(value).startswith(SEAL) else value for key, value in block.items()}
        for block in answer_of(case)["content"]
    ]
    assert content != answer_of(case)["content"]
    turn = sent(request_of(case, content), read(case, "chat")["model"])["messages"][1]
    assert not turn.keys() & {"reasoning", "reasoning_details"}


def test_the_session_makes_caching_stick() -> None:
    body = sent(request_of("text"), "openai/gpt-5", session_id="5d1f")
    assert body["session_id"] == "5d1f"
    assert "session_id" not in sent(request_of("text"), "openai/gpt-5")


def test_an_aliass_words_come_last_in_the_instructions() -> None:
    body = sent(request_of("text"), "openai/gpt-5", terms=Terms(system_addendum="Use tools."))
    assert body["messages"][0] == {"role": "system", "content": "Be kind.\n\nUse tools."}


def test_an_aliass_words_are_the_instructions_where_there_are_none() -> None:
    body = sent(request_of("prefilled_answer"), "openai/gpt-5", terms=Terms(system_addendum="Use tools."))
    assert body["messages"][0] == {"role": "system", "content": "Use tools."}


def test_what_was_changed_for_the_model_is_said() -> None:
    clamped = translate(request_of("more_tokens_than_the_model_gives"), "deepseek/deepseek-v3").warnings
    blind = translate(request_of("image_for_a_model_that_is_blind"), "deepseek/deepseek-v3").warnings
    assert len(clamped) == 1
    assert "64000" in clamped[0]
    assert "8192" in clamped[0]
    assert len(blind) == 2


def test_the_request_is_not_altered_on_its_way() -> None:
    request = request_of("cache_marks_for_claude")
    before = msgspec.json.encode(request)
    sent(request, "google/gemini-3-pro")
    assert msgspec.json.encode(request) == before
