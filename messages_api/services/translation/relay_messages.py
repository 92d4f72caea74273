"""Owns what is changed in messages and tools that are relayed: what the target would refuse, what an alias forbids.

Everything else stays the bytes that came: Claude refuses thinking that was encoded anew (wire.md 2.3). So messages are
read once, for the few names that decide, and only a message that has to change is opened.
"""

import re
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
from messages_api.services.translation.tool_loop import CLAUDES_CALL_IDS, Step, forbids_thinking, open_loop

NO_CONTENT = ({"type": "text", "text": "(no content)"},)
#: The tools that OpenRouter runs itself: some ask another model, all cost extra.
OPENROUTER_TOOL = "openrouter:"
OUR_SEARCH = f'"{SEARCH_ID}'.encode()
CLAUDES_CALLS = tuple(f'"{beginning}'.encode() for beginning in CLAUDES_CALL_IDS)
THOUGHTS = frozenset({"thinking", "redacted_thinking"})
#: How the JSON of a text begins that may be blank: most show at once that they are not.
MAY_BE_BLANK = re.compile(rb'"[ \t]*+(?:["\\]|[\x80-\xff])')


class _Block(Struct, gc=False):
    """What decides about a block. Raw, since one of a type that is not known here may have anything under a name."""

    type: str = ""
    text: Raw = ABSENT
    signature: Raw = ABSENT
    data: Raw = ABSENT
    id: Raw = ABSENT
    tool_use_id: Raw = ABSENT
    citations: Raw = ABSENT
    tool: Raw = ABSENT


class _Turn(Struct, gc=False):
    role: str = ""
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
_TEXT = msgspec.json.Decoder(str)


class RelayedMessages:
    """The messages of a request, read once for what the target would refuse in them.

    Raises InvalidRequest for a tool that only administrators may give a model.
    """

    def __init__(self, messages: Raw, reader: Reader) -> None:
        self._messages, self._reader = messages, reader
        self._turns: list[_Turn] = read("messages", messages, _TURNS)
        self._refused: dict[int, dict[int, _Block]] = {}  # by the position of their turn and their place in it
        self._blank: set[int] = set()  # answers that are one text, of nothing but white space
        for position, turn in enumerate(self._turns):
            blocks = _blocks(turn)
            _check_added_tools(position, blocks)
            # What ends a conversation is the beginning of an answer that the client wants, and the client's own.
            is_said = turn.role == "assistant" and position < len(self._turns) - 1 and reader.family == CLAUDE_FAMILY
            refused = {place: block for place, block in enumerate(blocks) if _is_foreign(block, reader)}
            if is_said:
                refused |= {
                    place: block for place, block in enumerate(blocks) if block.type == "text" and _is_blank(block)
                }
                if isinstance(turn.content, str) and not turn.content.strip():
                    self._blank.add(position)
            if refused:
                self._refused[position] = refused

    def forbid_thinking(self) -> bool:
        """Whether Claude, asked to think with a budget, would refuse to go on from here."""
        return forbids_thinking([self._step(position) for position in self._loop()])

    def leave_out_thoughts_of_the_loop(self) -> None:
        """For Claude, where it is not to think."""
        for position in self._loop():
            blocks = enumerate(_blocks(self._turns[position]))
            thoughts = {place: block for place, block in blocks if block.type in THOUGHTS}
            if thoughts:
                self._refused[position] = self._refused.get(position, {}) | thoughts

    def raw(self, facts: ModelFacts, max_effort: str) -> Raw:
        """What goes out, with no more effort than an alias allows."""
        if not (self._refused or self._blank or max_effort):
            return self._messages
        came: list[Any] = []
        for position, turn in enumerate(self._turns):
            refused, is_blank = self._refused.get(position, {}), position in self._blank
            effort = _lower_effort(turn, facts, max_effort) if max_effort else {}
            if refused or effort or is_blank:
                came = came or [*items("messages", self._messages)]
                content = {"content": NO_CONTENT} if is_blank else {}
                content = _without(refused, came[position], self._reader) if refused else content
                came[position] = changed("messages", came[position], **content, **effort)
        return Raw(encoded(came)) if came else self._messages

    def _loop(self) -> list[int]:
        """System messages stand in the middle of a loop as well."""
        said = [position for position, turn in enumerate(self._turns) if turn.role != "system"]
        return open_loop(said, lambda position: _has_results(self._turns[position]))

    def _step(self, position: int) -> Step:
        blocks, refused = _blocks(self._turns[position]), self._refused.get(position, {})
        left = (block for place, block in enumerate(blocks) if place not in refused)
        lost_thoughts = any(block.type in THOUGHTS for block in refused.values())
        calls = [block for block in blocks if block.type == "tool_use"]
        return Step(
            is_thought_out=next((block.type in THOUGHTS for block in left), False),
            is_claudes=not lost_thoughts and all(bytes(call.id).startswith(CLAUDES_CALLS) for call in calls),
        )


def _blocks(turn: _Turn) -> Sequence[_Block]:
    return turn.content if isinstance(turn.content, list) else ()


def _has_results(turn: _Turn) -> bool | None:
    return None if turn.role == "assistant" else any(block.type == "tool_result" for block in _blocks(turn))


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


def _is_blank(block: _Block) -> bool:
    """Whether a text is nothing but white space: Claude refuses it (wire.md 1.4)."""
    return MAY_BE_BLANK.match(bytes(block.text)) is not None and not read("messages", block.text, _TEXT).strip()


def _without(refused: dict[int, _Block], turn: Raw, reader: Reader) -> dict[str, Any]:
    """The content of a turn with something else, or nothing, in the place of refused blocks; never empty."""
    content: list[Any] = []
    for place, raw in enumerate(items("messages", opened("messages", turn)["content"])):
        content += _in_place_of(refused[place], raw, reader) if place in refused else [raw]
    return {"content": content or NO_CONTENT}


def _in_place_of(block: _Block, raw: Raw, reader: Reader) -> list[dict[str, Any]]:
    match block.type:
        case "text" if _is_blank(block):
            return []
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
