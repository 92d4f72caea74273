"""Budgets, what is counted of them, and what requests have reserved."""

from datetime import datetime
from typing import cast

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from accounts.configuration import Configuration, ConfigurationQuerySet
from accounts.models import ApiKey, Membership, Team
from usage.periods import Calendar
from usage.periods import Period as Length


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
