"""Whatever the admin can change is written down with who changed it, however it was changed, and without a secret."""

import re
from typing import Any

import pytest
from auditlog.registry import auditlog
from django.apps import apps
from django.contrib import admin as site
from django.test import Client
from django.urls import reverse

from accounts import audit
from accounts.admin_base import BridgeAdmin, ReadOnlyAdmin
from accounts.audit import SECRET_FIELDS, AuditEntry, WrittenOnce
from accounts.models import ApiKey, Membership, Team, User
from accounts.services import create_api_key, save_openrouter_key
from messages_api.models import ModelAlias
from testing import cast
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

PAGES = [page for page in site.site._registry.values() if isinstance(page, BridgeAdmin)]
SOUNDS_SECRET = re.compile(r"password|secret|cipher|digest|hash|token(?!s_per_)|webhook|(^|_)key$", re.IGNORECASE)


@pytest.fixture
def admin() -> Client:
    return signed_in(cast.root())


def entries(row: Any) -> list[AuditEntry]:
    """What is written of `row`, the latest first."""
    return list(AuditEntry.objects.get_for_object(row))


# --- which models, and which of their fields -------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.model._meta.label)
def test_what_a_page_can_change_is_watched(page: BridgeAdmin) -> None:
    changes_something = not isinstance(page, ReadOnlyAdmin) and page.model._meta.label != "axes.AccessAttempt"
    assert audit.is_watched(page.model) == changes_something


@pytest.mark.parametrize("model", auditlog.get_models(), ids=lambda model: model._meta.label)
def test_no_field_that_sounds_secret_is_written_down(model: Any) -> None:
    written = auditlog.get_model_fields(model)
    for field in model._meta.concrete_fields:
        if SOUNDS_SECRET.search(field.name) and not field.is_relation:
            assert field.name in written["mask_fields"] or field.name not in written["include_fields"], field.name


def test_every_field_that_sounds_secret_is_known_as_one() -> None:
    """So that neither the log nor a lookup in an address gives it away."""
    ours = [model for model in apps.get_models() if model._meta.app_label in {"accounts", "messages_api", "usage"}]
    names = {field.name for model in ours for field in model._meta.concrete_fields if not field.is_relation}
    assert {name for name in names if SOUNDS_SECRET.search(name)} - {"estimated_tokens"} - {
        name for name in names if name.endswith("_tokens")
    } == SECRET_FIELDS


def test_no_entry_holds_a_secret(admin: Client) -> None:
    key = create_api_key(membership=cast.alice().membership, name="laptop")
    paying = save_openrouter_key(cast.openrouter_key(), secret="sk-or-v1-another-0123456789")
    user = cast.alice().user
    user.set_password("staple-battery-horse")
    user.save()
    written = " ".join(f"{entry.changes} {entry.object_repr}" for entry in AuditEntry.objects.all())
    for secret in (key.text, key.row.digest, paying.ciphertext, user.password, "sk-or-v1-another", "staple"):
        assert secret not in written
    assert "ciphertext: changed" in entries(paying)[0].lines
    assert entries(user)[0].lines == ["password: changed"]


# --- who, what, and in whose log -------------------------------------------------------------------------------------


def test_a_change_says_who_made_it_from_where_and_what_was_before(admin: Client) -> None:
    alice = cast.alice()
    alias = ModelAlias.objects.filter(team=alice.team, name="sonnet").get()
    path = reverse("admin:messages_api_modelalias_change", args=[alias.pk])
    form = {
        "team": alice.team.pk,
        "name": "sonnet",
        "kind": "family",
        "transport": "auto",
        "provider_preferences": "{}",
    }
    admin.post(
        path, {**form, "target": "google/gemini-2.5-pro"}, REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="1.1.1.1"
    )
    entry = entries(alias)[0]
    assert (entry.event, entry.actor_email, entry.remote_addr) == ("changed", "root@example.com", "192.0.2.7")
    assert "target: empty → google/gemini-2.5-pro" in entry.lines
    assert (entry.team, entry.team_name) == (alice.team, "Acme")


def test_what_a_command_does_is_nobodys() -> None:
    assert entries(cast.alice().team)[0].actor_email is None


def test_an_action_on_many_rows_is_an_entry_for_each(admin: Client) -> None:
    teams = [cast.alice().team, cast.carol().team]
    chosen = {"action": "disable", "_selected_action": [team.pk for team in teams]}
    admin.post(reverse("admin:accounts_team_changelist"), chosen)
    for team in teams:
        entry = entries(team)[0]
        assert (entry.changes, entry.actor_email) == ({"is_active": ["True", "False"]}, "root@example.com")


def test_rows_written_in_bulk_are_entries_too() -> None:
    team = cast.alice().team
    (alias,) = ModelAlias.objects.bulk_create([ModelAlias(team=team, name="fast", target="openai/gpt-5")])
    assert entries(alias)[0].event == "created"
    alias.note = "for tests"
    ModelAlias.objects.bulk_update([alias], ["note"])
    assert entries(alias)[0].changes == {"note": ["", "for tests"]}


def test_what_goes_with_a_deleted_row_is_written_down_with_its_name() -> None:
    alice = cast.alice()
    key = ApiKey.objects.get()
    alice.user.delete()
    entry = AuditEntry.objects.get(event="deleted", object_pk=str(key.pk), content_type__model="apikey")
    assert (entry.object_repr, entry.team_name) == (str(key), "Acme")


def test_the_life_of_a_key_is_told_by_name(admin: Client) -> None:
    member = cast.alice().membership
    admin.post(reverse("admin:accounts_apikey_add"), {"membership": member.pk, "name": "laptop"})
    key = ApiKey.objects.get(name="laptop")
    admin.post(reverse("admin:accounts_apikey_rotate", args=[key.pk]), {"grace": "0"})
    admin.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]))
    told = [entry.event for entry in reversed(entries(key))]
    assert told == ["created", "shown", "rotated", "shown", "revoked"]
    assert {entry.team_name for entry in entries(key)} == {"Acme"}


def test_signing_in_and_using_a_key_are_no_changes(admin: Client) -> None:
    before = AuditEntry.objects.count()
    cast.root().save(update_fields=["last_login"])
    assert AuditEntry.objects.count() == before


def test_of_a_new_row_what_is_filled_in_is_told_and_nothing_else() -> None:
    assert entries(cast.alice().team)[0].lines == ["is_active: True", "name: Acme", "slug: acme", "time_zone: UTC"]


# --- it stays --------------------------------------------------------------------------------------------------------


def test_an_entry_is_neither_changed_nor_deleted() -> None:
    cast.alice()
    entry = AuditEntry.objects.all()[0]
    for attempt in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(cid=""),
    ):
        with pytest.raises(WrittenOnce):
            attempt()


def test_it_outlives_the_team_and_the_user_it_tells_of(admin: Client) -> None:
    alice, root = cast.alice(), cast.root()
    admin.post(reverse("admin:accounts_team_delete", args=[alice.team.pk]), {"post": "yes"})
    before = list(AuditEntry.objects.values_list("actor_email", "team_name", "object_repr"))
    root.delete()
    assert not Team.objects.exists()
    assert list(AuditEntry.objects.values_list("actor_email", "team_name", "object_repr"))[1:] == before
    page = signed_in(User.objects.create_superuser("other@example.com")).get(
        reverse("admin:accounts_auditentry_changelist")
    )
    assert page.status_code == 200
    assert "root@example.com" in page.content.decode()


def test_nobody_changes_it_in_the_admin(admin: Client) -> None:
    cast.alice()
    entry = AuditEntry.objects.all()[0]
    for name in ("change", "delete"):
        path = reverse(f"admin:accounts_auditentry_{name}", args=[entry.pk])
        assert admin.post(path, {"post": "yes", "event": "other"}).status_code == 403
    assert "delete_selected" not in admin.get(reverse("admin:accounts_auditentry_changelist")).content.decode()


def test_the_owner_of_a_team_reads_what_happened_in_it() -> None:
    alice = cast.alice()
    Membership.objects.filter(pk=cast.bob().membership.pk).update(role="admin")
    browser = signed_in(alice.user)
    page = browser.get(reverse("admin:accounts_auditentry_changelist")).content.decode()
    assert "bob@acme.example in Acme" in page
    history = browser.get(reverse("admin:accounts_membership_history", args=[cast.bob().membership.pk]))
    assert "member → admin" in history.content.decode()
