"""Every field, block, source, tool and choice that the installed anthropic SDK knows is forwarded, dropped or refused.

The SDK's types are read by reflection, so what an upgrade of the SDK brings turns these tests red until it is decided.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import orjson
import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_create_params
from anthropic.types.beta.beta_fallback_param import BetaFallbackParam
from typing_extensions import get_type_hints, is_typeddict

from messages_api import fields, schemas
from messages_api.errors import InvalidRequest
from messages_api.schemas import parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation import tools
from messages_api.services.translation.request import translate_request
from messages_api.services.translation.typed_tools import TYPED_TOOLS

FACTS = ModelFacts(id="openai/gpt-5", family="openai")
REQUESTS = (
    message_create_params.MessageCreateParamsNonStreaming,
    message_create_params.MessageCreateParamsStreaming,
    message_count_tokens_params.MessageCountTokensParams,
    beta_create_params.MessageCreateParamsNonStreaming,
    beta_create_params.MessageCreateParamsStreaming,
    beta_count_tokens_params.MessageCountTokensParams,
)


# --- reading the SDK -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """A TypedDict of the SDK: the values that its `type` or `role` may have, and its fields."""

    tags: tuple[str, ...]
    fields: frozenset[str]


def known_of(type_: Any) -> Known:
    hints = get_type_hints(type_)
    return Known(tuple(literals(hints.get("type", hints.get("role")))), frozenset(hints) - {"type", "role"})


def literals(type_: Any) -> Iterator[str]:
    if get_origin(type_) is Literal:
        yield from get_args(type_)
    else:
        for inner in get_args(type_):
            yield from literals(inner)


def dicts_in(type_: Any) -> list[Any]:
    """The TypedDicts that a value of this type may be, or hold in a list."""
    if is_typeddict(type_):
        return [type_]
    return [found for inner in get_args(type_) if not isinstance(inner, str) for found in dicts_in(inner)]


def at(path: str) -> list[Known]:
    """What may stand at a path like `messages.content.source`, in any of the SDK's requests."""
    found: list[Any] = list(REQUESTS)
    for name in path.split("."):
        found = [inner for outer in found for inner in dicts_in(get_type_hints(outer).get(name))]
    assert found, f"the SDK has nothing at {path}"
    return [known_of(type_) for type_ in dict.fromkeys(found)]


def named(known: list[Known]) -> set[str]:
    return {tag for each in known for tag in each.tags}


# --- reading ours ----------------------------------------------------------------------------------------------------


def structs_in(type_: Any) -> dict[str, Any]:
    """Our structs by the value of their `type` or `role`."""
    inner = get_args(type_) or (type_,)
    return {struct.__struct_config__.tag: struct for struct in inner}


ASSISTANT = structs_in(schemas.AssistantBlock)
USER = structs_in(schemas.UserBlock)
RESULT = structs_in(
    schemas.TextBlock
    | schemas.ImageBlock
    | schemas.DocumentBlock
    | schemas.SearchResultBlock
    | schemas.ToolReferenceBlock
)
BLOCKS = USER | ASSISTANT
PLACES: dict[str, dict[str, Any]] = {
    "messages": structs_in(schemas.Message),
    "messages.content": BLOCKS | structs_in(schemas.SystemBlock),
    "messages.content.content": RESULT,
    "messages.content.source": structs_in(schemas.UrlSource | schemas.PlainTextSource | schemas.ContentSource)
    | {"base64": schemas.Base64Source},
    "messages.content.tool": structs_in(schemas.NamedTool | schemas.DefinedTool),
    "system": {"text": schemas.TextBlock},
    "tool_choice": structs_in(schemas.ToolChoice),
    "thinking": structs_in(schemas.Thinking),
    "output_config.format": {"json_schema": schemas.JsonSchemaFormat},
    "cache_control": {"ephemeral": schemas.CacheControl},
    "thread": structs_in(schemas.ThreadCreate | schemas.ThreadContinue),
}
#: What a block may hold that is of no block's type here: results of server tools that are refused as a whole.
REFUSED_WITH_THEIR_BLOCK = {
    "advisor_redacted_result",
    "advisor_result",
    "advisor_tool_result_error",
    "bash_code_execution_result",
    "bash_code_execution_tool_result_error",
    "code_execution_result",
    "code_execution_tool_result_error",
    "encrypted_code_execution_result",
    "text_editor_code_execution_create_result",
    "text_editor_code_execution_str_replace_result",
    "text_editor_code_execution_tool_result_error",
    "text_editor_code_execution_view_result",
    "web_fetch_result",
    "web_fetch_tool_result_error",
}
#: What a block may hold that goes on, or is dropped, unread.
UNREAD = {
    "tool_search_tool_result_error",
    "tool_search_tool_search_result",
    "web_search_result",
    "web_search_tool_result_error",
}


def dropped_of(struct: Any) -> set[str]:
    return set(getattr(struct, "dropped", ()))


# --- the sets are whole ----------------------------------------------------------------------------------------------


def test_every_field_of_a_request_is_in_exactly_one_set() -> None:
    known = {field for request in REQUESTS for field in get_type_hints(request)}
    sets = (schemas.FORWARDED, fields.DROPPED, set(fields.REFUSED), set(fields.REFUSED_IN_TRANSLATION))
    assert {field: sum(field in each for each in sets) for field in known} == dict.fromkeys(known, 1)


def test_no_set_of_a_requests_fields_overlaps_another() -> None:
    sets = [schemas.FORWARDED, fields.DROPPED, set(fields.REFUSED), set(fields.REFUSED_IN_TRANSLATION)]
    assert sum(map(len, sets)) == len(set().union(*sets))


@pytest.mark.parametrize("place", PLACES)
def test_every_type_is_forwarded_or_dropped_or_refused_by_name(place: str) -> None:
    served = PLACES[place].keys()
    refused = fields.UNSERVED_TYPES.keys() | REFUSED_WITH_THEIR_BLOCK | UNREAD
    assert not served & fields.UNSERVED_TYPES.keys()
    assert named(at(place)) <= served | refused


@pytest.mark.parametrize("place", PLACES)
def test_every_field_of_what_is_served_is_forwarded_or_dropped(place: str) -> None:
    undecided = {
        (tag, field)
        for known in at(place)
        for tag in known.tags
        if tag in PLACES[place] and not issubclass(PLACES[place][tag], schemas.Dropped)
        for field in known.fields - set(PLACES[place][tag].__struct_fields__)
    }
    assert undecided == set()


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_decided_for_fields_that_nobody_has(place: str) -> None:
    fields_of = {tag: known.fields for known in at(place) for tag in known.tags}
    for tag, struct in PLACES[place].items():
        if tag in fields_of and place not in {"messages.content.source", "messages.content.content"}:
            everywhere = frozenset().union(*(known.fields for known in at(place) if tag in known.tags))
            assert set(struct.__struct_fields__) <= everywhere, tag
        assert dropped_of(struct) <= set(struct.__struct_fields__)


def test_every_field_of_output_config_is_read_or_dropped() -> None:
    known = frozenset().union(*(each.fields for each in at("output_config")))
    assert known == set(schemas.OutputConfig.__struct_fields__)
    assert {field for each in at("messages.output_config") for field in each.fields} == {"effort"}
    assert {field for each in at("metadata") for field in each.fields} == {"user_id"}


TOOL_KINDS = named(at("tools"))


def is_refused(kind: str) -> bool:
    return any(re.fullmatch(rf"{name}(_\d+)?", kind) for name in fields.UNSERVED_TOOLS)


def is_served(kind: str) -> bool:
    return kind in TYPED_TOOLS | {"custom"} or kind.startswith((tools.WEB_SEARCH_TYPE, tools.TOOL_SEARCH_TYPE))


@pytest.mark.parametrize("kind", sorted(TOOL_KINDS))
def test_every_tool_is_served_or_refused(kind: str) -> None:
    assert is_served(kind) is not is_refused(kind)


@pytest.mark.parametrize("kind", sorted(kind for kind in TOOL_KINDS if is_served(kind)))
def test_every_field_of_a_tool_that_is_served_is_forwarded_or_dropped(kind: str) -> None:
    known = frozenset().union(*(each.fields for each in at("tools") if kind in each.tags))
    assert known <= set(tools.ToolParam.__struct_fields__)
    assert set(tools.DROPPED) <= set(tools.ToolParam.__struct_fields__)


@pytest.mark.parametrize("kind", sorted(TYPED_TOOLS))
def test_every_tool_of_anthropics_own_that_is_served_is_one_the_sdk_knows(kind: str) -> None:
    assert kind in TOOL_KINDS


def test_a_fallbacks_own_fields_are_refused_with_it() -> None:
    assert "fallbacks" in fields.REFUSED
    assert set(get_type_hints(BetaFallbackParam)) <= schemas.FORWARDED


# --- and they are kept to --------------------------------------------------------------------------------------------


def body_of(**changes: Any) -> bytes:
    return orjson.dumps({"model": "m", "max_tokens": 2048, "messages": [{"role": "user", "content": "a"}], **changes})


def judge(body: bytes) -> None:
    translate_request(parse_request(body), model=FACTS.id, facts=FACTS)


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as refused:
        judge(body)
    return refused.value.message


def holding(role: str, *blocks: Any) -> bytes:
    return body_of(messages=[{"role": "user", "content": "a"}, {"role": role, "content": list(blocks)}])


@pytest.mark.parametrize("kind", sorted(fields.UNSERVED_TYPES.keys() & named(at("messages.content"))))
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_block_that_cannot_be_served_is_refused_by_its_name(role: str, kind: str) -> None:
    words = refusal(holding(role, {"type": "text", "text": "a"}, {"type": kind}))
    assert words.startswith(f"messages[1].content[1].type: {kind!r} cannot be served")


@pytest.mark.parametrize("place", ["image", "document"])
def test_a_file_that_was_uploaded_elsewhere_is_refused_by_its_name(place: str) -> None:
    words = refusal(holding("user", {"type": place, "source": {"type": "file", "file_id": "file_1"}}))
    assert words.startswith("messages[1].content[0].source.type: 'file' cannot be served")


@pytest.mark.parametrize("kind", sorted(kind for kind in TOOL_KINDS if is_refused(kind)))
def test_a_tool_that_cannot_be_served_is_refused_by_its_name_and_never_a_bare_function(kind: str) -> None:
    words = refusal(body_of(tools=[{"type": kind, "name": "it"}]))
    assert words.startswith(f"tools[0].type: {kind!r} cannot be served")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (holding("user", {"type": "video"}), "messages[1].content[0].type: 'video' is not known or not allowed here"),
        (holding("assistant", {"type": "image"}), "messages[1].content[0].type: 'image' is not known or not allowed"),
        (body_of(thinking={"type": "hard"}), "thinking.type: 'hard' is not known or not allowed here"),
        (body_of(service_tier="gold"), "service_tier: 'gold' is not one of the values allowed here"),
        (body_of(speed="slow"), "speed: 'slow' is not one of the values allowed here"),
        (body_of(tools=[{"type": "bash_20991231", "name": "bash"}]), "tools[0].type: 'bash_20991231' cannot be served"),
        (
            holding("user", {"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": ""}}),
            "messages[1].content[0].source.media_type: 'image/tiff' is not one of the values allowed here",
        ),
        (
            holding("user", {"type": "document", "source": {"type": "base64", "media_type": "text/csv", "data": ""}}),
            "messages[1].content[0].source.media_type: 'text/csv' is not one of the values allowed here",
        ),
        (body_of(inference_geo="us"), "inference_geo: where this model computes"),
        (body_of(max_tokens=0), "max_tokens: 0, to warm the cache only, cannot be served"),
    ],
)
def test_what_is_not_known_is_refused_in_words_of_our_own(body: bytes, words: str) -> None:
    told = refusal(body)
    assert told.startswith(words)
    assert "Invalid" not in told


def test_a_long_unknown_name_is_cut_short() -> None:
    assert len(refusal(holding("user", {"type": "x" * 10_000}))) < 300


def test_no_geography_in_particular_is_no_request_for_one() -> None:
    judge(body_of(inference_geo=None))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    fields._said.clear()
    with caplog.at_level(logging.INFO, logger="bridge.request"):
        yield caplog
    fields._said.clear()


DROPPED_INSIDE = [
    ("text.citations", holding("assistant", {"type": "text", "text": "a", "citations": []})),
    (
        "image.transformations",
        holding(
            "user",
            {"type": "image", "source": {"type": "url", "url": "https://a.b"}, "transformations": {}},
        ),
    ),
    (
        "document.citations",
        holding("user", {"type": "document", "source": {"type": "text", "data": "a"}, "citations": {"enabled": True}}),
    ),
    (
        "tool_use.caller",
        holding("assistant", {"type": "tool_use", "id": "a", "name": "b", "input": {}, "caller": {"type": "direct"}}),
    ),
    ("adaptive.display", body_of(thinking={"type": "adaptive", "display": "omitted"})),
    ("output_config.task_budget", body_of(output_config={"task_budget": {"type": "tokens", "total": 20_000}})),
    ("fallback", holding("assistant", {"type": "text", "text": "a"}, {"type": "fallback"})),
    ("tools.defer_loading", body_of(tools=[{"name": "a", "input_schema": {}, "defer_loading": True}])),
    ("context_management", body_of(context_management={"edits": []})),
    ("thread", body_of(thread={"type": "create"})),
]


@pytest.mark.parametrize(("name", "body"), DROPPED_INSIDE)
def test_what_is_dropped_is_said_once(log: pytest.LogCaptureFixture, name: str, body: bytes) -> None:
    tools._cache.clear()
    for _ in range(2):
        judge(body)
    assert [record.getMessage().split()[3] for record in log.records] == [repr(name)]


def test_a_request_that_drops_nothing_says_nothing(log: pytest.LogCaptureFixture) -> None:
    judge(holding("assistant", {"type": "text", "text": "a"}))
    assert log.records == []


def test_the_page_for_readers_names_what_is_dropped_and_refused() -> None:
    page = (Path(__file__).parents[2] / "docs" / "fields.md").read_text()
    names = {*schemas.FORWARDED - {"model"}, *fields.DROPPED, *fields.REFUSED, *fields.REFUSED_IN_TRANSLATION}
    names |= {*fields.UNSERVED_TYPES, *fields.UNSERVED_TOOLS, *tools.DROPPED}
    names |= {name for place in PLACES.values() for struct in place.values() for name in dropped_of(struct)}
    assert [name for name in sorted(names) if f"`{name}" not in page] == []
