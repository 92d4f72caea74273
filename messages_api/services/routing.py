"""Owns the step from a model name and a team to a `Route`: what answers, and with what limits and prices.

A name resolves in this order: the team's alias, everyone's alias, an exact id of the catalogue (a variant such as
`:free` split off), the family of a Claude name. An alias may lead to several targets, asked in order. Aliases,
catalogue and providers are held in one snapshot per process, read again only after the configuration has changed.
"""

import asyncio
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal

from django.conf import settings

from accounts import configuration
from accounts.database import query
from accounts.encryption import Undecipherable, decrypt
from accounts.globs import split_globs
from accounts.models import Policy as PolicyRow
from messages_api.errors import ApiError, Forbidden, InvalidRequest, NotFound
from messages_api.models import FAMILIES, CatalogModel, ModelAlias, Provider
from messages_api.services.model_facts import ModelFacts
from messages_api.services.policy import LITELLM_PREFIX, PRESET, Named, Policy, is_router, policy
from messages_api.services.terms import NO_TERMS, Terms, refuse_beside, stricter
from usage.pricing import Prices

#: Claude Code's model picker hides ids that do not begin with "claude" or "anthropic": they are listed under this, too.
PICKER_PREFIX = "claude-bridge/"
LONG_CONTEXT_SUFFIX = "[1m]"
VARIANT = re.compile(r"[A-Za-z0-9-]+")
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
    policies: Mapping[int, Policy] = field(default_factory=dict)  # of the teams that have one

    def names_for(self, team_id: int) -> list[str]:
        """The names a member of the team may ask for: aliases, then the catalogue."""
        aliases = sorted({name for (owner, name) in self.aliases if owner in (None, team_id)})
        ruled = self.policies.get(team_id)
        models = (model for model in self.models if not is_router(model) or (ruled and ruled.lists_router(model)))
        return aliases + sorted(models)

    def listed_for(self, team_id: int, allowed: Sequence[str]) -> list[str]:
        """Those of them that lead somewhere, by the team's policy and by the list of a personal key."""
        return [name for name in self.names_for(team_id) if _is_open(name, team_id, allowed, self)]


def route_for(requested: str, team_id: int, allowed: Sequence[str], directory: Directory) -> Route:
    """Where `requested` leads for a caller: by the team's policy, and by the list of the personal key. Raises
    ApiError."""
    return within(resolve(requested, team_id, directory), allowed)


def _is_open(name: str, team_id: int, allowed: Sequence[str], directory: Directory) -> bool:
    try:
        route = _route(name, team_id, directory)
        return route is not None and bool(within(route, allowed))
    except ApiError:
        return False


def resolve(requested: str, team_id: int, directory: Directory) -> Route:
    """Where `requested` leads for this team, as far as its policy lets it.

    Raises NotFound with the nearest names; InvalidRequest for a router, and for what the policy denies; Forbidden for
    a provider that cannot be held to the policy.
    """
    route = _route(requested, team_id, directory)
    if route is None:
        raise NotFound(_unknown(requested, team_id, directory))
    return route


def _route(requested: str, team_id: int, directory: Directory) -> Route | None:
    """None for a name that is not known here."""
    ruled = directory.policies.get(team_id)
    found = _found(requested, team_id, directory, ruled)
    if found is None:
        return None
    return found.route if ruled is None else _under(ruled, found)


@dataclass(frozen=True, slots=True)
class Found:
    """A route before the team's policy is asked, and how each of its targets was come by."""

    route: Route
    ways: tuple[Named, ...]


def _found(requested: str, team_id: int, directory: Directory, ruled: Policy | None) -> Found | None:
    name = _plain_name(requested)
    alias = _named_alias(name, team_id, directory.aliases)
    if alias is None:
        if is_router(name) and not (ruled and ruled.lists_router(name)):
            raise InvalidRequest(
                f"model: {requested[:200]!r} lets OpenRouter choose what answers, or search the web, by itself. "
                "An administrator can allow it with an alias that leads there."
            )
        target = _preset(name) if is_router(name) else None
        target = target or _catalogue_target(name, directory)
        if target is not None:
            return Found(Route(requested, (_with_transport(target, "auto"),)), (Named(name),))
        alias = None if PICKER_PREFIX in requested else _family_alias(name, team_id, directory.aliases)
    if alias is None:
        return None
    is_everyones = directory.aliases.get((None, alias.name)) is alias
    led = _alias_targets(alias, directory)
    ways = tuple(Named(name, alias.name, is_superusers=is_everyones or not written) for written, _ in led)
    return Found(Route(requested, tuple(target for _, target in led), alias.terms), ways)


def _under(ruled: Policy, found: Found) -> Route:
    """What the policy leaves of a route; where that is nothing, the refusal of its first target is raised."""
    refusals = [_refusal(ruled, *pair) for pair in zip(found.ways, found.route.targets, strict=True)]
    targets = tuple(target for target, no in zip(found.route.targets, refusals, strict=True) if no is None)
    if not targets:
        raise next(no for no in refusals if no is not None)
    return replace(found.route, targets=targets, terms=stricter(found.route.terms, ruled.terms))


def _refusal(ruled: Policy, named: Named, target: Target) -> InvalidRequest | Forbidden | None:
    reason = ruled.refusal(named, str(target))
    if reason is not None:
        return InvalidRequest(reason)
    if target.provider is None:
        return None
    return refuse_beside(ruled.terms, target.provider.litellm_provider, target.provider.name)


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


def _alias_targets(alias: Alias, directory: Directory) -> list[tuple[str, Target]]:
    """What it leads to, each with what is written in the alias ("" where a setting is followed).

    Raises NotFound for the first that leads nowhere; a fallback that leads nowhere is passed over.
    """
    names = [name or default_target(alias.name) for name in alias.targets]
    found = [target_named(name, directory) for name in names]
    if found[0] is None:
        raise NotFound(
            f"model: the alias {alias.name!r} leads to {names[0]!r}, which is not in the catalogue. "
            "An administrator can correct the alias, or refresh the catalogue with `manage.py sync_models`."
        )
    pairs = zip(alias.targets, found, strict=True)
    return [(written, _with_transport(target, alias.transport)) for written, target in pairs if target is not None]


def target_named(name: str, directory: Directory) -> Target | None:
    """What an alias means by `name`: a model of the catalogue, one of a provider's, or a preset of OpenRouter's."""
    return _preset(name) or _catalogue_target(name, directory) or _litellm_target(name, directory)


def _preset(name: str) -> Target | None:
    return Target(name, ModelFacts(id=name)) if name.startswith(PRESET) else None


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
    if facts is None or not VARIANT.fullmatch(variant):  # what is spelled oddly would slip through a policy
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


def _unknown(requested: str, team_id: int, directory: Directory) -> str:
    names = directory.listed_for(team_id, ())
    near = difflib.get_close_matches(requested[:200], names, n=SUGGESTIONS, cutoff=0.3)
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
        policies={row.team_id: _policy(row) for row in PolicyRow.objects.all()},
    )


def _policy(row: PolicyRow) -> Policy:
    """A row of accounts.models.Policy, as routing needs it; its demands in OpenRouter's words (wire.md 2.1)."""
    prices = {"prompt": row.max_prompt_price, "completion": row.max_completion_price}
    preferences = {
        "data_collection": row.data_collection,
        "zdr": row.zdr,
        "only": split_globs(row.only_providers),
        "ignore": split_globs(row.ignored_providers),
        "sort": row.sort,
        # Prices have few digits: a float prints them as they were written.
        "max_price": {name: float(price) for name, price in prices.items() if price is not None},
    }
    terms = Terms(
        system_addendum=row.system_addendum,
        provider={name: value for name, value in preferences.items() if value},
        max_output=row.max_output,
        max_effort=row.max_effort,
    )
    return policy(split_globs(row.allowed_models), split_globs(row.denied_models), terms)


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
