"""Keys are revoked in the admin after a question, by their list and by their page."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey
from testing import cast
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

LIST = reverse("admin:accounts_apikey_changelist")


@pytest.fixture
def admin() -> Client:
    return signed_in(cast.root())


def keys() -> list[ApiKey]:
    cast.alice()
    cast.bob()
    return list(ApiKey.objects.all())


def test_a_page_asks_first_and_changes_nothing(admin: Client) -> None:
    key = keys()[0]
    page = admin.get(reverse("admin:accounts_apikey_revoke", args=[key.pk])).content.decode()
    assert "Revoke this key?" in page
    assert str(key) in page.replace("&#x27;", "'")
    key.refresh_from_db()
    assert key.is_usable


def test_the_answer_yes_revokes_and_is_written_down(admin: Client) -> None:
    key = keys()[0]
    response = admin.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]), follow=True)
    key.refresh_from_db()
    assert not key.is_usable
    assert LogEntry.objects.get(object_id=str(key.pk)).change_message == "Revoked."
    assert reverse("admin:accounts_apikey_revoke", args=[key.pk]) not in response.content.decode()


def test_the_list_asks_before_it_revokes_several(admin: Client) -> None:
    chosen = {"action": "revoke_selected", "_selected_action": [key.pk for key in keys()]}
    assert "Revoke these keys?" in admin.post(LIST, chosen).content.decode()
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
    admin.post(LIST, {**chosen, "post": "yes"})
    assert ApiKey.objects.filter(revoked_at=None).count() == 0


def test_revoking_twice_keeps_the_first_time(admin: Client) -> None:
    key = keys()[0]
    admin.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]))
    key.refresh_from_db()
    first = key.revoked_at
    admin.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]))
    key.refresh_from_db()
    assert key.revoked_at == first


def test_who_keeps_another_team_cannot_revoke() -> None:
    key = keys()[0]
    client = signed_in(cast.carol().user)
    assert client.post(reverse("admin:accounts_apikey_revoke", args=[key.pk])).status_code == 403
    client.post(LIST, {"action": "revoke_selected", "_selected_action": [key.pk], "post": "yes"})
    key.refresh_from_db()
    assert key.is_usable


def test_the_list_is_filtered_by_state(admin: Client) -> None:
    first, second = keys()
    admin.post(reverse("admin:accounts_apikey_revoke", args=[first.pk]))
    for state, keys_in_it in {"usable": [second], "revoked": [first], "expired": []}.items():
        assert list(admin.get(LIST, {"state": state}).context["cl"].result_list) == keys_in_it
