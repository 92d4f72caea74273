"""Owns what a password sign-in is counted by: the user's email, and the address it comes from."""

from ipaddress import ip_address, ip_network
from typing import Any

from django.http import HttpRequest

IPV4 = 4


def user_name(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """The email in small letters: signing in takes it in any, and a lock must not be opened by another spelling."""
    name = (credentials or {}).get("username") or request.POST.get("username") or ""
    return str(name).strip().lower()[:255]


def client_address(request: HttpRequest) -> str | None:
    """The address that uvicorn gives, which believes X-Forwarded-For from TRUSTED_PROXIES only.

    A proxy may pass on what is none, or has a port behind it: then nobody's address is better than a wrong one.
    """
    try:
        return str(ip_address(request.META.get("REMOTE_ADDR") or ""))
    except ValueError:
        return None


def counted_address(request: HttpRequest) -> str | None:
    """What wrong passwords are counted by: who has one IPv6 address has the other 2^64 of its network, too."""
    address = client_address(request)
    if address is None or ip_address(address).version == IPV4:
        return address
    return str(ip_network(f"{address.partition('%')[0]}/64", strict=False).network_address)
