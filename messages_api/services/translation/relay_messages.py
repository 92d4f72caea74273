"""Owns what is changed in messages and tools that are relayed: reasoning the target cannot open, what an alias forbids.

Everything else stays the bytes that came: Claude refuses thinking that was encoded anew (wire.md 2.3). So the bytes
are searched first, and only a message that holds a word in question is opened, down to its blocks.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from messages_api.errors import InvalidRequest
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.raw_json import ABSENT, changed, encoded, items, read
from messages_api.services.translation.relay_thinking import is_within, nearest_effort

NO_CONTENT = ({"type": "text", "text": "(no content)"},)
#: The tools that OpenRouter runs itself: some ask another model, all cost extra.
OPENROUTER_TOOL = "openrouter:"
#: The one way to write an ASCII word so that a search of the bytes does not find it.
ESCAPE = b"\\u00"


class _Block(Struct, gc=False):
    """What decides about a block of reasoning: one with text is sealed by its signature, one without in its data."""

    type: str = ""
    signature: str | None = None
    data: str | None = None


class _Turn(Struct, gc=False):
    content: Raw = ABSENT
    output_config: Raw = ABSENT


class _Effort(Struct, gc=False):
    effort: str | None = None


class _Tool(Struct, gc=False):
    type: str | None = None
    model: Raw = ABSENT


class _Change(Struct, gc=False):
    definition: _Tool | None = None


class _Addition(Struct, gc=False):
    tool: _Change | None = None


class _TurnWithTools(Struct, gc=False):
    content: str | list[_Addition] | None = None


_BLOCK = msgspec.json.Decoder(_Block)
_TURN = msgspec.json.Decoder(_Turn)
_EFFORT = msgspec.json.Decoder(_Effort)
_TOOLS = msgspec.json.Decoder(list[_Tool])
_TURNS_WITH_TOOLS = msgspec.json.Decoder(list[_TurnWithTools])


# --- reasoning -------------------------------------------------------------------------------------------------------


def without_reasoning(messages: Raw, seals: Sequence[str]) -> Raw:
    """`messages` without the reasoning under these seals, which the target would refuse as none of its own."""
    marks = [seal.encode() for seal in seals]
    if not _holds(messages, marks):
        return messages
    turns = [
        _turn_without(f"messages[{position}]", turn, marks) if _holds(turn, marks) else turn
        for position, turn in _numbered(messages)
    ]
    return Raw(encoded(turns))


def _turn_without(path: str, turn: Raw, marks: Sequence[bytes]) -> Any:
    content = read(path, turn, _TURN).content
    if not _is_list(content):
        return turn
    blocks = items(f"{path}.content", content)
    kept = [block for position, block in enumerate(blocks) if not _is_sealed(f"{path}[{position}]", block, marks)]
    return turn if len(kept) == len(blocks) else changed(path, turn, content=kept or NO_CONTENT)


def _is_sealed(path: str, raw: Raw, marks: Sequence[bytes]) -> bool:
    """Whether a block is reasoning under one of the seals; a text may well speak of them."""
    if not _holds(raw, marks):
        return False
    block = read(path, raw, _BLOCK)
    sealed = {"thinking": block.signature, "redacted_thinking": block.data}.get(block.type) or ""
    return sealed.encode().startswith(tuple(marks))


def _holds(raw: Raw, marks: Sequence[bytes]) -> bool:
    data = bytes(raw)
    return any(mark in data for mark in marks)


# --- what an alias forbids -------------------------------------------------------------------------------------------


def with_effort(messages: Raw, facts: ModelFacts, max_effort: str) -> Raw:
    """`messages` with no more effort than an alias allows: a system message can ask for more (wire.md 1.3)."""
    if not max_effort or not _may_hold(messages, b"output_config"):
        return messages
    effort = nearest_effort(max_effort, facts)
    turns = [_calmer(f"messages[{position}]", turn, max_effort, effort) for position, turn in _numbered(messages)]
    return Raw(encoded(turns))


def _calmer(path: str, turn: Raw, max_effort: str, effort: str) -> Any:
    config = read(path, turn, _TURN).output_config
    if not bytes(config).startswith(b"{"):
        return turn
    path = f"{path}.output_config"
    asked = read(path, config, _EFFORT).effort
    if asked is None or is_within(asked, max_effort):
        return turn
    return changed(path, turn, output_config=changed(path, config, effort=effort))


def check_tools(tools: Raw) -> None:
    """Raises InvalidRequest for a tool that would pick another model, or make OpenRouter work by itself."""
    if not _is_list(tools):
        return
    judged: list[_Tool] = read("tools", tools, _TOOLS)
    for position, tool in enumerate(judged):
        _check_tool(f"tools[{position}]", tool)


def check_added_tools(messages: Raw) -> None:
    """The same for the tools that come in the middle of a conversation (wire.md 1.3, tool_addition)."""
    if not _may_hold(messages, b"tool_definition"):
        return
    turns: list[_TurnWithTools] = read("messages", messages, _TURNS_WITH_TOOLS)
    for position, turn in enumerate(turns):
        for block in turn.content if isinstance(turn.content, list) else ():
            if block.tool is not None and block.tool.definition is not None:
                _check_tool(f"messages[{position}].content", block.tool.definition)


def _check_tool(path: str, tool: _Tool) -> None:
    if tool.model is not ABSENT:
        raise InvalidRequest(f"{path}.model: the models that answer are decided by the server's administrators")
    if tool.type is not None and tool.type.startswith(OPENROUTER_TOOL):
        raise InvalidRequest(f"{path}.type: OpenRouter's own tools are decided by the server's administrators")


def _numbered(messages: Raw) -> Iterator[tuple[int, Raw]]:
    return enumerate(items("messages", messages))


def _may_hold(raw: Raw, word: bytes) -> bool:
    data = bytes(raw)
    return word in data or ESCAPE in data


def _is_list(raw: Raw) -> bool:
    return bytes(raw).startswith(b"[")
