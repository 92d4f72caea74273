"""A personal key made in the admin is shown in one answer, and nowhere before or after."""

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.keys import digest, prefix_of
from accounts.models import ApiKey
from testing import cast
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

ADD = reverse("admin:accounts_apikey_add")
NEW = {"name": "laptop", "openrouter_key": "", "expires_at_0": "", "expires_at_1": ""}


@pytest.fixture
def admin() -> Client:
    return signed_in(cast.root())


def make_key(admin: Client) -> tuple[str, ApiKey, str]:
    """The page that shows a new key of Alice's, its row, and its text."""
    response = admin.post(ADD, {**NEW, "membership": cast.alice().membership.pk})
    assert response.status_code == 200, response.headers
    page = response.content.decode()
    text = page.partition("ANTHROPIC_API_KEY=")[2].partition("\n")[0]
    return page, ApiKey.objects.get(name="laptop"), text


def test_the_answer_holds_the_key_and_the_lines_that_connect_claude_code(admin: Client) -> None:
    page, row, text = make_key(admin)
    assert prefix_of(text) == row.prefix
    assert digest(text) == row.digest
    assert page.count(text) == 1
    assert f"export ANTHROPIC_BASE_URL={settings.BASE_URL}\nexport ANTHROPIC_API_KEY=sk-brg-" in page


def test_no_later_page_shows_it(admin: Client) -> None:
    _, row, text = make_key(admin)
    secret = text.split("-")[-1]
    for name in ("changelist", "change", "history", "delete"):
        args = [] if name == "changelist" else [row.pk]
        page = admin.get(reverse(f"admin:accounts_apikey_{name}", args=args)).content.decode()
        assert row.prefix in page
        assert secret not in page
        assert row.digest not in page


def test_neither_a_cookie_nor_the_session_nor_the_history_keeps_it(admin: Client) -> None:
    _, row, text = make_key(admin)
    secret = text.split("-")[-1]
    assert all(secret not in cookie.value for cookie in admin.cookies.values())
    assert secret not in str(dict(admin.session))
    entry = LogEntry.objects.get()
    assert secret not in entry.change_message + entry.object_repr
    assert row.digest not in entry.change_message


def test_the_browser_is_told_not_to_store_the_answer(admin: Client) -> None:
    response = admin.post(ADD, {**NEW, "membership": cast.alice().membership.pk})
    assert "no-store" in response.headers["Cache-Control"]


def test_a_key_without_a_name_is_not_made(admin: Client) -> None:
    before = ApiKey.objects.count()
    response = admin.post(ADD, {**NEW, "name": "", "membership": cast.alice().membership.pk})
    assert "This field is required" in response.content.decode()
    assert ApiKey.objects.count() == before + 1  # Alice's own


def test_changing_a_key_leaves_who_it_is_for_and_what_it_opens(admin: Client) -> None:
    _, row, _ = make_key(admin)
    others = cast.carol().membership.pk
    changed = {**NEW, "name": "desktop", "membership": others, "prefix": "AAAAAAAA", "digest": "0" * 64}
    admin.post(reverse("admin:accounts_apikey_change", args=[row.pk]), changed)
    after = ApiKey.objects.get(pk=row.pk)
    assert after.name == "desktop"
    assert (after.membership_id, after.prefix, after.digest) == (row.membership_id, row.prefix, row.digest)


def test_a_members_page_leads_to_a_key_for_that_member(admin: Client) -> None:
    member = cast.alice().membership
    response = admin.get(reverse("admin:accounts_membership_make_key", args=[member.pk]), follow=True)
    assert response.redirect_chain[-1][0] == f"{ADD}?membership={member.pk}"
    assert "alice@acme.example in Acme" in response.content.decode()
