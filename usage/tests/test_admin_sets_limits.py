"""Limits are set in the admin: each kind by whoever keeps the team, and what makes no sense is said at its field."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.audit import AuditEntry
from accounts.models import ApiKey
from testing import cast
from testing.signed_in import signed_in
from usage.models import Limit

pytestmark = pytest.mark.django_db

ADD = "admin:usage_limit_add"
EMPTY = {
    "membership": "",
    "api_key": "",
    "requests_per_minute": "",
    "tokens_per_minute": "",
    "concurrent_requests": "",
}


@pytest.fixture
def owner() -> Client:
    return signed_in(cast.alice().user)


def key_of(member: cast.Member) -> ApiKey:
    return ApiKey.objects.filter(membership=member.membership)[0]


def errors(browser: Client, **form: Any) -> dict[str, list[str]]:
    """What the page says of a form, by field."""
    response = browser.post(reverse(ADD), {"team": cast.alice().team.pk, **EMPTY, **form})
    if response.status_code == 302:
        return {}
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_each_kind_of_limit_is_set_by_whoever_keeps_the_team(owner: Client) -> None:
    bob = cast.bob()
    for form in (
        {"applies_to": "team", "requests_per_minute": 600},
        {"applies_to": "each_member", "tokens_per_minute": 200_000},
        {"applies_to": "member", "membership": bob.membership.pk, "concurrent_requests": 5},
        {"applies_to": "key", "api_key": key_of(bob).pk, "requests_per_minute": 60},
    ):
        assert errors(owner, **form) == {}
    assert [str(limit) for limit in Limit.objects.order_by("pk")] == [
        "the team as a whole (Acme)",
        "each member of the team (Acme)",
        "bob@acme.example (Acme)",
        f"{key_of(bob)} (Acme)",
    ]
    entry = AuditEntry.objects.get_for_object(Limit.objects.order_by("pk")[1])[0]
    assert (entry.event, entry.actor_email, entry.team_name) == ("created", "alice@acme.example", "Acme")
    assert "tokens_per_minute: 200000" in entry.lines


def test_a_form_that_makes_no_sense_says_so_at_its_field(owner: Client) -> None:
    alice, bob = cast.alice(), cast.bob()
    Limit.objects.create(team=alice.team, requests_per_minute=1)
    Limit.objects.create(team=alice.team, applies_to="member", membership=bob.membership, requests_per_minute=1)
    Limit.objects.create(team=alice.team, applies_to="key", api_key=key_of(bob), requests_per_minute=1)
    some = {"requests_per_minute": 60}
    for form, field in (
        ({"applies_to": "each_member"}, "requests_per_minute"),
        ({"applies_to": "each_member", "requests_per_minute": 0}, "requests_per_minute"),
        ({"applies_to": "each_member", "tokens_per_minute": -1}, "tokens_per_minute"),
        ({"applies_to": "each_member", "concurrent_requests": "many"}, "concurrent_requests"),
        ({"applies_to": "everybody", **some}, "applies_to"),
        ({"applies_to": "team", **some}, "applies_to"),
        ({"applies_to": "member", **some}, "membership"),
        ({"applies_to": "key", **some}, "api_key"),
        ({"applies_to": "each_member", "membership": alice.membership.pk, **some}, "membership"),
        ({"applies_to": "member", "membership": alice.membership.pk, "api_key": key_of(bob).pk, **some}, "api_key"),
        ({"applies_to": "member", "membership": bob.membership.pk, **some}, "membership"),
        ({"applies_to": "key", "api_key": key_of(bob).pk, **some}, "api_key"),
    ):
        assert list(errors(owner, **form)) == [field], form
    said = errors(owner, applies_to="key", team="")
    assert said.keys() == {"team", "api_key", "requests_per_minute"}, "each at its field, together"
    assert Limit.objects.count() == 3


def test_a_member_or_key_of_another_team_is_not_to_be_had(owner: Client) -> None:
    carol = cast.carol()
    some = {"requests_per_minute": 60}
    assert list(errors(owner, applies_to="member", membership=carol.membership.pk, **some)) == ["membership"]
    assert list(errors(owner, applies_to="key", api_key=key_of(carol).pk, **some)) == ["api_key"]
    root = signed_in(cast.root())
    said = errors(root, applies_to="member", membership=carol.membership.pk, **some)
    assert said == {"membership": ["This one is of another team."]}
    assert not Limit.objects.exists()


def test_the_database_refuses_what_the_form_would() -> None:
    alice, bob = cast.alice(), cast.bob()
    Limit.objects.create(team=alice.team, requests_per_minute=1)
    Limit.objects.create(team=alice.team, applies_to="member", membership=bob.membership, requests_per_minute=1)
    member, key = bob.membership, key_of(bob)
    for wrong in (
        {"applies_to": "each_member"},
        {"applies_to": "each_member", "requests_per_minute": 0},
        {"applies_to": "each_member", "tokens_per_minute": 0},
        {"applies_to": "each_member", "concurrent_requests": 0},
        {"applies_to": "team", "requests_per_minute": 1},
        {"applies_to": "member", "requests_per_minute": 1},
        {"applies_to": "key", "requests_per_minute": 1},
        {"applies_to": "team", "api_key": key, "requests_per_minute": 1},
        {"applies_to": "member", "membership": member, "requests_per_minute": 1},
        {"applies_to": "nobody", "requests_per_minute": 1},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Limit.objects.create(team=alice.team, **wrong)


def test_a_limit_goes_with_whom_it_is_for() -> None:
    bob = cast.bob()
    Limit.objects.create(team=bob.team, applies_to="member", membership=bob.membership, requests_per_minute=1)
    Limit.objects.create(team=bob.team, applies_to="key", api_key=key_of(bob), requests_per_minute=1)
    bob.membership.delete()
    assert not Limit.objects.exists()


def test_a_limit_is_checked_wherever_it_is_made() -> None:
    with pytest.raises(ValidationError):
        Limit(team=cast.alice().team).full_clean()
