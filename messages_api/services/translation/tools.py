"""Owns the translation of `tools`: 64 of a turn's 77 KB, the same on every turn, so done once per content.

Tools that the client runs become functions; `web_search` becomes OpenRouter's own search. A server tool that nothing
upstream can serve is refused by name: as a bare function it would be called and never run.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from cachetools import LRUCache, cached
from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder

from messages_api.errors import InvalidRequest
from messages_api.schemas import CacheControl
from messages_api.services.translation.names import acceptable_name
from messages_api.services.translation.tables import CACHE_CONTROL
from messages_api.services.translation.tool_schema import SchemaTooLarge, acceptable_schema, required_arguments

CACHE_BYTES = 64 * 1024 * 1024
WEB_SEARCH = "web_search"


class ToolParam(Struct):
    """A tool as a client describes it. Fields that only Anthropic's models know are passed over."""

    name: str
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    cache_control: CacheControl | None = None
    max_uses: int | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None


@dataclass(frozen=True, slots=True)
class WebSearch:
    """The client asked for a search that the server runs."""

    max_uses: int | None = None
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tools:
    """Translated tools: the JSON array that goes upstream, and what the way back needs to know."""

    functions: bytes = b""
    names: frozenset[str] = frozenset()  # as they are sent
    original_names: dict[str, str] = field(default_factory=dict)  # only of those that were renamed
    needing_arguments: frozenset[str] = frozenset()
    web_search: WebSearch | None = None
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
        reason, _, path = str(error).partition(" - at `$")
        raise InvalidRequest(f"tools{path.rstrip('`')}: {reason}") from None
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"tools: {error}") from None
    tools = _translated(params, family)
    return replace(tools, size=len(raw) + len(tools.functions) + 512)


def _translated(params: list[ToolParam], family: str) -> Tools:
    functions, renamed, needing, search = [], {}, set(), None
    for position, param in enumerate(params):
        if _is_web_search(param):
            search = WebSearch(param.max_uses, tuple(param.allowed_domains or ()), tuple(param.blocked_domains or ()))
            continue
        function = _function(param, position, family)
        functions.append(function)
        sent = function["function"]["name"]
        if sent != param.name:
            renamed[sent] = param.name
        if required_arguments(function["function"]["parameters"]):
            needing.add(param.name)
    names = frozenset(function["function"]["name"] for function in functions)
    try:
        sent = orjson.dumps(functions) if functions else b""
    except TypeError as error:
        raise InvalidRequest(f"tools: {error}") from None  # a number of more than 64 bits
    return Tools(sent, names, renamed, frozenset(needing), search)


def _is_web_search(param: ToolParam) -> bool:
    return param.type is not None and param.type.startswith("web_search_")


def _function(param: ToolParam, position: int, family: str) -> dict[str, Any]:
    """A tool that the client runs, as a function."""
    path = f"tools[{position}]"
    if param.type not in {None, "custom"}:
        raise InvalidRequest(
            f"{path}.type: {(param.type or '')[:100]} cannot be served by the models behind this server"
        )
    if not param.name:
        raise InvalidRequest(f"{path}.name: must not be empty")
    if param.input_schema is None:
        raise InvalidRequest(f"{path}.input_schema: Field required")
    try:
        schema = acceptable_schema(param.input_schema, family)
    except SchemaTooLarge as error:
        raise InvalidRequest(f"{path}.input_schema: {error}") from None
    function: dict[str, Any] = {"name": acceptable_name(param.name), "parameters": schema}
    if param.description:
        function["description"] = param.description
    tool: dict[str, Any] = {"type": "function", "function": function}
    if param.cache_control is not None and family in CACHE_CONTROL:
        tool["cache_control"] = cache_control(param.cache_control)
    return tool


def cache_control(mark: CacheControl) -> dict[str, str]:
    """A cache breakpoint, with its time to live where the client gave one."""
    return {"type": "ephemeral", "ttl": mark.ttl} if mark.ttl else {"type": "ephemeral"}
