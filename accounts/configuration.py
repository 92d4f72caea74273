"""Owns the number that tells every process when what it has cached of the configuration is stale.

Rows that requests are judged by (keys, teams, aliases, ...) inherit from `Configuration`: every way of writing them,
also in bulk, raises the number in the same transaction. Each process reads it once a second and forgets its caches
when it has changed, so a change is in force everywhere within seconds and a warm request asks the database nothing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, models, transaction
from django.db.models import F

from accounts import audit
from accounts.database import background

logger = logging.getLogger("bridge.configuration")
POLL_SECONDS = 1.0
#: What is cached stays in force for so long while the database does not answer.
TRUSTED_SECONDS = 600.0

M = TypeVar("M", bound=models.Model)

_forget: list[Callable[[], None]] = []
_changes_seen = 0
_confirmed_at = time.monotonic()


class ConfigurationVersion(models.Model):
    """The one row that holds the number."""

    number = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="one_configuration_version")]

    def __str__(self) -> str:
        return str(self.number)


def current_version() -> int:
    return ConfigurationVersion.objects.values_list("number", flat=True).filter(pk=1).first() or 0


def on_change(forget: Callable[[], None]) -> None:
    """Have `forget` called in this process whenever the configuration has changed."""
    _forget.append(forget)


def forget_caches() -> None:
    global _changes_seen  # noqa: PLW0603  # one process, one event loop, one counter
    _changes_seen += 1
    for forget in _forget:
        forget()


def seen_changes() -> int:
    """How often this process has forgotten: what was read before the count moved may not be cached after."""
    return _changes_seen


def is_trusted() -> bool:
    """Whether what is cached was known to be in force not too long ago."""
    return time.monotonic() - _confirmed_at < TRUSTED_SECONDS


async def watch() -> None:
    """Forget the caches whenever another process has changed the configuration. Runs until cancelled."""
    global _confirmed_at  # noqa: PLW0603  # one process, one event loop, one clock
    known: int | None = None
    while True:
        try:
            number = await background(current_version)
        except (DatabaseError, InterfaceError):
            logger.warning("Configuration: the database does not answer; what is cached stays in force")
        else:
            if number != known:  # also the first time: something may have been cached before
                forget_caches()
            known = number
            _confirmed_at = time.monotonic()
        await asyncio.sleep(POLL_SECONDS)


def changed() -> None:
    """Say that the configuration has changed: here at once, in every other process within a second or two."""
    if not ConfigurationVersion.objects.filter(pk=1).update(number=F("number") + 1):
        ConfigurationVersion.objects.get_or_create(pk=1, defaults={"number": 1})
    transaction.on_commit(forget_caches)


class ConfigurationQuerySet(models.QuerySet[M]):
    """A query set whose bulk writes are noticed too."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(), audit.bulk_change(self):
            rows = super().update(**kwargs)
            changed()
        return rows

    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            deleted = super().delete()
            changed()
        return deleted

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> list[M]:
        with transaction.atomic():
            created = super().bulk_create(objs, *args, **kwargs)
            audit.created_in_bulk(created)
            changed()
        return created

    def bulk_update(self, objs: Any, fields: Iterable[str], batch_size: int | None = None) -> int:
        with transaction.atomic():
            rows = super().bulk_update(objs, fields, batch_size)
            changed()
        return rows


class Configuration(models.Model):
    """A row that requests are judged by."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic():
            super().save(*args, **kwargs)
            changed()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            deleted = super().delete(*args, **kwargs)
            changed()
        return deleted
