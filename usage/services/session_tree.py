"""Owns a session as a tree: the main agent, the agents that it started, those that they started, and what each cost.

Claude Code names them in the headers `x-claude-code-agent-id` and `-parent-agent-id`; its main agent has no name.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, F, Max, Min, Sum

from usage.models import UsageRecord

PROMPT = F("input_tokens") + F("cache_read_tokens") + F("cache_write_tokens")
MAIN = ""
#: A client may name agents as it likes: so many are told apart, the latest are left out.
MOST_AGENTS = 500


@dataclass(slots=True)
class Figures:
    """What some requests come to. Cost is in picodollars."""

    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(*(getattr(self, name) + getattr(other, name) for name in Figures.__slots__))


@dataclass(slots=True)
class Agent:
    """One agent of a session: what it asked for itself, and with all that it started."""

    agent_id: str
    parent_id: str
    own: Figures
    began: datetime
    ended: datetime
    depth: int = 0
    whole: Figures = field(default_factory=Figures)
    children: list["Agent"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SessionTree:
    """A session of one member in one team."""

    email: str
    team_name: str
    main: Agent

    @property
    def agents(self) -> list[Agent]:
        return list(_downwards(self.main))


def session_trees(session_id: str, teams: Collection[int] | None) -> list[SessionTree]:
    """The session as each member had it (a client chooses its name, so two may have the same), in `teams` or all."""
    records = UsageRecord.objects.filter(session_id=session_id)
    records = records if teams is None else records.filter(team__in=teams)
    sums = {"requests": Count("pk"), "prompt_tokens": Sum(PROMPT), "output": Sum("output_tokens"), "spent": Sum("cost")}
    who = ("team_id", "team_name", "user_id", "email")
    groups = records.values(*who, "agent_id", "parent_agent_id").annotate(
        began=Min("started_at"), ended=Max("started_at"), **sums
    )
    of: dict[tuple[str, str], list[Agent]] = {}
    for row in groups.order_by("email", "team_name", "began")[:MOST_AGENTS]:
        figures = Figures(row["requests"], row["prompt_tokens"], row["output"], row["spent"])
        agent = Agent(row["agent_id"], row["parent_agent_id"], figures, row["began"], row["ended"])
        of.setdefault((row["email"], row["team_name"]), []).append(agent)
    return [SessionTree(email, team, tree(agents)) for (email, team), agents in of.items()]


def tree(found: list[Agent]) -> Agent:
    """The main agent, with the others where they belong. Whose parent is not known, or is its own, is the main's."""
    agents = _told_apart(found)
    main = agents.pop(MAIN, None) or _silent(found)
    parents = {name: agent.parent_id if agent.parent_id in agents else MAIN for name, agent in agents.items()}
    for name, agent in agents.items():
        parent = MAIN if _is_in_a_circle(name, parents) else parents[name]
        (agents[parent] if parent else main).children.append(agent)
    _add_up(main)
    return main


def _told_apart(found: list[Agent]) -> dict[str, Agent]:
    """By name: an agent that names two parents is one agent, under the first."""
    agents: dict[str, Agent] = {}
    for agent in found:
        known = agents.setdefault(agent.agent_id, agent)
        if known is not agent:
            known.own, known.ended = known.own + agent.own, max(known.ended, agent.ended)
    return agents


def _silent(found: list[Agent]) -> Agent:
    """A main agent of which there is no request."""
    return Agent(MAIN, MAIN, Figures(), min(each.began for each in found), max(each.ended for each in found))


def _is_in_a_circle(name: str, parents: Mapping[str, str]) -> bool:
    above, passed = parents[name], {name}
    while above and above not in passed:
        passed.add(above)
        above = parents[above]
    return above == name


def _downwards(main: Agent) -> Iterator[Agent]:
    """All of them, each before those that it started. Not by recursion: a client may name a chain of any length."""
    waiting = [main]
    while waiting:
        agent = waiting.pop()
        yield agent
        waiting.extend(reversed(agent.children))


def _add_up(main: Agent) -> None:
    agents = list(_downwards(main))
    for agent in agents:
        for child in agent.children:
            child.depth = agent.depth + 1
    for agent in reversed(agents):
        agent.whole = sum((child.whole for child in agent.children), agent.own)
