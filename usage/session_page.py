"""The page of one session: what it cost with its agents, as a tree."""

from django.http import Http404, HttpRequest

from accounts.scope import is_superuser, teams_of
from usage import charts
from usage.display import compact, count, dollars, exact_dollars
from usage.links import records_of_session
from usage.services.session_tree import Agent, SessionTree, session_trees
from usage.tables import Cell, Table

HEADERS = ("", "Requests", "Tokens in", "Tokens out", "Spend", "With its agents", "Began")
LONGEST_NAME = 128
STEP = "\u2003"  # a wide space: what an agent started stands to the right of it


def session_tables(request: HttpRequest) -> list[Table]:
    """A table for each member who had a session of this name, of those that may be seen. Raises Http404 for none."""
    session_id = request.GET.get("session", "").replace("\x00", "")
    if not 0 < len(session_id) <= LONGEST_NAME:
        raise Http404
    trees = session_trees(session_id, None if is_superuser(request) else teams_of(request))
    if not trees:
        raise Http404
    return [_table(number, session_id, tree) for number, tree in enumerate(trees)]


def _table(number: int, session_id: str, tree: SessionTree) -> Table:
    whole = tree.main.whole
    note = f"{count(whole.requests)} requests, {exact_dollars(whole.cost)} together."
    rows = [_row(session_id, tree, agent, max(1, whole.cost)) for agent in tree.agents]
    return Table(f"session-{number}", f"{tree.email}, {tree.team_name}", HEADERS, rows, note)


def _row(session_id: str, tree: SessionTree, agent: Agent, whole: int) -> list[Cell]:
    own, all_ = agent.own, agent.whole
    name = STEP * agent.depth + (agent.agent_id or "main agent")
    return [
        Cell(name, records_of_session(session_id, agent.agent_id, member=tree.email, team=tree.team_name)),
        Cell(count(own.requests)),
        Cell(compact(own.prompt_tokens), hint=count(own.prompt_tokens)),
        Cell(compact(own.output_tokens), hint=count(own.output_tokens)),
        Cell(dollars(own.cost), hint=exact_dollars(own.cost)),
        Cell(dollars(all_.cost), hint=exact_dollars(all_.cost), bar=charts.share(all_.cost, whole)),
        Cell(f"{agent.began:%d %b %H:%M:%S}"),
    ]
