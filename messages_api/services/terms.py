"""Owns the terms on which a request is answered: what its alias and the team's policy impose, whichever way it goes
out. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from messages_api.errors import Forbidden, InvalidRequest
from messages_api.services.translation.tables import EFFORTS

#: Demands that OpenRouter keeps by its choice of providers (wire.md 2.1, `provider`).
DATA_POLICY: Final[Mapping[str, Any]] = {"zdr": True, "data_collection": "deny", "enforce_distillable_text": True}
Preferences = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """What administrators impose on a request. Empty and None impose nothing."""

    system_addendum: str = ""
    provider: Preferences = field(default_factory=dict)  # OpenRouter's `provider` object (wire.md 2.1)
    pdf_engine: str = ""
    max_output: int | None = None
    max_effort: str = ""


NO_TERMS = Terms()


# --- an alias's and a policy's together ------------------------------------------------------------------------------


def stricter(alias: Terms, policy: Terms) -> Terms:
    """What holds where both impose something. Raises InvalidRequest where no provider may serve both.

    The policy's words come behind the alias's. Of two limits the lower counts; of two lists of providers that alone may
    serve, what is in both; of two lists that may not, what is in either. Of the policy's sort nothing is left to the
    alias. What only the alias says (order, quantizations, the engine for PDFs, ...) stays.
    """
    if policy == NO_TERMS:
        return alias
    limits = [limit for limit in (alias.max_output, policy.max_output) if limit is not None]
    return Terms(
        system_addendum="\n\n".join(words for words in (alias.system_addendum, policy.system_addendum) if words),
        provider=_stricter_provider(alias.provider, policy.provider),
        pdf_engine=alias.pdf_engine or policy.pdf_engine,
        max_output=min(limits, default=None),
        max_effort=_lower(alias.max_effort, policy.max_effort),
    )


def _lower(*efforts: str) -> str:
    return next((effort for effort in EFFORTS if effort in efforts), "")


def _stricter_provider(alias: Preferences, policy: Preferences) -> Preferences:
    if not policy:
        return alias
    both = {**alias, **policy}
    for name, wanted in DATA_POLICY.items():
        if alias.get(name) == wanted:
            both[name] = wanted
    prices = _lower_prices(alias.get("max_price") or {}, policy.get("max_price") or {})
    ignored = list(dict.fromkeys([*(alias.get("ignore") or ()), *(policy.get("ignore") or ())]))
    both |= {name: value for name, value in (("max_price", prices), ("ignore", ignored)) if value}
    if alias.get("only") or policy.get("only"):
        both["only"] = _left(alias.get("only") or (), policy.get("only") or (), ignored)
    if "order" in both:
        both["order"] = [slug for slug in both["order"] or () if _may_serve(slug, both.get("only"), ignored)]
        both = both if both["order"] else {name: value for name, value in both.items() if name != "order"}
    return both


def _lower_prices(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    names = {**one, **other}
    offers = {name: [prices[name] for prices in (one, other) if prices.get(name) is not None] for name in names}
    return {name: min(prices) for name, prices in offers.items() if prices}


def _left(alias: Iterable[str], policy: Iterable[str], ignored: Iterable[str]) -> list[str]:
    """The providers that may still serve. Raises InvalidRequest where there is none: an empty list would mean all."""
    of_alias, of_policy = list(alias), list(policy)
    if of_alias and of_policy:
        both = [slug for slug in of_alias if _is_among(slug, of_policy)]
        both += [slug for slug in of_policy if _is_among(slug, of_alias) and slug not in both]
    else:
        both = of_alias or of_policy
    left = [slug for slug in both if not _is_among(slug, ignored)]
    if not left:
        raise InvalidRequest(
            f"model: no provider is left that may serve it: the alias says {', '.join(of_alias) or 'any'}, the team's "
            f"policy {', '.join(of_policy) or 'any'}, and {', '.join(ignored) or 'none'} may not. An administrator of "
            "the team can change the alias, a superuser of this server the policy."
        )
    return left


def _may_serve(slug: str, only: Iterable[str] | None, ignored: Iterable[str]) -> bool:
    if _is_among(slug, ignored):
        return False
    return not only or _is_among(slug, only) or any(_is_in(each, slug) for each in only)


def _is_among(slug: str, slugs: Iterable[str]) -> bool:
    return any(_is_in(slug, each) for each in slugs)


def _is_in(slug: str, other: str) -> bool:
    """Whether `slug` is `other`, or one of its endpoints: `deepinfra/turbo` is one of `deepinfra`'s."""
    return f"{slug.lower()}/".startswith(f"{other.lower()}/")


# --- providers beside OpenRouter -------------------------------------------------------------------------------------


def broken_beside(policy: Terms, litellm_provider: str) -> list[str]:
    """The policy's demands that nobody holds a provider beside OpenRouter to.

    `zdr`, `data_collection` and `only` say who may see the prompts, so it is out; `ignore` puts out the provider that
    it names. `sort` and `max_price` choose among OpenRouter's offers, and a provider of one's own has a contract of
    one's own.
    """
    broken = _data_demands(policy.provider)
    if policy.provider.get("only"):
        broken.append("only")
    if _is_among(litellm_provider.replace("_", "-"), policy.provider.get("ignore") or ()):
        broken.append("ignore")
    return broken


def refuse_data_policy(preferences: Preferences, provider: str) -> None:
    """Raises Forbidden where an alias demands of a provider beside OpenRouter what nobody holds it to."""
    broken = _data_demands(preferences)
    if broken:
        raise Forbidden(
            f"The model's alias demands {', '.join(broken)}: OpenRouter keeps to that, and {provider} cannot be held "
            "to it. An administrator can take that target, or that demand, out of the alias."
        )


def refuse_beside(policy: Terms, litellm_provider: str, provider: str) -> Forbidden | None:
    """The refusal of a provider beside OpenRouter that the policy puts out."""
    broken = broken_beside(policy, litellm_provider)
    if not broken:
        return None
    return Forbidden(
        f"Your team's policy demands {', '.join(broken)}: OpenRouter keeps to that, and {provider}, which serves this "
        "model, cannot be held to it. A superuser of this server can change the team's policy."
    )


def _data_demands(preferences: Preferences) -> list[str]:
    return [name for name, wanted in DATA_POLICY.items() if preferences.get(name) == wanted]
