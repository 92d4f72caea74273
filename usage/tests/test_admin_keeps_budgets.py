"""Budgets in the admin: superusers set them for anybody, a team's administrators for its members and keys."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.audit import AuditEntry
from accounts.configuration import current_version
from accounts.models import Membership, Team
from testing import cast
from testing.budgets import CENT, DOLLAR, budget, key_of, record
from testing.cast import Member
from testing.html_form import fields
from testing.signed_in import signed_in
from usage.models import Budget, BudgetCounter
from usage.services.budgets import directory

pytestmark = pytest.mark.django_db

LIST, ADD = reverse("admin:usage_budget_changelist"), reverse("admin:usage_budget_add")


def page_of(row: Budget, name: str = "change") -> str:
    return reverse(f"admin:usage_budget_{name}", args=[row.pk])


@pytest.fixture
def alice() -> Member:
    return cast.alice()


@pytest.fixture
def root(alice: Member) -> Client:
    return signed_in(cast.root())


def sent(browser: Client, member: Member, **given: Any) -> str:
    """What the page says to a new budget of the whole team for a month."""
    form = {"team": member.team.pk, "membership": "", "api_key": "", "amount": "100", "period": "month", **given}
    return str(browser.post(ADD, form).content.decode())


def test_a_superuser_sets_one_for_a_team_a_member_or_a_key(root: Client, alice: Member) -> None:
    sent(root, alice, is_hard="on")
    sent(root, alice, membership=alice.membership.pk, amount="0.000000000001", period="day")
    sent(root, alice, api_key=key_of(alice).pk, amount="12.5", period="week")
    rows = Budget.objects.order_by("pk")
    assert [(row.whose, row.period, row.amount, row.is_hard) for row in rows] == [
        ("the team Acme", "month", 100 * DOLLAR, True),
        ("alice@acme.example in Acme", "day", 1, False),
        ("the key alice's laptop in Acme", "week", 25 * DOLLAR // 2, False),
    ]


def test_its_amount_is_shown_as_it_was_written_and_kept_to_the_last_digit(root: Client, alice: Member) -> None:
    row = budget(alice, 1234 * DOLLAR + 1)
    form = fields(root.get(page_of(row)).content.decode())
    assert form["amount"] == "1234.000000000001"
    root.post(page_of(row), form)
    row.refresh_from_db()
    assert row.amount == 1234 * DOLLAR + 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"amount": "0"}, "greater than or equal to"),
        ({"amount": "-1"}, "greater than or equal to"),
        ({"amount": "10000000"}, "less than or equal to"),
        ({"amount": "much"}, "Enter a number"),
        ({"amount": "0.0000000000001"}, "greater than or equal to"),
        ({"amount": ""}, "This field is required"),
        ({"period": "year"}, "Select a valid choice"),
        ({"team": ""}, "This field is required"),
        ({"membership": "carol"}, "Not a member of this team."),
        ({"api_key": "carol"}, "Not a key of this team."),
        ({"membership": "alice", "api_key": "alice"}, "Choose a member or a key, not both."),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    root: Client, alice: Member, given: dict[str, str], words: str
) -> None:
    people = {"alice": alice, "carol": cast.carol()}
    for name, of in (("membership", lambda who: who.membership.pk), ("api_key", lambda who: key_of(who).pk)):
        if given.get(name) in people:
            given = {**given, name: str(of(people[given[name]]))}
    assert words in sent(root, alice, **given)
    assert not Budget.objects.exists()


# --- what is left ----------------------------------------------------------------------------------------------------


def test_the_list_says_what_is_spent_reserved_and_left(root: Client, alice: Member) -> None:
    row = budget(alice)
    directory.load()
    BudgetCounter.objects.filter(budget=row).update(spent=60 * CENT, reserved=15 * CENT)
    page = root.get(LIST).content.decode()
    for shown in ("the team Acme", "$1.00", "$0.6000", "$0.1500", "$0.2500", "60 %", 'value="60"', "hard"):
        assert shown in page


def test_what_is_spent_more_than_the_budget_leaves_nothing(root: Client, alice: Member) -> None:
    row = budget(alice)
    directory.load()
    BudgetCounter.objects.filter(budget=row).update(spent=3 * DOLLAR)
    page = root.get(LIST).content.decode()
    assert "300 %" in page
    assert 'value="100"' in page
    assert "$-" not in page


def test_a_period_that_nobody_has_begun_yet_is_shown_empty(root: Client, alice: Member) -> None:
    row = budget(alice)
    directory.load()
    BudgetCounter.objects.filter(budget=row).update(spent=60 * CENT, period_start=datetime(2026, 1, 1, tzinfo=UTC))
    assert "$0.6000" not in root.get(LIST).content.decode()


def test_a_new_one_shows_at_once_what_was_spent_before(root: Client, alice: Member) -> None:
    record(alice, "earlier", 30 * CENT, timezone.now())
    sent(root, alice)
    assert "$0.3000" in root.get(LIST).content.decode()


def test_its_page_says_when_the_period_began_and_ends_in_the_teams_time(root: Client, alice: Member) -> None:
    Team.objects.filter(pk=alice.team.pk).update(time_zone="Asia/Kathmandu")
    page = root.get(page_of(budget(alice))).content.decode()
    assert page.count("00:00 (Asia/Kathmandu)") == 2


@pytest.mark.parametrize(("subject", "count"), [("team", 1), ("member", 2), ("key", 3), ("", 6)])
def test_it_is_filtered_by_what_it_is_for(root: Client, alice: Member, subject: str, count: int) -> None:
    budget(alice)
    for number in range(2):
        budget(alice, DOLLAR + number, membership=alice.membership)
    for number in range(3):
        budget(alice, DOLLAR + number, api_key=key_of(alice))
    assert len(root.get(LIST, {"subject": subject}).context["cl"].result_list) == count


# --- who may what ----------------------------------------------------------------------------------------------------


def test_who_keeps_a_team_sets_budgets_of_its_members_and_keys(alice: Member) -> None:
    browser, bob = signed_in(alice.user), cast.bob()
    sent(browser, alice, membership=bob.membership.pk)
    sent(browser, alice, api_key=key_of(bob).pk)
    assert [row.whose for row in Budget.objects.order_by("pk")] == [
        "bob@acme.example in Acme",
        "the key bob's laptop in Acme",
    ]
    row = Budget.objects.get(membership=bob.membership)
    form = fields(browser.get(page_of(row)).content.decode())
    browser.post(page_of(row), {**form, "amount": "7"})
    row.refresh_from_db()
    assert row.amount == 7 * DOLLAR


def test_who_keeps_a_team_sees_its_own_budget_and_cannot_set_change_or_delete_it(alice: Member) -> None:
    browser, row = signed_in(alice.user), budget(alice)
    assert "a budget of the whole team is set by whoever keeps this server" in sent(browser, alice)
    assert "the team Acme" in browser.get(LIST).content.decode()
    assert browser.get(page_of(row)).status_code == 200
    form = {"amount": "1000", "period": "month", "team": alice.team.pk}
    assert browser.post(page_of(row), form).status_code == 403
    assert browser.post(page_of(row, "delete"), {"post": "yes"}).status_code == 403
    browser.post(LIST, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert Budget.objects.get().amount == DOLLAR


def test_a_budget_cannot_be_turned_into_another_subjects(alice: Member) -> None:
    """Else the owner of a team would make one for himself, and then one of the whole team out of it."""
    browser, row = signed_in(alice.user), budget(alice, membership=alice.membership)
    browser.post(page_of(row), {"team": alice.team.pk, "membership": "", "amount": "5", "period": "month"})
    row.refresh_from_db()
    assert (row.membership, row.amount) == (alice.membership, 5 * DOLLAR)


def test_where_a_webhook_leads_and_the_time_zone_are_superusers_to_decide(alice: Member, root: Client) -> None:
    path = reverse("admin:accounts_team_change", args=[alice.team.pk])
    alice.team.webhook_url = "https://hooks.example.com/secret-of-the-hook"
    alice.team.save()
    for administrator in (alice.user, cast.member("dora@acme.example", "Acme", Membership.Role.ADMIN).user):
        browser = signed_in(administrator)
        page = browser.get(path).content.decode()
        assert "secret-of-the-hook" not in page
        form = {**fields(page), "webhook_url": "https://evil.example/", "time_zone": "Asia/Tokyo"}
        browser.post(path, form)
    team = Team.objects.get(pk=alice.team.pk)
    assert (team.webhook_url, team.time_zone) == ("https://hooks.example.com/secret-of-the-hook", "UTC")
    assert "secret-of-the-hook" in root.get(path).content.decode()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"time_zone": "Europe/Berlim"}, "Europe/Berlin"),
        ({"time_zone": "nowhere"}, "is not a time zone"),
        ({"time_zone": "../../etc/passwd"}, "is not a time zone"),
        ({"webhook_url": "ftp://hooks.example.com/"}, "https://host/path"),
        ({"webhook_url": "https://10.0.0.1/"}, "private network"),
    ],
)
def test_a_teams_time_zone_and_webhook_are_judged(
    root: Client, alice: Member, settings: Any, given: dict[str, str], words: str
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    path = reverse("admin:accounts_team_change", args=[alice.team.pk])
    form = fields(root.get(path).content.decode())
    assert words in root.post(path, {**form, **given}).content.decode()
    assert Team.objects.get(pk=alice.team.pk).time_zone == "UTC"


# --- what follows ----------------------------------------------------------------------------------------------------


def test_a_change_is_in_the_audit_log_and_of_the_configuration_and_what_requests_count_is_neither(
    root: Client, alice: Member
) -> None:
    sent(root, alice)
    (row,) = Budget.objects.all()
    of_budgets = AuditEntry.objects.filter(content_type__model="budget", team=alice.team)
    assert of_budgets.get().lines[0] == "amount: $100"
    version, entries = current_version(), AuditEntry.objects.count()
    BudgetCounter.objects.update(spent=1)
    BudgetCounter.objects.get().save()
    assert (current_version(), AuditEntry.objects.count()) == (version, entries)
    form = fields(root.get(page_of(row)).content.decode())
    root.post(page_of(row), {**form, "amount": "200"})
    assert of_budgets.get(event="changed").lines == ["amount: $100 → $200"]
    assert current_version() > version


def test_the_audit_log_does_not_say_where_a_webhook_leads(root: Client, alice: Member) -> None:
    path = reverse("admin:accounts_team_change", args=[alice.team.pk])
    form = fields(root.get(path).content.decode())
    root.post(path, {**form, "webhook_url": "https://hooks.example.com/secret-of-the-hook"})
    (entry,) = AuditEntry.objects.filter(content_type__model="team", event="changed")
    assert entry.lines == ["webhook_ciphertext: changed"]
    assert "secret-of-the-hook" not in str(entry.changes)


def test_where_a_webhook_leads_rests_encrypted_and_is_encrypted_anew_only_when_it_changes(
    root: Client, alice: Member
) -> None:
    path, url = reverse("admin:accounts_team_change", args=[alice.team.pk]), "https://hooks.example.com/secret"
    form = {**fields(root.get(path).content.decode()), "webhook_url": url}
    root.post(path, form)
    team = Team.objects.get(pk=alice.team.pk)
    assert url not in team.webhook_ciphertext
    assert team.webhook_url == url
    kept = team.webhook_ciphertext
    root.post(path, {**fields(root.get(path).content.decode()), "name": "Acme & Sons"})
    team = Team.objects.get(pk=alice.team.pk)
    assert (team.name, team.webhook_ciphertext) == ("Acme & Sons", kept)
    root.post(path, {**form, "webhook_url": ""})
    assert Team.objects.get(pk=alice.team.pk).webhook_ciphertext == ""


def test_a_webhook_that_no_key_opens_can_be_given_anew(root: Client, alice: Member, settings: Any) -> None:
    alice.team.webhook_url = "https://hooks.example.com/secret"
    alice.team.save()
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    path = reverse("admin:accounts_team_change", args=[alice.team.pk])
    page = root.get(path).content.decode()
    assert "no key in FIELD_ENCRYPTION_KEYS opens it" in page
    root.post(path, fields(page))
    assert Team.objects.get(pk=alice.team.pk).webhook_ciphertext == alice.team.webhook_ciphertext
    root.post(path, {**fields(page), "webhook_url": "https://hooks.example.com/new"})
    assert Team.objects.get(pk=alice.team.pk).webhook_url == "https://hooks.example.com/new"
