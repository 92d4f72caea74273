"""A request that cannot be honoured is refused with 400 and the path of the field, whoever finds it out."""

from typing import Any

import orjson
import pytest

from messages_api.errors import InvalidRequest, NotFound
from messages_api.fields import DROPPED, REFUSED
from messages_api.schemas import FORWARDED, parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.request import translate_request

FACTS = ModelFacts(id="openai/gpt-5", family="openai")
HELLO = {"role": "user", "content": "hello"}
DEEP = 100_000


def request_bytes(**changes: Any) -> bytes:
    """A good request with some fields changed; None takes a field away."""
    body = {"model": "claude-sonnet-5", "max_tokens": 2048, "messages": [HELLO], **changes}
    return orjson.dumps({name: value for name, value in body.items() if value is not None})


def with_user(*blocks: Any) -> bytes:
    return request_bytes(messages=[{"role": "user", "content": list(blocks)}])


def with_assistant(*blocks: Any) -> bytes:
    return request_bytes(messages=[HELLO, {"role": "assistant", "content": list(blocks)}, HELLO])


def with_tool(**tool: Any) -> bytes:
    return request_bytes(tools=[{"name": "Bash", "input_schema": {"type": "object"}}, tool])


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def judge(body: bytes) -> None:
    """Everything that looks at a request before it leaves."""
    translate_request(parse_request(body), model=FACTS.id, facts=FACTS)


TEXT = {"type": "text", "text": "a"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
SCHEMA = {"type": "object"}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}

BAD = [
    # --- not JSON, or not an object ---
    pytest.param(b"", "body", id="no body"),
    pytest.param(b'{"model": "m",', "body", id="JSON that stops"),
    pytest.param(b"hello", "body", id="not JSON"),
    pytest.param(b"[]", "body", id="a list"),
    pytest.param(b'"hello"', "body", id="a string"),
    pytest.param(b'{"model": "m"} {}', "body", id="two objects"),
    pytest.param(request_bytes().replace(b"claude", b"\xff\xfe"), "model", id="not UTF-8"),
    pytest.param(b'{"model": "m", "messages": ' + nested(DEEP) + b"}", "", id="nested too deeply"),
    pytest.param(request_bytes(system="X").replace(b'"X"', nested(900)), "system", id="nested too deeply for a field"),
    # --- fields that are missing ---
    pytest.param(request_bytes(model=None), "model", id="no model"),
    pytest.param(request_bytes(messages=None), "messages", id="no messages"),
    pytest.param(request_bytes(max_tokens=None), "max_tokens", id="no max_tokens"),
    pytest.param(request_bytes(messages=[]), "messages", id="empty messages"),
    pytest.param(request_bytes(messages=[{"content": "a"}]), "messages[0]", id="a message without a role"),
    pytest.param(request_bytes(messages=[{"role": "user"}]), "messages[0]", id="a message without content"),
    pytest.param(with_user({"text": "a"}), "messages[0].content[0]", id="a block without a type"),
    pytest.param(with_user(TEXT, {"type": "text"}), "messages[0].content[1]", id="a text without text"),
    pytest.param(with_user({"type": "image"}), "messages[0].content[0]", id="an image without a source"),
    pytest.param(with_user({"type": "tool_result"}), "messages[0].content[0]", id="a result without its call"),
    pytest.param(
        with_assistant({"type": "thinking", "signature": "a"}),
        "messages[1].content[0]",
        id="thinking without a thought",
    ),
    pytest.param(
        with_assistant({"type": "tool_use", "id": "toolu_1", "input": {}}),
        "messages[1].content[0]",
        id="a call without a name",
    ),
    pytest.param(with_tool(input_schema=SCHEMA), "tools[1]", id="a tool without a name"),
    pytest.param(with_tool(name="Read"), "tools[1].input_schema", id="a tool without a schema"),
    # --- wrong types ---
    pytest.param(request_bytes(model=5), "model", id="a number for a model"),
    pytest.param(request_bytes(messages="hello"), "messages", id="a string for messages"),
    pytest.param(request_bytes(messages=["hello"]), "messages[0]", id="a string for a message"),
    pytest.param(
        request_bytes(messages=[HELLO, {"role": "user", "content": 5}]), "messages[1].content", id="content 5"
    ),
    pytest.param(request_bytes(max_tokens="many"), "max_tokens", id="a word for max_tokens"),
    pytest.param(request_bytes(max_tokens=True), "max_tokens", id="true for max_tokens"),
    pytest.param(request_bytes(max_tokens=-1), "max_tokens", id="max_tokens below nothing"),
    pytest.param(request_bytes(stream="yes"), "stream", id="a word for stream"),
    pytest.param(request_bytes(system={"text": "a"}), "system", id="an object for system"),
    pytest.param(request_bytes(system=[IMAGE]), "system[0].type", id="an image in system"),
    pytest.param(request_bytes(temperature="hot"), "temperature", id="a word for temperature"),
    pytest.param(request_bytes(stop_sequences="END"), "stop_sequences", id="a string for stop_sequences"),
    pytest.param(request_bytes(stop_sequences=["a", 1]), "stop_sequences[1]", id="a number as stop sequence"),
    pytest.param(request_bytes(metadata="me"), "metadata", id="a string for metadata"),
    pytest.param(request_bytes(metadata={"user_id": 7}), "metadata.user_id", id="a number for user_id"),
    pytest.param(request_bytes(tools={"name": "Bash"}), "tools", id="an object for tools"),
    pytest.param(request_bytes(tools=["Bash"]), "tools[0]", id="a string for a tool"),
    pytest.param(with_tool(name=5, input_schema=SCHEMA), "tools[1].name", id="a number for a tool's name"),
    pytest.param(with_tool(name="", input_schema=SCHEMA), "tools[1].name", id="an empty tool's name"),
    pytest.param(with_tool(name="Read", input_schema="any"), "tools[1].input_schema", id="a string for a schema"),
    pytest.param(with_tool(**SEARCH, max_uses=0), "tools[1].max_uses", id="a search that may not be used"),
    pytest.param(with_tool(**SEARCH, max_uses=-1), "tools[1].max_uses", id="fewer searches than none"),
    pytest.param(
        with_assistant({"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": "ls"}),
        "messages[1].content[0].input",
        id="a string for a call's input",
    ),
    pytest.param(
        request_bytes(output_config={"format": {"type": "json_schema", "schema": 5}}),
        "output_config.format.schema",
        id="a number for the answer's schema",
    ),
    # --- values that nobody knows ---
    pytest.param(request_bytes(messages=[{"role": "tool", "content": "a"}]), "messages[0].role", id="an unknown role"),
    pytest.param(with_user({"type": "video"}), "messages[0].content[0].type", id="an unknown block"),
    pytest.param(
        with_user({"type": "tool_use", "id": "a", "name": "b", "input": {}}),
        "messages[0].content[0].type",
        id="a call by the user",
    ),
    pytest.param(with_assistant(TEXT, IMAGE), "messages[1].content[1].type", id="an image by the assistant"),
    pytest.param(
        with_user({"type": "tool_result", "tool_use_id": "a", "content": [TEXT, {"type": "x"}]}),
        "messages[0].content[0].content[1].type",
        id="an unknown block in a result",
    ),
    pytest.param(
        with_user({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        "messages[0].content[0].source.type",
        id="a file that is not here",
    ),
    pytest.param(
        with_user({**TEXT, "cache_control": {"type": "ephemeral", "ttl": "2h"}}),
        "messages[0].content[0].cache_control.ttl",
        id="an unknown time to live",
    ),
    pytest.param(request_bytes(tool_choice={"type": "some"}), "tool_choice.type", id="an unknown tool_choice"),
    pytest.param(request_bytes(tool_choice={"type": "tool"}), "tool_choice", id="a tool_choice without a name"),
    pytest.param(request_bytes(thinking={"type": "hard"}), "thinking.type", id="an unknown way to think"),
    pytest.param(
        request_bytes(thinking={"type": "enabled", "budget_tokens": 500}), "thinking.budget_tokens", id="budget 500"
    ),
    pytest.param(request_bytes(output_config={"effort": "extreme"}), "output_config.effort", id="an unknown effort"),
    # --- what is known and cannot be served ---
    pytest.param(
        with_tool(type="code_execution_20250825", name="code_execution"), "tools[1].type", id="a server's tool"
    ),
    pytest.param(request_bytes(mcp_servers=[]), "mcp_servers", id="mcp_servers"),
    pytest.param(request_bytes(fallbacks="default"), "fallbacks", id="fallbacks"),
    pytest.param(request_bytes(models=["openai/gpt-5"]), "models", id="models"),
    pytest.param(request_bytes(provider={"order": ["x"]}), "provider", id="provider"),
    pytest.param(request_bytes(plugins=[]), "plugins", id="plugins"),
    pytest.param(request_bytes(route="fallback"), "route", id="route"),
]


@pytest.mark.parametrize(("body", "path"), BAD)
def test_a_bad_request_names_the_field(body: bytes, path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        judge(body)
    told = refused.value.message
    where, _, reason = told.partition(":")
    assert where, f"the message does not say where: {told}"
    assert reason.strip(), f"the message does not say why: {told}"
    # msgspec stops at the object for what is missing in it, and then names the missing field in its reason.
    assert where.startswith(path), told
    assert len(told) < 500


def test_the_good_request_that_these_are_made_from_is_accepted() -> None:
    judge(request_bytes())
    judge(with_user(TEXT, IMAGE))
    judge(with_tool(name="Read", input_schema=SCHEMA))
    judge(with_tool(**SEARCH, max_uses=1))


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        (with_user({"type": "image"}), "source"),
        (with_assistant({"type": "thinking", "signature": "a"}), "thinking"),
        (with_tool(input_schema=SCHEMA), "name"),
        (request_bytes(messages=[{"role": "user"}]), "content"),
        (request_bytes(tool_choice={"type": "tool"}), "name"),
    ],
)
def test_a_field_that_is_missing_is_named(body: bytes, missing: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"missing required field `{missing}`"):
        judge(body)


def test_a_refusal_of_a_conversation_that_is_not_kept_has_the_code_that_makes_the_client_send_it_whole() -> None:
    with pytest.raises(NotFound) as refused:
        parse_request(request_bytes(thread={"type": "continue", "previous_message_id": "msg_1"}))
    assert refused.value.details == {"error_code": "thread_not_found"}


def test_a_conversation_that_begins_as_a_thread_is_answered() -> None:
    parse_request(request_bytes(thread={"type": "create"}))


def test_a_field_that_nobody_knows_yet_is_left_out_and_not_refused() -> None:
    judge(request_bytes(from_next_year={"a": 1}, context_management={"edits": []}, betas=["x"]))


def test_a_field_is_forwarded_or_dropped_or_refused_and_not_two_of_them() -> None:
    assert not FORWARDED & DROPPED
    assert not FORWARDED & REFUSED.keys()
    assert not DROPPED & REFUSED.keys()
