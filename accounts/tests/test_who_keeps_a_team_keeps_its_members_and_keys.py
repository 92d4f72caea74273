"""What the owner and the administrators of a team do in the admin: much with their own people, nothing above them."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.encryption import decrypt
from accounts.models import ApiKey, Membership, OpenRouterKey, Team, User
from messages_api.models import ModelAlias
from testing import cast
from testing.cast import Member
from testing.html_form import fields
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

Role = Membership.Role
INVITE = reverse("admin:accounts_membership_add")


@pytest.fixture
def alice() -> Member:
    return cast.alice()


@pytest.fixture
def owner(alice: Member) -> Client:
    return signed_in(alice.user)


@pytest.fixture
def admin(alice: Member) -> Client:
    return signed_in(cast.member("dave@acme.example", "Acme", Role.ADMIN).user)


def send(browser: Client, path: str, **changed: Any) -> Any:
    """Open the page, fill in what is named, and save."""
    return browser.post(path, {**fields(browser.get(path).content.decode()), **changed})


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


# --- members ---------------------------------------------------------------------------------------------------------


def test_somebody_new_is_invited_by_email_and_has_no_password(alice: Member, admin: Client) -> None:
    send(admin, INVITE, email="Fay@acme.example", team=alice.team.pk, role="member")
    fay = Membership.objects.get(user__email__iexact="fay@acme.example")
    assert (fay.team, fay.role) == (alice.team, Role.MEMBER)
    assert not fay.user.has_usable_password()


def test_somebody_known_from_elsewhere_is_invited_without_being_looked_up(alice: Member, admin: Client) -> None:
    carol = cast.carol().user
    send(admin, INVITE, email="CAROL@globex.example", team=alice.team.pk, role="admin")
    assert Membership.objects.get(user=carol, team=alice.team).role == Role.ADMIN
    assert User.objects.filter(email__iexact=carol.email).count() == 1


def test_whoever_is_a_member_already_is_an_error_at_the_email(alice: Member, admin: Client) -> None:
    page = send(admin, INVITE, email="ALICE@acme.example", team=alice.team.pk, role="member")
    assert page.context["adminform"].form.errors == {"email": ["A member of this team already."]}


def test_an_administrator_makes_administrators_but_no_owner(alice: Member, admin: Client) -> None:
    bob = cast.bob().membership
    send(admin, change(bob), role="admin")
    page = send(admin, change(bob), role="owner")
    assert "role" in page.context["adminform"].form.errors
    bob.refresh_from_db()
    assert bob.role == Role.ADMIN
    page = send(admin, INVITE, email="fay@acme.example", team=alice.team.pk, role="owner")
    assert "role" in page.context["adminform"].form.errors
    assert not User.objects.filter(email="fay@acme.example").exists()


def test_an_owner_makes_owners(owner: Client) -> None:
    bob = cast.bob().membership
    send(owner, change(bob), role="owner")
    bob.refresh_from_db()
    assert bob.role == Role.OWNER


def test_an_administrator_neither_demotes_nor_removes_an_owner(alice: Member, admin: Client) -> None:
    assert admin.post(change(alice.membership), {"role": "member"}).status_code == 403
    delete = reverse("admin:accounts_membership_delete", args=[alice.membership.pk])
    assert admin.post(delete, {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [alice.membership.pk], "post": "yes"}
    admin.post(reverse("admin:accounts_membership_changelist"), chosen)
    alice.membership.refresh_from_db()
    assert alice.membership.role == Role.OWNER


def test_a_member_is_removed_with_their_keys(admin: Client) -> None:
    bob = cast.bob()
    admin.post(reverse("admin:accounts_membership_delete", args=[bob.membership.pk]), {"post": "yes"})
    assert not Membership.objects.filter(pk=bob.membership.pk).exists()
    assert not ApiKey.objects.filter(membership=bob.membership.pk).exists()
    assert User.objects.filter(pk=bob.user.pk).exists()


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_made_for_a_member_and_revoked(admin: Client) -> None:
    bob = cast.bob()
    page = send(admin, reverse("admin:accounts_apikey_add"), membership=bob.membership.pk, name="tower")
    assert "sk-brg-" in page.content.decode()
    key = ApiKey.objects.get(name="tower")
    admin.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]))
    key.refresh_from_db()
    assert not key.is_usable


@pytest.mark.parametrize(
    "globs", ["openai/ gpt", "a" * 201, "openai/*\n<script>", "\n".join("abc" for _ in range(101))]
)
def test_models_that_no_name_could_match_are_an_error_at_their_field(alice: Member, admin: Client, globs: str) -> None:
    page = send(admin, change(ApiKey.objects.filter(membership=alice.membership)[0]), allowed_models=globs)
    assert "allowed_models" in page.context["adminform"].form.errors


def test_models_that_a_key_may_use_are_written_one_a_line(alice: Member, admin: Client) -> None:
    key = ApiKey.objects.filter(membership=alice.membership)[0]
    send(admin, change(key), allowed_models="openai/*\r\n~anthropic/claude-sonnet-latest\r\ngpt-5.1:nitro")
    assert ApiKey.objects.get(pk=key.pk).model_globs == (
        "openai/*",
        "~anthropic/claude-sonnet-latest",
        "gpt-5.1:nitro",
    )


def test_the_teams_own_openrouter_key_is_kept_and_pays(alice: Member, owner: Client) -> None:
    secret = "sk-or-v1-acme-0123456789abcdef"
    send(owner, reverse("admin:accounts_openrouterkey_add"), name="ours", team=alice.team.pk, secret=secret)
    key = OpenRouterKey.objects.get()
    assert (key.team, decrypt(key.ciphertext)) == (alice.team, secret)
    send(owner, change(alice.team), openrouter_key=key.pk)
    assert Team.objects.get(pk=alice.team.pk).openrouter_key == key


def test_a_key_without_a_team_is_not_theirs_to_make(owner: Client) -> None:
    page = send(
        owner, reverse("admin:accounts_openrouterkey_add"), name="mine", team="", secret="sk-or-v1-0123456789abcdef"
    )
    assert "team" in page.context["adminform"].form.errors


def test_a_key_that_a_superuser_lent_stays_when_the_page_is_saved(alice: Member, owner: Client) -> None:
    lent = cast.openrouter_key("the company's")
    Team.objects.filter(pk=alice.team.pk).update(openrouter_key=lent)
    send(owner, change(alice.team), name="Acme Ltd", openrouter_key="")
    team = Team.objects.get(pk=alice.team.pk)
    assert (team.name, team.openrouter_key) == ("Acme Ltd", lent)
    assert owner.get(change(lent)).status_code == 302


# --- the team and its aliases ----------------------------------------------------------------------------------------


def test_whether_a_team_is_on_is_a_superusers_to_decide(alice: Member, owner: Client) -> None:
    Team.objects.update(is_active=False)
    send(owner, change(alice.team), is_active="on", slug="other")
    owner.post(reverse("admin:accounts_team_changelist"), {"action": "enable", "_selected_action": [alice.team.pk]})
    team = Team.objects.get(pk=alice.team.pk)
    assert (team.is_active, team.slug) == (False, alice.team.slug)
    assert owner.get(reverse("admin:accounts_team_add")).status_code == 403
    assert owner.post(reverse("admin:accounts_team_delete", args=[team.pk]), {"post": "yes"}).status_code == 403


def test_the_teams_aliases_are_changed_and_everyones_are_not(alice: Member, admin: Client) -> None:
    alias = ModelAlias.objects.filter(team=alice.team)[0]
    send(admin, change(alias), target="google/gemini-2.5-pro")
    alias.refresh_from_db()
    assert alias.target == "google/gemini-2.5-pro"
    everyones = ModelAlias.objects.create(team=None, name="fast", target="openai/gpt-5")
    assert admin.get(change(everyones)).status_code == 302
    page = send(admin, reverse("admin:messages_api_modelalias_add"), name="mine", target="openai/gpt-5", team="")
    assert "team" in page.context["adminform"].form.errors
