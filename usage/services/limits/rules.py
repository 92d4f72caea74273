"""Owns which limits are in force for a caller.

The limits of all teams are held in one snapshot per process, read again only after the configuration has changed. Whose
team has none costs one look-up.
"""

from collections.abc import Iterator, Mapping

from accounts.authentication import Caller
from accounts.snapshot import Snapshot
from usage.models import Limit
from usage.services.limits.arithmetic import Kind, Meter

Amounts = Mapping[Kind, int]
#: The limits of one team, by what they apply to: the choice, and the member's user or the key where it is one of those.
TeamRules = Mapping[tuple[str, int | None], Amounts]
Rules = Mapping[int, TeamRules]
NOTHING: Amounts = {}
Applies = Limit.AppliesTo


def meters_in(rules: TeamRules, caller: Caller) -> Iterator[Meter]:
    """What a request of `caller` is counted by. A limit for one member takes the place of the one for each."""
    each = rules.get((Applies.EACH_MEMBER, None), NOTHING)
    limited = (
        ("team", f"the team {caller.team}", rules.get((Applies.TEAM, None), NOTHING)),
        (
            f"member:{caller.user_id}",
            f"the member {caller.email}",
            rules.get((Applies.MEMBER, caller.user_id), each),
        ),
        (
            f"key:{caller.key_id}",
            f"the key {caller.key_name!r} of {caller.email}",
            rules.get((Applies.KEY, caller.key_id), NOTHING),
        ),
    )
    for subject, whose, amounts in limited:
        for kind, limit in amounts.items():
            yield Meter(f"{{team:{caller.team_id}}}:{subject}:{kind}", whose, kind, limit)


async def meters_of(caller: Caller) -> tuple[Meter, ...]:
    """The limits in force for a request of `caller`."""
    rules = (await _limits.current()).get(caller.team_id)
    return () if rules is None else tuple(meters_in(rules, caller))


# --- the snapshot ----------------------------------------------------------------------------------------------------


def load_rules() -> Rules:
    rules: dict[int, dict[tuple[str, int | None], Amounts]] = {}
    for row in Limit.objects.select_related("membership"):
        rules.setdefault(row.team_id, {})[row.applies_to, row.subject_id] = _amounts(row)
    return rules


def _amounts(row: Limit) -> Amounts:
    given = {
        Kind.REQUESTS: row.requests_per_minute,
        Kind.TOKENS: row.tokens_per_minute,
        Kind.CONCURRENT: row.concurrent_requests,
    }
    return {kind: limit for kind, limit in given.items() if limit is not None}


_limits: Snapshot[Rules] = Snapshot(load_rules)
