"""Where a model name leads: the catalogue of models, aliases for them, and providers beside OpenRouter."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from accounts.configuration import Configuration, ConfigurationQuerySet
from accounts.models import Effort, Team

FAMILIES = ("haiku", "sonnet", "opus", "claude")


class CatalogModel(Configuration):
    """A model of OpenRouter's, as its `/models` describes it. Requests are validated against these rows.

    Prices are picodollars (10^-12 USD) per token, or per request or search.
    """

    id = models.CharField("model", max_length=200, primary_key=True)
    name = models.CharField(max_length=200)
    context_length = models.PositiveBigIntegerField(help_text="In tokens.")
    max_output = models.PositiveBigIntegerField("maximum output", null=True, blank=True, help_text="In tokens.")
    input_modalities = models.JSONField(default=list)
    supported_parameters = models.JSONField(default=list)
    reasoning = models.JSONField(default=dict, blank=True, help_text="What OpenRouter says about its reasoning.")
    input_price = models.BigIntegerField(null=True)
    output_price = models.BigIntegerField(null=True)
    cache_read_price = models.BigIntegerField(null=True)
    cache_write_price = models.BigIntegerField(null=True)
    request_price = models.BigIntegerField(default=0)
    web_search_price = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ConfigurationQuerySet["CatalogModel"].as_manager()

    class Meta:
        verbose_name = "catalogue model"
        ordering = ["id"]

    def __str__(self) -> str:
        return self.id

    @property
    def author(self) -> str:
        return self.id.partition("/")[0]


class Provider(Configuration):
    """A provider beside OpenRouter, reached through LiteLLM or by relaying Messages, and the key for it."""

    name = models.SlugField(max_length=50, unique=True, help_text="As aliases name it: litellm:NAME/MODEL.")
    litellm_provider = models.CharField(
        "LiteLLM provider", max_length=50, help_text="LiteLLM's own name for it: openai, groq, gemini, bedrock, ..."
    )
    base_url = models.URLField(blank=True, help_text="Empty: the provider's own.")
    speaks_messages = models.BooleanField(
        "speaks Messages",
        default=False,
        help_text="It answers Anthropic's Messages API at its base URL: requests are relayed to it, not translated.",
    )
    ciphertext = models.TextField(editable=False, blank=True)
    hint = models.CharField("key ends in", max_length=8, editable=False, blank=True)

    objects = ConfigurationQuerySet["Provider"].as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(speaks_messages=False) | ~Q(base_url=""), name="messages_provider_has_base_url"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.speaks_messages and not self.base_url:
            raise ValidationError({"base_url": "Where it answers Messages: https://api.anthropic.com, for instance."})


class ModelAlias(Configuration):
    """A name that members use, and the model that answers to it."""

    class Kind(models.TextChoices):
        NAME = "name", "exactly this name"
        FAMILY = "family", "every Claude model of this family"

    class Transport(models.TextChoices):
        AUTO = "auto", "automatic"
        NATIVE = "native", "relayed as Messages"
        TRANSLATE = "translate", "translated to chat completions"
        LITELLM = "litellm", "translated, through LiteLLM"

    class PdfEngine(models.TextChoices):
        AUTO = "", "OpenRouter's choice"
        NATIVE = "native", "the model's own"
        MISTRAL_OCR = "mistral-ocr", "Mistral OCR (scans; charged per page)"
        CLOUDFLARE_AI = "cloudflare-ai", "Cloudflare (text; free)"

    team = models.ForeignKey(
        Team, models.CASCADE, null=True, blank=True, related_name="aliases", help_text="Empty: for every team."
    )
    name = models.CharField(max_length=200, help_text="What members ask for, for instance: sonnet, fast, gpt.")
    kind = models.CharField(
        "applies to",
        max_length=10,
        choices=Kind.choices,
        default=Kind.NAME,
        help_text="A family also answers to Claude's own names: sonnet to claude-sonnet-5, claude to any other.",
    )
    target = models.CharField(
        "goes to",
        max_length=250,
        blank=True,
        help_text=(
            "A model of the catalogue (openai/gpt-5, with a variant: openai/gpt-5:nitro), or "
            "litellm:PROVIDER/MODEL. "
            "Empty, for a family: SMALL_MODEL for haiku, BIG_MODEL for the others."
        ),
    )
    system_addendum = models.TextField(
        blank=True, help_text="Text put at the end of the system prompt. CLAUDE.md of this project is a good start."
    )
    fallbacks = models.TextField(
        blank=True,
        help_text="One target a line, tried in this order when the first does not answer.",
    )
    transport = models.CharField(
        max_length=10,
        choices=Transport.choices,
        default=Transport.AUTO,
        help_text="Automatic: Claude models and providers that speak Messages are relayed, the others translated.",
    )
    provider_preferences = models.JSONField(
        default=dict, blank=True, help_text='OpenRouter\'s "provider" object, for instance {"zdr": true}.'
    )
    pdf_engine = models.CharField(
        "PDFs are read by", max_length=20, choices=PdfEngine.choices, default=PdfEngine.AUTO, blank=True
    )
    max_output = models.PositiveIntegerField("maximum output", null=True, blank=True, help_text="In tokens.")
    max_effort = models.CharField("maximum effort", max_length=10, choices=Effort.choices, blank=True)
    note = models.CharField(max_length=200, blank=True)

    objects = ConfigurationQuerySet["ModelAlias"].as_manager()

    class Meta:
        verbose_name = "model alias"
        verbose_name_plural = "model aliases"
        ordering = ["team__name", "name"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="alias_once_per_team"),
            models.UniqueConstraint(fields=["name"], condition=Q(team=None), name="alias_once_for_everyone"),
            models.CheckConstraint(condition=Q(kind__in=["name", "family"]), name="known_alias_kind"),
            models.CheckConstraint(condition=Q(kind="name") | Q(name__in=FAMILIES), name="family_is_known"),
            models.CheckConstraint(condition=Q(kind="family") | ~Q(target=""), name="name_has_target"),
            models.CheckConstraint(
                condition=Q(transport__in=["auto", "native", "translate", "litellm"]), name="known_transport"
            ),
            models.CheckConstraint(
                condition=Q(pdf_engine__in=["", "native", "mistral-ocr", "cloudflare-ai"]), name="known_pdf_engine"
            ),
            models.CheckConstraint(
                condition=Q(max_effort__in=["", "low", "medium", "high", "xhigh", "max"]), name="known_max_effort"
            ),
            models.CheckConstraint(condition=Q(max_output=None) | Q(max_output__gt=0), name="positive_max_output"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.team or 'every team'})"

    @property
    def targets(self) -> list[str]:
        """Where it leads, in order; "" stands for the family's default."""
        return [self.target, *(line.strip() for line in self.fallbacks.splitlines() if line.strip())]

    def clean(self) -> None:
        if self.kind == self.Kind.FAMILY and self.name not in FAMILIES:
            raise ValidationError({"name": f"A family is one of: {', '.join(FAMILIES)}."})
        if self.kind == self.Kind.NAME and not self.target:
            raise ValidationError({"target": "A name needs a model to go to."})
