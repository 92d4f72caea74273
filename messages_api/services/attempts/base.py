"""Owns the interface to one attempt at an answer: a target is asked, and what it says becomes the client's bytes."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from accounts.redaction import redact, without
from messages_api.schemas import Envelope, MessagesRequest, request_of
from messages_api.services.failures import LONGEST_WORDS
from messages_api.services.routing import Target
from messages_api.services.terms import Terms
from messages_api.services.translation.chat import AnswerError
from usage.services.ledger import Entry


@dataclass(frozen=True)
class Asked:
    """What is asked for: the same for every attempt at it."""

    message_id: str  # the answer's, "msg_..."
    envelope: Envelope
    terms: Terms
    session_id: str = ""
    #: Of the client's headers only `anthropic-version` and `anthropic-beta`, in lower case, as they came.
    headers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def request(self) -> MessagesRequest:
        """All of it, decoded, for a target that does not speak Messages. Raises InvalidRequest."""
        return request_of(self.envelope)


@contextmanager
def keeping_secret(api_key: str) -> Iterator[None]:
    """An AnswerError may quote the upstream (a tool's name, its own word for the end): the key is taken out of it."""
    try:
        yield
    except AnswerError as error:
        raise AnswerError(redact(without(api_key, str(error))[:LONGEST_WORDS])) from error


class Attempt(Protocol):
    """One attempt. Everything it raises for a reason of the upstream's is an ApiError or an AnswerError.

    `heard_at` is when the upstream last sent a byte, a comment included (`time.monotonic`).
    """

    target: Target

    @property
    def heard_at(self) -> float: ...

    async def complete(self) -> bytes:
        """The whole answer, as JSON."""
        ...

    def stream(self) -> AsyncGenerator[bytes, None]:
        """Asks, then gives the events as they come. The first bytes are message_start with the first content, or,
        after `start`, that content alone; the last bytes end with message_stop."""
        ...

    def start(self) -> bytes:
        """message_start, for a client that has waited too long; no bytes if it was given before."""
        ...

    def note(self, entry: Entry) -> None:
        """Put what the answer told so far onto the entry: tokens, cost, provider, generation, stop reason."""
        ...

    async def close(self) -> None:
        """End the upstream's work; may be called at any time, and twice."""
        ...
