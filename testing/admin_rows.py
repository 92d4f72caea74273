"""One row of every model that the admin shows, for the team of a member. A model without one fails the tests."""

from collections.abc import Callable

from axes.models import AccessAttempt
from django.db import models
from django.utils import timezone

from accounts.audit import AuditEntry
from accounts.models import ApiKey, Membership, OpenRouterKey, Policy, Team, User
from messages_api.models import CatalogModel, ModelAlias, Provider
from testing import cast
from testing.cast import Member
from usage.models import Budget, Limit, UsageRecord


def usage_record(member: Member) -> UsageRecord:
    now = timezone.now()
    return UsageRecord.objects.create(
        request_id=f"req_{member.user.email}",
        started_at=now,
        lease_expires_at=now,
        team=member.team,
        user=member.user,
        team_name=member.team.name,
        email=member.user.email,
        key_name=f"{member.team.name}'s laptop",
        requested_model=f"{member.team.name}-model",
        model="openai/gpt-5",
    )


def openrouter_key(member: Member) -> OpenRouterKey:
    row = cast.openrouter_key(f"{member.team.name}'s own key", f"sk-or-v1-{member.team.slug}-0123456789abcdef")
    row.team = member.team
    row.save()
    return row


ROWS: dict[type[models.Model], Callable[[Member], models.Model]] = {
    Team: lambda member: member.team,
    User: lambda member: member.user,
    Membership: lambda member: member.membership,
    ApiKey: lambda member: ApiKey.objects.filter(membership=member.membership)[0],
    OpenRouterKey: openrouter_key,
    ModelAlias: lambda member: ModelAlias.objects.create(
        team=member.team, name=f"{member.team.slug}-alias", target="openai/gpt-5", note=f"of {member.team.name}"
    ),
    Policy: lambda member: Policy.objects.create(
        team=member.team, denied_models=f"{member.team.slug}/*", system_addendum=f"Of {member.team.name}."
    ),
    UsageRecord: usage_record,
    Limit: lambda member: Limit.objects.create(
        team=member.team,
        applies_to=Limit.AppliesTo.KEY,
        api_key=ApiKey.objects.filter(membership=member.membership)[0],
        requests_per_minute=60,
    ),
    Budget: lambda member: Budget.objects.create(team=member.team, membership=member.membership, amount=10**14),
    AuditEntry: lambda member: AuditEntry.objects.filter(team=member.team)[0],
    Provider: lambda member: Provider.objects.create(
        name=f"{member.team.slug}-groq", litellm_provider="groq", base_url="https://groq.example"
    ),
    CatalogModel: lambda member: CatalogModel.objects.get(pk="openai/gpt-5"),
    AccessAttempt: lambda member: AccessAttempt.objects.create(
        username=member.user.email, ip_address="192.0.2.1", user_agent=member.team.name, failures_since_start=5
    ),
}


def make_one_of_each(member: Member) -> dict[str, str]:
    """A row of every model that the admin shows: its key by the model's label."""
    return {model._meta.label: str(ROWS[model](member).pk) for model in ROWS}
