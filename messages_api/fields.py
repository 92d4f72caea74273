"""Owns what becomes of the fields and types of a request that are not forwarded: dropped or refused, and in what words.

What is forwarded is what the structs of `schemas.py` and `translation/tools.py` name. A test holds all three sets
against the types of the anthropic SDK (`MessageCreateParams`, its beta twin, and those of count_tokens), so that an
upgrade of the SDK shows what is new. docs/fields.md is the same for readers.
"""

import logging
from typing import Final

logger = logging.getLogger("bridge.request")

#: Understood, and without an equivalent on a chat completion: the answer is the same without them. `betas`,
#: `user_profile_id` and `workspace_id` are parameters that the SDK sends as headers.
DROPPED: Final = frozenset(
    {
        "betas",
        "container",
        "context_management",
        "diagnostics",
        "fallback_credit_token",
        "thread",
        "user_profile_id",
        "workspace_id",
    }
)

#: Would change what is asked, who answers or who pays, and cannot be honoured here.
REFUSED: Final = {
    "billing_policy": "billing is decided by the server's administrators",
    "compaction": "compaction by the server is not supported",
    "fallbacks": "fallback models are decided by the server's administrators",
    "mcp_servers": "MCP servers are not reached from here; connect them to the client",
    "models": "the route is decided by the server's administrators",
    "plugins": "plugins are decided by the server's administrators",
    "provider": "the route is decided by the server's administrators",
    "route": "the route is decided by the server's administrators",
}

#: The same, where the request is translated; a model that is asked in Messages may know them.
REFUSED_IN_TRANSLATION: Final = {
    "inference_geo": "where this model computes cannot be chosen by a request",
}

_AT_ANTHROPIC = "it is run by Anthropic's own servers"
_FILES = "files that were uploaded to Anthropic are not here; send the content itself"

#: Types of blocks and sources that the SDK knows and no chat completion can express.
UNSERVED_TYPES: Final = {
    "advisor_tool_result": _AT_ANTHROPIC,
    "bash_code_execution_tool_result": _AT_ANTHROPIC,
    "browser_state": _AT_ANTHROPIC,
    "code_execution_tool_result": _AT_ANTHROPIC,
    "compaction": "only the server that made it can open it",
    "container_upload": _FILES,
    "file": _FILES,
    "mcp_tool_listing": REFUSED["mcp_servers"],
    "mcp_tool_reference": REFUSED["mcp_servers"],
    "mcp_tool_result": REFUSED["mcp_servers"],
    "mcp_tool_use": REFUSED["mcp_servers"],
    "mcp_toolset_reference": REFUSED["mcp_servers"],
    "text_editor_code_execution_tool_result": _AT_ANTHROPIC,
    "web_fetch_tool_result": _AT_ANTHROPIC,
}

#: Types of tools, without their dates, that nobody behind this server can run: as a bare function such a tool would be
#: called and never answered.
UNSERVED_TOOLS: Final = {
    "advisor": _AT_ANTHROPIC,
    "browser_toolset": "its many tools are known to Claude only",
    "code_execution": _AT_ANTHROPIC,
    "computer_toolset": "its many tools are known to Claude only; the tool computer_20251124 can be served",
    "mcp_toolset": REFUSED["mcp_servers"],
    "web_fetch": _AT_ANTHROPIC,
}

LONGEST_NAME: Final = 100
MOST_SAID: Final = 256
_said: set[str] = set()


def log_dropped(name: str) -> None:
    """Tell of a field that is understood and left out."""
    _say_once(logging.INFO, name, "has no equivalent upstream")


def log_unknown(name: str) -> None:
    """Tell of a field that nobody here has heard of."""
    _say_once(logging.WARNING, name[:LONGEST_NAME], "is not known here")


def _say_once(level: int, name: str, why: str) -> None:
    """Said once per process: a client sends the same fields with every request. Nobody can fill the log with names."""
    if name in _said or len(_said) >= MOST_SAID:
        return
    _said.add(name)
    logger.log(level, "The request field %r %s and is left out (said once)", name, why)


def refusal_of_type(name: str) -> str:
    """Why a `type` is refused where it stands, in words of our own."""
    if name in UNSERVED_TYPES:
        return f"{name!r} cannot be served by the models behind this server: {UNSERVED_TYPES[name]}"
    return f"{name[:LONGEST_NAME]!r} is not known or not allowed here"


def refusal_of_tool(kind: str) -> str:
    """Why a tool of this type is refused."""
    why = next((why for name, why in UNSERVED_TOOLS.items() if kind.startswith(name)), "it is not known here")
    return f"{kind[:LONGEST_NAME]!r} cannot be served by the models behind this server: {why}"
