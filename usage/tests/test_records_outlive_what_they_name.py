"""Whoever deletes a team, a user, a member or a key in the admin, one by one or many at once, loses no usage."""

from typing import Any

import pytest
from django.db import models
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey, Membership, Team, User
from testing import cast
from testing.admin_rows import usage_record
from testing.cast import Member
from testing.signed_in import signed_in
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db

NAMES = {"team_name": "Acme", "email": "bob@acme.example", "key_name": "Acme's laptop", "cost": 7}


@pytest.fixture
def bob() -> Member:
    cast.alice()
    member = cast.bob()
    usage_record(member)
    UsageRecord.objects.update(cost=NAMES["cost"], api_key=ApiKey.objects.get(membership=member.membership))
    return member


def row_of(bob: Member, model: type[models.Model]) -> models.Model:
    rows: dict[type[models.Model], models.Model] = {
        Team: bob.team,
        User: bob.user,
        Membership: bob.membership,
        ApiKey: ApiKey.objects.get(membership=bob.membership),
    }
    return rows[model]


def delete_one(browser: Client, row: models.Model) -> Any:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_delete"
    return browser.post(reverse(name, args=[row.pk]), {"post": "yes"})


def delete_many(browser: Client, row: models.Model) -> Any:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist"
    form = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    return browser.post(reverse(name), form)


@pytest.mark.parametrize("delete", [delete_one, delete_many])
@pytest.mark.parametrize("model", [Team, User, Membership, ApiKey])
def test_a_superuser_deletes(bob: Member, model: type[models.Model], delete: Any) -> None:
    assert delete(signed_in(cast.root()), row_of(bob, model)).status_code == 302
    assert not model._base_manager.filter(pk=row_of_key(bob, model)).exists()
    assert_kept()


@pytest.mark.parametrize("delete", [delete_one, delete_many])
@pytest.mark.parametrize("model", [Membership, ApiKey])
def test_an_owner_deletes(bob: Member, model: type[models.Model], delete: Any) -> None:
    assert delete(signed_in(cast.alice().user), row_of(bob, model)).status_code == 302
    assert not model._base_manager.filter(pk=row_of_key(bob, model)).exists()
    assert_kept()


@pytest.mark.parametrize("delete", [delete_one, delete_many])
@pytest.mark.parametrize("model", [Team, User])
def test_an_owner_deletes_neither_a_team_nor_a_user(bob: Member, model: type[models.Model], delete: Any) -> None:
    delete(signed_in(cast.alice().user), row_of(bob, model))
    assert model._base_manager.filter(pk=row_of(bob, model).pk).exists()


@pytest.mark.parametrize("delete", [delete_one, delete_many])
def test_an_administrator_does_not_delete_an_owner(delete: Any) -> None:
    alice = cast.alice()
    dave = cast.member("dave@acme.example", "Acme", Membership.Role.ADMIN)
    delete(signed_in(dave.user), alice.membership)
    assert Membership.objects.filter(pk=alice.membership.pk).exists()


def row_of_key(bob: Member, model: type[models.Model]) -> Any:
    keys: dict[type[models.Model], Any] = {Team: bob.team.pk, User: bob.user.pk, Membership: bob.membership.pk}
    return keys.get(model) or ApiKey.objects.filter(name="bob's laptop").values_list("pk", flat=True).first() or -1


def assert_kept() -> None:
    """With the names of then, and shown: to a superuser always."""
    (record,) = UsageRecord.objects.all()
    assert {name: getattr(record, name) for name in NAMES} == NAMES
    shown = signed_in(cast.root()).get(reverse("admin:usage_usagerecord_changelist")).content.decode()
    assert "bob@acme.example" in shown
    assert "Acme" in shown
