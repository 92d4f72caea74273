"""Owns the translation of `tools`: 64 of a turn's 77 KB, the same on every turn, so done once per content.

Tools that the client runs become functions; `web_search` becomes OpenRouter's own search. A server tool that nothing
upstream can serve is refused by name: as a bare function it would be called and never run. Tools whose loading is
deferred are all sent, and so the search for them has nothing left to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from cachetools import LRUCache, cached
from msgspec import DecodeError, Raw, Struct, ValidationError
from msgspec.json import Decoder

from messages_api.errors import InvalidRequest
from messages_api.fields import log_dropped, refusal_of_tool
from messages_api.schemas import ABSENT, CacheControl, worded
from messages_api.services.translation.cache_marks import MARK, mark_for
from messages_api.services.translation.names import acceptable_name
from messages_api.services.translation.raw_json import encoded
from messages_api.services.translation.strict_schema import passes_strict
from messages_api.services.translation.tables import NATIVE_SEARCH_LIMITS
from messages_api.services.translation.tool_schema import SchemaTooLarge, acceptable_schema, required_arguments
from messages_api.services.translation.typed_tools import TYPED_TOOLS, described

CACHE_BYTES = 64 * 1024 * 1024
WEB_SEARCH = "web_search"
WEB_SEARCH_TYPE = "web_search_"  # and a date: later versions are served as the ones that are known
TOOL_SEARCH_TYPE = "tool_search_tool_"
OPENROUTER_SEARCH = "openrouter:web_search"


class ToolParam(Struct):
    """A tool of any type, as a client describes it (wire.md 1.5)."""

    name: str | None = None  # toolsets have none
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    input_examples: list[dict[str, Any]] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    max_uses: int | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: dict[str, Any] | None = None
    display_width_px: int | None = None
    display_height_px: int | None = None
    enable_zoom: bool | None = None
    # What only Anthropic's servers act on:
    allowed_callers: Raw = ABSENT
    defer_loading: Raw = ABSENT
    display_number: Raw = ABSENT
    eager_input_streaming: Raw = ABSENT
    max_characters: Raw = ABSENT
    response_inclusion: Raw = ABSENT


DROPPED = (
    "allowed_callers",
    "defer_loading",
    "display_number",
    "eager_input_streaming",
    "max_characters",
    "response_inclusion",
)


@dataclass(frozen=True, slots=True)
class WebSearch:
    """The client asked for a search that the server runs."""

    max_uses: int | None = None
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tools:
    """Translated tools: the JSON array that goes upstream, and what the way back needs to know."""

    functions: bytes = b""  # the search is among them
    names: frozenset[str] = frozenset()  # as they are sent
    original_names: dict[str, str] = field(default_factory=dict)  # only of those that were renamed
    needing_arguments: frozenset[str] = frozenset()
    web_search: WebSearch | None = None
    marks: int = 0  # cache breakpoints
    size: int = 0  # of what the cache holds for it, in bytes

    def original(self, name: str) -> str:
        return self.original_names.get(name, name)


NO_TOOLS = Tools()
_decode = Decoder(list[ToolParam] | None).decode
_cache: LRUCache[tuple[bytes, str], Tools] = LRUCache(CACHE_BYTES, getsizeof=lambda tools: tools.size)


@cached(_cache)
def translate_tools(raw: bytes, family: str) -> Tools:
    """The tools in `raw` (the bytes of the request's `tools`) for models of `family`. Raises InvalidRequest."""
    try:
        params = _decode(raw) or []
    except ValidationError as error:
        raise InvalidRequest(worded("tools", error)) from None
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"tools: {error}") from None
    tools = _translated(params, family)
    return replace(tools, size=len(raw) + len(tools.functions) + 512)


def _translated(params: list[ToolParam], family: str) -> Tools:
    _check_names(params)
    _log_dropped(params)
    sent: list[dict[str, Any]] = []
    names, renamed, needing, search = set(), {}, set(), None
    for position, param in enumerate(params):
        kind = param.type or "custom"
        if kind.startswith(TOOL_SEARCH_TYPE):
            continue
        if kind.startswith(WEB_SEARCH_TYPE):
            search = _web_search(param, f"tools[{position}]")
            sent.append(_search_tool(param, family))
            continue
        name = param.name or ""
        sent.append(_function(param, f"tools[{position}]", family))
        function = sent[-1]["function"]
        names.add(function["name"])
        if function["name"] != name:
            renamed[function["name"]] = name
        if required_arguments(function["parameters"]):
            needing.add(name)
    return Tools(_encoded(sent), frozenset(names), renamed, frozenset(needing), search, sum(MARK in t for t in sent))


def _encoded(sent: list[dict[str, Any]]) -> bytes:
    try:
        return orjson.dumps(sent) if sent else b""
    except TypeError as error:
        raise InvalidRequest(f"tools: {error}") from None  # a number of more than 64 bits


def _check_names(params: list[ToolParam]) -> None:
    """Raises InvalidRequest for a name that is missing, or taken: nobody could tell whose a call is."""
    taken: set[str] = set()
    for position, param in enumerate(params):
        if param.name is None:
            if param.type in {None, "custom"} | TYPED_TOOLS:
                raise InvalidRequest(f"tools[{position}]: Object missing required field `name`")
            continue
        if not param.name:
            raise InvalidRequest(f"tools[{position}].name: must not be empty")
        name = acceptable_name(param.name)
        if name in taken:
            raise InvalidRequest(f"tools[{position}].name: {param.name[:100]!r} is the name of another tool")
        taken.add(name)


def _log_dropped(params: Iterable[ToolParam]) -> None:
    for param in params:
        for name in DROPPED:
            if getattr(param, name) is not ABSENT:
                log_dropped(f"tools.{name}")
        if (param.type or "").startswith(TOOL_SEARCH_TYPE):
            log_dropped(f"tools.{TOOL_SEARCH_TYPE}*")


# --- the search ------------------------------------------------------------------------------------------------------


def _web_search(param: ToolParam, path: str) -> WebSearch:
    if param.allowed_domains and param.blocked_domains:
        raise InvalidRequest(f"{path}: give allowed_domains or blocked_domains, not both")
    if param.max_uses is not None and param.max_uses < 1:
        raise InvalidRequest(f"{path}.max_uses: must be at least 1")  # OpenRouter would search without a limit
    return WebSearch(param.max_uses, tuple(param.allowed_domains or ()), tuple(param.blocked_domains or ()))


def _search_tool(param: ToolParam, family: str) -> dict[str, Any]:
    """OpenRouter's search. Its own engine is asked for where the model's provider would not keep to the limits."""
    limits = {
        "max_uses": param.max_uses,
        "allowed_domains": param.allowed_domains,
        "excluded_domains": param.blocked_domains,
    }
    asked = {name: value for name, value in limits.items() if value}
    parameters: dict[str, Any] = dict(asked)
    if param.user_location:
        parameters["user_location"] = param.user_location
    if not asked.keys() <= NATIVE_SEARCH_LIMITS.get(family, asked.keys()):
        parameters["engine"] = "exa"
    return {"type": OPENROUTER_SEARCH, **({"parameters": parameters} if parameters else {})}


# --- functions -------------------------------------------------------------------------------------------------------


def _function(param: ToolParam, path: str, family: str) -> dict[str, Any]:
    """A tool that the client runs, as a function."""
    description, given = _description_and_schema(param, path)
    try:
        schema = acceptable_schema(given, family)
    except SchemaTooLarge as error:
        raise InvalidRequest(f"{path}.input_schema: {error}") from None
    function: dict[str, Any] = {"name": acceptable_name(param.name or ""), "parameters": schema}
    if param.input_examples:
        examples = encoded(param.input_examples).decode()
        description = f"{description}\n\nExamples of its input: {examples}".lstrip()
    if description:
        function["description"] = description
    if param.strict and passes_strict(schema):
        function["strict"] = True
    tool: dict[str, Any] = {"type": "function", "function": function}
    if mark := mark_for(param.cache_control, family):
        tool[MARK] = mark
    return tool


def _description_and_schema(param: ToolParam, path: str) -> tuple[str, dict[str, Any]]:
    if param.type in TYPED_TOOLS:
        return described(
            param.type, width=param.display_width_px, height=param.display_height_px, zooms=param.enable_zoom
        )
    if param.type not in {None, "custom"}:
        raise InvalidRequest(f"{path}.type: {refusal_of_tool(param.type or '')}")
    if param.input_schema is None:
        raise InvalidRequest(f"{path}.input_schema: Field required")
    return param.description or "", param.input_schema
