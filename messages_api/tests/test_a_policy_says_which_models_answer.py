"""A team's policy is asked of whatever a name leads to: the rule of `services/policy.py`, sentence by sentence."""

from dataclasses import replace
from typing import Any

import pytest
from pytest_django import Settings

from messages_api.errors import ApiError, Forbidden, InvalidRequest, NotFound
from messages_api.services.model_facts import ModelFacts
from messages_api.services.model_list import LARGEST_PAGE, Page, list_models, model_info
from messages_api.services.policy import Policy, is_router, policy
from messages_api.services.routing import Alias, Directory, ProviderAccess, Route, resolve, route_for
from messages_api.services.terms import Terms

Aliases = dict[tuple[int | None, str], Alias]
ACME, GLOBEX = 1, 2
IDS = (
    "openai/gpt-5",
    "openai/gpt-5-mini",
    "anthropic/claude-opus-5",
    "anthropic/claude-sonnet-5",
    "meta/llama:free",
    "openrouter/auto",
    "~anthropic/claude-latest",
)
EVERYONES = {
    "fast": ("openai/gpt-5-mini",),
    "mixed": ("anthropic/claude-opus-5", "openai/gpt-5", "litellm:local/qwen"),
    "searching": ("openai/gpt-5:online",),
    "openai/special": ("anthropic/claude-opus-5",),
    "local": ("litellm:local/qwen",),
}
OF_ACME = {"mine": ("anthropic/claude-opus-5",), "auto": ("openrouter/auto",), "shadowed": ("openai/gpt-5",)}


def directory(ruled: Policy | None = None) -> Directory:
    aliases: Aliases = {(None, name): Alias(name, to, is_family=False) for name, to in EVERYONES.items()}
    aliases |= {(ACME, name): Alias(name, to, is_family=False) for name, to in OF_ACME.items()}
    aliases |= {(ACME, "sonnet"): Alias("sonnet", ("",), is_family=True)}
    return Directory(
        aliases=aliases,
        models={name: ModelFacts(id=name, family=name.partition("/")[0]) for name in IDS},
        providers={"local": ProviderAccess("local", "hosted_vllm", "http://127.0.0.1:9", "key")},
        policies={} if ruled is None else {ACME: ruled},
    )


def asked(name: str, ruled: Policy | None, team: int = ACME) -> list[str]:
    return [str(target) for target in resolve(name, team, directory(ruled)).targets]


def refused(name: str, ruled: Policy) -> str:
    with pytest.raises(InvalidRequest) as error:
        resolve(name, ACME, directory(ruled))
    return error.value.message


@pytest.fixture(autouse=True)
def default_models(settings: Settings) -> None:
    settings.BIG_MODEL, settings.SMALL_MODEL = "anthropic/claude-sonnet-5", "openai/gpt-5-mini"


# --- 1. what is denied -----------------------------------------------------------------------------------------------

DENIED = [
    # an entry, a name that it denies
    ("openai/gpt-5", "openai/gpt-5"),
    ("OpenAI/GPT-5", "openai/gpt-5"),
    ("openai/*", "openai/gpt-5-mini"),
    ("openai/gpt-5", "openai/gpt-5:nitro"),
    ("openai/gpt-5:nitro", "openai/gpt-5:NITRO"),
    ("*:free", "meta/llama:free"),
    ("meta/llama", "meta/llama:free"),
    ("openai/gpt-5-mini", "fast"),
    ("fast", "fast"),
    ("fast", "claude-bridge/fast[1m]"),
    ("claude-sonnet-*", "claude-sonnet-5"),
    ("sonnet", "claude-sonnet-5"),
    ("anthropic/*", "claude-sonnet-5"),
    ("anthropic/*", "mine"),
    ("anthropic/*", "~anthropic/claude-latest"),
    ("litellm:local/*", "local"),
    ("litellm:*", "local"),
    ("*:online", "searching"),
]


@pytest.mark.parametrize(("entry", "name"), DENIED)
def test_a_denied_entry_is_asked_of_the_name_the_alias_and_what_answers(entry: str, name: str) -> None:
    asked(name, policy((), ("nothing/else",)))  # the entry it is, and no other
    message = refused(name, policy((), (entry,)))
    assert "denied by your team's policy" in message
    assert "A superuser of this server can change" in message


@pytest.mark.parametrize(
    ("entry", "name"),
    [("openai/gpt-5:free", "openai/gpt-5"), ("openai/gpt-5", "openai/gpt-5-mini"), ("qwen", "local")],
)
def test_a_denied_entry_denies_no_more_than_it_says(entry: str, name: str) -> None:
    assert asked(name, policy((), (entry,)))


def test_what_is_denied_is_stronger_than_what_is_allowed() -> None:
    assert "denied" in refused("openai/gpt-5", policy(("openai/*", "fast"), ("openai/gpt-5",)))
    assert "denied" in refused("fast", policy(("fast",), ("*-mini",)))


def test_targets_that_are_denied_are_passed_over() -> None:
    assert asked("mixed", policy((), ("anthropic/*",))) == ["openai/gpt-5", "litellm:local/qwen"]
    assert asked("mixed", policy(("litellm:local/*",), ())) == ["litellm:local/qwen"]


def test_where_nothing_is_left_the_reason_names_what_the_name_leads_to() -> None:
    message = refused("mixed", policy((), ("anthropic/*", "openai/*", "litellm:*")))
    assert message.startswith("model: 'mixed' leads to 'anthropic/claude-opus-5', which is denied")


@pytest.mark.parametrize("name", ["openai/gpt-5:free ", "openai/gpt-5: free", "openai/gpt-5:free?", "openai/gpt-5:"])
def test_an_odd_spelling_of_a_variant_is_no_way_round(name: str) -> None:
    with pytest.raises(NotFound):
        asked(name, policy((), ("*:free",)))


# --- 2. what is allowed ----------------------------------------------------------------------------------------------


def test_what_answers_must_be_allowed_by_its_full_name() -> None:
    ruled = policy(("openai/gpt-5", "litellm:local/*"), ())
    assert asked("openai/gpt-5", ruled) == ["openai/gpt-5"]
    assert asked("local", ruled) == ["litellm:local/qwen"]
    for name in ("openai/gpt-5-mini", "openai/gpt-5:nitro", "fast", "claude-sonnet-5", "mine"):
        assert "is not among what your team may use: openai/gpt-5, litellm:local/*" in refused(name, ruled)


def test_no_alias_leads_out_of_what_is_allowed() -> None:
    ruled = policy(("openai/*",), ())
    assert asked("mixed", ruled) == ["openai/gpt-5"]
    assert "'mine' leads to 'anthropic/claude-opus-5', which is not among" in refused("mine", ruled)
    assert "is not among" in refused("openai/special", ruled), "an alias that is called like what is allowed"


def test_a_long_list_is_not_told_whole() -> None:
    assert "and 42 more" in refused("mine", policy((f"openai/m{number}" for number in range(50)), ()))


# --- 3. routers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["*", "openai/*", "open*", "*gpt-5*", "mine"])
@pytest.mark.parametrize("name", ["openrouter/auto", "openai/gpt-5:online", "@preset/writer"])
def test_a_router_needs_more_than_a_star(entry: str, name: str) -> None:
    refused(name, policy((entry,), ()))


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("openrouter/auto", "openrouter/auto"),
        ("openrouter/*", "claude-bridge/openrouter/auto"),
        ("openai/*:online", "openai/gpt-5:online"),
        ("@preset/*", "@preset/writer"),
    ],
)
def test_a_router_that_is_listed_may_be_asked_for_by_its_name(entry: str, name: str) -> None:
    assert asked(name, policy((entry,), ())) == [name.removeprefix("claude-bridge/")]
    refused("openai/gpt-5", policy((entry,), ()))


def test_a_teams_own_alias_leads_to_a_router_only_where_that_is_listed() -> None:
    assert asked("auto", None) == ["openrouter/auto"]
    assert "does not list it" in refused("auto", policy((), ()))
    assert asked("auto", policy(("openrouter/auto",), ())) == ["openrouter/auto"]


def test_an_alias_for_every_team_is_a_superusers_word_until_there_is_a_list() -> None:
    assert asked("searching", policy((), ())) == ["openai/gpt-5:online"]
    assert "does not list it" in refused("searching", policy(("openai/*",), ()))
    assert asked("searching", policy(("searching",), ())) == ["openai/gpt-5:online"]


def test_a_router_at_another_provider_is_one_too() -> None:
    assert is_router("litellm:mine/openrouter/auto")
    assert is_router("openai/gpt-5: Online ")
    assert not is_router("litellm:mine/qwen")


# --- 4. the name of an alias -----------------------------------------------------------------------------------------


def test_the_name_of_an_alias_for_every_team_lets_pass_what_it_leads_to() -> None:
    assert asked("mixed", policy(("mixed",), ())) == ["anthropic/claude-opus-5", "openai/gpt-5", "litellm:local/qwen"]
    assert asked("openai/special", policy(("openai/special",), ())) == ["anthropic/claude-opus-5"]
    refused("mixed", policy(("mi*",), ()))


def test_the_name_of_a_teams_own_alias_lets_nothing_pass() -> None:
    refused("mine", policy(("mine",), ()))


def test_a_team_cannot_put_an_alias_of_its_own_before_the_one_that_is_listed() -> None:
    where = directory(policy(("fast",), ()))
    own: Aliases = {(ACME, "fast"): Alias("fast", ("anthropic/claude-opus-5",), is_family=False)}
    assert str(resolve("fast", ACME, where).target) == "openai/gpt-5-mini"
    with pytest.raises(InvalidRequest):
        resolve("fast", ACME, replace(where, aliases={**where.aliases, **own}))


def test_a_family_that_follows_the_settings_passes_by_its_name() -> None:
    assert asked("claude-sonnet-5", policy(("sonnet",), ())) == ["anthropic/claude-sonnet-5"]
    assert asked("claude-haiku-5", policy(("haiku",), ())) == ["openai/gpt-5-mini"]
    refused("claude-haiku-5", policy(("sonnet",), ()))


def test_another_teams_policy_is_none_of_mine() -> None:
    assert asked("openai/gpt-5", policy((), ("*",)), GLOBEX) == ["openai/gpt-5"]


# --- what goes with it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "demand",
    [{"zdr": True}, {"data_collection": "deny"}, {"only": ["azure"]}, {"ignore": ["hosted-vllm"]}],
    ids=str,
)
def test_a_provider_beside_openrouter_is_passed_over_where_it_cannot_be_held_to_the_policy(demand: Any) -> None:
    ruled = policy((), (), Terms(provider=demand))
    assert asked("mixed", ruled) == ["anthropic/claude-opus-5", "openai/gpt-5"]
    with pytest.raises(Forbidden) as error:
        resolve("local", ACME, directory(ruled))
    assert f"demands {next(iter(demand))}" in error.value.message
    assert "A superuser" in error.value.message


@pytest.mark.parametrize("wish", [{"sort": "price"}, {"max_price": {"prompt": 1.0}}, {"ignore": ["azure"]}], ids=str)
def test_what_only_chooses_among_openrouters_offers_rules_out_no_other(wish: Any) -> None:
    assert asked("local", policy((), (), Terms(provider=wish))) == ["litellm:local/qwen"]


def test_the_stricter_terms_go_along() -> None:
    route = resolve("openai/gpt-5", ACME, directory(policy((), (), Terms(max_output=10, max_effort="low"))))
    assert (route.terms.max_output, route.terms.max_effort) == (10, "low")


def test_a_personal_keys_list_comes_after_the_policy() -> None:
    where = directory(policy(("openai/*",), ()))

    def both(name: str, *allowed: str) -> Route:
        return route_for(name, ACME, allowed, where)

    assert list(map(str, both("mixed", "mixed").targets)) == ["openai/gpt-5"]
    for allowed in ("anthropic/*", "claude-*"):
        with pytest.raises(InvalidRequest, match="this key may not use"):
            both("mixed", allowed)


# --- the list of models ----------------------------------------------------------------------------------------------


def listed(ruled: Policy | None, *allowed: str) -> set[str]:
    found = list_models(directory(ruled), ACME, allowed, Page(LARGEST_PAGE))["data"]
    return {model["id"] for model in found if not model["id"].startswith("claude-bridge/")}


def test_the_list_of_models_holds_what_the_policy_and_the_key_allow() -> None:
    assert {"mine", "auto", "searching", "anthropic/claude-opus-5"} <= listed(None)
    assert listed(policy(("openai/*",), ())) == {"fast", "mixed", "shadowed", "openai/gpt-5", "openai/gpt-5-mini"}
    assert listed(policy(("openai/*",), ()), "fast", "anthropic/*") == {"fast"}
    assert listed(None, "meta/*") == {"meta/llama:free"}
    assert listed(policy(("openrouter/auto",), ())) == {"openrouter/auto", "auto"}


@pytest.mark.parametrize("name", ["mine", "anthropic/claude-opus-5", "openrouter/auto", "local"])
def test_a_model_that_is_denied_is_not_found_in_the_list(name: str) -> None:
    with pytest.raises(NotFound):
        model_info(name, directory(policy(("openai/*",), ())), ACME, ())
    with pytest.raises(NotFound):
        model_info(name, directory(), ACME, ("openai/*",))


def test_an_unknown_name_is_told_no_name_that_is_denied() -> None:
    with pytest.raises(NotFound) as unknown:
        asked("anthropic/claude-opus5", policy(("openai/*",), ()))
    assert "anthropic/claude-opus-5," not in f"{unknown.value.message},"


def test_an_alias_with_a_mark_in_its_name_is_no_endless_question() -> None:
    where = directory(policy((), ("nothing",)))
    odd: Aliases = {(ACME, "odd[1m]"): Alias("odd[1m]", ("openai/gpt-5",), is_family=False)}
    with pytest.raises(ApiError):
        resolve("od", ACME, replace(where, aliases={**where.aliases, **odd}))
