"""Owns JSON that is opened only as far as something is read or changed in it; all other values stay the bytes they are.

What is changed is put back beside them, and `encoded` copies the rest unread.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from messages_api.errors import InvalidRequest

T = TypeVar("T")

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
encoded = msgspec.json.Encoder().encode


def read(path: str, raw: Raw, decoder: "msgspec.json.Decoder[T]") -> T:
    """What `decoder` reads in `raw`. Raises InvalidRequest, which names the place."""
    try:
        return decoder.decode(raw)
    except RecursionError:
        raise InvalidRequest(f"{path}: nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path}: {error}") from None


def opened(path: str, raw: Raw) -> dict[str, Raw]:
    return read(path, raw, _OBJECT)


def items(path: str, raw: Raw) -> list[Raw]:
    return read(path, raw, _LIST)


def changed(path: str, raw: Raw, **values: Any) -> dict[str, Any]:
    """The object in `raw` with other `values` at some of its keys."""
    return {**opened(path, raw), **values}
