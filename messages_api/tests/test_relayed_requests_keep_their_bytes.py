"""A request for a target that speaks Messages goes out as it came, but for the route and what an alias imposes."""

import hashlib
from typing import Any

import orjson
import pytest

from messages_api import fields, schemas
from messages_api.errors import InvalidRequest
from messages_api.schemas import Envelope, parse_envelope
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import NO_TERMS, Terms
from messages_api.services.translation.relay_request import (
    LEFT_OUT,
    RELAYED,
    RelayedRequest,
    request_to_openrouter,
    request_to_provider,
)

Json = dict[str, Any]

MODEL = "anthropic/claude-sonnet-5"
FACTS = ModelFacts(id=MODEL, family="anthropic", max_output=64_000, efforts=("low", "medium", "high", "max"))
PLAIN_FACTS = ModelFacts(id="anthropic/claude-haiku-4.5", family="anthropic", max_output=64_000)
HELLO = [{"role": "user", "content": "Hi"}]

#: No two encoders would write it like this: spaces, escapes, floats, an integer of 70 bits, a key that is not sorted.
MESSAGES = (
    rb'[ {"role":"user","content":"caf\u00e9 \/ 1"}, {"role":"assistant","content":[{"type":"thinking","thinking":"",'
    rb'"signature":"Eq+/="},{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"b": 1.0, "a":1e2,'
    rb' "n":1180591620717411303424}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1"}]}]'
)
TOOLS = rb'[{"name":"Bash","input_schema":{"type":"object" ,"required":[]},"defer_loading":false}]'


def envelope_of(**fields: Any) -> Envelope:
    return parse_envelope(orjson.dumps({"model": "claude-sonnet-5", "max_tokens": 2000, "messages": HELLO, **fields}))


def to_openrouter(terms: Terms = NO_TERMS, facts: ModelFacts = FACTS, session: str = "", **fields: Any) -> Json:
    return sent(request_to_openrouter(envelope_of(**fields), model=MODEL, facts=facts, terms=terms, session_id=session))


def to_provider(terms: Terms = NO_TERMS, facts: ModelFacts = FACTS, **fields: Any) -> Json:
    return sent(request_to_provider(envelope_of(**fields), model=MODEL, facts=facts, terms=terms))


def sent(request: RelayedRequest) -> Json:
    body: Json = orjson.loads(request.body)
    return body


BOTH = pytest.mark.parametrize("relay", [to_openrouter, to_provider], ids=["openrouter", "provider"])


# --- what passes, and what does not ----------------------------------------------------------------------------------


def test_messages_and_tools_are_not_encoded_anew() -> None:
    body = b'{"messages":%s , "max_tokens": 10,"tools":%s,"model":"claude-sonnet-5"}' % (MESSAGES, TOOLS)
    for request in (
        request_to_openrouter(parse_envelope(body), model=MODEL, facts=FACTS, terms=Terms(system_addendum="Hi.")),
        request_to_provider(parse_envelope(body), model=MODEL, facts=FACTS, terms=NO_TERMS),
    ):
        assert MESSAGES in request.body
        assert TOOLS in request.body


def test_every_field_that_is_known_is_relayed_or_left_out() -> None:
    assert schemas.FORWARDED | fields.DROPPED <= RELAYED | LEFT_OUT
    assert not RELAYED & LEFT_OUT


@BOTH
def test_known_fields_pass_as_they_are(relay: Any) -> None:
    fields: Json = {
        "stream": True,
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "container": "container_1",
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "inference_geo": "eu",
        "output_config": {"effort": "max", "task_budget": {"type": "tokens", "total": 20000}},
        "service_tier": "standard_only",
        "speed": "fast",
        "stop_sequences": ["a", "b", "c", "d", "e"],
        "system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=1;"}],
        "temperature": 1.0,
        "thinking": {"type": "adaptive", "display": "updates"},
        "tool_choice": {"type": "auto"},
        "top_k": 5,
        "top_p": 0.5,
    }
    assert relay(**fields) == {**fields, "model": MODEL, "max_tokens": 2000, "messages": HELLO}


@BOTH
def test_what_is_of_no_use_there_is_left_out(relay: Any) -> None:
    body = relay(
        betas=["a"],
        diagnostics={"previous_message_id": "msg_1"},
        thread={"type": "create"},
        fallback_credit_token="x",
        surprise=1,
        user="someone",
        session_id="of the client's own",
        trace={},
    )
    assert body == {"model": MODEL, "max_tokens": 2000, "messages": HELLO}


def test_what_is_left_out_is_said_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(fields, "_said", set())
    with caplog.at_level("INFO"):
        for _ in range(2):
            to_provider(betas=["a"], diagnostics=None, temperature=1.0)
    assert sorted(record.getMessage().split("'")[1] for record in caplog.records) == ["betas", "diagnostics"]


@pytest.mark.parametrize(
    "name",
    ["billing_policy", "compaction", "fallbacks", "mcp_servers", "models", "plugins", "provider", "route"],
)
def test_a_field_that_would_choose_the_route_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        envelope_of(**{name: []})


def test_a_key_that_comes_twice_goes_out_once() -> None:
    body = b'{"model":"a","model":"b","max_tokens":9,"max_tokens":99999999,"messages":[{}]}'
    request = request_to_provider(parse_envelope(body), model=MODEL, facts=FACTS, terms=NO_TERMS)
    assert request.body.count(b'"model"') == request.body.count(b'"max_tokens"') == 1
    assert sent(request)["max_tokens"] == FACTS.max_output


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-5"},
        {"type": "openrouter:fusion", "parameters": {"model": "openai/gpt-5"}},
    ],
    ids=lambda tool: str(tool["type"]),
)
@BOTH
def test_a_tool_that_would_choose_a_model_is_refused(relay: Any, tool: Json) -> None:
    added = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool}}
    with pytest.raises(InvalidRequest, match=r"tools\[1\]"):
        relay(tools=[{"name": "Bash", "input_schema": {"properties": {"model": {}}}}, tool])
    with pytest.raises(InvalidRequest, match=r"messages\[1\]"):
        relay(messages=[*HELLO, {"role": "system", "content": [added]}])


def test_a_tool_is_found_behind_escapes_too() -> None:
    tool = rb'{"type":"t\u006fol_addition","t\u006fol":{"type":"t","d\u0065finition":{"\u006dodel":"x"}}}'
    body = b'{"model":"a","max_tokens":9,"messages":[{"role":"system","content":[%s]}]}' % tool
    with pytest.raises(InvalidRequest, match="model"):
        request_to_provider(parse_envelope(body), model=MODEL, facts=FACTS, terms=NO_TERMS)


@BOTH
def test_who_asks_is_told_unreadably(relay: Any) -> None:
    user_id = orjson.dumps({"device_id": "d", "account_uuid": "a", "session_id": "s"}).decode()
    told = relay(metadata={"user_id": user_id, "more": 1})["metadata"]
    assert told == {"user_id": hashlib.sha256(user_id.encode()).hexdigest()[:64]}
    assert relay(metadata=None)["metadata"] == {}


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "limit", "goes_out"),
    [(2000, None, 2000), (2000, 500, 500), (100_000, None, 64_000), (100_000, 70_000, 64_000), (0, 500, 0)],
)
def test_the_answers_length_is_within_the_models_and_the_aliass_limit(
    asked: int, limit: int | None, goes_out: int
) -> None:
    request = request_to_provider(
        envelope_of(max_tokens=asked), model=MODEL, facts=FACTS, terms=Terms(max_output=limit)
    )
    assert sent(request)["max_tokens"] == goes_out
    assert [str(number) in warning for warning in request.warnings for number in (asked, goes_out)] == (
        [] if asked == goes_out else [True, True]
    )


@pytest.mark.parametrize("body", [{}, {"max_tokens": "many"}, {"max_tokens": None}])
def test_a_request_without_a_number_of_tokens_is_refused(body: Json) -> None:
    raw = orjson.dumps({"model": "a", "messages": HELLO, **body})
    with pytest.raises(InvalidRequest, match="max_tokens"):
        request_to_provider(parse_envelope(raw), model=MODEL, facts=FACTS, terms=NO_TERMS)


@pytest.mark.parametrize(
    ("budget", "limit", "thinking"),
    [
        (1500, None, {"type": "enabled", "budget_tokens": 1500, "display": "omitted"}),
        (1500, 1400, {"type": "enabled", "budget_tokens": 1399, "display": "omitted"}),
        (1200, 1400, {"type": "enabled", "budget_tokens": 1200, "display": "omitted"}),
        (1500, 1024, {"type": "disabled"}),
        (9000, None, {"type": "enabled", "budget_tokens": 9000, "display": "omitted"}),  # the upstream's to refuse
    ],
)
def test_a_budget_stays_below_the_length_of_a_shortened_answer(budget: int, limit: int | None, thinking: Json) -> None:
    asked = {"type": "enabled", "budget_tokens": budget, "display": "omitted"}
    assert to_openrouter(Terms(max_output=limit), thinking=asked)["thinking"] == thinking


def test_thinking_between_tools_is_adaptive_where_it_is_not_known() -> None:
    asked = {"type": "between_tools"}
    assert to_openrouter(thinking=asked)["thinking"] == {"type": "adaptive"}
    assert to_provider(thinking=asked)["thinking"] == asked


# --- effort ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "allowed", "goes_out"),
    [
        ("low", "medium", "low"),
        ("medium", "medium", "medium"),
        ("max", "medium", "medium"),
        ("max", "xhigh", "high"),  # the greatest one that the model knows
        ("enormous", "medium", "medium"),
        ("max", "max", "max"),
        ("max", "", "max"),
    ],
)
@BOTH
def test_an_alias_limits_the_effort(relay: Any, asked: str, allowed: str, goes_out: str) -> None:
    schema = {"type": "json_schema", "schema": {"type": "object"}}
    body = relay(Terms(max_effort=allowed), output_config={"effort": asked, "format": schema})
    assert body["output_config"] == {"effort": goes_out, "format": schema}


@pytest.mark.parametrize("config", [{}, {"output_config": None}, {"output_config": {}}])
def test_an_effort_that_is_left_to_the_model_is_limited_too(config: Json) -> None:
    assert to_provider(Terms(max_effort="low"), **config)["output_config"] == {"effort": "low"}
    assert "effort" not in (to_provider(Terms(max_effort="high"), **config).get("output_config") or {})


def test_a_model_that_takes_no_effort_is_given_none() -> None:
    assert "output_config" not in to_provider(Terms(max_effort="low"), PLAIN_FACTS)
    body = to_provider(Terms(max_effort="low"), PLAIN_FACTS, thinking={"type": "adaptive"})
    assert body["output_config"] == {"effort": "low"}


@pytest.mark.parametrize(("allowed", "budget"), [("low", 2_000), ("medium", 5_000), ("high", 6_000), ("", 6_000)])
def test_an_alias_limits_a_budget_as_it_limits_an_effort(allowed: str, budget: int) -> None:
    asked = {"type": "enabled", "budget_tokens": 6_000}
    body = to_provider(Terms(max_effort=allowed), PLAIN_FACTS, max_tokens=10_000, thinking=asked)
    assert body["thinking"]["budget_tokens"] == budget


def test_an_effort_in_the_middle_of_a_conversation_is_limited() -> None:
    turn = {"role": "system", "content": "Think.", "output_config": {"effort": "max"}}
    calm = {"role": "system", "content": "Think.", "output_config": {"effort": "low"}}
    body = to_provider(Terms(max_effort="medium"), messages=[*HELLO, turn, calm])
    assert body["messages"] == [*HELLO, {**turn, "output_config": {"effort": "medium"}}, calm]
    assert to_provider(messages=[*HELLO, turn])["messages"] == [*HELLO, turn]


# --- what an alias adds ----------------------------------------------------------------------------------------------

ADDED = {"type": "text", "text": "Be kind."}


@pytest.mark.parametrize(
    ("system", "goes_out"),
    [
        ({}, "Be kind."),
        ({"system": None}, "Be kind."),
        ({"system": ""}, "Be kind."),
        ({"system": []}, "Be kind."),
        ({"system": "You are é."}, [{"type": "text", "text": "You are é."}, ADDED]),
        (
            {"system": [{"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}}]},
            [{"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}}, ADDED],
        ),
    ],
)
@BOTH
def test_an_aliass_words_come_last_in_the_instructions(relay: Any, system: Json, goes_out: Any) -> None:
    assert relay(Terms(system_addendum="Be kind."), **system)["system"] == goes_out


def test_openrouter_is_told_what_an_alias_prefers_and_which_session_it_is() -> None:
    terms = Terms(provider={"zdr": True, "only": ["anthropic"]}, pdf_engine="native")
    body = to_openrouter(terms, session="5d1f")
    assert body["provider"] == {"zdr": True, "only": ["anthropic"]}
    assert body["plugins"] == [{"id": "file-parser", "pdf": {"engine": "native"}}]
    assert body["session_id"] == "5d1f"


def test_a_provider_is_not_told_what_only_openrouter_knows() -> None:
    terms = Terms(provider={"zdr": True}, pdf_engine="native")
    assert to_provider(terms) == to_provider() == to_openrouter()
