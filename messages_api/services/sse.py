"""Owns the step from events to bytes: server-sent events as Anthropic frames them (wire.md 1.7)."""

from collections.abc import Iterable

from msgspec.json import Encoder

from messages_api.errors import ApiError
from messages_api.services.translation.events import Event

PING = b'event: ping\ndata: {"type":"ping"}\n\n'

_encode = Encoder().encode
_NAMES: dict[type, bytes] = {kind: kind.__struct_config__.tag.encode() for kind in Event.__args__}


def encode(events: Iterable[Event]) -> bytes:
    """The bytes of `events`; no bytes for none. The client dispatches on the name, so it stands before the data."""
    return b"".join([b"event: %s\ndata: %s\n\n" % (_NAMES[type(event)], _encode(event)) for event in events])


def encode_error(error: ApiError, request_id: str) -> bytes:
    """The last event of a stream that broke: after it nothing is sent, so that no end is invented."""
    return b"event: error\ndata: %s\n\n" % error.encode(request_id)
