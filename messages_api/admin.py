"""The pages on which models are chosen: aliases, the catalogue, and providers beside OpenRouter."""

import difflib
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin import TeamAdmin
from accounts.admin_base import (
    KEEPS_THE_OLD_ONE,
    BridgeAdmin,
    BridgeInline,
    ModelForm,
    ReadOnlyAdmin,
    RelatedFilter,
    RowForm,
    SecretField,
    in_one_line,
)
from accounts.encryption import encrypt
from accounts.models import Team
from accounts.scope import SHARED, SUPERUSERS_ONLY, by_team
from accounts.services import HINT_LENGTH
from accounts.way_out import refusal_now
from messages_api.models import CatalogModel, ModelAlias, Provider
from messages_api.services.aliases import ensure_default_aliases
from messages_api.services.policy import LITELLM_PREFIX, PRESET
from messages_api.services.provider_preferences import check_preferences
from messages_api.services.routing import SUGGESTIONS, default_target
from usage.display import count, exact_dollars

MILLION = 10**6
MOST_FALLBACKS = 5
#: Help is shown as HTML, in which <provider> would vanish.
TARGET_HELP = (
    "A model of the catalogue (openai/gpt-5, with a variant: openai/gpt-5:nitro) or litellm:PROVIDER/MODEL. "
    "Empty, for a family: SMALL_MODEL for haiku, BIG_MODEL for the others."
)
DATALIST_ID = "catalogue-models"
DATALIST = "admin/messages_api/catalogue_datalist.html"


# --- aliases ---------------------------------------------------------------------------------------------------------


def check_target(target: str) -> None:
    """Raise ValidationError unless `target` leads somewhere: a model of the catalogue, a variant of one, a provider."""
    if target.startswith(LITELLM_PREFIX):
        _check_provider(target)
        return
    if target.startswith(PRESET):
        return  # OpenRouter keeps them
    base, _, variant = target.rpartition(":")
    wanted = [target, base] if variant else [target]
    if not CatalogModel.objects.filter(pk__in=wanted).exists():
        raise ValidationError(f"{target} is not in the catalogue.{_nearest_models(target)}")


def _check_provider(target: str) -> None:
    name, _, model = target.removeprefix(LITELLM_PREFIX).partition("/")
    known = list(Provider.objects.values_list("name", flat=True))
    if name not in known:
        hint = f"The known ones are: {', '.join(known)}." if known else "None is known yet."
        raise ValidationError(f"There is no provider named {name!r}. {hint}")
    if not model:
        raise ValidationError(f"Write which model: {LITELLM_PREFIX}{name}/MODEL.")


def _nearest_models(target: str) -> str:
    ids = list(CatalogModel.objects.values_list("pk", flat=True))
    containing = [known for known in ids if target.lower() in known][:SUGGESTIONS]
    near = containing or difflib.get_close_matches(target, ids, n=SUGGESTIONS, cutoff=0.3)
    return f" The nearest are: {', '.join(near)}." if near else " The catalogue is empty: run manage.py sync_models."


class AliasForm(ModelForm):
    """An alias whose target leads somewhere."""

    class Meta:
        model = ModelAlias
        fields = (
            "team",
            "name",
            "kind",
            "target",
            "fallbacks",
            "transport",
            "provider_preferences",
            "pdf_engine",
            "max_output",
            "max_effort",
            "system_addendum",
            "note",
        )
        widgets = {"target": UnfoldAdminTextInputWidget(attrs={"list": DATALIST_ID, "autocomplete": "off"})}
        help_texts = {"target": TARGET_HELP}

    def clean_target(self) -> str:
        target: str = self.cleaned_data["target"]
        self.instance.target = target  # a refused target is not a missing one: the model's own check shall see it
        if target:
            check_target(target)
        return target

    def clean_fallbacks(self) -> str:
        """One target a line, each leading somewhere."""
        lines = [line.strip() for line in self.cleaned_data["fallbacks"].splitlines() if line.strip()]
        if len(lines) > MOST_FALLBACKS:
            raise ValidationError(f"At most {MOST_FALLBACKS}: whoever asks is waiting.")
        for line in lines:
            check_target(line)
        return "\n".join(lines)

    def clean_provider_preferences(self) -> dict[str, Any]:
        preferences: dict[str, Any] = self.cleaned_data["provider_preferences"] or {}
        try:
            check_preferences(preferences)
        except ValueError as error:
            raise ValidationError(f"OpenRouter would not take this: {error}.") from None
        return preferences

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        others = ModelAlias.objects.filter(team=None).exclude(pk=self.instance.pk)
        for_everyone = "team" in self.fields and "team" in cleaned and cleaned["team"] is None
        if for_everyone and others.filter(name=cleaned.get("name")).exists():
            self.add_error("name", "There is an alias of this name for every team already.")
        return cleaned


def goes_to(alias: ModelAlias) -> str:
    """What answers to `alias`; where it follows a setting, with that setting's name."""
    setting = "SMALL_MODEL" if alias.name == "haiku" else "BIG_MODEL"
    return alias.target or f"{default_target(alias.name)} ({setting})"


def with_catalogue(context: dict[str, Any] | None) -> dict[str, Any]:
    """`context`, and in it what targets are completed from."""
    return {
        **(context or {}),
        "datalist_id": DATALIST_ID,
        "catalogue": CatalogModel.objects.values_list("pk", "name"),
    }


@admin.register(ModelAlias)
class ModelAliasAdmin(BridgeAdmin):
    """Which model answers to which name."""

    scope = by_team("team")
    team_admins_may = frozenset({"view", "add", "change", "delete"})
    change_form_after_template: str | None = DATALIST
    intro = "A name that members ask for, and the model that answers. A team's alias comes before everyone's."
    empty_hint = "The Claude families come with manage.py bootstrap; other names are added here."
    form = AliasForm
    list_display = ("shown_name", "shown_team", "kind", "shown_target", "addendum")
    list_filter = (("team", RelatedFilter), ("kind", ChoicesDropdownFilter))
    list_select_related = ("team",)
    search_fields = ("name", "target", "team__name", "note")
    autocomplete_fields = ("team",)
    save_as = True
    fieldsets = (
        (None, {"fields": ("team", "name", "kind", "target", "fallbacks")}),
        (
            "How it is asked",
            {
                "fields": ("transport", "provider_preferences", "pdf_engine", "max_output", "max_effort"),
                "classes": ["collapse"],
            },
        ),
        ("What the model is told besides", {"fields": ("system_addendum", "note")}),
    )

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        return super().changeform_view(request, object_id, form_url, with_catalogue(extra_context))

    @display(description="name", ordering="name", header=True)
    def shown_name(self, alias: ModelAlias) -> tuple[str, str]:
        return alias.name, alias.note

    @display(description="team", ordering="team__name")
    def shown_team(self, alias: ModelAlias) -> str:
        return alias.team.name if alias.team else "every team"

    @display(description="goes to", ordering="target")
    def shown_target(self, alias: ModelAlias) -> str:
        others = len(alias.targets) - 1
        return in_one_line(goes_to(alias) + (f" (+{others})" if others else ""))

    @display(description="addendum", label={"yes": "info"})
    def addendum(self, alias: ModelAlias) -> str:
        return "yes" if alias.system_addendum else ""


class AliasOfTeamForm(RowForm, AliasForm):
    """An alias in its team's page."""


class AliasesOfTeam(BridgeInline):
    """The aliases of a team, in its page."""

    model = ModelAlias
    form = AliasOfTeamForm
    fields = ("name", "kind", "target", "follows")
    readonly_fields = ("follows",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelAlias]:
        return super().get_queryset(request).select_related("team")

    @display(description="goes now to")
    def follows(self, alias: ModelAlias) -> str:
        return goes_to(alias) if alias.name else ""


admin.site.unregister(Team)


@admin.register(Team)
class RoutedTeamAdmin(TeamAdmin):
    """Teams as people know them, and the models that answer them."""

    change_form_after_template = DATALIST  # type: ignore[assignment]  # Unfold declares it as None
    list_display = ("name", "active", "members", "usable_keys", "aliases", "openrouter_key", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        return super().get_queryset(request).annotate(alias_count=Count("aliases", distinct=True))

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        return super().changeform_view(request, object_id, form_url, with_catalogue(extra_context))

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        """A new team is given its aliases, so there is nothing to fill in yet."""
        return [*self.inlines, AliasesOfTeam] if obj else [*self.inlines]

    @display(description="aliases", ordering="alias_count")
    def aliases(self, team: Any) -> int:
        return int(team.alias_count)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            ensure_default_aliases(obj)


# --- the catalogue ---------------------------------------------------------------------------------------------------


class AuthorFilter(DropdownFilter):
    """Who made a model: what stands before the slash."""

    title = "author"
    parameter_name = "author"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        authors = {pk.partition("/")[0] for pk in CatalogModel.objects.values_list("pk", flat=True)}
        return [(author, author) for author in sorted(authors)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> QuerySet[CatalogModel]:
        return queryset.filter(pk__startswith=f"{self.value()}/") if self.value() else queryset


@admin.register(CatalogModel)
class CatalogModelAdmin(ReadOnlyAdmin):
    """The models there are to go to. They come from OpenRouter; nobody writes them here."""

    scope = SHARED
    intro = "The models that aliases may lead to. manage.py sync_models brings them up to date from OpenRouter."
    list_display = ("id", "name", "context", "output", "price_in", "price_out", "price_cached", "takes")
    list_filter = (AuthorFilter,)
    search_fields = ("id", "name")
    ordering = ("id",)
    fieldsets = (
        (None, {"fields": ("id", "name", "context", "output", "modalities")}),
        ("Prices in USD per million tokens", {"fields": ("price_in", "price_out", "price_cached", "price_written")}),
        ("Prices in USD each", {"fields": ("price_request", "price_search")}),
        ("What OpenRouter says besides", {"fields": ("supported_parameters", "reasoning", "updated_at")}),
    )

    @display(description="context", ordering="context_length")
    def context(self, model: CatalogModel) -> str:
        return count(model.context_length)

    @display(description="max output", ordering="max_output")
    def output(self, model: CatalogModel) -> str:
        return count(model.max_output)

    @display(description="in $/M", ordering="input_price")
    def price_in(self, model: CatalogModel) -> str:
        return _per_million(model.input_price)

    @display(description="out $/M", ordering="output_price")
    def price_out(self, model: CatalogModel) -> str:
        return _per_million(model.output_price)

    @display(description="cache read $/M", ordering="cache_read_price")
    def price_cached(self, model: CatalogModel) -> str:
        return _per_million(model.cache_read_price)

    @display(description="cache write $/M", ordering="cache_write_price")
    def price_written(self, model: CatalogModel) -> str:
        return _per_million(model.cache_write_price)

    @display(description="request")
    def price_request(self, model: CatalogModel) -> str:
        return exact_dollars(model.request_price)

    @display(description="web search")
    def price_search(self, model: CatalogModel) -> str:
        return exact_dollars(model.web_search_price)

    @display(description="takes", label=True)
    def takes(self, model: CatalogModel) -> list[str]:
        return list(model.input_modalities)

    @display(description="takes")
    def modalities(self, model: CatalogModel) -> str:
        return ", ".join(model.input_modalities)


def _per_million(price: int | None) -> str:
    """A price in picodollars per token as people quote it: USD per million tokens."""
    return "" if price is None else exact_dollars(price * MILLION)


# --- providers beside OpenRouter -------------------------------------------------------------------------------------


class ProviderForm(ModelForm):
    """A provider and, going in only, the key for it."""

    secret = SecretField(label="Key", required=False, help_text="Stored encrypted, never shown again.")

    class Meta:
        model = Provider
        fields = (
            "name",
            "litellm_provider",
            "speaks_messages",
        )  # the page adds base_url: as a form's own it would assume http
        help_texts = {"name": "As aliases name it: litellm:NAME/MODEL."}

    def clean_base_url(self) -> str:
        """Where prompts and the key go: into the internet, unless a setting says otherwise."""
        url: str = self.cleaned_data["base_url"]
        refusal = refusal_now(url) if url else None
        if refusal is not None:
            raise ValidationError(refusal)
        return url

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.ciphertext:
            self.fields["secret"].help_text = KEEPS_THE_OLD_ONE


@admin.register(Provider)
class ProviderAdmin(BridgeAdmin):
    """Providers reached through LiteLLM, or relayed to. A base URL decides where prompts go: for superusers only."""

    scope = SUPERUSERS_ONLY
    intro = "Providers that are reached through LiteLLM rather than OpenRouter. Aliases name them: litellm:NAME/MODEL."
    empty_hint = "None is needed as long as every alias leads to a model of the catalogue."
    form = ProviderForm
    list_display = ("name", "litellm_provider", "base_url", "speaks_messages", "shown_hint")
    search_fields = ("name", "litellm_provider")
    ordering = ("name",)
    readonly_fields = ("shown_hint",)
    fields = ("name", "litellm_provider", "base_url", "speaks_messages", "shown_hint", "secret")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, models.URLField):
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @display(description="key ends in")
    def shown_hint(self, provider: Provider) -> str:
        return f"…{provider.hint}" if provider.hint else "no key"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        secret = form.cleaned_data.get("secret")
        if secret:
            obj.ciphertext, obj.hint = encrypt(secret), secret[-HINT_LENGTH:]
        super().save_model(request, obj, form, change)
