"""A session's cost is seen as the tree of its agents, by whoever may see its records and by nobody else."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from testing import cast
from testing.cast import Member
from testing.signed_in import signed_in
from usage.links import session_page
from usage.services.session_tree import session_trees
from usage.tests.counted import record

pytestmark = pytest.mark.django_db

QUERIES = 4  # session, user, teams, the session
Row = tuple[int, str, int, int]


@pytest.fixture
def alice() -> Member:
    return cast.alice()


def asked(alice: Member, number: int, agent: str = "", parent: str = "", **fields: Any) -> None:
    given = {"session_id": "s", "agent_id": agent, "parent_agent_id": parent, "cost": 10**number, **fields}
    record(f"req_{number}_{alice.user.email}", alice, **given)


def shown(session_id: str = "s") -> list[Row]:
    """Each agent: how deep, who, what it cost itself and with those that it started."""
    (found,) = session_trees(session_id, None)
    return [(agent.depth, agent.agent_id, agent.own.cost, agent.whole.cost) for agent in found.agents]


def test_an_agent_stands_below_the_one_that_started_it_and_costs_add_up(alice: Member) -> None:
    asked(alice, 0)
    asked(alice, 1, "a")
    asked(alice, 2, "b", "a")
    asked(alice, 3, "c", "b")
    asked(alice, 4, "d")
    asked(alice, 5, "b", "a")
    assert shown() == [
        (0, "", 1, 111111),
        (1, "a", 10, 101110),
        (2, "b", 100100, 101100),
        (3, "c", 1000, 1000),
        (1, "d", 10000, 10000),
    ]


@pytest.mark.parametrize(
    ("agents", "depths"),
    [
        ([("a", "unknown")], {"a": 1}),
        ([("a", "a")], {"a": 1}),
        ([("a", "b"), ("b", "a")], {"a": 1, "b": 1}),
        ([("a", "b"), ("b", "c"), ("c", "b")], {"a": 2, "b": 1, "c": 1}),
        ([("a", ""), ("a", "b"), ("b", "")], {"a": 1, "b": 1}),
    ],
    ids=["a parent nobody knows", "its own parent", "a circle", "above it a circle", "two parents"],
)
def test_whatever_a_client_says_everything_is_in_the_tree_once(
    alice: Member, agents: list[tuple[str, str]], depths: dict[str, int]
) -> None:
    for number, (agent, parent) in enumerate(agents):
        asked(alice, number, agent, parent)
    rows = shown()
    assert {agent: depth for depth, agent, *_ in rows if agent} == depths
    assert rows[0] == (0, "", 0, sum(10**number for number in range(len(agents))))


def test_a_chain_of_hundreds_is_no_trouble(alice: Member) -> None:
    for number in range(400):
        asked(alice, number, f"a{number}", f"a{number - 1}" if number else "", cost=1)
    rows = shown()
    assert rows[-1] == (400, "a399", 1, 1)
    assert rows[0][3] == 400


def test_the_page_leads_to_the_requests_of_each_agent(alice: Member) -> None:
    asked(alice, 10)
    asked(alice, 11, "agent-1")
    asked(alice, 12, "agent-1")
    browser = signed_in(cast.root())
    (table,) = browser.get(session_page("s")).context["tables"]
    assert table.title == "alice@acme.example, Acme"
    assert [row[0].text for row in table.rows] == ["main agent", "\u2003agent-1"]
    counted = [len(browser.get(row[0].url).context["cl"].result_list) for row in table.rows]
    assert counted == [1, 2]
    assert table.note == "3 requests, $1.11 together."


def test_a_team_sees_its_own_part_alone(alice: Member) -> None:
    asked(alice, 1)
    asked(cast.carol(), 2)
    (table,) = signed_in(alice.user).get(session_page("s")).context["tables"]
    assert table.title == "alice@acme.example, Acme"
    assert len(signed_in(cast.root()).get(session_page("s")).context["tables"]) == 2


@pytest.mark.parametrize("name", ["", "unknown", "\x00", "x" * 5000, "theirs"])
def test_what_is_not_there_or_not_theirs_is_not_found(alice: Member, name: str) -> None:
    asked(cast.carol(), 1, session_id="theirs")
    assert signed_in(alice.user).get(session_page(name)).status_code == 404


def test_members_and_strangers_are_sent_away(alice: Member) -> None:
    asked(alice, 1)
    assert signed_in(cast.bob().user).get(session_page("s")).status_code == 302
    assert Client().get(session_page("s")).status_code == 302


def test_it_takes_as_many_queries_for_much_as_for_little(alice: Member) -> None:
    browser = signed_in(alice.user)
    for begin in (0, 20):
        for number in range(begin, begin + 20):
            asked(alice, number, f"agent-{number}", cost=1)
        with CaptureQueriesContext(connection) as captured:
            browser.get(session_page("s"))
        assert len(captured) == QUERIES


def test_a_record_leads_to_its_session(alice: Member) -> None:
    row = record("req_x", alice, session_id="s")
    page = signed_in(cast.root()).get(reverse("admin:usage_usagerecord_change", args=[row.pk])).content.decode()
    assert session_page("s") in page
