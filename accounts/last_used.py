"""Owns when a personal key was last used: noted on a request's path, written to the database beside it.

One statement a minute says it for all keys that were used since the one before, so the time is true to the minute. It
goes around `ConfigurationQuerySet`: no process has to forget anything because somebody has used a key.
"""

import asyncio
import logging

from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet
from django.utils import timezone

from accounts.database import background
from accounts.models import ApiKey

logger = logging.getLogger("bridge.accounts")
WRITE_SECONDS = 60.0
MOST_AT_ONCE = 500

_used: set[int] = set()


def note(key_id: int) -> None:
    _used.add(key_id)


async def keep() -> None:
    """Write down once a minute what has been noted, and a last time when cancelled."""
    try:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await _write_noted()
    finally:
        await _write_noted()


async def _write_noted() -> None:
    noted = list(_used)
    _used.difference_update(noted)
    try:
        for start in range(0, len(noted), MOST_AT_ONCE):
            await background(write, noted[start : start + MOST_AT_ONCE])
    except (DatabaseError, InterfaceError):
        _used.update(noted)  # for the next minute
        logger.warning("Keys: the database does not answer; when they were last used is written later")


def write(key_ids: list[int]) -> None:
    QuerySet(ApiKey).filter(pk__in=key_ids).update(last_used_at=timezone.now())
