"""Owns cache breakpoints: where a client marks the end of what shall be cached, and how many of the marks are kept.

Claude takes four in the whole body, the one at top level among them (wire.md 2.1). A request with more is refused by
Anthropic itself; here the four that save most stay: the end of tools and instructions, which other conversations
share, and the last three, where the next turn goes on.
"""

from typing import Any, Final

import orjson

from messages_api.schemas import CacheControl
from messages_api.services.translation.tables import CACHE_CONTROL, CACHE_TTL

Chat = dict[str, Any]
MARK: Final = "cache_control"
MOST_MARKS: Final = 4


def mark_for(mark: CacheControl | None, family: str) -> Chat | None:
    """The breakpoint as the family takes it; None where there is none, or the family does not know them."""
    if mark is None or family not in CACHE_CONTROL:
        return None
    return {"type": "ephemeral", "ttl": mark.ttl} if mark.ttl and family in CACHE_TTL else {"type": "ephemeral"}


def keep_the_best(body: Chat) -> None:
    """Take breakpoints out of `body` until no more are left than a model takes."""
    tools = orjson.loads(orjson.dumps(body["tools"])) if "tools" in body else []
    shared = [tool for tool in tools if MARK in tool] + _marked_parts(body, is_system=True)
    spoken = _marked_parts(body, is_system=False)
    room = MOST_MARKS - (MARK in body)
    if len(shared) + len(spoken) <= room:
        return
    kept = [*shared[-1:], *[*shared[:-1], *spoken][-(room - len(shared[-1:])) :]]
    for carrier in shared + spoken:
        if not any(carrier is one for one in kept):
            del carrier[MARK]
    if tools:
        body["tools"] = tools


def _marked_parts(body: Chat, *, is_system: bool) -> list[Chat]:
    return [
        part
        for message in body["messages"]
        if (message["role"] == "system") is is_system and isinstance(message.get("content"), list)
        for part in message["content"]
        if MARK in part
    ]
