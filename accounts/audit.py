"""Owns the log of what was changed by whom: every row that the admin can change, however it was changed.

django-auditlog finds the differences of a saved or deleted row; here are the entry with its team, the names of key
events, who the actor is, and what bulk writes would hide. An entry is written once and never changed or deleted.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, ClassVar

from auditlog.diff import model_instance_diff
from auditlog.models import AbstractLogEntry, LogEntryManager
from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.http import HttpRequest, HttpResponse

from accounts.sign_in import client_address

#: Fields whose content is nobody's to read. That it changed is written down; what it was, and is, is not.
SECRET_FIELDS = frozenset({"password", "ciphertext", "digest", "previous_digest", "webhook_ciphertext"})
#: What the server keeps up to date by itself.
KEPT_BY_THE_SERVER = frozenset(
    {"id", "created_at", "updated_at", "date_joined", "last_login", "last_used_at", "previous_prefix"}
    | {"limit", "limit_remaining", "limit_reset", "usage", "checked_at", "check_error"}
)
#: Picodollars, which nobody reads as such.
AMOUNTS = frozenset({"amount"})
NOT_SHOWN = "(not shown)"
NOTHING = frozenset({"None", "", "{}", NOT_SHOWN})
CREATED, CHANGED, DELETED = "created", "changed", "deleted"
SHOWN, REVOKED, ROTATED = "shown", "revoked", "rotated"
LONGEST_VALUE = 300
_NAMES = {AbstractLogEntry.Action.CREATE: CREATED, AbstractLogEntry.Action.DELETE: DELETED}

_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)
_event: ContextVar[str] = ContextVar("audited_event", default="")


class WrittenOnce(Exception):
    """Something tried to change or delete an entry of the log."""


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    """Finds entries, and refuses to change them."""

    def update(self, **kwargs: Any) -> int:
        raise WrittenOnce

    def delete(self) -> tuple[int, dict[str, int]]:
        raise WrittenOnce


class AuditEntryManager(LogEntryManager.from_queryset(AuditEntryQuerySet)):  # type: ignore[misc]  # the library has no types
    """Writes entries: with the team they belong to and whoever is at work."""

    def log_create(self, instance: models.Model, force_log: bool = False, **kwargs: Any) -> Any:
        team = _team_of(instance)
        kwargs.update(team=team, team_name=str(team or ""), **_actor())
        kwargs["event"] = _event.get() or _NAMES.get(kwargs["action"], CHANGED)
        if kwargs["action"] in _NAMES and kwargs.get("changes"):
            kwargs["changes"] = {name: pair for name, pair in kwargs["changes"].items() if _says_something(pair)}
        return super().log_create(instance, force_log, **kwargs)


class AuditEntry(AbstractLogEntry):
    """One change of one row. Names stay beside the keys to other tables, whatever becomes of those rows."""

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    team = models.ForeignKey("accounts.Team", models.DO_NOTHING, null=True, db_constraint=False, related_name="+")
    team_name = models.CharField("team", max_length=100, blank=True)
    event = models.CharField(max_length=20)

    objects: ClassVar[AuditEntryManager] = AuditEntryManager()

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering = ["-timestamp", "-id"]
        indexes = [models.Index(fields=["team", "-timestamp"])]

    @property
    def lines(self) -> list[str]:
        """The changes as people read them."""
        return [_line(self.event, name, *pair) for name, pair in sorted((self.changes or {}).items())]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise WrittenOnce
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise WrittenOnce


def _line(event: str, name: str, old: str, new: str) -> str:
    if new == NOT_SHOWN:
        return f"{name}: changed"
    if name in AMOUNTS:
        old, new = _dollars(old), _dollars(new)
    if event == CREATED:
        return f"{name}: {_short(new)}"
    if event == DELETED:
        return f"{name}: {_short(old)}"
    return f"{name}: {_short(old) or 'empty'} → {_short(new) or 'empty'}"


def _dollars(pico: str) -> str:
    return f"${Decimal(pico) / 10**12:f}" if pico.isdigit() else pico


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}…"


# --- who is at work, and at what ------------------------------------------------------------------------------------


class AuditMiddleware:
    """Has entries that a request gives rise to say who sent it, and from where.

    The library's own believes any X-Forwarded-For; REMOTE_ADDR is uvicorn's, which believes TRUSTED_PROXIES only.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return self.get_response(request)
        finally:
            _request.reset(token)


@contextmanager
def event(name: str) -> Iterator[None]:
    """Have the changes inside called `name` rather than "changed"."""
    token = _event.set(name)
    try:
        yield
    finally:
        _event.reset(token)


def _actor() -> dict[str, Any]:
    """Nobody, for a command: whoever runs those has the server."""
    request = _request.get()
    user = getattr(request, "user", None)
    if request is None or user is None or not user.is_authenticated:
        return {}
    return {"actor_id": user.pk, "actor_email": user.email, "remote_addr": client_address(request)}


def _team_of(row: models.Model) -> models.Model | None:
    from accounts.scope import team_of  # it asks the admin's pages, which are not there yet when models load

    return team_of(row)


# --- what is written down -------------------------------------------------------------------------------------------


def watch(model: type[models.Model]) -> None:
    """Have every change of this model's rows written down."""
    names = {field.name for field in model._meta.concrete_fields}
    auditlog.register(
        model,
        include_fields=sorted(names - KEPT_BY_THE_SERVER),
        mask_fields=sorted(names & SECRET_FIELDS),
        mask_callable="accounts.audit.masked",
    )


def masked(value: str) -> str:
    return NOT_SHOWN


def _says_something(pair: tuple[str, str]) -> bool:
    """Of a row that is new or gone its fields are worth a line, but not the empty ones."""
    return not NOTHING.issuperset(pair)


def is_watched(model: type[models.Model]) -> bool:
    return bool(auditlog.contains(model))


def note(row: models.Model, name: str) -> None:
    """Write down that something happened to `row` which changed none of its fields."""
    with event(name):
        AuditEntry.objects.log_create(row, force_log=True, action=AuditEntry.Action.ACCESS)


@contextmanager
def bulk_change(rows: models.QuerySet[Any]) -> Iterator[None]:
    """Write down what an UPDATE inside changes of each of `rows`: Django tells nobody about those."""
    if not is_watched(rows.model):
        yield
        return
    before = {row.pk: row for row in rows.all()}
    yield
    for pk, row in rows.model._base_manager.in_bulk(list(before)).items():
        changes = model_instance_diff(before[pk], row)
        if changes:
            AuditEntry.objects.log_create(row, action=AuditEntry.Action.UPDATE, changes=changes)


def created_in_bulk(rows: Iterable[models.Model]) -> None:
    for row in rows:
        if is_watched(type(row)):
            changes = model_instance_diff(None, row)
            AuditEntry.objects.log_create(row, action=AuditEntry.Action.CREATE, changes=changes)
