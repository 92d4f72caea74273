"""What a search of the upstream's own found reaches the client as Anthropic's web search would have told it."""

from typing import Any

import orjson
import pytest

from messages_api.services.translation.tools import NO_TOOLS, Tools, translate_tools
from messages_api.tests.stream_grammar import Event
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

SEARCH = translate_tools(orjson.dumps([{"type": "web_search_20250305", "name": "web_search"}]), "openai")
A: Json = {"url": "https://a.example", "title": "A", "content": "About A.", "start_index": 0, "end_index": 5}
B: Json = {"url": "https://b.example"}
CITED_A = {
    "type": "web_search_result_location",
    "cited_text": "About A.",
    "url": "https://a.example",
    "title": "A",
    "encrypted_index": "",
}
A_CALL = call({"name": "a", "arguments": "{}"}, index=0, call_id="call_1")


def cited(*pages: Json) -> list[Json]:
    return [{"type": "url_citation", "url_citation": page} for page in pages]


def said(*chunks: Json, tools: Tools = SEARCH) -> Event:
    return message_in([*chunks, finish("stop")], translator(tools=tools, search_query="what is A"))


def kinds(message: Event) -> list[str]:
    return [block["type"] for block in message["content"]]


def citations(message: Event) -> list[Any]:
    return [block.get("citations") for block in message["content"] if block["type"] == "text"]


def test_a_citation_belongs_to_the_text_before_it_and_the_search_stands_at_the_end() -> None:
    message = said(text("It is A."), delta(content="", annotations=cited(A)), text(" Yes."))
    assert kinds(message) == ["text", "server_tool_use", "web_search_tool_result"]
    answer, use, result = message["content"]
    assert answer == {"type": "text", "text": "It is A. Yes.", "citations": [CITED_A]}
    assert (use["name"], use["input"]) == ("web_search", {"query": "what is A"})
    assert result["tool_use_id"] == use["id"]
    assert result["content"] == [
        {
            "type": "web_search_result",
            "url": "https://a.example",
            "title": "A",
            "encrypted_content": "",
            "page_age": None,
        }
    ]


def test_a_citation_before_any_text_belongs_to_the_next() -> None:
    message = said(delta(annotations=cited(A)), delta(reasoning="r"), text("It is A."))
    assert citations(message) == [[CITED_A]]


def test_annotations_beside_the_delta_are_read() -> None:
    beside: Json = {"choices": [{"delta": {"content": "is A."}, "annotations": cited(A)}]}
    assert citations(said(beside)) == citations(said(text("It "), beside)) == [[CITED_A]]


def test_a_page_is_found_once_and_a_repeated_citation_told_once() -> None:
    later = {**A, "start_index": 9, "end_index": 12}
    message = said(text("It is A."), delta(annotations=cited(A, A)), delta(annotations=cited(A, later)))
    assert citations(message) == [[CITED_A, CITED_A]]
    [pages] = said_by(message, "web_search_tool_result", "content")
    assert len(pages) == 1


def test_a_page_without_a_title_is_called_by_its_address() -> None:
    message = said(text("It is B."), delta(annotations=cited(B)))
    assert citations(message)[0][0]["title"] is None
    [[page]] = said_by(message, "web_search_tool_result", "content")
    assert page["title"] == "https://b.example"


def test_a_search_that_nobody_asked_for_is_told_by_its_citations() -> None:
    """As a model with `:online` searches: the client knows no tool that could have been called."""
    message = said(text("It is A."), delta(annotations=cited(A)), tools=NO_TOOLS)
    assert kinds(message) == ["text"]
    assert citations(message) == [[CITED_A]]


@pytest.mark.parametrize("tools", [NO_TOOLS, SEARCH])
def test_a_page_that_no_text_is_left_to_cite_is_told_as_found(tools: Tools) -> None:
    message = said(text("I look."), A_CALL, delta(annotations=cited(A)), tools=tools)
    assert kinds(message) == ["text", "tool_use", "server_tool_use", "web_search_tool_result"]
    assert message["stop_reason"] == "tool_use"


def test_a_citation_in_the_middle_of_a_call_is_not_lost() -> None:
    begun = call({"name": "a", "arguments": '{"n"'}, index=0, call_id="call_1")
    message = said(begun, delta(annotations=cited(A)), text("It is A."), call({"arguments": ":1}"}, index=0))
    assert citations(message) == [[CITED_A]]


def test_an_answer_that_is_not_streamed_is_told_likewise() -> None:
    completion = completion_of({"content": "It is A.", "annotations": cited(A, B)})
    message = whole(completion, translator(tools=SEARCH, search_query="what is A"))
    streamed = said(text("It is A."), delta(annotations=cited(A, B)))
    assert message["content"] == streamed["content"]


@pytest.mark.parametrize("annotation", [{"type": "file", "file": {"hash": "h"}}, {"url_citation": {"title": "t"}}])
def test_annotations_that_cite_no_page_are_passed_over(annotation: Json) -> None:
    assert said(text("a"), delta(annotations=[annotation]))["content"] == [{"type": "text", "text": "a"}]


@pytest.mark.parametrize(("told", "counted"), [({}, 1), ({"server_tool_use_details": {"web_search_requests": 3}}, 3)])
def test_searches_are_counted(told: Json, counted: int) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, **told}
    message = said(text("It is A."), delta(annotations=cited(A)), {"choices": [], "usage": usage})
    assert message["usage"]["server_tool_use"] == {"web_search_requests": counted, "web_fetch_requests": 0}
