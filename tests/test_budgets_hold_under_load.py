"""What a hard budget promises, with 200 requests at once over four processes, one of which may be killed.

At every admission spent + reserved <= budget; in the end no more is spent than the budget and what single requests in
flight cost above their reservation; nothing is refused that fits; what a killed process held is given back.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from testing.server_process import ROOT, ServerProcess

PROCESSES = 4
AT_ONCE = 50
DOLLAR = 10**12
CAPS = {"team": 2 * DOLLAR, "member": 3 * DOLLAR // 2, "key": 9 * DOLLAR // 5}
ROUNDS = 10
#: Every change of a counter, as the database itself saw it.
WATCH = """
CREATE TABLE watched (budget_id bigint, spent bigint, reserved bigint, is_taken boolean);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO watched VALUES (NEW.budget_id, NEW.spent, NEW.reserved, NEW.reserved > OLD.reserved);
    RETURN NEW;
END $$;
CREATE TRIGGER watching AFTER UPDATE ON usage_budgetcounter FOR EACH ROW EXECUTE FUNCTION watch();
"""
OVER_THE_CAP = """
SELECT 1 FROM watched JOIN usage_budget ON id = budget_id WHERE is_taken AND spent + reserved > amount
"""


@pytest.fixture
def store() -> Iterator[ServerProcess]:
    """A database and a folder for spools, with a budget for a team, for its one member, and for the member's key."""
    made = ServerProcess("http://127.0.0.1:1")
    made.fill_database()
    (member,) = made.query("SELECT id, team_id FROM accounts_membership")
    (key,) = made.query("SELECT id FROM accounts_apikey")
    for subject, cap in CAPS.items():
        made.query(
            "INSERT INTO usage_budget (team_id, membership_id, api_key_id, period, amount, is_hard, created_at) "
            "VALUES (%s, %s, %s, 'month', %s, %s, '2026-01-01 00:00:00+00:00')",
            member["team_id"],
            member["id"] if subject == "member" else None,
            key["id"] if subject == "key" else None,
            cap,
            True,
        )
    yield made


def is_postgresql(store: ServerProcess) -> bool:
    return store.database_url.startswith("postgres")


def process(store: ServerProcess, number: int, requests: int, seed: int, *how: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "testing.budget_load", str(number), str(requests), str(seed), *how]
    return subprocess.Popen(command, cwd=ROOT, env=store.env, stdout=subprocess.PIPE)


def said(running: "subprocess.Popen[bytes]") -> dict[str, Any]:
    output, _ = running.communicate(timeout=100)
    assert running.returncode == 0
    answer: dict[str, Any] = orjson.loads(output)
    return answer


def the_promise_holds(store: ServerProcess, seed: int, *, with_a_kill: bool) -> int:
    """One round; how many requests were refused in it."""
    if is_postgresql(store):
        store.query(WATCH)
    how = ["die"] if with_a_kill else []
    running = [process(store, number, AT_ONCE, seed, *(how if number == 0 else [])) for number in range(PROCESSES)]
    if with_a_kill:
        killed = running.pop(0)
        killed.communicate(timeout=100)
        assert killed.returncode < 0
    answers = [said(each) for each in running]
    said(process(store, PROCESSES, 0, seed))  # a last one, that finds what was left behind
    decisions = [decision for answer in answers for decision in answer["decisions"]]
    admitted = [pair for answer in answers for pair in answer["admitted"]]

    for decision in decisions:
        fits = [spent + held + decision["amount"] <= cap for cap, spent, held in decision["standings"]]
        assert len(fits) == len(CAPS)
        assert decision["granted"] == all(fits), decision
    above = sum(max(0, cost - reserved) for reserved, cost in admitted)
    counters = store.query("SELECT * FROM usage_budgetcounter JOIN usage_budget ON id = budget_id")
    (recorded,) = store.query("SELECT sum(cost) AS cost FROM usage_usagerecord")
    assert len(counters) == len(CAPS)
    for counter in counters:
        assert counter["spent"] == recorded["cost"] == sum(cost for _, cost in admitted)
        assert counter["spent"] <= counter["amount"] + above
        assert counter["reserved"] == 0
    assert store.query("SELECT * FROM usage_reservation") == []
    if is_postgresql(store):
        assert store.query(OVER_THE_CAP) == []
        assert store.query("SELECT count(*) AS n FROM watched WHERE is_taken")[0]["n"] > len(CAPS)
        assert store.query("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [
            {"deadlocks": 0}
        ]
    return sum(not decision["granted"] for decision in decisions)


@pytest.mark.parametrize("with_a_kill", [False, True], ids=["all live", "one is killed"])
def test_the_promise_of_a_hard_budget_holds(store: ServerProcess, with_a_kill: bool) -> None:
    refused = the_promise_holds(store, 0, with_a_kill=with_a_kill)
    assert refused > AT_ONCE, "the budgets were not tight"


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.skipif(not os.environ.get("DATABASE_URL", "").startswith("postgres"), reason="the proof is PostgreSQL's")
@pytest.mark.parametrize("seed", range(1, ROUNDS + 1))
def test_the_promise_holds_again_and_again(store: ServerProcess, seed: int) -> None:
    refused = the_promise_holds(store, seed, with_a_kill=seed % 2 == 0)
    print(f"\nround {seed}: {refused} refused")
