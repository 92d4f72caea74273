"""The record of every admitted request; budgets, what they have left, and what requests have reserved of them."""

from datetime import datetime
from typing import cast

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from accounts.configuration import Configuration, ConfigurationQuerySet
from accounts.models import ApiKey, Membership, Team
from usage.periods import Calendar
from usage.periods import Period as Length


class UsageRecord(models.Model):
    """One admitted request: who asked for what, what answered, what it cost.

    Written by the ledger only. Names are kept beside the keys to other tables, so that deleting a team, a user or a
    key loses nothing; those keys have no database constraint, so that a record of something just deleted still
    arrives.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        COMPLETED = "completed", "completed"
        ERROR = "error", "error"
        ABORTED = "aborted", "aborted by the client"
        LOST = "lost", "lost"

    class CostSource(models.TextChoices):
        NONE = "", "not known"
        UPSTREAM = "upstream", "charged by the provider"
        CATALOGUE = "catalogue", "estimated from the catalogue"

    request_id = models.CharField(max_length=40, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    server = models.CharField(max_length=40, help_text="The server process that admitted it.")
    lease_expires_at = models.DateTimeField(help_text="An open record past this time belongs to a dead process.")

    started_at = models.DateTimeField("time")
    settled_at = models.DateTimeField(null=True)
    latency_ms = models.PositiveIntegerField("latency (ms)", null=True)
    first_byte_ms = models.PositiveIntegerField("first token (ms)", null=True)

    team = models.ForeignKey(Team, models.SET_NULL, null=True, db_constraint=False, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, db_constraint=False, related_name="+"
    )
    api_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, db_constraint=False, related_name="+")
    team_name = models.CharField("team", max_length=100)
    email = models.CharField("member", max_length=254)
    key_name = models.CharField("key", max_length=100)

    session_id = models.CharField("session", max_length=128, blank=True)
    agent_id = models.CharField("agent", max_length=128, blank=True)
    parent_agent_id = models.CharField("parent agent", max_length=128, blank=True)

    requested_model = models.CharField(max_length=200)
    model = models.CharField(max_length=200)
    provider = models.CharField(max_length=100, blank=True)
    streamed = models.BooleanField(default=False)
    generation_id = models.CharField(max_length=200, blank=True)

    attempts = models.JSONField(
        default=list, help_text="All attempts, where there was more than one: target, status, error, cost."
    )
    estimated_tokens = models.PositiveBigIntegerField(
        default=0, help_text="The prompt's tokens as they were estimated from its size alone."
    )

    input_tokens = models.PositiveBigIntegerField("input", default=0)
    output_tokens = models.PositiveBigIntegerField("output", default=0)
    cache_read_tokens = models.PositiveBigIntegerField("cache read", default=0)
    cache_write_tokens = models.PositiveBigIntegerField("cache write", default=0)
    reasoning_tokens = models.PositiveBigIntegerField("reasoning", default=0)
    web_searches = models.PositiveIntegerField("web searches", default=0)
    cost = models.BigIntegerField(default=0, help_text="In 10^-12 USD.")
    cost_source = models.CharField(max_length=10, choices=CostSource.choices, default=CostSource.NONE, blank=True)

    status = models.PositiveSmallIntegerField(null=True, help_text="The HTTP status the client was told.")
    stop_reason = models.CharField(max_length=40, blank=True)
    error_type = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="open", settled_at=None) | Q(~Q(state="open"), settled_at__isnull=False),
                name="settled_unless_open",
            )
        ]
        indexes = [
            models.Index(fields=["-started_at"]),
            models.Index(fields=["team", "-started_at"]),
            models.Index(fields=["user", "-started_at"]),
            models.Index(fields=["session_id"], condition=~Q(session_id=""), name="usage_session"),
            models.Index(fields=["lease_expires_at"], condition=Q(state="open"), name="usage_open_lease"),
        ]

    def __str__(self) -> str:
        return self.request_id


class Budget(Configuration):
    """How much a team, one of its members, or one personal key may spend in a day, a week or a month.

    This is what an administrator decides, and changes of it are changes of the configuration. What is spent of it is
    in `BudgetCounter`, which requests change all the time.
    """

    class Period(models.TextChoices):
        DAY = "day", "day"
        WEEK = "week", "week"
        MONTH = "month", "month"

    team = models.ForeignKey(Team, models.CASCADE, related_name="budgets")
    membership = models.ForeignKey(
        Membership,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="budgets",
        verbose_name="member",
        help_text="The one member it is for, with all of their keys in this team.",
    )
    api_key = models.ForeignKey(
        ApiKey,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="budgets",
        verbose_name="personal key",
        help_text="The one personal key it is for. Without a member and a key it is for the whole team.",
    )
    period = models.CharField(
        max_length=5,
        choices=Period.choices,
        default=Period.MONTH,
        help_text="It begins anew at midnight in the team's time zone; a week on Monday.",
    )
    amount = models.BigIntegerField(help_text="In 10^-12 USD.")
    is_hard = models.BooleanField(
        "hard",
        default=True,
        help_text="On: once it is spent, requests are refused until the next period. Off: it only gives notice.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ConfigurationQuerySet["Budget"].as_manager()

    class Meta:
        ordering = ["team__name", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="budget_is_positive"),
            models.CheckConstraint(condition=Q(period__in=["day", "week", "month"]), name="known_budget_period"),
            models.CheckConstraint(
                condition=Q(membership=None) | Q(api_key=None), name="budget_of_a_member_or_of_a_key"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_period_display()} of {self.whose}"

    @property
    def whose(self) -> str:
        """The team, the member or the key, as refusals and notices name it."""
        if self.api_key is not None:
            return f"the key {self.api_key.name} in {self.team.name}"
        return str(self.membership) if self.membership is not None else f"the team {self.team.name}"

    @property
    def calendar(self) -> Calendar:
        """How its periods begin and end, which is also what a counter has counted by."""
        return Calendar(cast(Length, self.period), self.team.time_zone)

    def clean(self) -> None:
        """A member or a key is one of the team's."""
        if self.membership is not None and self.membership.team_id != self.team_id:
            raise ValidationError({"membership": "Not a member of this team."})
        if self.api_key is not None and self.api_key.membership.team_id != self.team_id:
            raise ValidationError({"api_key": "Not a key of this team."})


class BudgetCounter(models.Model):
    """What is spent and reserved of a budget in its present period. Amounts are picodollars.

    Requests and the ledger write here, under a lock on the row; several are locked in the order of their budgets.
    """

    budget = models.OneToOneField(Budget, models.CASCADE, primary_key=True, related_name="counter")
    calendar = models.CharField(
        max_length=80, help_text="What it counts by. Another period or time zone has it count anew from the records."
    )
    period_start = models.DateTimeField()
    spent = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)
    noticed = models.PositiveSmallIntegerField(
        default=0, help_text="The percentage spent that administrators have been told of in this period."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(spent__gte=0) & Q(reserved__gte=0), name="budget_counts_from_zero")
        ]

    def __str__(self) -> str:
        return f"{self.spent} + {self.reserved}"

    def roll(self, period_start: datetime) -> None:
        """Begin the period that starts then, if it is a later one: what is counted belongs to one that is over."""
        if period_start > self.period_start:
            self.period_start, self.spent, self.reserved, self.noticed = period_start, 0, 0, 0


class Reservation(models.Model):
    """What one request has reserved of one budget, until its cost is known or its process is known to be dead."""

    request_id = models.CharField(max_length=40)
    # Without a constraint in the database, so that a request does not wait for who is changing the budget.
    budget = models.ForeignKey(Budget, models.DO_NOTHING, db_constraint=False, related_name="+")
    period_start = models.DateTimeField(help_text="The period of which it is reserved.")
    amount = models.BigIntegerField(help_text="In 10^-12 USD.")
    server = models.CharField(max_length=40, help_text="The server process that admitted the request.")
    lease_expires_at = models.DateTimeField(help_text="Past this time its process is dead, and it is given back.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request_id", "budget"], name="one_reservation_per_budget"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="reservation_is_not_negative"),
        ]
        indexes = [models.Index(fields=["server"]), models.Index(fields=["lease_expires_at"])]

    def __str__(self) -> str:
        return f"{self.request_id} {self.amount}"
