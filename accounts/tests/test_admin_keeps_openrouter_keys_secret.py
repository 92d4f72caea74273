"""An OpenRouter key goes into the admin and never comes out of it."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.encryption import decrypt
from accounts.models import OpenRouterKey
from testing import cast
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

SECRET = "sk-or-v1-acme-0123456789abcdef"
OTHER = "sk-or-v1-other-fedcba9876543210"
ADD = reverse("admin:accounts_openrouterkey_add")


@pytest.fixture
def admin() -> Client:
    return signed_in(cast.root())


def change_page(key: OpenRouterKey) -> str:
    return reverse("admin:accounts_openrouterkey_change", args=[key.pk])


def test_what_is_typed_in_is_stored_encrypted_with_its_last_characters_in_the_clear(admin: Client) -> None:
    admin.post(ADD, {"name": "Acme's key", "secret": SECRET})
    row = OpenRouterKey.objects.get()
    assert decrypt(row.ciphertext) == SECRET
    assert SECRET not in row.ciphertext
    assert row.hint == "cdef"


def test_no_page_shows_it_again(admin: Client) -> None:
    row = cast.openrouter_key(secret=SECRET)
    team = cast.alice().team
    team.openrouter_key = row
    team.save()
    pages = [
        reverse("admin:accounts_openrouterkey_changelist"),
        change_page(row),
        reverse("admin:accounts_openrouterkey_history", args=[row.pk]),
        reverse("admin:accounts_openrouterkey_delete", args=[row.pk]),
        reverse("admin:accounts_team_changelist"),
        reverse("admin:accounts_team_change", args=[team.pk]),
    ]
    for page in (admin.get(path).content.decode() for path in pages):
        assert SECRET not in page
        assert row.ciphertext not in page
        assert "…cdef" in page


def test_leaving_the_field_empty_keeps_the_old_one(admin: Client) -> None:
    row = cast.openrouter_key(secret=SECRET)
    admin.post(change_page(row), {"name": "renamed", "secret": ""})
    row.refresh_from_db()
    assert row.name == "renamed"
    assert decrypt(row.ciphertext) == SECRET


def test_filling_the_field_in_replaces_it(admin: Client) -> None:
    row = cast.openrouter_key(secret=SECRET)
    admin.post(change_page(row), {"name": row.name, "secret": OTHER})
    row.refresh_from_db()
    assert decrypt(row.ciphertext) == OTHER
    assert row.hint == "3210"


def test_the_history_says_that_it_changed_and_not_to_what(admin: Client) -> None:
    admin.post(ADD, {"name": "Acme's key", "secret": SECRET})
    row = OpenRouterKey.objects.get()
    admin.post(change_page(row), {"name": row.name, "secret": OTHER})
    messages = " ".join(LogEntry.objects.values_list("change_message", flat=True))
    assert "Key" in messages
    for text in (SECRET, OTHER, row.ciphertext):
        assert text not in messages


@pytest.mark.parametrize("wrong", ["", "short", "sk-or-v1 with a space in it", "sk-or-v1-ünïcödé-0123456789"])
def test_what_cannot_be_a_key_is_refused_without_repeating_it(admin: Client, wrong: str) -> None:
    page = admin.post(ADD, {"name": "Acme's key", "secret": wrong}).content.decode()
    assert not OpenRouterKey.objects.exists()
    assert 'type="password"' in page
    assert not wrong or f'value="{wrong}"' not in page


@pytest.mark.parametrize(
    "lookup", ["ciphertext__startswith", "ciphertext", "teams__openrouter_key__ciphertext__contains"]
)
def test_nobody_finds_one_out_letter_by_letter(admin: Client, lookup: str) -> None:
    row = cast.openrouter_key(secret=SECRET)
    path = reverse("admin:accounts_openrouterkey_changelist")
    assert admin.get(path, {lookup: row.ciphertext[:5]}).status_code == 400
