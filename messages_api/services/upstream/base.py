"""Owns the interface to whatever answers: a call, a whole answer, a stream of chunks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from messages_api.services.routing import Target
from messages_api.services.translation.chat import ChatChunk
from messages_api.services.translation.request import Translation


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A chat completion to be asked for."""

    target: Target
    translation: Translation
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer, and the id under which the upstream remembers it."""

    answer: ChatChunk
    generation_id: str


class ChatStream(Protocol):
    """An answer as it arrives. `close` ends the upstream's work as well; it may be called at any time."""

    generation_id: str

    @property
    def heard_at(self) -> float:
        """When the upstream last sent a byte, a comment included (`time.monotonic`)."""
        ...

    def __aiter__(self) -> AsyncIterator[list[ChatChunk]]:
        """The chunks of one read after the other. Raises ApiError."""
        ...

    async def close(self) -> None: ...


class ChatUpstream(Protocol):
    """Something that answers chat completions. Both ways raise ApiError, and nothing else, for what goes wrong."""

    async def complete(self, call: ChatCall) -> Completion: ...

    async def stream(self, call: ChatCall) -> ChatStream: ...
