"""A superuser writes a team's policy in the admin; the team's own administrators read it and cannot lift it."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.audit import AuditEntry
from accounts.models import Membership, Policy
from messages_api.services.routing import load_directory
from testing import cast
from testing.cast import Member
from testing.html_form import fields
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

ADD = reverse("admin:accounts_policy_add")
LIST = reverse("admin:accounts_policy_changelist")


@pytest.fixture
def alice() -> Member:
    return cast.alice()


@pytest.fixture
def root(alice: Member) -> Client:
    return signed_in(cast.root())


def send(browser: Client, path: str, **changed: Any) -> Any:
    """Open the page, fill in what is named, and save."""
    return browser.post(path, {**fields(browser.get(path).content.decode()), **changed})


def errors(response: Any) -> dict[str, str]:
    return {name: " ".join(texts) for name, texts in response.context["adminform"].form.errors.items()}


def change(policy: Policy) -> str:
    return reverse("admin:accounts_policy_change", args=[policy.pk])


def test_what_a_superuser_writes_is_what_routing_reads(root: Client, alice: Member) -> None:
    said = send(
        root,
        ADD,
        team=alice.team.pk,
        allowed_models="openai/*\n\n  sonnet \n",
        denied_models="*:free",
        data_collection="deny",
        zdr="on",
        only_providers="azure\ndeepinfra/turbo",
        ignored_providers="groq",
        sort="price",
        max_prompt_price="0.150001",
        max_completion_price="0",
        max_output="8000",
        max_effort="medium",
        system_addendum="Be brief.",
    )
    assert said.status_code == 302, errors(said)
    policy = Policy.objects.get()
    assert (policy.allowed_models, policy.max_prompt_price) == ("openai/*\nsonnet", Decimal("0.150001"))
    read = load_directory().policies[alice.team.pk]
    assert read.allowed == ("openai/*", "sonnet")
    assert read.terms.provider == {
        "data_collection": "deny",
        "zdr": True,
        "only": ("azure", "deepinfra/turbo"),
        "ignore": ("groq",),
        "sort": "price",
        "max_price": {"prompt": 0.150001, "completion": 0.0},
    }
    assert (read.terms.max_output, read.terms.max_effort, read.terms.system_addendum) == (8000, "medium", "Be brief.")
    row = root.get(LIST).content.decode()
    assert "openai/*, sonnet; not *:free" in row
    assert "8,000 tokens, medium, $0.150001 / $0 per M" in row


def test_an_empty_policy_imposes_nothing(root: Client, alice: Member) -> None:
    assert send(root, ADD, team=alice.team.pk).status_code == 302
    assert load_directory().policies[alice.team.pk].terms.provider == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allowed_models", "openai gpt"),
        ("denied_models", "<script>"),
        ("only_providers", "Azure"),
        ("ignored_providers", "azure, groq"),
        ("data_collection", "perhaps"),
        ("sort", "beauty"),
        ("max_prompt_price", "-1"),
        ("max_completion_price", "0.0000001"),
        ("max_output", "0"),
        ("max_output", "-5"),
        ("max_effort", "minimal"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(root: Client, alice: Member, name: str, value: str) -> None:
    said = send(root, ADD, team=alice.team.pk, **{name: value})
    assert said.status_code == 200
    assert set(errors(said)) == {name}


def test_a_policy_that_leaves_no_provider_is_refused_at_the_field(root: Client, alice: Member) -> None:
    said = send(root, ADD, team=alice.team.pk, only_providers="azure", ignored_providers="azure")
    assert set(errors(said)) == {"ignored_providers"}


def test_a_team_has_one_policy(root: Client, alice: Member) -> None:
    Policy.objects.create(team=alice.team)
    assert set(errors(send(root, ADD, team=alice.team.pk))) == {"team"}


@pytest.mark.parametrize(
    "row",
    [
        {"data_collection": "perhaps"},
        {"sort": "beauty"},
        {"max_effort": "minimal"},
        {"max_output": 0},
        {"max_prompt_price": Decimal(-1)},
        {"max_completion_price": Decimal(-1)},
    ],
    ids=str,
)
def test_the_database_takes_no_other(alice: Member, row: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Policy.objects.create(team=alice.team, **row)


@pytest.mark.parametrize("role", [Membership.Role.OWNER, Membership.Role.ADMIN])
def test_who_keeps_a_team_reads_its_policy_and_changes_nothing(alice: Member, role: Membership.Role) -> None:
    policy = Policy.objects.create(team=alice.team, denied_models="openai/*")
    theirs = Policy.objects.create(team=cast.carol().team, denied_models="globex/*")
    browser = signed_in(cast.member("dave@acme.example", "Acme", role).user)
    page = browser.get(change(policy))
    assert page.status_code == 200
    assert "openai/*" in page.content.decode()
    assert 'name="denied_models"' not in page.content.decode()
    assert "globex" not in browser.get(LIST).content.decode()
    assert browser.get(change(theirs)).status_code in {302, 403, 404}
    forms = {"team": alice.team.pk, "denied_models": ""}
    delete = reverse("admin:accounts_policy_delete", args=[policy.pk])
    refused = [browser.post(path, {**forms, "post": "yes"}) for path in (change(policy), delete, ADD)]
    assert [each.status_code for each in refused] == [403, 403, 403]
    browser.post(LIST, {"action": "delete_selected", "_selected_action": [policy.pk], "post": "yes"})
    policy.refresh_from_db()
    assert policy.denied_models == "openai/*"


def test_every_change_of_a_policy_is_in_the_audit_log(root: Client, alice: Member) -> None:
    policy = Policy.objects.create(team=alice.team, denied_models="openai/*")
    assert send(root, change(policy), denied_models="", zdr="on").status_code == 302
    entry = AuditEntry.objects.filter(object_pk=str(policy.pk), event="changed", content_type__model="policy")[0]
    assert (entry.team, entry.actor_email) == (alice.team, "root@example.com")
    assert entry.lines == ["denied_models: openai/* → empty", "zdr: False → True"]
