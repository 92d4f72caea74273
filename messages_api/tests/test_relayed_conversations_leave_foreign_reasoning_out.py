"""What a target would refuse is taken out of a conversation it goes on with, and nothing else is touched."""

from typing import Any

import orjson
import pytest

from messages_api.schemas import parse_envelope, parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import NO_TERMS
from messages_api.services.translation.citations import SEARCH_ID
from messages_api.services.translation.reasoning import redacted_data, signature
from messages_api.services.translation.relay_request import request_to_openrouter, request_to_provider
from messages_api.services.translation.request import translate_request

Json = dict[str, Any]

FACTS = ModelFacts(id="anthropic/claude-sonnet-5", family="anthropic")
SUMMARY = {"type": "reasoning.summary", "format": "openai-responses-v1", "index": 0}
ENCRYPTED = {"type": "reasoning.encrypted", "data": "gAAAA", "format": "openai-responses-v1", "id": "rs_1"}

OURS = {"type": "thinking", "thinking": "Hm.", "signature": signature(SUMMARY, "openai")}
OURS_REDACTED = {"type": "redacted_thinking", "data": redacted_data(ENCRYPTED, "openai")}
OPENROUTERS = {"type": "redacted_thinking", "data": "openrouter.reasoning:W10="}
CLAUDES = rb'{"type":"thinking", "thinking":"So\u2026","signature":"Eq\/=="}'
CLAUDES_REDACTED = rb'{"type":"redacted_thinking","data":"Eq+/"}'
CALL = rb'{"type":"tool_use","id":"t","name":"Bash","input":{"n": 1.0, "text":"bridge.reasoning: is a seal"}}'
SAID = rb'{"type":"text","text":"bridge.reasoning: and openrouter.reasoning: are seals"}'


def relayed(*blocks: bytes, to_openrouter: bool) -> list[bytes]:
    """What is left of the blocks of an answer, as bytes."""
    turns = b'{"role":"user","content":"Hi"}, {"role":"assistant","content":[%s]} ,{"role":"user","content":"And?"}'
    body = b'{"model":"m","max_tokens":9,"messages":[%s]}' % (turns % b",".join(blocks))
    envelope = parse_envelope(body)
    relay: Any = request_to_openrouter if to_openrouter else request_to_provider
    request = relay(envelope, model="m", facts=FACTS, terms=NO_TERMS)
    assert b'{"role":"user","content":"Hi"}' in request.body
    left = request.body.partition(b'{"role":"assistant","content":[')[2].partition(b"]}")[0]
    return [block for block in (*blocks, NOTHING) if block in left]


NOTHING = b'{"type":"text","text":"(no content)"}'
PLACES = pytest.mark.parametrize("to_openrouter", [True, False], ids=["openrouter", "provider"])


@PLACES
@pytest.mark.parametrize("foreign", [OURS, OURS_REDACTED], ids=["thinking", "redacted"])
def test_reasoning_under_our_seal_is_left_out_and_its_neighbours_stay_as_they_came(
    foreign: Json, to_openrouter: bool
) -> None:
    sealed = orjson.dumps(foreign)
    kept = [CLAUDES, CLAUDES_REDACTED, SAID, CALL]
    assert relayed(CLAUDES, sealed, CLAUDES_REDACTED, SAID, CALL, to_openrouter=to_openrouter) == kept


def test_reasoning_under_openrouters_seal_goes_back_to_openrouter_only() -> None:
    sealed = orjson.dumps(OPENROUTERS)
    assert relayed(sealed, SAID, to_openrouter=True) == [sealed, SAID]
    assert relayed(sealed, SAID, to_openrouter=False) == [SAID]


@PLACES
def test_an_answer_of_nothing_but_foreign_reasoning_is_not_empty(to_openrouter: bool) -> None:
    """An empty message is refused by Claude."""
    assert relayed(orjson.dumps(OURS), to_openrouter=to_openrouter) == [NOTHING]


@PLACES
def test_a_text_about_seals_is_not_reasoning(to_openrouter: bool) -> None:
    assert relayed(CLAUDES, SAID, CALL, to_openrouter=to_openrouter) == [CLAUDES, SAID, CALL]


def test_a_conversation_without_seals_is_not_opened() -> None:
    turns = rb'[ {"role":"assistant" , "content": "plain"},{"role":"user","content":[]}]'
    envelope = parse_envelope(b'{"model":"m","max_tokens":9,"messages":%s}' % turns)
    assert turns in request_to_provider(envelope, model="m", facts=FACTS, terms=NO_TERMS).body


def test_a_message_that_is_a_text_stays_one() -> None:
    turns = b'[{"role":"user","content":"bridge.reasoning: what is it?"}]'
    envelope = parse_envelope(b'{"model":"m","max_tokens":9,"messages":%s}' % turns)
    assert turns in request_to_provider(envelope, model="m", facts=FACTS, terms=NO_TERMS).body


SEARCH = {"type": "server_tool_use", "id": f"{SEARCH_ID}1", "name": "web_search", "input": {"query": "bridges"}}
PAGE = {"type": "web_search_result", "url": "https://example.com", "title": "A page", "encrypted_content": ""}
FOUND = {"type": "web_search_tool_result", "tool_use_id": f"{SEARCH_ID}1", "content": [PAGE]}
CITED = {
    "type": "text",
    "text": "It says so.",
    "citations": [{"type": "web_search_result_location", "url": "https://example.com", "encrypted_index": ""}],
}
CLAUDES_SEARCH = rb'{"type":"server_tool_use","id":"srvtoolu_01","name":"web_search","input":{"query":"a"}}'
UNSIGNED = [
    rb'{"type":"thinking","thinking":"cut","signature": ""}',
    rb'{"type":"thinking","thinking":"cut","signature":"" }',
    rb'{"type":"thinking","thinking":"of a model that signs nothing"}',
    rb'{"signature" :null,"type":"thinking","thinking":"cut"}',
]


def left_of(*blocks: Json, family: str = "anthropic") -> list[Json]:
    """What is left of the blocks of an answer."""
    said = [*blocks, {"type": "text", "text": "end"}]
    turns = [{"role": "assistant", "content": said}, {"role": "user", "content": "And?"}]
    envelope = parse_envelope(orjson.dumps({"model": "m", "max_tokens": 9, "messages": turns}))
    request = request_to_provider(envelope, model="m", facts=ModelFacts("m", family=family), terms=NO_TERMS)
    left: list[Json] = orjson.loads(request.body)["messages"][0]["content"][:-1]
    return left


def test_a_search_that_was_told_here_is_told_in_words() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    (told,) = left_of(SEARCH, {**FOUND, "cache_control": mark})
    assert (told["type"], told["cache_control"]) == ("text", mark)
    assert "https://example.com" in told["text"]


def test_citations_that_claude_did_not_make_are_left_out_and_their_text_is_kept() -> None:
    assert left_of(CITED) == [{"type": "text", "text": "It says so."}]
    assert left_of(CITED, family="openai") == [CITED]


def test_a_search_of_claudes_own_stays() -> None:
    assert relayed(CLAUDES_SEARCH, SAID, to_openrouter=True) == [CLAUDES_SEARCH, SAID]


@pytest.mark.parametrize("unsigned", UNSIGNED)
def test_thinking_that_was_never_signed_is_left_out_for_claude_only(unsigned: bytes) -> None:
    assert relayed(unsigned, CLAUDES, SAID, to_openrouter=False) == [CLAUDES, SAID]
    assert left_of(orjson.loads(unsigned), family="qwen") == [orjson.loads(unsigned)]


def test_blocks_that_are_not_known_here_pass_whatever_they_hold() -> None:
    odd = {"type": "later", "id": 5, "data": {"a": 1}, "signature": [], "citations": True, "tool_use_id": 0.5}
    assert left_of(odd, SEARCH) == [odd]


def test_a_text_about_empty_signatures_stays_as_it_is() -> None:
    text = {"type": "text", "text": 'write "signature": "" here'}
    assert left_of(text) == [text]


BLANK = [
    rb'{"type":"text","text":""}',
    rb'{"type":"text","text": "  " }',
    rb'{"text":"\n\n","type":"text","cache_control":{"type":"ephemeral"}}',
    '{"type":"text","text":"\u00a0\u2003"}'.encode(),
    rb'{"type":"text","text":"\u2028\u0020 \u000a"}',
]
SOMETHING = [
    rb'{"type":"text","text":"\n."}',
    rb'{"type":"text","text":"\"\""}',
    rb'{"type":"text","text":"   a"}',
    '{"type":"text","text":"🙂"}'.encode(),
    rb'{"type":"text","text":"\u200b"}',  # no white space to Unicode
]


@PLACES
@pytest.mark.parametrize("blank", BLANK)
def test_a_blank_text_of_an_earlier_answer_is_left_out(blank: bytes, to_openrouter: bool) -> None:
    """Claude refuses it, and other models' answers have some."""
    assert relayed(blank, CLAUDES, blank, SAID, CALL, to_openrouter=to_openrouter) == [CLAUDES, SAID, CALL]
    assert relayed(blank, to_openrouter=to_openrouter) == [NOTHING]


@PLACES
@pytest.mark.parametrize("something", SOMETHING)
def test_a_text_that_says_something_stays(something: bytes, to_openrouter: bool) -> None:
    assert relayed(something, SAID, to_openrouter=to_openrouter) == [something, SAID]


def test_blank_texts_stay_for_other_models_and_where_the_client_wrote_them() -> None:
    blank: Json = {"type": "text", "text": " "}
    assert left_of(blank, family="openai") == [blank]
    for turns in ([{"role": "user", "content": [blank]}], [{"role": "assistant", "content": [blank]}]):
        envelope = parse_envelope(orjson.dumps({"model": "m", "max_tokens": 9, "messages": turns}))
        body = request_to_provider(envelope, model="m", facts=FACTS, terms=NO_TERMS).body
        assert orjson.loads(body)["messages"] == turns


@pytest.mark.parametrize("blank", ["", " \n"])
def test_an_answer_that_is_one_blank_text_has_something_in_its_place(blank: str) -> None:
    turns = [{"role": "assistant", "content": blank}, {"role": "user", "content": "And?"}]
    body = orjson.dumps({"model": "m", "max_tokens": 9, "messages": turns})
    relayed_on = orjson.loads(request_to_provider(parse_envelope(body), model="m", facts=FACTS, terms=NO_TERMS).body)
    assert relayed_on["messages"] == [{"role": "assistant", "content": [orjson.loads(NOTHING)]}, turns[1]]
    chat = translate_request(parse_request(body), model="m", facts=FACTS).body["messages"]
    assert chat == [{"role": "assistant", "content": "(no content)"}, turns[1]]
