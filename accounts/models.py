"""People, teams, and the keys that stand for them."""

from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.text import slugify

from accounts.configuration import Configuration, ConfigurationQuerySet, ConfigurationVersion

__all__ = ["ApiKey", "ConfigurationVersion", "Membership", "OpenRouterKey", "Team", "User"]


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
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(Configuration, AbstractUser):
    """A person, known by an email address."""

    username = None  # type: ignore[assignment]  # Django's own way to drop the field
    email = models.EmailField("email address", unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[misc,assignment]  # AbstractUser declares a manager that wants user names

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="email_in_any_case_once")]

    def __str__(self) -> str:
        return self.email


class OpenRouterKey(Configuration):
    """A key of OpenRouter's: who pays. Its text is encrypted and never shown again."""

    name = models.CharField(max_length=100, unique=True)
    ciphertext = models.TextField(editable=False)
    hint = models.CharField("ends in", max_length=8, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

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
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ConfigurationQuerySet["Team"].as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.slug = self.slug or self._free_slug()
        super().save(*args, **kwargs)

    def _free_slug(self) -> str:
        """The name as a slug, with a number behind it where another team has it already."""
        base = slugify(self.name)[:90] or "team"
        taken = set(Team.objects.filter(slug__startswith=base).values_list("slug", flat=True))
        return next(slug for slug in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))) if slug not in taken)


class Membership(Configuration):
    """A user's place in a team. A personal key belongs to one."""

    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
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


class ApiKeyQuerySet(ConfigurationQuerySet["ApiKey"]):
    """Finds personal keys."""

    def with_owner(self) -> Self:
        return self.select_related("membership__user", "membership__team__openrouter_key", "openrouter_key")


class ApiKey(Configuration):
    """A personal key: what a member puts into `x-api-key`. Stored as prefix and hash."""

    membership = models.ForeignKey(Membership, models.CASCADE, related_name="api_keys", verbose_name="member")
    name = models.CharField(max_length=100, help_text="Where it is used: a laptop, a build server.")
    prefix = models.CharField(max_length=8, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    openrouter_key = models.ForeignKey(
        OpenRouterKey,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="api_keys",
        verbose_name="OpenRouter key",
        help_text="Pays for this personal key. Empty: the team's pays.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "personal key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} (sk-brg-{self.prefix}-…)"

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())
