"""Owns what a password sign-in is counted by: the user's email, and the address it comes from."""

from typing import Any

from django.http import HttpRequest


def user_name(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """The email in small letters: signing in takes it in any, and a lock must not be opened by another spelling."""
    name = (credentials or {}).get("username") or request.POST.get("username") or ""
    return str(name).strip().lower()[:255]


def client_address(request: HttpRequest) -> str | None:
    """The address that uvicorn gives, which believes X-Forwarded-For from TRUSTED_PROXIES only."""
    return request.META.get("REMOTE_ADDR") or None
