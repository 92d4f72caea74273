"""Owns what a view hands to the lane: the bytes of an answer or a stream that has begun, and the headers beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

from messages_api.services.stream import MessageStream


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a Messages request."""

    content: bytes | MessageStream
    headers: Mapping[str, str]
