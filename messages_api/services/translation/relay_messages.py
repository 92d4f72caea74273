"""Owns what is changed in messages and tools that are relayed: what the target would refuse, what an alias forbids.

Everything else stays the bytes that came: Claude refuses thinking that was encoded anew (wire.md 2.3). So messages are
read once, for the few names that decide, and only a message that has to change is opened.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from messages_api.errors import InvalidRequest
from messages_api.schemas import ABSENT
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.citations import SEARCH_ID
from messages_api.services.translation.raw_json import changed, encoded, items, opened, read
from messages_api.services.translation.reasoning import CLAUDE_FAMILY
from messages_api.services.translation.relay_reasoning import Reader
from messages_api.services.translation.relay_thinking import is_within, nearest_effort

NO_CONTENT = ({"type": "text", "text": "(no content)"},)
#: The tools that OpenRouter runs itself: some ask another model, all cost extra.
OPENROUTER_TOOL = "openrouter:"
OUR_SEARCH = f'"{SEARCH_ID}'.encode()


class _Block(Struct, gc=False):
    """What decides about a block. Raw, since one of a type that is not known here may have anything under a name."""

    type: str = ""
    signature: Raw = ABSENT
    data: Raw = ABSENT
    id: Raw = ABSENT
    tool_use_id: Raw = ABSENT
    citations: Raw = ABSENT
    tool: Raw = ABSENT


class _Turn(Struct, gc=False):
    content: str | list[_Block] | None = None
    output_config: Raw = ABSENT


class _Found(Struct, gc=False):
    content: Raw
    cache_control: Raw = Raw(b"null")


class _Citation(Struct, gc=False):
    encrypted_index: str | None = None


class _Config(Struct, gc=False):
    effort: str | None = None


class _Tool(Struct, gc=False):
    type: str | None = None
    model: Raw = ABSENT


class _Addition(Struct, gc=False):
    definition: _Tool | None = None


_TURNS = msgspec.json.Decoder(list[_Turn])
_FOUND = msgspec.json.Decoder(_Found)
_CITATIONS = msgspec.json.Decoder(list[_Citation] | None)
_CONFIG = msgspec.json.Decoder(_Config | None)
_TOOLS = msgspec.json.Decoder(list[_Tool] | None)
_ADDITION = msgspec.json.Decoder(_Addition)


def relayed_messages(messages: Raw, reader: Reader, facts: ModelFacts, max_effort: str) -> Raw:
    """`messages` without what the target would refuse, and with no more effort than an alias allows.

    Raises InvalidRequest for a tool that only administrators may give a model.
    """
    turns: list[_Turn] = read("messages", messages, _TURNS)
    came: list[Any] = []
    for position, turn in enumerate(turns):
        blocks = turn.content if isinstance(turn.content, list) else ()
        _check_added_tools(position, blocks)
        foreign = {place: block for place, block in enumerate(blocks) if _is_foreign(block, reader)}
        effort = _lower_effort(turn, facts, max_effort) if max_effort else {}
        if foreign or effort:
            came = came or [*items("messages", messages)]
            content = _without(foreign, came[position], reader) if foreign else {}
            came[position] = changed("messages", came[position], **content, **effort)
    return Raw(encoded(came)) if came else messages


# --- what the target would refuse ------------------------------------------------------------------------------------


def _is_foreign(block: _Block, reader: Reader) -> bool:
    """Whether the target would refuse a block as none of its own.

    That is reasoning which it does not take; searches that this server told; for Claude, citations of pages that it
    did not find.
    """
    match block.type:
        case "thinking":
            return reader.signature.match(bytes(block.signature)) is None
        case "redacted_thinking":
            return reader.data.match(bytes(block.data)) is None
        case "server_tool_use":
            return bytes(block.id).startswith(OUR_SEARCH)
        case "web_search_tool_result":
            return bytes(block.tool_use_id).startswith(OUR_SEARCH)
        case "text" if block.citations is not ABSENT and reader.family == CLAUDE_FAMILY:
            citations: list[_Citation] = read("messages", block.citations, _CITATIONS) or []
            return any(citation.encrypted_index == "" for citation in citations)
        case _:
            return False


def _without(foreign: dict[int, _Block], turn: Raw, reader: Reader) -> dict[str, Any]:
    """The content of a turn with something else, or nothing, in the place of foreign blocks; never empty."""
    content: list[Any] = []
    for place, raw in enumerate(items("messages", opened("messages", turn)["content"])):
        content += _in_place_of(foreign[place], raw, reader) if place in foreign else [raw]
    return {"content": content or NO_CONTENT}


def _in_place_of(block: _Block, raw: Raw, reader: Reader) -> list[dict[str, Any]]:
    match block.type:
        case "text":
            return [{name: value for name, value in opened("messages", raw).items() if name != "citations"}]
        case "web_search_tool_result":
            found: _Found = read("messages", raw, _FOUND)
            told = f"[web_search found: {bytes(found.content).decode(errors='replace')}]"
            return [{"type": "text", "text": told, "cache_control": found.cache_control}]
        case "server_tool_use":
            return []
        case _:
            return reader.resealed(raw)


# --- what an alias forbids -------------------------------------------------------------------------------------------


def _lower_effort(turn: _Turn, facts: ModelFacts, max_effort: str) -> dict[str, Any]:
    """The field `output_config` with less effort, where a message asks for too much (wire.md 1.3); else nothing."""
    if turn.output_config is ABSENT:
        return {}
    config: _Config = read("messages", turn.output_config, _CONFIG) or _Config()
    if config.effort is None or is_within(config.effort, max_effort):
        return {}
    return {"output_config": changed("messages", turn.output_config, effort=nearest_effort(max_effort, facts))}


def check_tools(tools: Raw) -> None:
    """Raises InvalidRequest for a tool that would pick another model, or make OpenRouter work by itself."""
    judged: list[_Tool] = (read("tools", tools, _TOOLS) if tools is not ABSENT else None) or []
    for position, tool in enumerate(judged):
        _check_tool(f"tools[{position}]", tool)


def _check_added_tools(position: int, blocks: Sequence[_Block]) -> None:
    """The same for the tools that come in the middle of a conversation (wire.md 1.3, tool_addition)."""
    for block in blocks:
        if block.tool is not ABSENT:
            path = f"messages[{position}].content"
            addition: _Addition = read(path, block.tool, _ADDITION)
            _check_tool(path, addition.definition or _Tool())


def _check_tool(path: str, tool: _Tool) -> None:
    if tool.model is not ABSENT:
        raise InvalidRequest(f"{path}.model: the models that answer are decided by the server's administrators")
    if tool.type is not None and tool.type.startswith(OPENROUTER_TOOL):
        raise InvalidRequest(f"{path}.type: OpenRouter's own tools are decided by the server's administrators")
