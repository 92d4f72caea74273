"""Owns the step from a model name and a team to a `Route`: what answers, and with what limits and prices.

A name resolves in this order: the team's alias, everyone's alias, an exact id of the catalogue (a variant such as
`:free` split off), the family of a Claude name. An alias may lead to several targets, asked in order. Aliases,
catalogue and providers are held in one snapshot per process, read again only after the configuration has changed.
"""

import asyncio
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal

from django.conf import settings

from accounts import configuration
from accounts.database import query
from accounts.encryption import Undecipherable, decrypt
from messages_api.errors import InvalidRequest, NotFound
from messages_api.models import FAMILIES, CatalogModel, ModelAlias, Provider
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import NO_TERMS, Terms
from usage.pricing import Prices

#: Claude Code's model picker hides ids that do not begin with "claude" or "anthropic": they are listed under this, too.
PICKER_PREFIX = "claude-bridge/"
LONG_CONTEXT_SUFFIX = "[1m]"
LITELLM_PREFIX = "litellm:"
#: Names under which OpenRouter picks a model, or adds a search, by itself: an administrator decides on each.
ROUTER_PREFIX = "openrouter/"
PRESET = "@preset/"
ONLINE_VARIANT = "online"
#: Whose models OpenRouter's own Messages endpoint serves without loss (wire.md 2.6).
NATIVE_FAMILY = "anthropic"
SUGGESTIONS = 3
#: Whose rules (schemas, ids, reasoning) hold at a provider, where LiteLLM's name for it is not OpenRouter's.
FAMILY_OF_PROVIDER = {
    "azure": "openai",
    "gemini": "google",
    "vertex_ai": "google",
    "mistral": "mistralai",
    "moonshot": "moonshotai",
    "xai": "x-ai",
}


#: How a target is asked: its Messages API as it is, a chat completion of ours, or one through LiteLLM.
Transport = Literal["native", "translate", "litellm"]
#: Have Claude's models among others.
HOSTS_OF_CLAUDE = frozenset({"azure_ai", "bedrock", "vertex_ai"})


@dataclass(frozen=True, slots=True)
class ProviderAccess:
    """How a provider beside OpenRouter is reached."""

    name: str
    litellm_provider: str
    base_url: str
    api_key: str | None = field(repr=False)  # None: it cannot be decrypted any more
    speaks_messages: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """One place that can answer: the model as the upstream names it, and the provider if it is not OpenRouter."""

    model: str
    facts: ModelFacts
    provider: ProviderAccess | None = None
    transport: Transport = "translate"

    def __str__(self) -> str:
        return f"{LITELLM_PREFIX}{self.provider.name}/{self.model}" if self.provider else self.model


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: the first target, then those that are asked when it does not answer; and on what terms."""

    requested: str
    targets: tuple[Target, ...]
    terms: Terms = NO_TERMS

    @property
    def target(self) -> Target:
        return self.targets[0]


@dataclass(frozen=True, slots=True)
class Alias:
    """A row of ModelAlias, as routing needs it."""

    name: str
    targets: tuple[str, ...]  # "" stands for the family's default
    is_family: bool
    transport: str = "auto"
    terms: Terms = NO_TERMS


@dataclass(frozen=True, slots=True)
class Directory:
    """Everything names are resolved by, as it stood at one moment."""

    aliases: Mapping[tuple[int | None, str], Alias]
    models: Mapping[str, ModelFacts]
    providers: Mapping[str, ProviderAccess]

    def names_for(self, team_id: int) -> list[str]:
        """The names a member of the team may ask for: aliases, then the catalogue."""
        aliases = sorted({name for (owner, name) in self.aliases if owner in (None, team_id)})
        return aliases + sorted(model for model in self.models if not is_router(model))


def resolve(requested: str, team_id: int, directory: Directory) -> Route:
    """Where `requested` leads for this team. Raises NotFound with the nearest names, InvalidRequest for a router."""
    name = _plain_name(requested)
    alias = _named_alias(name, team_id, directory.aliases)
    if alias is None:
        if is_router(name):
            raise InvalidRequest(
                f"model: {requested[:200]!r} lets OpenRouter choose what answers, or search the web, by itself. "
                "An administrator can allow it with an alias that leads there."
            )
        target = _catalogue_target(name, directory)
        if target is not None:
            return Route(requested, (_with_transport(target, "auto"),))
        alias = None if PICKER_PREFIX in requested else _family_alias(name, team_id, directory.aliases)
    if alias is None:
        raise NotFound(_unknown(requested, directory.names_for(team_id)))
    return Route(requested, _alias_targets(alias, directory), alias.terms)


def within(route: Route, allowed: Sequence[str]) -> Route:
    """`route` as far as a personal key's list of models (globs) allows it: by the name asked for, or by target.

    Raises InvalidRequest where nothing is left of it. An empty list allows all that the team may use.
    """
    if not allowed or _matches(_plain_name(route.requested), allowed):
        return route
    targets = tuple(target for target in route.targets if _matches(str(target), allowed))
    if not targets:
        raise InvalidRequest(
            f"model: this key may not use {route.requested[:200]!r}. It is for: {', '.join(allowed)}. "
            "An administrator of the team can change that."
        )
    return replace(route, targets=targets)


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _plain_name(requested: str) -> str:
    """A name without what only Claude Code's own lists put around it."""
    return requested.removesuffix(LONG_CONTEXT_SUFFIX).removeprefix(PICKER_PREFIX)


def is_router(name: str) -> bool:
    """Whether OpenRouter, asked for `name`, decides more than who serves it (wire.md 2.1)."""
    spelled = name.strip().lower()
    return spelled.startswith(ROUTER_PREFIX) or PRESET in spelled or ONLINE_VARIANT in spelled.split(":")[1:]


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
    return next((row for row in rows if row is not None and row.is_family), Alias(family, ("",), is_family=True))


def _alias_targets(alias: Alias, directory: Directory) -> tuple[Target, ...]:
    """Raises NotFound for the first that leads nowhere; a fallback that leads nowhere is passed over."""
    names = [name or default_target(alias.name) for name in alias.targets]
    found = [target_named(name, directory) for name in names]
    if found[0] is None:
        raise NotFound(
            f"model: the alias {alias.name!r} leads to {names[0]!r}, which is not in the catalogue. "
            "An administrator can correct the alias, or refresh the catalogue with `manage.py sync_models`."
        )
    return tuple(_with_transport(target, alias.transport) for target in found if target is not None)


def target_named(name: str, directory: Directory) -> Target | None:
    """What an alias means by `name`: a model of the catalogue, one of a provider's, or a preset of OpenRouter's."""
    if name.startswith(PRESET):
        return Target(name, ModelFacts(id=name))
    return _catalogue_target(name, directory) or _litellm_target(name, directory)


def _with_transport(target: Target, wanted: str) -> Target:
    return replace(target, transport=_transport(target, wanted))


def _transport(target: Target, wanted: str) -> Transport:
    """How `target` is asked, where an alias wants `wanted`: what a fallback cannot do is done in its own way."""
    if target.provider is not None:
        return "native" if target.provider.speaks_messages and wanted in {"auto", "native"} else "litellm"
    if wanted == "litellm" or settings.OPENROUTER_CLIENT == "litellm":
        return "litellm"
    is_native = wanted == "native" or (wanted == "auto" and target.facts.family == NATIVE_FAMILY)
    return "native" if is_native else "translate"


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
    if provider.litellm_provider in HOSTS_OF_CLAUDE and "claude" in model:
        family = NATIVE_FAMILY
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
    terms = Terms(
        system_addendum=row.system_addendum,
        provider=row.provider_preferences,
        pdf_engine=row.pdf_engine,
        max_output=row.max_output,
        max_effort=row.max_effort,
    )
    return Alias(row.name, tuple(row.targets), row.kind == ModelAlias.Kind.FAMILY, row.transport, terms)


def _access(row: Provider) -> ProviderAccess:
    try:
        key = decrypt(row.ciphertext) if row.ciphertext else ""
    except Undecipherable:  # one provider's key must not take the others down: its own requests say what is wrong
        key = None
    return ProviderAccess(row.name, row.litellm_provider, row.base_url, key, row.speaks_messages)


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
