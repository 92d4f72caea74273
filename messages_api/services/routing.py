"""Owns the step from a model name and a team to a `Route`: what answers, and with what limits and prices.

A name resolves in this order: the team's alias, everyone's alias, an exact id of the catalogue (a variant such as
`:free` split off), the family of a Claude name. Aliases, catalogue and providers are held in one snapshot per
process, read again only after the configuration has changed.
"""

import asyncio
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from django.conf import settings

from accounts import configuration
from accounts.database import query
from accounts.encryption import Undecipherable, decrypt
from messages_api.errors import NotFound
from messages_api.models import FAMILIES, CatalogModel, ModelAlias, Provider
from messages_api.services.model_facts import ModelFacts
from usage.pricing import Prices

#: Claude Code's model picker hides ids that do not begin with "claude" or "anthropic": they are listed under this, too.
PICKER_PREFIX = "claude-bridge/"
LONG_CONTEXT_SUFFIX = "[1m]"
LITELLM_PREFIX = "litellm:"
SUGGESTIONS = 3
#: Whose rules (schemas, ids, reasoning) hold at a provider, where LiteLLM's name for it is not OpenRouter's.
FAMILY_OF_PROVIDER = {
    "gemini": "google",
    "vertex_ai": "google",
    "mistral": "mistralai",
    "moonshot": "moonshotai",
    "xai": "x-ai",
}


@dataclass(frozen=True, slots=True)
class ProviderAccess:
    """How a provider beside OpenRouter is reached."""

    name: str
    litellm_provider: str
    base_url: str
    api_key: str | None = field(repr=False)  # None: it cannot be decrypted any more


@dataclass(frozen=True, slots=True)
class Target:
    """One place that can answer: the model as the upstream names it, and the provider if it is not OpenRouter."""

    model: str
    facts: ModelFacts
    provider: ProviderAccess | None = None

    def __str__(self) -> str:
        return f"{LITELLM_PREFIX}{self.provider.name}/{self.model}" if self.provider else self.model


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes."""

    requested: str
    target: Target
    system_addendum: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """A row of ModelAlias, as routing needs it."""

    name: str
    target: str
    is_family: bool
    system_addendum: str = ""


@dataclass(frozen=True, slots=True)
class Directory:
    """Everything names are resolved by, as it stood at one moment."""

    aliases: Mapping[tuple[int | None, str], Alias]
    models: Mapping[str, ModelFacts]
    providers: Mapping[str, ProviderAccess]

    def names_for(self, team_id: int) -> list[str]:
        """The names a member of the team may ask for: aliases, then the catalogue."""
        aliases = sorted({name for (owner, name) in self.aliases if owner in (None, team_id)})
        return aliases + sorted(self.models)


def resolve(requested: str, team_id: int, directory: Directory) -> Route:
    """Where `requested` leads for this team. Raises NotFound with the nearest names."""
    name = requested.removesuffix(LONG_CONTEXT_SUFFIX).removeprefix(PICKER_PREFIX)
    alias = _named_alias(name, team_id, directory.aliases)
    if alias is None:
        target = _catalogue_target(name, directory)
        if target is not None:
            return Route(requested, target)
        alias = None if PICKER_PREFIX in requested else _family_alias(name, team_id, directory.aliases)
    if alias is None:
        raise NotFound(_unknown(requested, directory.names_for(team_id)))
    return Route(requested, _alias_target(alias, directory), alias.system_addendum)


def family_of(claude_name: str) -> str | None:
    """The family of one of Claude's own names: `claude-haiku-4-5` -> haiku; None for other names."""
    if not claude_name.startswith("claude-"):
        return None
    return next((family for family in FAMILIES if family in claude_name.removeprefix("claude-")), "claude")


def default_target(family: str) -> str:
    """Where a family goes when its alias does not say: SMALL_MODEL for haiku, BIG_MODEL for the others."""
    return settings.SMALL_MODEL if family == "haiku" else settings.BIG_MODEL


def _named_alias(name: str, team_id: int, aliases: Mapping[tuple[int | None, str], Alias]) -> Alias | None:
    return aliases.get((team_id, name)) or aliases.get((None, name))


def _family_alias(name: str, team_id: int, aliases: Mapping[tuple[int | None, str], Alias]) -> Alias | None:
    family = family_of(name)
    if family is None:
        return None
    rows = (aliases.get((owner, family)) for owner in (team_id, None))
    return next((row for row in rows if row is not None and row.is_family), Alias(family, "", is_family=True))


def _alias_target(alias: Alias, directory: Directory) -> Target:
    name = alias.target or default_target(alias.name)
    target = _catalogue_target(name, directory) or _litellm_target(name, directory)
    if target is None:
        raise NotFound(
            f"model: the alias {alias.name!r} leads to {name!r}, which is not in the catalogue. "
            "An administrator can correct the alias, or refresh the catalogue with `manage.py sync_models`."
        )
    return target


def _catalogue_target(name: str, directory: Directory) -> Target | None:
    facts = directory.models.get(name)
    if facts is not None:
        return Target(name, facts)
    base, _, variant = name.rpartition(":")
    facts = directory.models.get(base)
    if facts is None or not variant:
        return None
    return Target(name, replace(facts, prices=None))  # a variant has prices of its own


def _litellm_target(name: str, directory: Directory) -> Target | None:
    if not name.startswith(LITELLM_PREFIX):
        return None
    provider_name, _, model = name.removeprefix(LITELLM_PREFIX).partition("/")
    provider = directory.providers.get(provider_name)
    if provider is None or not model:
        return None
    family = FAMILY_OF_PROVIDER.get(provider.litellm_provider, provider.litellm_provider)
    return Target(model, ModelFacts(id=model, family=family), provider)


def _unknown(requested: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(requested[:200], list(names), n=SUGGESTIONS, cutoff=0.3)
    hint = f" The nearest names are: {', '.join(near)}." if near else ""
    return f"model: {requested[:200]!r} is not known here.{hint}"


# --- the snapshot ----------------------------------------------------------------------------------------------------

_directory: Directory | None = None
_loading: asyncio.Task[Directory] | None = None


def _forget_directory() -> None:
    global _directory  # noqa: PLW0603  # one snapshot per process
    _directory = None


configuration.on_change(_forget_directory)


async def current_directory() -> Directory:
    """The snapshot of this process; read from the database only after a change, and then once for all who wait."""
    global _loading  # noqa: PLW0603  # one snapshot per process
    known = _directory
    if known is not None:
        return known
    if _loading is None or _loading.done() or _loading.get_loop() is not asyncio.get_running_loop():
        _loading = asyncio.create_task(_load_directory())
    return await asyncio.shield(_loading)


async def _load_directory() -> Directory:
    global _directory  # noqa: PLW0603  # one snapshot per process
    version = configuration.seen_changes()
    directory = await query(load_directory)
    if configuration.seen_changes() == version:  # else what was just read may be stale already
        _directory = directory
    return directory


def load_directory() -> Directory:
    return Directory(
        aliases={(row.team_id, row.name): _alias(row) for row in ModelAlias.objects.all()},
        models={row.id: model_facts(row) for row in CatalogModel.objects.all()},
        providers={row.name: _access(row) for row in Provider.objects.all()},
    )


def _alias(row: ModelAlias) -> Alias:
    return Alias(row.name, row.target, row.kind == ModelAlias.Kind.FAMILY, row.system_addendum)


def _access(row: Provider) -> ProviderAccess:
    try:
        key = decrypt(row.ciphertext) if row.ciphertext else ""
    except Undecipherable:  # one provider's key must not take the others down: its own requests say what is wrong
        key = None
    return ProviderAccess(row.name, row.litellm_provider, row.base_url, key)


def model_facts(row: CatalogModel) -> ModelFacts:
    return ModelFacts(
        id=row.id,
        name=row.name,
        family=row.author,
        context_length=row.context_length,
        max_output=row.max_output,
        modalities=frozenset(row.input_modalities),
        parameters=frozenset(row.supported_parameters) or None,
        efforts=tuple(row.reasoning.get("supported_efforts") or ()),
        reasoning_is_mandatory=bool(row.reasoning.get("mandatory")),
        reasoning_takes_budget=bool(row.reasoning.get("supports_max_tokens")),
        prices=_prices(row),
    )


def _prices(row: CatalogModel) -> Prices | None:
    if row.input_price is None or row.output_price is None:
        return None
    return Prices(
        input=row.input_price,
        output=row.output_price,
        cache_read=row.cache_read_price,
        cache_write=row.cache_write_price,
        request=row.request_price,
        web_search=row.web_search_price,
    )
