"""Owns tools that come and go in the middle of a conversation (wire.md 1.3: `tool_addition`, `tool_removal`).

A chat completion has one list of tools for the whole conversation. It gets those that are there at its end; what
changed and when is told in words, where the change stood.
"""

import msgspec
from msgspec import Raw, Struct

from messages_api.errors import InvalidRequest
from messages_api.schemas import (
    DefinedTool,
    MessagesRequest,
    SystemBlock,
    SystemMessage,
    TextBlock,
    ToolRemovalBlock,
)
from messages_api.services.translation.names import acceptable_name


class _Named(Struct):
    name: str


_tools = msgspec.json.Decoder(list[Raw] | None).decode
_name = msgspec.json.Decoder(_Named).decode


def tools_in_force(request: MessagesRequest) -> bytes:
    """The JSON array of the tools that the model may call now. Raises InvalidRequest."""
    changes = [
        block
        for message in request.messages
        if isinstance(message, SystemMessage) and not isinstance(message.content, str)
        for block in message.content
        if not isinstance(block, TextBlock)
    ]
    if not changes:
        return bytes(request.tools)
    try:
        tools = {_name(tool).name: bytes(tool) for tool in _tools(bytes(request.tools) or b"[]") or []}
        gone: set[str] = set()
        for change in changes:
            if isinstance(change.tool, DefinedTool):
                definition = change.tool.definition
                tools[_name(definition).name] = bytes(definition)
            elif isinstance(change, ToolRemovalBlock):
                gone.add(change.tool.name)
            else:
                gone.discard(change.tool.name)  # a deferred tool is sent anyway
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"tools: {error}") from None
    return b"[" + b",".join(tool for name, tool in tools.items() if name not in gone) + b"]"


def said(block: SystemBlock) -> TextBlock:
    """What a block of a system message tells the model."""
    if isinstance(block, TextBlock):
        return block
    name = _name(block.tool.definition).name if isinstance(block.tool, DefinedTool) else block.tool.name
    change = "is no longer available" if isinstance(block, ToolRemovalBlock) else "is available from here on"
    return TextBlock(f"The tool {acceptable_name(name)} {change}.")
