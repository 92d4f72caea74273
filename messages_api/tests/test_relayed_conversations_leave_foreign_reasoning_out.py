"""Reasoning that a target cannot open is taken out of a conversation it goes on with, and nothing else is touched."""

from typing import Any

import orjson
import pytest

from messages_api.schemas import parse_envelope
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import NO_TERMS
from messages_api.services.translation.reasoning import redacted_data, signature
from messages_api.services.translation.relay_request import request_to_openrouter, request_to_provider

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
