"""Owns the step from request headers to a `Caller`: who is this, and whose OpenRouter key pays.

A warm key costs a hash and a dictionary look-up; a malformed one costs no query; an unknown one is remembered for
half a minute, so that hammering the door does not reach the database.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cachetools import LRUCache, TTLCache
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from accounts import configuration, keys, last_used
from accounts.database import query
from accounts.encryption import Undecipherable, decrypt
from accounts.models import ApiKey, OpenRouterKey

logger = logging.getLogger("bridge.accounts")
#: A database that takes the question and never answers is one that does not answer.
LOOK_UP_SECONDS = 10.0


class AuthenticationFailed(Exception):
    """No credential, or none that is valid. Never says which."""


class TeamDisabled(Exception):
    """The key is valid; its team is switched off."""


class CannotVerify(Exception):
    """The database did not answer, so nobody can say whether the key is valid."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: the key, its member and team, and the provider's key that pays for it."""

    key_id: int
    key_name: str
    user_id: int
    email: str
    team_id: int
    team: str
    team_slug: str
    team_is_active: bool
    expires_at: datetime | None
    digest: str = field(repr=False)
    openrouter_key: str | None = field(repr=False)  # None: the server's own pays
    has_lost_key: bool = False  # the one that should pay cannot be decrypted any more
    allowed_models: tuple[str, ...] = ()  # globs; empty: whatever the team may use


_known: LRUCache[str, Caller] = LRUCache(10_000)
_unknown: TTLCache[str, None] = TTLCache(10_000, ttl=30)


def forget_callers() -> None:
    """By new caches: emptying one that another thread is just reading from or writing to would upset it."""
    global _known, _unknown  # this process's two caches
    _known, _unknown = LRUCache(10_000), TTLCache(10_000, ttl=30)


configuration.on_change(forget_callers)


async def authenticate(headers: Iterable[tuple[bytes, bytes]]) -> Caller:
    """The caller that `x-api-key` or `Authorization: Bearer` stands for.

    Claude Code sends one or the other, or both at once with an `apiKeyHelper`; the first well-formed one counts.
    Raises AuthenticationFailed, TeamDisabled or CannotVerify.
    """
    text, prefix = _credential(headers)
    digest = keys.digest(text)
    caller = _cached(digest) or await _look_up(prefix, digest)
    if caller.expires_at is not None and caller.expires_at <= timezone.now():
        raise AuthenticationFailed
    if not caller.team_is_active:
        raise TeamDisabled(caller.team)
    last_used.note(caller.key_id)
    return caller


def _credential(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """The first well-formed personal key in the headers, and its prefix."""
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name == b"x-api-key":
            found[name] = value.decode("latin-1").strip()
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            found[name] = value[7:].decode("latin-1").strip()
    for name in (b"x-api-key", b"authorization"):
        prefix = keys.prefix_of(found[name]) if name in found else None
        if prefix is not None:
            return found[name], prefix
    raise AuthenticationFailed


def _cached(digest: str) -> Caller | None:
    """The caller, as long as somebody can vouch for it: not when the database has been away for too long."""
    return _known.get(digest) if configuration.is_trusted() else None


async def _look_up(prefix: str, digest: str) -> Caller:
    if digest in _unknown:
        raise AuthenticationFailed
    version = configuration.seen_changes()
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            caller = await query(_find, prefix, digest)
    except (DatabaseError, InterfaceError, TimeoutError) as error:
        raise CannotVerify from error
    if configuration.seen_changes() == version:  # else what was just read may be stale already
        _remember(digest, caller)
    if caller is None:
        raise AuthenticationFailed
    return caller


def _remember(digest: str, caller: Caller | None) -> None:
    if caller is None:
        _unknown[digest] = None
    else:
        _known[digest] = caller


def _find(prefix: str, digest: str) -> Caller | None:
    key = ApiKey.objects.with_owner().with_prefix(prefix).first()
    if key is None or key.revoked_at is not None or not key.membership.user.is_active:
        return None
    if keys.same_digest(key.digest, digest):
        return _caller(key, digest, key.expires_at)
    if key.previous_until is not None and keys.same_digest(key.previous_digest, digest):
        return _caller(key, digest, min(key.previous_until, key.expires_at or key.previous_until))
    return None


def _caller(key: ApiKey, digest: str, expires_at: datetime | None) -> Caller:
    user, team = key.membership.user, key.membership.team
    paying = key.openrouter_key or key.membership.openrouter_key or team.openrouter_key
    secret = _opened(paying) if paying else None
    return Caller(
        key_id=key.pk,
        key_name=key.name,
        user_id=user.pk,
        email=user.email,
        team_id=team.pk,
        team=team.name,
        team_slug=team.slug,
        team_is_active=team.is_active,
        expires_at=expires_at,
        digest=digest,
        openrouter_key=secret,
        has_lost_key=paying is not None and secret is None,
        allowed_models=key.model_globs,
    )


def _opened(key: OpenRouterKey) -> str | None:
    """One key that cannot be decrypted must not shut out its member: the request says what is wrong."""
    try:
        return decrypt(key.ciphertext)
    except Undecipherable:
        logger.error(
            "The OpenRouter key %r cannot be decrypted: FIELD_ENCRYPTION_KEYS lacks the key it was kept under", key.name
        )
        return None
