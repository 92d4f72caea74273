"""Owns who sees which rows in the admin: a superuser all of them, an administrator of teams those of his teams.

Every page of a model declares its `scope`, in one of three words: the path from its rows to their team, SHARED (every
administrator looks, nobody of them writes) or SUPERUSERS_ONLY. Lists, forms, choices, filters and the audit log follow.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import HttpRequest

from accounts.models import Team

M = TypeVar("M", bound=models.Model)
LOOKUP_SEPARATOR = "__"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a model's rows belong."""

    path: str = ""  # from the row to its team; "pk" for a team itself
    is_shared: bool = False

    def narrowed(self, rows: models.QuerySet[M], teams: list[int]) -> models.QuerySet[M]:
        """Those of `rows` that belong to one of `teams`."""
        if self.is_shared:
            return rows if teams else rows.none()
        if not self.path:
            return rows.none()
        condition = {f"{self.path}__in": teams}
        if not crosses_many(rows.model, self.path):
            return rows.filter(**condition)
        inside = rows.model._base_manager.filter(**condition)  # a join would repeat rows, and upset counts of others
        return rows.filter(pk__in=inside.values("pk"))

    def holds(self, row: models.Model, teams: list[int]) -> bool:
        """Whether `row`, which need not be saved, belongs to one of `teams`."""
        if self.is_shared or not self.path or not teams:
            return self.is_shared and bool(teams)
        if crosses_many(type(row), self.path):
            return self.narrowed(type(row)._base_manager.filter(pk=row.pk), teams).exists()
        return self.team_id(row) in teams

    def team_id(self, row: Any) -> int | None:
        """The key of the one team that `row` belongs to."""
        *steps, last = self.path.split(LOOKUP_SEPARATOR)
        for step in steps:
            row = getattr(row, step)
        key: int | None = row.pk if last == "pk" else getattr(row, f"{last}_id")
        return key


SUPERUSERS_ONLY = Scope()
SHARED = Scope(is_shared=True)


def by_team(path: str) -> Scope:
    return Scope(path)


def scope_of(model: type[models.Model]) -> Scope:
    """What the model's page declares. Without a page nobody but a superuser has any business with its rows."""
    page = admin.site._registry.get(model)
    return getattr(page, "scope", SUPERUSERS_ONLY)


def team_of(row: models.Model) -> Team | None:
    """The team whose administrators are told what became of `row`."""
    scope = scope_of(type(row))
    if not scope.path or crosses_many(type(row), scope.path):
        return None
    if isinstance(row, Team):
        return row
    team_id = scope.team_id(row)
    return None if team_id is None else Team.objects.filter(pk=team_id).first()


def is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def teams_of(request: HttpRequest) -> list[int]:
    """The teams that whoever sent this administers."""
    return list(getattr(request.user, "administered", ()))


def visible(request: HttpRequest, model: type[M]) -> models.QuerySet[M]:
    """The rows of `model` that whoever sent this may know of."""
    rows: models.QuerySet[M] = model._default_manager.all()
    return rows if is_superuser(request) else scope_of(model).narrowed(rows, teams_of(request))


def crosses_many(model: Any, lookup: str) -> bool:
    """Whether a lookup goes to rows of which there may be several, some perhaps another team's."""
    for part in lookup.split(LOOKUP_SEPARATOR):
        try:
            field = model._meta.get_field(part)
        except FieldDoesNotExist:
            return False
        if field.one_to_many or field.many_to_many:
            return True
        if not field.is_relation:
            return False
        model = field.related_model
    return False
