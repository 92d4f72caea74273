"""Reasoning of every format goes back as it came: whole, in order, unmodified, after any number of turns."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages_api.services.translation.chat import AnswerError, ChatChunk, Choice, Delta
from messages_api.tests.stream_grammar import Event
from messages_api.tests.translated import (
    Json,
    call,
    completion_of,
    delta,
    finish,
    message_in,
    said_by,
    sent_back,
    text,
    translator,
    whole,
)
from messages_api.tests.upstream_answers import (
    CLAUDE,
    GOOGLE,
    OPENAI,
    XAI,
    Answer,
    answers,
    answers_in_the_usual_order,
    completion,
)

EXAMPLES = settings(max_examples=300, derandomize=True, deadline=None)
FAMILY = "anthropic"


def gone_back(message: Event, family: str = FAMILY) -> Any:
    return without_nulls(sent_back(message["content"], family).get("reasoning_details", []))


def without_nulls(details: list[Json]) -> list[Json]:
    return [{key: value for key, value in detail.items() if value is not None} for detail in details]


# --- every answer ----------------------------------------------------------------------------------------------------


@given(answers())
@EXAMPLES
def test_what_was_streamed_goes_back_unmodified_whole_and_in_order(answer: Answer) -> None:
    message = message_in(answer.stream().chunks, translator(FAMILY))
    assert gone_back(message) == without_nulls(answer.said.details)
    assert sent_back(message["content"], FAMILY).get("reasoning", "") == answer.said.plain


@given(answers_in_the_usual_order())
@EXAMPLES
def test_what_was_not_streamed_goes_back_likewise(answer: Answer) -> None:
    message = whole(completion(answer), translator(FAMILY))
    assert gone_back(message) == without_nulls(answer.said.details)
    assert sent_back(message["content"], FAMILY).get("reasoning", "") == answer.said.plain


@given(answers_in_the_usual_order(), st.integers(2, 5))
@EXAMPLES
def test_after_any_number_of_turns_it_is_the_same(answer: Answer, turns: int) -> None:
    """What went back is answered once more, as a model that repeats itself would, and goes back again."""
    details = answer.said.details
    for _ in range(turns):
        said = {"content": "a", "reasoning_details": details} if details else {"content": "a", "reasoning": "r"}
        message = whole(completion_of(said), translator(FAMILY))
        back = sent_back(message["content"], FAMILY)
        assert back.get("reasoning", "") == ("" if details else "r")
        assert without_nulls(back.get("reasoning_details", [])) == without_nulls(details)
        details = back.get("reasoning_details", [])


# --- each format, as it is on the wire (wire.md 2.3) -----------------------------------------------------------------


def text_detail(form: str, words: str | None = None, **more: Any) -> Json:
    said = {} if words is None else {"text": words}
    return {"type": "reasoning.text", **said, "format": form, "index": 0, **more}


def sealed(form: str, data: str, **more: Any) -> Json:
    return {"type": "reasoning.encrypted", "data": data, "format": form, **more}


def test_claudes_signature_comes_in_a_chunk_of_its_own_and_is_kept_to_the_byte() -> None:
    chunks = [
        delta(reasoning="I ", reasoning_details=[text_detail(CLAUDE, "I ")]),
        delta(reasoning="think.", reasoning_details=[text_detail(CLAUDE, "think.")]),
        {"choices": [{"delta": {"content": "", "reasoning_details": [text_detail(CLAUDE, signature="Eq+/é==")]}}]},
        text("Yes."),
        finish("stop"),
    ]
    message = message_in(chunks, translator(FAMILY))
    assert message["content"][0] == {"type": "thinking", "thinking": "I think.", "signature": "Eq+/é=="}
    assert gone_back(message) == [text_detail(CLAUDE, "I think.", signature="Eq+/é==")]


def test_a_signature_without_any_text_is_kept() -> None:
    """Where the model's thinking is not displayed, the signature is all there is of it."""
    message = message_in(
        [delta(reasoning_details=[text_detail(CLAUDE, signature="EqX=")]), text("a"), finish("stop")],
        translator(FAMILY),
    )
    assert message["content"][0] == {"type": "thinking", "thinking": "", "signature": "EqX="}
    assert gone_back(message) == [text_detail(CLAUDE, "", signature="EqX=")]


def test_thoughts_that_were_sealed_are_followed_by_new_ones() -> None:
    """Some hosts number none of them."""
    details = [
        text_detail(CLAUDE, "one", signature="Eq1=", index=None),
        text_detail(CLAUDE, "two", index=None),
        text_detail(CLAUDE, signature="Eq2=", index=None),
    ]
    chunks = [delta(reasoning_details=[detail]) for detail in details]
    message = message_in([*chunks, text("a"), finish("stop")], translator(FAMILY))
    assert said_by(message, "thinking", "thinking") == ["one", "two"]
    assert said_by(message, "thinking", "signature") == ["Eq1=", "Eq2="]


def test_items_with_ids_of_their_own_are_not_made_one() -> None:
    summaries = [
        {"type": "reasoning.summary", "summary": words, "format": OPENAI, "id": item, "index": 0}
        for item, words in (("rs_1", "one"), ("rs_2", "two"))
    ]
    chunks = [delta(reasoning_details=[summary]) for summary in summaries]
    assert gone_back(message_in([*chunks, text("a"), finish("stop")], translator(FAMILY))) == summaries


@pytest.mark.parametrize("form", [OPENAI, XAI, "azure-openai-responses-v1", "unknown"])
def test_summaries_and_what_is_encrypted_go_back_in_order(form: str) -> None:
    """`reasoning` is null beside what is encrypted, and such chunks hold nothing else."""
    summary = {"type": "reasoning.summary", "summary": "In short.", "format": form, "index": 0}
    details = [summary, sealed(form, "gAAAA", id="rs_1", index=0)]
    chunks = [
        delta(reasoning="In short.", reasoning_details=[summary]),
        delta(reasoning=None, reasoning_details=[details[1]]),
        call({"name": "a", "arguments": "{}"}, index=0, call_id="call_1"),
        finish("tool_calls"),
    ]
    assert gone_back(message_in(chunks, translator("openai")), "openai") == details


def a_call(number: int) -> Json:
    return {"id": f"tool_{number}", "type": "function", "function": {"name": "a", "arguments": "{}"}}


def seal_of(number: int, **more: Any) -> Json:
    return sealed(GOOGLE, f"CiQB{number}", id=f"tool_{number}", index=number, **more)


def kinds(message: Event) -> list[str]:
    return [block["type"] for block in message["content"]]


@pytest.mark.parametrize(
    ("order", "blocks"),
    [
        ("with the call", ["redacted_thinking", "tool_use", "redacted_thinking", "tool_use"]),
        ("before the call", ["redacted_thinking", "tool_use", "redacted_thinking", "tool_use"]),
        ("after the call", ["tool_use", "redacted_thinking", "tool_use", "redacted_thinking"]),
    ],
)
def test_geminis_signatures_stay_with_their_calls(order: str, blocks: list[str]) -> None:
    chunks: list[Json] = []
    for number in (0, 1):
        said = {"tool_calls": [{**a_call(number), "index": number}]}
        thought = {"reasoning_details": [seal_of(number)]}
        match order:
            case "with the call":
                chunks.append(delta(**said, **thought))
            case "before the call":
                chunks += [delta(**thought), delta(**said)]
            case _:
                chunks += [delta(**said), delta(**thought)]
    message = message_in([*chunks, finish("tool_calls")], translator("google"))
    assert kinds(message) == blocks
    assert gone_back(message, "google") == [seal_of(0), seal_of(1)]


def test_a_signature_without_an_id_goes_back_as_well() -> None:
    seal = sealed(GOOGLE, "CiQB", index=0)
    message = message_in([text("a"), delta(reasoning_details=[seal]), finish("stop")], translator("google"))
    assert gone_back(message, "google") == [seal]


def test_reasoning_between_calls_comes_back_in_order() -> None:
    """Streamed and whole alike, though a whole message lists its details and its calls apart."""
    first, second = text_detail(GOOGLE, "First."), text_detail(GOOGLE, "Then.", index=1)
    details = [first, seal_of(0), second, seal_of(1)]
    chunks = [
        delta(reasoning="First.", reasoning_details=[first]),
        text("I look."),
        delta(tool_calls=[{**a_call(0), "index": 0}], reasoning_details=[seal_of(0)]),
        delta(reasoning="Then.", reasoning_details=[second]),
        delta(tool_calls=[{**a_call(1), "index": 1}], reasoning_details=[seal_of(1)]),
        finish("tool_calls"),
    ]
    streamed = message_in(chunks, translator("google"))
    message = {"content": "I look.", "reasoning_details": details, "tool_calls": [a_call(0), a_call(1)]}
    completed = whole(completion_of(message, "tool_calls"), translator("google"))
    assert gone_back(streamed, "google") == gone_back(completed, "google") == details
    assert completed["content"] == streamed["content"]


def test_signatures_in_another_order_than_their_calls_keep_it() -> None:
    details = [seal_of(1), text_detail(GOOGLE, "Then."), seal_of(0), seal_of(1, more="x")]
    message = {"content": None, "reasoning_details": details, "tool_calls": [a_call(0), a_call(1), a_call(2)]}
    completed = whole(completion_of(message, "tool_calls"), translator("google"))
    assert gone_back(completed, "google") == details
    assert said_by(completed, "tool_use", "id") == ["tool_0", "tool_1", "tool_2"]


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_plain_reasoning_is_thinking_and_goes_back(key: str) -> None:
    message = message_in(
        [delta(**{key: "I "}), delta(**{key: "think."}), text("a"), finish("stop")], translator("deepseek")
    )
    assert said_by(message, "thinking", "thinking") == ["I think."]
    assert sent_back(message["content"], "deepseek") == {"reasoning": "I think."}


def test_thoughts_in_a_list_of_parts_are_thinking() -> None:
    """As Mistral's models send them."""
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "I think."}]},
        {"type": "text", "text": "Yes."},
    ]
    message = message_in([delta(content=content), finish("stop")], translator("mistralai"))
    assert said_by(message, "thinking", "thinking") == ["I think."]
    assert said_by(message, "text", "text") == ["Yes."]
    assert sent_back(message["content"], "mistralai") == {"reasoning": "I think."}


def test_a_search_of_the_servers_own_in_the_reasoning_goes_back() -> None:
    detail = {
        "type": "reasoning.server_tool_call",
        "tool_name": "web_search",
        "tool_call_id": "ws_1",
        "arguments": '{"query":"é"}',
        "result": "found",
        "format": OPENAI,
        "index": 0,
    }
    message = message_in([delta(reasoning_details=[detail]), text("a"), finish("stop")], translator("openai"))
    assert kinds(message) == ["redacted_thinking", "text"]
    assert gone_back(message, "openai") == [detail]


def test_thinking_never_goes_into_a_block_of_text() -> None:
    chunks = [text("a"), delta(reasoning="r"), text("b"), delta(reasoning="s", content="c"), finish("stop")]
    message = message_in(chunks)
    assert kinds(message) == ["text", "thinking", "text", "thinking", "text"]
    assert said_by(message, "text", "text") == ["a", "b", "c"]
    assert said_by(message, "thinking", "thinking") == ["r", "s"]


def test_a_copy_of_the_thoughts_beside_their_details_is_not_told_twice() -> None:
    both = delta(reasoning="r", reasoning_content="r", reasoning_details=[text_detail(GOOGLE, "r")])
    assert said_by(message_in([both, text("a"), finish("stop")]), "thinking", "thinking") == ["r"]


def test_reasoning_that_cannot_be_kept_is_an_error() -> None:
    too_large: Json = {"type": "reasoning.future", "number": 10**30}
    with pytest.raises(AnswerError, match="cannot be kept"):
        translator().feed(ChatChunk(choices=[Choice(delta=Delta(reasoning_details=[too_large]))]))
