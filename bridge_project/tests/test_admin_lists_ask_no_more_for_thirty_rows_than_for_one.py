"""A page of the admin asks the database as often for thirty rows as for one."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, OpenRouterKey, Team, User
from accounts.services import create_api_key
from messages_api.models import CatalogModel, ModelAlias, Provider
from testing import cast
from testing.signed_in import signed_in
from usage.models import Budget, Limit, UsageRecord

pytestmark = pytest.mark.django_db

MANY = 30


def make_member(number: int) -> Membership:
    user = User.objects.create(email=f"user{number}@acme.example")
    return Membership.objects.create(user=user, team=Team.objects.get(name="Acme"))


def make_everything(number: int) -> None:
    """One more row of each model, with all it points to."""
    key = cast.openrouter_key(name=f"key {number}")
    team = Team.objects.create(name=f"Team {number}", openrouter_key=key)
    member = make_member(number)
    api_key = create_api_key(membership=member, name=f"key {number}", openrouter_key=key).row
    Budget.objects.create(team=team, amount=10**12)
    Budget.objects.create(team=member.team, membership=member, amount=10**12)
    Budget.objects.create(team=member.team, api_key=api_key, amount=10**12)
    Provider.objects.create(name=f"provider-{number}", litellm_provider="groq")
    ModelAlias.objects.create(team=team, name=f"alias-{number}", target="openai/gpt-5")
    ModelAlias.objects.create(team=member.team, name=f"alias-{number}", target="openai/gpt-5")
    CatalogModel.objects.create(id=f"acme/model-{number}", name="A model", context_length=1, input_modalities=["text"])
    AccessAttempt.objects.create(username=f"user{number}", ip_address="192.0.2.1", failures_since_start=1)
    Limit.objects.create(team=team, concurrent_requests=5)
    Limit.objects.create(team=member.team, applies_to="member", membership=member, requests_per_minute=60)
    Limit.objects.create(team=member.team, applies_to="key", api_key=api_key, tokens_per_minute=10_000)
    now = timezone.now() + timedelta(seconds=number)
    UsageRecord.objects.create(
        request_id=f"req_{number}",
        started_at=now,
        lease_expires_at=now,
        team=team,
        user=member.user,
        api_key=api_key,
        team_name=team.name,
        email=member.user.email,
        model="openai/gpt-5",
    )


def queries(browser: Client, path: str) -> int:
    browser.get(path)  # what is cached for good, such as content types, is cached now
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(path).status_code == 200
    return len(captured)


@pytest.fixture
def browser() -> Client:
    cast.alice()
    CatalogModel.objects.exclude(id="openai/gpt-5").delete()
    make_everything(0)
    return signed_in(cast.root())


LISTS = (
    "accounts_user",
    "accounts_team",
    "accounts_membership",
    "accounts_apikey",
    "accounts_openrouterkey",
    "messages_api_modelalias",
    "messages_api_catalogmodel",
    "messages_api_provider",
    "usage_usagerecord",
    "usage_limit",
    "usage_budget",
    "accounts_auditentry",
    "axes_accessattempt",
)
OF_TEAMS = (
    "accounts_user",
    "accounts_team",
    "accounts_membership",
    "accounts_apikey",
    "accounts_openrouterkey",
    "messages_api_modelalias",
    "usage_usagerecord",
    "usage_limit",
    "usage_budget",
    "accounts_auditentry",
)


@pytest.mark.parametrize("name", LISTS)
def test_a_list(browser: Client, name: str) -> None:
    path = reverse(f"admin:{name}_changelist")
    for_one = queries(browser, path)
    for number in range(1, MANY):
        make_everything(number)
    assert queries(browser, path) == for_one


@pytest.mark.parametrize("name", OF_TEAMS)
def test_a_list_for_who_keeps_a_team(browser: Client, name: str) -> None:
    owner = signed_in(cast.alice().user)
    path = reverse(f"admin:{name}_changelist")
    for_one = queries(owner, path)
    for number in range(1, MANY):
        make_everything(number)
    UsageRecord.objects.update(team=cast.alice().team)
    OpenRouterKey.objects.update(team=cast.alice().team)
    assert queries(owner, path) == for_one


def test_the_page_of_a_team_with_its_members_and_aliases(browser: Client) -> None:
    path = reverse("admin:accounts_team_change", args=[Team.objects.get(name="Acme").pk])
    for_one = queries(browser, path)
    for number in range(1, MANY):
        make_everything(number)
    assert queries(browser, path) == for_one


def test_what_completes_a_member_while_typing(browser: Client) -> None:
    field = "app_label=accounts&model_name=apikey&field_name=membership"
    path = f"{reverse('admin:autocomplete')}?{field}&term=acme"
    for_one = queries(browser, path)
    for number in range(1, MANY):
        make_everything(number)
    assert queries(browser, path) == for_one
