"""`rotate_encryption_keys` brings everything that is encrypted under the first key, and can be run again."""

import io
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from accounts.encryption import decrypt, encrypt
from accounts.management.commands import rotate_encryption_keys
from accounts.models import AuditEntry, OpenRouterKey, Team
from messages_api.models import Provider
from testing import cast

pytestmark = pytest.mark.django_db

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
WEBHOOK = "https://hooks.example.com/secret-of-the-hook"
SECRET = "sk-or-v1-acme-0123456789abcdef"


@pytest.fixture(autouse=True)
def kept_under_the_old_key(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    cast.openrouter_key(secret=SECRET)
    Provider.objects.create(name="groq", litellm_provider="groq", ciphertext=encrypt("gsk_0123456789abcdef"))
    Provider.objects.create(name="keyless", litellm_provider="ollama")
    Team.objects.create(name="Acme", webhook_ciphertext=encrypt(WEBHOOK))
    Team.objects.create(name="Globex")


def rotate() -> str:
    told = io.StringIO()
    call_command("rotate_encryption_keys", stdout=told)
    return told.getvalue()


def test_everything_opens_with_the_new_key_alone(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    assert rotate() == "OpenRouter keys: 1 re-encrypted\nteams: 1 re-encrypted\nproviders: 1 re-encrypted\n"
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert decrypt(OpenRouterKey.objects.get().ciphertext) == SECRET
    assert decrypt(Provider.objects.get(name="groq").ciphertext) == "gsk_0123456789abcdef"
    assert Team.objects.get(name="Acme").webhook_url == WEBHOOK


def test_running_it_again_changes_nothing(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    rotate()
    before = OpenRouterKey.objects.get().ciphertext
    assert "1 current already" in rotate()
    assert OpenRouterKey.objects.get().ciphertext == before


def test_it_goes_on_from_chunk_to_chunk_and_says_how_far_it_is(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        cast.openrouter_key(f"key {number}", SECRET)
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    monkeypatch.setattr(rotate_encryption_keys, "CHUNK", 2)
    told = rotate()
    assert "OpenRouter keys: 2 so far\nOpenRouter keys: 4 so far\nOpenRouter keys: 5 re-encrypted\n" in told


def test_what_no_key_opens_is_named_and_the_rest_is_done(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    cast.openrouter_key("lost", SECRET)
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    with pytest.raises(CommandError, match="1 could not be decrypted"):
        rotate()
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert decrypt(OpenRouterKey.objects.exclude(name="lost").get().ciphertext) == SECRET


def test_a_secret_that_is_filled_in_meanwhile_is_not_written_over(settings: Any) -> None:
    row = OpenRouterKey.objects.get()
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    newer = encrypt("sk-or-v1-newer")
    OpenRouterKey.objects.update(ciphertext=newer)
    rotate_encryption_keys._rotate_row(OpenRouterKey, "ciphertext", row.pk, row.ciphertext)
    assert OpenRouterKey.objects.get().ciphertext == newer


def test_it_is_no_change_of_a_key(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    before = AuditEntry.objects.count()
    rotate()
    assert AuditEntry.objects.count() == before
