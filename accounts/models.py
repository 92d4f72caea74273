"""People, teams, and the keys that stand for them."""

from functools import cached_property
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.text import slugify

from accounts.audit import AuditEntry
from accounts.configuration import Configuration, ConfigurationQuerySet, ConfigurationVersion
from accounts.encryption import decrypt, encrypt
from accounts.globs import check_globs, check_slugs, split_globs
from accounts.time_zones import DEFAULT_TIME_ZONE, check_time_zone

__all__ = ["ApiKey", "AuditEntry", "ConfigurationVersion", "Membership", "OpenRouterKey", "Policy", "Team", "User"]

#: The roles that keep a team in the admin.
ADMINISTERING = ("owner", "admin")


class UserManager(BaseUserManager["User"]):
    """Finds and makes users by their email."""

    def get_queryset(self) -> ConfigurationQuerySet["User"]:
        return ConfigurationQuerySet["User"](self.model, using=self._db)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(Configuration, AbstractUser):
    """A person, known by an email address. Who signs in to the admin follows from what they are in a team."""

    username = None  # type: ignore[assignment]  # Django's own way to drop the field
    email = models.EmailField("email address", unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[misc,assignment]  # AbstractUser declares a manager that wants user names

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="email_in_any_case_once")]

    def __str__(self) -> str:
        return self.email

    @cached_property
    def administered(self) -> dict[int, str]:
        """The teams that this user keeps, with the role in each: asked for once in the life of this object."""
        kept = self.memberships.filter(role__in=ADMINISTERING)
        return dict(kept.values_list("team_id", "role"))

    @property
    def is_staff(self) -> bool:  # type: ignore[override]  # Django has a column, which could disagree with the roles
        """Whether this user may sign in to the admin: a superuser, and who keeps a team."""
        return self.is_superuser or bool(self.administered)

    def owns(self, team_id: int) -> bool:
        return self.is_superuser or self.administered.get(team_id) == "owner"


class OpenRouterKey(Configuration):
    """A key of OpenRouter's: who pays. Its text is encrypted and never shown again.

    What OpenRouter says about it was so at `checked_at`; amounts are picodollars (10^-12 USD).
    """

    class Reset(models.TextChoices):
        NEVER = "", "never"
        DAILY = "daily"
        WEEKLY = "weekly"
        MONTHLY = "monthly"

    name = models.CharField(max_length=100, unique=True)
    team = models.ForeignKey(
        "Team",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="openrouter_keys",
        help_text="The team whose administrators keep this key. Empty: superusers alone.",
    )
    ciphertext = models.TextField(editable=False)
    hint = models.CharField("ends in", max_length=8, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    managed_id = models.CharField(
        max_length=128, blank=True, editable=False, help_text="OpenRouter's name for it, if it was made from here."
    )

    limit = models.BigIntegerField(null=True, editable=False)
    limit_remaining = models.BigIntegerField("remaining", null=True, editable=False)
    limit_reset = models.CharField(max_length=10, choices=Reset.choices, blank=True, editable=False)
    usage = models.BigIntegerField("used", null=True, editable=False)
    expires_at = models.DateTimeField("expires", null=True, editable=False)
    checked_at = models.DateTimeField("checked", null=True, editable=False)
    check_error = models.CharField(max_length=300, blank=True, editable=False)

    objects = ConfigurationQuerySet["OpenRouterKey"].as_manager()

    class Meta:
        verbose_name = "OpenRouter key"
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} (…{self.hint})"


class Team(Configuration):
    """A group that shares aliases, a bill and its administrators."""

    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(
        max_length=100, unique=True, blank=True, help_text="The short name in logs and reports. Made from the name."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="While off, every key of this team is refused with 403."
    )
    openrouter_key = models.ForeignKey(
        OpenRouterKey,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="teams",
        verbose_name="OpenRouter key",
        help_text="Pays for every personal key without one of its own. Empty: the server's OPENROUTER_API_KEY pays.",
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        default=DEFAULT_TIME_ZONE,
        validators=[check_time_zone],
        help_text="An IANA name such as Europe/Berlin. Periods of budgets begin at midnight there. Empty: UTC.",
    )
    webhook_ciphertext = models.TextField(
        "webhook", blank=True, editable=False, help_text="Encrypted: such an address often is a secret."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ConfigurationQuerySet["Team"].as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.slug = self.slug or self._free_slug()
        super().save(*args, **kwargs)

    @property
    def webhook_url(self) -> str:
        """Where notices of budgets go; "" for nowhere. Raises Undecipherable."""
        return decrypt(self.webhook_ciphertext) if self.webhook_ciphertext else ""

    @webhook_url.setter
    def webhook_url(self, url: str) -> None:
        self.webhook_ciphertext = encrypt(url) if url else ""

    def _free_slug(self) -> str:
        """The name as a slug, with a number behind it where another team has it already."""
        base = slugify(self.name)[:90] or "team"
        taken = set(Team.objects.filter(slug__startswith=base).values_list("slug", flat=True))
        return next(slug for slug in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))) if slug not in taken)


class Effort(models.TextChoices):
    """How much a model may be made to think."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


def _price(kind: str) -> "models.DecimalField[Any, Any]":
    """USD per million tokens. Twelve digits are exact in SQLite too, where a decimal is kept as a REAL."""
    return models.DecimalField(
        f"most per million {kind} tokens",
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="In USD. Providers that charge more are not taken. 0: only those that are free.",
    )


class Policy(Configuration):
    """What superusers impose on a team. Of a policy and an alias the stricter counts; requests widen neither."""

    class DataCollection(models.TextChoices):
        UNSAID = "", "as the alias or OpenRouter's account says"
        ALLOW = "allow", "allow: also providers that may keep prompts or train with them"
        DENY = "deny", "deny: only providers that do not"

    class Sort(models.TextChoices):
        UNSAID = "", "as the alias or OpenRouter says"
        PRICE = "price", "the cheapest first"
        THROUGHPUT = "throughput", "the fastest first"
        LATENCY = "latency", "the quickest to begin first"

    team = models.OneToOneField(Team, models.CASCADE, related_name="policy")
    allowed_models = models.TextField(
        blank=True,
        validators=[check_globs],
        help_text=(
            "One a line, with * for anything: openai/*, litellm:local/*. Empty: every model. What answers must match, "
            "by its full name (a variant such as openai/gpt-5:free has a name of its own), whatever alias led to it; "
            "only the exact name of an alias for every team lets pass whatever that leads to. Models that choose by "
            "themselves (openrouter/auto, @preset/..., names with :online) must be listed as such: * does not."
        ),
    )
    denied_models = models.TextField(
        blank=True,
        validators=[check_globs],
        help_text=(
            "Written the same way, and stronger than what is allowed. Matched with the name asked for, with the alias, "
            "and with what answers: openai/gpt-5 denies its variants, too."
        ),
    )
    data_collection = models.CharField(max_length=10, choices=DataCollection.choices, blank=True)
    zdr = models.BooleanField(
        "zero data retention",
        default=False,
        help_text="Only providers that keep nothing. This, deny and only also rule out providers beside OpenRouter.",
    )
    only_providers = models.TextField(
        "only these providers",
        blank=True,
        validators=[check_slugs],
        help_text="OpenRouter's short names, one a line: anthropic, azure, deepinfra/turbo. Empty: all.",
    )
    ignored_providers = models.TextField(
        "never these providers", blank=True, validators=[check_slugs], help_text="Written the same way."
    )
    sort = models.CharField("providers are taken", max_length=10, choices=Sort.choices, blank=True)
    max_prompt_price = _price("prompt")
    max_completion_price = _price("completion")
    max_output = models.PositiveIntegerField(
        "maximum output", null=True, blank=True, validators=[MinValueValidator(1)], help_text="In tokens."
    )
    max_effort = models.CharField("maximum effort", max_length=10, choices=Effort.choices, blank=True)
    system_addendum = models.TextField(
        blank=True, help_text="Text put at the end of every system prompt, behind that of the alias."
    )

    objects = ConfigurationQuerySet["Policy"].as_manager()

    class Meta:
        verbose_name_plural = "policies"
        ordering = ["team__name"]
        constraints = [
            models.CheckConstraint(condition=Q(data_collection__in=["", "allow", "deny"]), name="known_collection"),
            models.CheckConstraint(
                condition=Q(sort__in=["", "price", "throughput", "latency"]), name="known_provider_sort"
            ),
            models.CheckConstraint(
                condition=Q(max_effort__in=["", "low", "medium", "high", "xhigh", "max"]), name="known_policy_effort"
            ),
            models.CheckConstraint(condition=Q(max_output=None) | Q(max_output__gt=0), name="positive_policy_output"),
            models.CheckConstraint(
                condition=Q(max_prompt_price=None) | Q(max_prompt_price__gte=0), name="prompt_price_from_zero"
            ),
            models.CheckConstraint(
                condition=Q(max_completion_price=None) | Q(max_completion_price__gte=0),
                name="completion_price_from_zero",
            ),
        ]

    def __str__(self) -> str:
        return f"policy of {self.team}"


class Membership(Configuration):
    """A user's place in a team. A personal key belongs to one."""

    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    openrouter_key = models.ForeignKey(
        OpenRouterKey,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="members",
        verbose_name="OpenRouter key",
        help_text="Pays for this member's personal keys without one of their own. Empty: the team's pays.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ConfigurationQuerySet["Membership"].as_manager()

    class Meta:
        verbose_name = "member"
        ordering = ["team__name", "user__email"]
        constraints = [
            models.UniqueConstraint(fields=["user", "team"], name="one_membership_per_team"),
            models.CheckConstraint(condition=Q(role__in=["owner", "admin", "member"]), name="known_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"

    @property
    def is_administering(self) -> bool:
        return self.role in ADMINISTERING


class ApiKeyQuerySet(ConfigurationQuerySet["ApiKey"]):
    """Finds personal keys."""

    def with_owner(self) -> Self:
        payers = ("openrouter_key", "membership__openrouter_key", "membership__team__openrouter_key")
        return self.select_related("membership__user", *payers)

    def with_prefix(self, prefix: str) -> Self:
        """The key that begins so, or began so until it was rotated."""
        return self.filter(Q(prefix=prefix) | Q(previous_prefix=prefix))


class ApiKey(Configuration):
    """A personal key: what a member puts into `x-api-key`. Stored as prefix and hash.

    Rotating it gives it a new text; the one before is good until `previous_until`, so that it can be
    changed where it is used without an interruption.
    """

    membership = models.ForeignKey(Membership, models.CASCADE, related_name="api_keys", verbose_name="member")
    name = models.CharField(max_length=100, help_text="Where it is used: a laptop, a build server.")
    prefix = models.CharField(max_length=8, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    previous_prefix = models.CharField(max_length=8, unique=True, null=True, editable=False)  # noqa: DJ001  # unique unless there is none
    previous_digest = models.CharField(max_length=64, blank=True, editable=False)
    previous_until = models.DateTimeField("its text before is good until", null=True, editable=False)
    allowed_models = models.TextField(
        blank=True,
        validators=[check_globs],
        help_text="One name a line, with * for anything: openai/*, sonnet. Empty: whatever the team may use.",
    )
    openrouter_key = models.ForeignKey(
        OpenRouterKey,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="api_keys",
        verbose_name="OpenRouter key",
        help_text="Pays for this personal key. Empty: its member's pays, or the team's.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField("last used", null=True, editable=False, help_text="To the minute.")

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "personal key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} (sk-brg-{self.prefix}-…)"

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    @property
    def model_globs(self) -> tuple[str, ...]:
        return split_globs(self.allowed_models)
