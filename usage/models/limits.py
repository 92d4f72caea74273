"""The limits that requests are admitted within."""

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.configuration import Configuration, ConfigurationQuerySet
from accounts.models import ApiKey, Membership, Team


class Limit(Configuration):
    """How much a team, each of its members, one member or one key may ask for in a minute, and at the same time."""

    class AppliesTo(models.TextChoices):
        TEAM = "team", "the team as a whole"
        EACH_MEMBER = "each_member", "each member of the team"
        MEMBER = "member", "one member"
        KEY = "key", "one personal key"

    AMOUNTS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")

    team = models.ForeignKey(Team, models.CASCADE, related_name="limits")
    applies_to = models.CharField(
        max_length=12,
        choices=AppliesTo.choices,
        default=AppliesTo.TEAM,
        help_text="A limit for one member takes the place of the one for each member.",
    )
    membership = models.ForeignKey(
        Membership,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="limits",
        verbose_name="member",
        help_text="For one member: which.",
    )
    api_key = models.ForeignKey(
        ApiKey,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="limits",
        verbose_name="personal key",
        help_text="For one personal key: which.",
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Within any 60 seconds. Empty: no limit."
    )
    tokens_per_minute = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Input that was not read from a cache, and output. Empty: no limit.",
    )
    concurrent_requests = models.PositiveIntegerField(
        "requests at the same time",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Empty: no limit.",
    )

    objects = ConfigurationQuerySet["Limit"].as_manager()

    class Meta:
        ordering = ["team__name", "applies_to", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["team", "applies_to"],
                condition=Q(applies_to__in=["team", "each_member"]),
                name="limit_once_per_team",
            ),
            models.UniqueConstraint(fields=["membership"], name="limit_once_per_member"),
            models.UniqueConstraint(fields=["api_key"], name="limit_once_per_key"),
            models.CheckConstraint(
                condition=Q(applies_to__in=["team", "each_member"], membership=None, api_key=None)
                | Q(applies_to="member", membership__isnull=False, api_key=None)
                | Q(applies_to="key", membership=None, api_key__isnull=False),
                name="limit_has_its_subject",
            ),
            models.CheckConstraint(
                condition=Q(requests_per_minute__isnull=False)
                | Q(tokens_per_minute__isnull=False)
                | Q(concurrent_requests__isnull=False),
                name="limit_limits_something",
                violation_error_message="Limit at least one of the three.",
            ),
            *(
                models.CheckConstraint(condition=Q(**{name: None}) | Q(**{f"{name}__gt": 0}), name=f"positive_{name}")
                for name in ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.team})"

    @property
    def subject(self) -> str:
        """Whom it is for, within the team."""
        if self.membership is not None:
            return str(self.membership.user)
        return str(self.api_key or self.get_applies_to_display())

    @property
    def subject_id(self) -> int | None:
        """What a caller is known by: the member's user, or the key; None where it is for everybody in the team."""
        return self.membership.user_id if self.membership is not None else self.api_key_id

    def clean(self) -> None:
        """What the constraints hold of whom it is for, said at the field that is wrong."""
        member, key = self.membership, self.api_key
        self._check_subject("membership", self.AppliesTo.MEMBER, None if member is None else member.team_id)
        self._check_subject("api_key", self.AppliesTo.KEY, None if key is None else key.membership.team_id)
        alike = Limit.objects.filter(team=self.team_id, applies_to=self.applies_to).exclude(pk=self.pk)
        if self.applies_to in {self.AppliesTo.TEAM, self.AppliesTo.EACH_MEMBER} and alike.exists():
            raise ValidationError({"applies_to": "The team has such a limit already: change that one."})

    def _check_subject(self, field: str, needed_by: str, team_id: int | None) -> None:
        is_needed = self.applies_to == needed_by
        if is_needed and team_id is None:
            raise ValidationError({field: "Choose one."})
        if not is_needed and team_id is not None:
            raise ValidationError({field: "Leave this empty, or choose above that the limit applies to it."})
        if team_id is not None and team_id != self.team_id:
            raise ValidationError({field: "This one is of another team."})
