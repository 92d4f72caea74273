"""Users are made by email, teams are switched on and off, and who keeps a team cannot make himself more than he is."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.configuration import current_version
from accounts.models import Membership, Team, User
from messages_api.models import ModelAlias
from testing import cast
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

NO_ROWS = {"TOTAL_FORMS": "0", "INITIAL_FORMS": "0"}
NO_MEMBERS = {f"memberships-{name}": value for name, value in NO_ROWS.items()}
TEAMS = reverse("admin:accounts_team_changelist")


@pytest.fixture
def admin() -> Client:
    return signed_in(cast.root())


def test_a_user_is_made_by_email_and_put_into_a_team_in_one_step(admin: Client) -> None:
    team = cast.alice().team
    member = {"memberships-0-team": team.pk, "memberships-0-role": "member"}
    form = {"email": "dora@acme.example", "usable_password": "false", "memberships-TOTAL_FORMS": "1"}
    admin.post(reverse("admin:accounts_user_add"), {**form, "memberships-INITIAL_FORMS": "0", **member})
    dora = User.objects.get(email="dora@acme.example")
    assert not dora.has_usable_password()
    assert Membership.objects.filter(user=dora, team=team).exists()


def test_a_user_with_a_password_can_be_made_and_the_password_changed(admin: Client) -> None:
    twice = {"password1": cast.PASSWORD, "password2": cast.PASSWORD}
    admin.post(reverse("admin:accounts_user_add"), {"email": "dora@acme.example", **twice, **NO_MEMBERS})
    dora = User.objects.get(email="dora@acme.example")
    assert dora.check_password(cast.PASSWORD)
    other = {"password1": "staple-battery-horse", "password2": "staple-battery-horse"}
    admin.post(reverse("admin:auth_user_password_change", args=[dora.pk]), other)
    dora.refresh_from_db()
    assert dora.check_password("staple-battery-horse")


def test_an_email_known_in_other_letters_is_refused_at_its_field(admin: Client) -> None:
    cast.alice()
    form = {"email": "Alice@Acme.example", "usable_password": "false", **NO_MEMBERS}
    page = admin.post(reverse("admin:accounts_user_add"), form)
    assert page.status_code == 200
    assert User.objects.filter(email__iexact="alice@acme.example").count() == 1


def test_no_page_of_a_user_shows_the_password_hash(admin: Client) -> None:
    user = cast.alice().user
    page = admin.get(reverse("admin:accounts_user_change", args=[user.pk])).content.decode()
    assert user.password.split("$")[-1][:6] not in page


def test_an_owner_changes_no_password_email_or_flag_not_even_his_own() -> None:
    owner, member = cast.alice().user, cast.bob().user
    client = signed_in(owner)
    before = list(User.objects.order_by("pk").values())
    password = {"password1": "staple-battery-horse", "password2": "staple-battery-horse"}
    for user in (owner, member):
        form = {"email": "other@acme.example", "is_active": "", "is_superuser": "on", **NO_MEMBERS}
        assert client.post(reverse("admin:accounts_user_change", args=[user.pk]), form).status_code == 403
        assert client.post(reverse("admin:auth_user_password_change", args=[user.pk]), password).status_code == 403
        assert client.post(reverse("admin:accounts_user_delete", args=[user.pk]), {"post": "yes"}).status_code == 403
        chosen = {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"}
        client.post(reverse("admin:accounts_user_changelist"), chosen)
    assert client.get(reverse("admin:accounts_user_add")).status_code == 403
    assert list(User.objects.order_by("pk").values()) == before


def test_deleting_users_from_the_list_tells_every_process(admin: Client) -> None:
    user = cast.alice().user
    before = current_version()
    chosen = {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"}
    admin.post(reverse("admin:accounts_user_changelist"), chosen)
    assert not User.objects.filter(pk=user.pk).exists()
    assert current_version() > before


def test_teams_are_switched_off_and_on_from_their_list(admin: Client) -> None:
    acme, globex = cast.alice().team, cast.carol().team
    before = current_version()
    admin.post(TEAMS, {"action": "disable", "_selected_action": [acme.pk]})
    assert set(Team.objects.filter(is_active=False)) == {acme}
    assert current_version() > before
    admin.post(TEAMS, {"action": "enable", "_selected_action": [acme.pk, globex.pk]})
    assert not Team.objects.filter(is_active=False).exists()


def test_a_new_team_has_its_aliases_from_the_start(admin: Client) -> None:
    admin.post(reverse("admin:accounts_team_add"), {"name": "Initech", "is_active": "on", **NO_MEMBERS})
    assert set(ModelAlias.objects.filter(team__name="Initech").values_list("name", flat=True)) == {
        "haiku",
        "sonnet",
        "opus",
    }


@pytest.mark.parametrize("name", ["acme", "A C M E", "日本"])
def test_a_name_that_makes_no_short_name_of_its_own_is_an_error_at_the_field(admin: Client, name: str) -> None:
    cast.alice()
    Team.objects.create(name="spaced", slug="a-c-m-e")
    response = admin.post(reverse("admin:accounts_team_add"), {"name": name, "is_active": "on", **NO_MEMBERS})
    assert response.status_code == 200
    assert "slug" in response.context["adminform"].form.errors


def test_a_teams_page_changes_a_role_but_not_who_the_member_is(admin: Client) -> None:
    alice, carol = cast.alice(), cast.carol()
    rows = {"memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "1", "memberships-0-id": alice.membership.pk}
    row = {"memberships-0-user": carol.user.pk, "memberships-0-role": "admin"}
    aliases = {f"aliases-{name}": value for name, value in NO_ROWS.items()}
    form = {"name": "Acme", "slug": "acme", "is_active": "on", **rows, **row, **aliases}
    admin.post(reverse("admin:accounts_team_change", args=[alice.team.pk]), form)
    alice.membership.refresh_from_db()
    assert (alice.membership.user_id, alice.membership.role) == (alice.user.pk, "admin")


def test_a_member_is_added_to_a_team_once(admin: Client) -> None:
    alice = cast.alice()
    rows = {"memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "0", "memberships-0-role": "member"}
    aliases = {f"aliases-{name}": value for name, value in NO_ROWS.items()}
    form = {"name": "Acme", "slug": "acme", "is_active": "on", **rows, **aliases, "memberships-0-user": alice.user.pk}
    response = admin.post(reverse("admin:accounts_team_change", args=[alice.team.pk]), form)
    assert response.status_code == 200
    assert "already exists" in response.content.decode()


def test_a_user_is_put_into_a_team_once(admin: Client) -> None:
    alice = cast.alice()
    rows = {"memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "0", "memberships-0-role": "member"}
    form = {"email": alice.user.email, "is_active": "on", **rows, "memberships-0-team": alice.team.pk}
    response = admin.post(reverse("admin:accounts_user_change", args=[alice.user.pk]), form)
    assert response.status_code == 200
    assert "already exists" in response.content.decode()
