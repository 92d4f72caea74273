"""Owns what superusers impose on a team: which models may answer it, and on what terms. Pure.

**The rule.** It is asked of every target that a name leads to, by the target's full name (`openai/gpt-5:free`,
`litellm:NAME/MODEL`), without regard to capitals:

1. A *denied* entry refuses a target whose full name, or whose name without its variant, it matches; and all targets
   where it matches the name that was asked for, or the alias's own.
2. If there are *allowed* entries, a target passes only if one of them matches its full name. What a name is called
   proves nothing: a team that is allowed `openai/*` reaches no other model through an alias.
3. A *router* (`openrouter/...`, presets, `:online`) passes only by an allowed entry that names a router itself: `*`
   and `openai/*` do not.
4. An allowed entry that is, letter for letter, the name of an alias lets pass whatever that alias leads to, as far as
   superusers keep it: an alias for every team, or a family that follows BIG_MODEL or SMALL_MODEL. A team's own alias is
   written by the team's administrators, so it stands for nothing. Where nothing is listed as allowed, superusers'
   aliases may lead to routers, and a team's own may not.

A team without a policy may use every model, and routers through any alias.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from messages_api.services.terms import NO_TERMS, Terms

LITELLM_PREFIX: Final = "litellm:"
#: Names under which OpenRouter picks a model, or adds a search, by itself: an administrator decides on each.
ROUTER_PREFIX: Final = "openrouter/"
PRESET: Final = "@preset/"
ONLINE_VARIANT: Final = "online"
#: Stands before OpenRouter's own names for a family's newest model.
LATEST: Final = "~"
MOST_NAMED: Final = 8
WHO_CHANGES_IT: Final = "A superuser of this server can change the team's policy."
NOTHING: Final = re.compile(r"(?!)")


def is_router(name: str) -> bool:
    """Whether OpenRouter, asked for `name`, decides more than who serves it (wire.md 2.1)."""
    spelled = name.strip().lower()
    if spelled.startswith(LITELLM_PREFIX):
        spelled = spelled.partition("/")[2]
    variants = [variant.strip() for variant in spelled.split(":")[1:]]
    return spelled.startswith(ROUTER_PREFIX) or PRESET in spelled or ONLINE_VARIANT in variants


@dataclass(frozen=True, slots=True)
class Named:
    """How a target was come by: the name asked for, the alias that led to it, and whether superusers keep that."""

    name: str
    alias: str = ""
    is_superusers: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A team's policy, ready to judge by."""

    allowed: tuple[str, ...] = ()
    terms: Terms = NO_TERMS
    may_be_models: re.Pattern[str] = NOTHING
    may_be_routers: re.Pattern[str] = NOTHING
    may_not_be: re.Pattern[str] = NOTHING

    def refusal(self, named: Named, target: str) -> str | None:
        """Why `target` may not answer, for the person at the terminal; None where it may. The module says the rule."""
        base = target if target.startswith(LITELLM_PREFIX) else target.partition(":")[0]
        names = (named.name, named.alias, target, base, base.removeprefix(LATEST))
        if any(self.may_not_be.match(name.lower()) for name in names):
            return f"{_way(named, target)} is denied by your team's policy. {WHO_CHANGES_IT}"
        if named.is_superusers and (not self.allowed or named.alias.lower() in self.allowed):
            return None
        if is_router(target):
            if self.may_be_routers.match(target.lower()):
                return None
            return (
                f"{_way(named, target)} lets OpenRouter choose what answers, or search the web, by itself, and your "
                f"team's policy does not list it. {WHO_CHANGES_IT}"
            )
        if not self.allowed or self.may_be_models.match(target.lower()):
            return None
        return f"{_way(named, target)} is not among what your team may use: {self._listed()}. {WHO_CHANGES_IT}"

    def lists_router(self, name: str) -> bool:
        """Whether a router may be asked for by its own name, without an alias."""
        return bool(self.may_be_routers.match(name.lower()))

    def _listed(self) -> str:
        more = len(self.allowed) - MOST_NAMED
        return ", ".join(self.allowed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def policy(allowed: Iterable[str], denied: Iterable[str], terms: Terms = NO_TERMS) -> Policy:
    """A policy of entries as people write them: names with `*` in them."""
    listed = tuple(entry.lower() for entry in allowed)
    return Policy(
        allowed=listed,
        terms=terms,
        may_be_models=_any_of(listed),
        may_be_routers=_any_of(entry for entry in listed if is_router(entry)),
        may_not_be=_any_of(entry.lower() for entry in denied),
    )


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression for all of them: a list of models asks it of every model."""
    expressions = [translate(glob) for glob in globs]
    return re.compile("|".join(expressions)) if expressions else NOTHING


def _way(named: Named, target: str) -> str:
    """The target, and the name that led to it where that is another."""
    if named.name == target:
        return f"model: {target[:200]!r}"
    return f"model: {named.name[:200]!r} leads to {target[:200]!r}, which"
