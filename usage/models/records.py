"""The record of every admitted request."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import ApiKey, Team

#: What OpenRouter may still be asked about: it answered, and did not say what it charged.
COST_IS_GUESSED = Q(corrected_at=None) & ~Q(generation_id="") & ~Q(cost_source="upstream")


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

    times_asked = models.PositiveSmallIntegerField(
        default=0, help_text="How often OpenRouter was asked afterwards what it charged, and did not know."
    )
    asked_at = models.DateTimeField(null=True)
    corrected_at = models.DateTimeField(
        "corrected", null=True, help_text="When what OpenRouter said afterwards took the place of an estimate."
    )
    before = models.JSONField(
        null=True, help_text="Tokens and cost as they were before they were corrected, and why they were not known."
    )

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
            models.Index(fields=["settled_at"], condition=COST_IS_GUESSED, name="usage_cost_is_guessed"),
        ]

    def __str__(self) -> str:
        return self.request_id
