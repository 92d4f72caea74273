"""A rotated key has a new text at once; the one before is good for as long as was chosen, and no longer."""

import asyncio
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.authentication import AuthenticationFailed, Caller, authenticate
from accounts.models import ApiKey
from accounts.services import revoke_api_key, rotate_api_key
from testing import cast
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


def who(key: str) -> Caller:
    return asyncio.run(authenticate([(b"x-api-key", key.encode())]))


def is_refused(key: str) -> bool:
    try:
        who(key)
    except AuthenticationFailed:
        return True
    return False


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    then = timezone.now() + by
    monkeypatch.setattr("accounts.authentication.timezone.now", lambda: then)


def test_both_texts_are_the_same_key_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    new = rotate_api_key(ApiKey.objects.get(), grace=HOUR).text
    assert new != alice.api_key
    assert who(new).key_id == who(alice.api_key).key_id
    later(monkeypatch, HOUR * 2)
    assert is_refused(alice.api_key)
    assert who(new).key_id


def test_without_grace_the_old_text_is_refused_at_once() -> None:
    alice = cast.alice()
    who(alice.api_key)
    new = rotate_api_key(ApiKey.objects.get(), grace=timedelta(0)).text
    assert is_refused(alice.api_key)
    assert who(new).email == alice.user.email


def test_rotating_again_ends_the_grace_of_the_first_text() -> None:
    alice = cast.alice()
    second = rotate_api_key(ApiKey.objects.get(), grace=HOUR).text
    third = rotate_api_key(ApiKey.objects.get(), grace=HOUR).text
    assert is_refused(alice.api_key)
    assert who(second).key_id == who(third).key_id


def test_revoking_ends_both() -> None:
    alice = cast.alice()
    new = rotate_api_key(ApiKey.objects.get(), grace=HOUR).text
    revoke_api_key(ApiKey.objects.get())
    assert is_refused(alice.api_key)
    assert is_refused(new)


def test_a_grace_does_not_outlast_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    ApiKey.objects.update(expires_at=timezone.now() + HOUR)
    rotate_api_key(ApiKey.objects.get(), grace=HOUR * 100)
    assert who(alice.api_key).expires_at == ApiKey.objects.get().expires_at
    later(monkeypatch, HOUR * 2)
    assert is_refused(alice.api_key)


# --- in the admin ----------------------------------------------------------------------------------------------------


@pytest.fixture
def admin() -> Client:
    return signed_in(cast.root())


def rotate(key: ApiKey) -> str:
    return reverse("admin:accounts_apikey_rotate", args=[key.pk])


def test_the_page_asks_first_then_shows_the_new_text_once(admin: Client) -> None:
    alice = cast.alice()
    key = ApiKey.objects.get()
    assert "The present key is accepted" in admin.get(rotate(key)).content.decode()
    assert who(alice.api_key)
    page = admin.post(rotate(key), {"grace": "24"})
    text = page.content.decode().partition("ANTHROPIC_API_KEY=")[2].partition("\n")[0]
    assert who(text).key_id == key.pk
    assert text not in admin.get(reverse("admin:accounts_apikey_change", args=[key.pk])).content.decode()
    assert "no-store" in page.headers["Cache-Control"]


def test_a_grace_that_is_not_offered_is_an_error_at_its_field(admin: Client) -> None:
    cast.alice()
    key = ApiKey.objects.get()
    assert "grace" in admin.post(rotate(key), {"grace": "100000"}).context["form"].errors
    assert ApiKey.objects.get().prefix == key.prefix


def test_a_revoked_key_is_not_rotated(admin: Client) -> None:
    cast.alice()
    key = ApiKey.objects.get()
    revoke_api_key(key)
    assert admin.post(rotate(key), {"grace": "0"}).status_code == 302
    assert ApiKey.objects.get().prefix == key.prefix
