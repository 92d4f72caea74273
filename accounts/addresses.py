"""Owns the judgement of where the server may be sent: into the internet, and not into the network it stands in. Pure.

An address that people write (a provider's base URL, a webhook) is judged as it is written by `refusal_of_url`. What a
name stands for is known only when it is connected to: `accounts.way_out` judges that.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

SCHEMES: Final = frozenset({"http", "https"})
#: A name of letters, digits and hyphens; or, in brackets that are gone here, an IPv6 address.
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_BLANK: Final = re.compile(r"[\x00-\x20\x7f\\]")
#: A name that ends in a number is read as an address by some, and as a name by others.
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_GLOBAL_UNICAST: Final = ip_network("2000::/3")
_NAT64: Final = ip_network("64:ff9b::/96")
LOCAL_NAME: Final = "localhost"
SETTING: Final = "ALLOW_PRIVATE_ADDRESSES"


def refusal_of_url(url: str, *, allow_private: bool) -> str | None:
    """Why `url` may not be called, in words for whoever wrote it; None where nothing in its text speaks against it."""
    host = _host(url)
    if host is None:
        return "Write an address of the form https://host/path: plain characters, no user name, no password."
    literal = _literal(host)
    if literal is not None and str(literal) != host.lower() and isinstance(literal, IPv4Address):
        return f"{host} is an unusual way to write an address. Write {literal}."
    if allow_private:
        return None
    is_local = literal is None and host.lower().split(".")[-1] == LOCAL_NAME
    return _refusal(host) if is_local or (literal and not is_public(str(literal))) else None


def refusal_of_addresses(host: str, addresses: Iterable[str], *, allow_private: bool) -> str | None:
    """Why `host` may not be called, where it stands for these IP addresses."""
    if allow_private or all(is_public(address) for address in addresses):
        return None
    return _refusal(host)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet: not to a private network, this machine, this link or a group."""
    ip = ip_address(address.partition("%")[0])  # without the name of the interface it is reached by
    inner = _embedded(ip) if isinstance(ip, IPv6Address) else None
    if inner is not None:
        ip = inner
    if isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def host_of(url: str) -> str:
    """The host of a URL that `refusal_of_url` has let pass."""
    return _host(url) or ""


def _refusal(where: str) -> str:
    return (
        f"{where} is in a private network or on this machine, where the server may not be sent. "
        f"Whoever keeps the server can allow it with {SETTING}=true."
    )


def _host(url: str) -> str | None:
    """The host as it is written, without the dot that may end a name; None where the URL can be misread."""
    if _BLANK.search(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in SCHEMES or "@" in parts.netloc or port == 0:
        return None
    host = host.removesuffix(".")
    if not _HOST.fullmatch(host) or (_literal(host) is None and _NUMBER.fullmatch(host.split(".")[-1])):
        return None
    return host


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` is, in any of the spellings that a resolver takes for one: 127.1, 0x7f000001, ..."""
    if ":" in host:
        try:
            return ip_address(host)
        except ValueError:
            return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that is meant by an IPv6 one, where it only wraps one."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    return IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
