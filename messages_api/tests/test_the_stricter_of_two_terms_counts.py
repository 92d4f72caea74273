"""Where an alias and a policy both impose something, the stricter counts, and neither is widened."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages_api.errors import InvalidRequest
from messages_api.services.terms import NO_TERMS, Terms, stricter

EFFORTS = ("low", "medium", "high", "xhigh", "max")
SLUGS = st.lists(st.sampled_from(["anthropic", "azure", "deepinfra", "deepinfra/turbo"]), unique=True)


def provider(alias: dict[str, Any], policy: dict[str, Any]) -> dict[str, Any]:
    return dict(stricter(Terms(provider=alias), Terms(provider=policy)).provider)


def test_nothing_imposed_changes_nothing() -> None:
    alias = Terms("Be kind.", {"sort": "price"}, "native", 10, "low")
    assert stricter(alias, NO_TERMS) is alias
    assert stricter(NO_TERMS, alias) == alias


@given(*[st.none() | st.integers(1, 100)] * 2)
def test_the_lower_output_counts(one: int | None, other: int | None) -> None:
    found = stricter(Terms(max_output=one), Terms(max_output=other)).max_output
    assert found == min((each for each in (one, other) if each is not None), default=None)


@given(*[st.sampled_from(["", *EFFORTS])] * 2)
def test_the_lower_effort_counts(one: str, other: str) -> None:
    found = stricter(Terms(max_effort=one), Terms(max_effort=other)).max_effort
    assert found == min((each for each in (one, other) if each), key=EFFORTS.index, default="")


def test_the_policys_words_come_behind_the_aliass() -> None:
    assert stricter(Terms("Alias."), Terms("Policy.")).system_addendum == "Alias.\n\nPolicy."
    assert stricter(Terms(""), Terms("Policy.")).system_addendum == "Policy."


@pytest.mark.parametrize(
    ("alias", "policy", "found"),
    [
        ({"data_collection": "allow"}, {"data_collection": "deny"}, {"data_collection": "deny"}),
        ({"data_collection": "deny"}, {"data_collection": "allow"}, {"data_collection": "deny"}),
        ({"zdr": False}, {"zdr": True}, {"zdr": True}),
        ({"zdr": True}, {"sort": "price"}, {"zdr": True, "sort": "price"}),
        ({"sort": "price"}, {"sort": "latency"}, {"sort": "latency"}),
        ({"quantizations": ["fp8"]}, {"zdr": True}, {"quantizations": ["fp8"], "zdr": True}),
        ({"ignore": ["a", "b"]}, {"ignore": ["b", "c"]}, {"ignore": ["a", "b", "c"]}),
        ({"only": ["a", "b"]}, {"only": ["b", "c"]}, {"only": ["b"]}),
        ({"only": ["a"]}, {"zdr": True}, {"only": ["a"], "zdr": True}),
        ({"only": ["a/fast", "b"]}, {"only": ["A"]}, {"only": ["a/fast"]}),
        ({"only": ["a"]}, {"only": ["a/fast"]}, {"only": ["a/fast"]}),
        ({"only": ["a", "b"]}, {"ignore": ["a"]}, {"only": ["b"], "ignore": ["a"]}),
        ({"order": ["a", "b"]}, {"only": ["b"]}, {"order": ["b"], "only": ["b"]}),
        ({"order": ["a"]}, {"ignore": ["a"]}, {"ignore": ["a"]}),
        ({"order": ["a"]}, {"only": ["a/fast"]}, {"order": ["a"], "only": ["a/fast"]}),
        (
            {"max_price": {"prompt": 3, "request": 1}},
            {"max_price": {"prompt": 2.5, "completion": 0.0}},
            {"max_price": {"prompt": 2.5, "completion": 0.0, "request": 1}},
        ),
        ({"max_price": {"prompt": 1}}, {"max_price": {"prompt": 2}}, {"max_price": {"prompt": 1}}),
    ],
    ids=str,
)
def test_of_two_preferences_the_stricter_counts(
    alias: dict[str, Any], policy: dict[str, Any], found: dict[str, Any]
) -> None:
    assert provider(alias, policy) == found


@pytest.mark.parametrize(
    ("alias", "policy"),
    [
        ({"only": ["a"]}, {"only": ["b"]}),
        ({"only": ["a"]}, {"ignore": ["a"]}),
        ({"only": ["a"], "ignore": ["b"]}, {"only": ["b"]}),
        ({"only": ["a/fast"]}, {"only": ["a/slow"]}),
    ],
    ids=str,
)
def test_where_no_provider_is_left_that_is_said(alias: dict[str, Any], policy: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        provider(alias, policy)
    assert "no provider is left" in refused.value.message
    assert "superuser" in refused.value.message


@given(alias=SLUGS, policy=SLUGS, ignored=SLUGS)
def test_whoever_may_serve_is_allowed_by_both(alias: list[str], policy: list[str], ignored: list[str]) -> None:
    """Also where nothing is listed, which would mean all of them."""
    try:
        found = provider({"only": alias}, {"only": policy, "ignore": ignored})
    except InvalidRequest:
        return
    for slug in found["only"] if alias or policy else ():
        for listed in (alias, policy):
            assert not listed or any(f"{slug}/".startswith(f"{each}/") for each in listed)
        assert not any(f"{slug}/".startswith(f"{each}/") for each in ignored)
    assert found.get("only") or not (alias or policy)
