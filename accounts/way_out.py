"""Owns the door for calls to addresses that people wrote: what a name stands for is judged when it is connected to.

A name may stand for another address each time it is asked for, so a look beforehand (`refusal_now`, for forms) is a
courtesy, and what counts is the address that a socket is made for. A connection that is open already costs nothing.
"""

import errno
import socket
from typing import Any

from django.conf import settings

from accounts.addresses import host_of, is_public, refusal_of_addresses, refusal_of_url

NOT_THERE = (
    "The address that was to be called is in a private network or on this machine, where this server may not be sent. "
    "Whoever keeps the server can allow it with ALLOW_PRIVATE_ADDRESSES=true."
)


class AddressRefused(OSError):
    """A connection to a private address was about to be made. The message does not tell which: it may be shown."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, NOT_THERE)


def refusal_now(url: str) -> str | None:
    """Why `url` may not be called, by its text and by what its name stands for now. Blocks while that is looked up."""
    allow_private = settings.ALLOW_PRIVATE_ADDRESSES
    refusal = refusal_of_url(url, allow_private=allow_private)
    if refusal is not None or allow_private:
        return refusal
    host = host_of(url)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:  # it stands for nothing yet: there is nothing to connect to
        return None
    return refusal_of_addresses(host, [str(entry[4][0]) for entry in found], allow_private=False)


def judged_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for one of getaddrinfo's entries: aiohttp's `socket_factory`. Raises AddressRefused."""
    family, kind, protocol, _, where = address
    if not settings.ALLOW_PRIVATE_ADDRESSES and not is_public(where[0]):
        raise AddressRefused
    return socket.socket(family, kind, protocol)


def judged_connection(
    address: tuple[str, int], timeout: float | None = None, source_address: tuple[str, int] | None = None
) -> socket.socket:
    """`socket.create_connection` for blocking clients (http.client's `_create_connection`). Raises AddressRefused."""
    host, port = address
    failure: OSError = AddressRefused()
    for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            judged_socket(entry).close()
            return socket.create_connection(entry[4][:2], timeout, source_address)
        except OSError as error:
            failure = error
    raise failure
