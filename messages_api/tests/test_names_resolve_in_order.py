"""A model name leads to one place: the team's alias, everyone's, the catalogue, the family of a Claude name."""

import pytest
from pytest_django import Settings

from messages_api.errors import InvalidRequest, NotFound
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import Alias, Directory, ProviderAccess, family_of, resolve, within
from messages_api.services.terms import NO_TERMS, Terms
from usage.pricing import Prices

ACME, GLOBEX = 1, 2
PRICES = Prices(input=1, output=2)
MODELS = [
    "anthropic/claude-haiku-4.5",
    "anthropic/claude-opus-5",
    "anthropic/claude-sonnet-5",
    "google/gemini-3-pro",
    "meta-llama/llama-4:free",
    "openai/gpt-5",
    "openai/gpt-5-mini",
    "openrouter/auto",
]


def directory(*aliases: tuple[int | None, Alias]) -> Directory:
    return Directory(
        aliases={(team, alias.name): alias for team, alias in aliases},
        models={name: ModelFacts(id=name, family=name.partition("/")[0], prices=PRICES) for name in MODELS},
        providers={
            "local": ProviderAccess("local", "openai", "http://127.0.0.1:9000", "key"),
            "claude": ProviderAccess("claude", "anthropic", "http://127.0.0.1:9001", "key", speaks_messages=True),
        },
    )


def plain(name: str, *targets: str, transport: str = "auto", terms: Terms = NO_TERMS) -> Alias:
    return Alias(name, targets, is_family=False, transport=transport, terms=terms)


def family(name: str, target: str = "") -> Alias:
    return Alias(name, (target,), is_family=True)


def target_of(name: str, where: Directory, team: int = ACME) -> str:
    return str(resolve(name, team, where).target)


@pytest.fixture(autouse=True)
def default_models(settings: Settings) -> None:
    settings.BIG_MODEL, settings.SMALL_MODEL = "anthropic/claude-sonnet-5", "anthropic/claude-haiku-4.5"


def test_the_teams_alias_comes_before_everyones() -> None:
    where = directory((None, plain("fast", "openai/gpt-5-mini")), (ACME, plain("fast", "google/gemini-3-pro")))
    assert target_of("fast", where, ACME) == "google/gemini-3-pro"
    assert target_of("fast", where, GLOBEX) == "openai/gpt-5-mini"


def test_everyones_alias_comes_before_the_catalogue() -> None:
    where = directory((None, plain("openai/gpt-5", "openai/gpt-5-mini")))
    assert target_of("openai/gpt-5", where) == "openai/gpt-5-mini"


def test_an_exact_id_leads_to_itself_with_what_is_known_of_it() -> None:
    route = resolve("openai/gpt-5", ACME, directory())
    assert (route.target.model, route.target.provider) == ("openai/gpt-5", None)
    assert route.target.facts == ModelFacts(id="openai/gpt-5", family="openai", prices=PRICES)


def test_an_alias_of_a_claude_name_comes_before_its_family() -> None:
    where = directory((None, family("haiku", "openai/gpt-5-mini")), (ACME, plain("claude-haiku-9", "openai/gpt-5")))
    assert target_of("claude-haiku-9", where) == "openai/gpt-5"
    assert target_of("claude-haiku-8", where) == "openai/gpt-5-mini"


def test_a_variant_goes_to_the_model_with_prices_of_its_own() -> None:
    route = resolve("openai/gpt-5:nitro", ACME, directory())
    assert route.target.model == "openai/gpt-5:nitro"
    assert (route.target.facts.id, route.target.facts.prices) == ("openai/gpt-5", None)


def test_a_variant_that_the_catalogue_lists_is_an_exact_id() -> None:
    route = resolve("meta-llama/llama-4:free", ACME, directory())
    assert (route.target.model, route.target.facts.prices) == ("meta-llama/llama-4:free", PRICES)


@pytest.mark.parametrize("name", ["openai/gpt-5:", ":free", "openai/gpt-99:free", "", ":", "[1m]"])
def test_a_variant_of_nothing_is_unknown(name: str) -> None:
    with pytest.raises(NotFound):
        resolve(name, ACME, directory())


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("claude-haiku-4-5-20251001", "anthropic/claude-haiku-4.5"),
        ("claude-3-5-haiku-latest", "anthropic/claude-haiku-4.5"),
        ("claude-sonnet-5", "anthropic/claude-sonnet-5"),
        ("claude-opus-4-8", "anthropic/claude-sonnet-5"),
        ("claude-2.1", "anthropic/claude-sonnet-5"),
        ("claude-fable-1", "anthropic/claude-sonnet-5"),
    ],
)
def test_a_claude_name_without_an_alias_goes_to_its_family(name: str, target: str) -> None:
    assert target_of(name, directory()) == target


def test_each_family_may_lead_elsewhere() -> None:
    where = directory(
        (None, family("haiku", "openai/gpt-5-mini")),
        (None, family("opus", "anthropic/claude-opus-5")),
        (ACME, family("opus", "google/gemini-3-pro")),
        (None, family("claude", "openai/gpt-5")),
    )
    assert target_of("claude-haiku-4-5", where) == "openai/gpt-5-mini"
    assert target_of("claude-opus-5", where, GLOBEX) == "anthropic/claude-opus-5"
    assert target_of("claude-opus-5", where, ACME) == "google/gemini-3-pro"
    assert target_of("claude-sonnet-5", where) == "anthropic/claude-sonnet-5"
    assert target_of("claude-instant", where) == "openai/gpt-5"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("claude-haiku-4-5", "haiku"),
        ("claude-3-opus-20240229", "opus"),
        ("claude-sonnet-5", "sonnet"),
        ("claude-2", "claude"),
        ("gpt-5-haiku", None),
        ("haiku", None),
        ("anthropic/claude-haiku-4.5", None),
    ],
)
def test_a_family_is_read_from_claude_names_only(name: str, known: str | None) -> None:
    assert family_of(name) == known


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("openai/gpt-5[1m]", "openai/gpt-5"),
        ("claude-sonnet-5[1m]", "anthropic/claude-sonnet-5"),
        ("fast[1m]", "openai/gpt-5-mini"),
        ("claude-bridge/openai/gpt-5[1m]", "openai/gpt-5"),
    ],
)
def test_the_mark_of_a_long_context_is_stripped_first(name: str, target: str) -> None:
    route = resolve(name, ACME, directory((None, plain("fast", "openai/gpt-5-mini"))))
    assert (str(route.target), route.requested) == (target, name)


def test_the_names_in_the_pickers_list_lead_to_their_models() -> None:
    assert target_of("claude-bridge/google/gemini-3-pro", directory()) == "google/gemini-3-pro"
    assert target_of("claude-bridge/openai/gpt-5:nitro", directory()) == "openai/gpt-5:nitro"


def test_a_pickers_name_of_a_model_that_is_gone_is_unknown_and_not_taken_for_a_claude() -> None:
    with pytest.raises(NotFound) as unknown:
        resolve("claude-bridge/openai/gpt-4", ACME, directory())
    assert "openai/gpt-5" in unknown.value.message


def test_an_unknown_name_is_told_the_nearest_ones() -> None:
    with pytest.raises(NotFound) as unknown:
        resolve("openai/gpt5", ACME, directory())
    assert "'openai/gpt5'" in unknown.value.message
    assert "openai/gpt-5, openai/gpt-5-mini" in unknown.value.message
    assert unknown.value.status == 404


def test_a_name_like_no_other_is_told_none() -> None:
    with pytest.raises(NotFound) as unknown:
        resolve("@@@@", ACME, directory())
    assert "nearest" not in unknown.value.message


def test_an_enormous_name_is_not_repeated_whole() -> None:
    with pytest.raises(NotFound) as unknown:
        resolve("x" * 100_000, ACME, directory())
    assert len(unknown.value.message) < 1_000


def test_another_teams_alias_can_be_neither_used_nor_seen() -> None:
    where = directory((GLOBEX, plain("globex-secret", "openai/gpt-5")))
    with pytest.raises(NotFound) as unknown:
        resolve("globex-secreT", ACME, where)
    assert "globex-secret," not in unknown.value.message + ","
    with pytest.raises(NotFound):
        resolve("globex-secret", ACME, where)
    assert target_of("globex-secret", where, GLOBEX) == "openai/gpt-5"
    assert "globex-secret" not in where.names_for(ACME)


def test_another_teams_family_does_not_move_mine() -> None:
    where = directory((GLOBEX, family("haiku", "openai/gpt-5-mini")))
    assert target_of("claude-haiku-4-5", where, ACME) == "anthropic/claude-haiku-4.5"


def test_an_alias_brings_its_terms_along() -> None:
    terms = Terms(system_addendum="Be brief.", max_output=1_000)
    assert resolve("fast", ACME, directory((ACME, plain("fast", "openai/gpt-5-mini", terms=terms)))).terms == terms


def test_an_alias_leads_to_its_targets_in_order() -> None:
    where = directory((ACME, plain("fast", "openai/gpt-5", "litellm:local/qwen", "google/gemini-3-pro")))
    route = resolve("fast", ACME, where)
    assert list(map(str, route.targets)) == ["openai/gpt-5", "litellm:local/qwen", "google/gemini-3-pro"]


def test_a_fallback_that_leads_nowhere_is_passed_over() -> None:
    route = resolve("fast", ACME, directory((ACME, plain("fast", "openai/gpt-5", "openai/gone", "openai/gpt-5-mini"))))
    assert list(map(str, route.targets)) == ["openai/gpt-5", "openai/gpt-5-mini"]


def test_an_alias_may_lead_to_a_variant_or_to_another_provider() -> None:
    where = directory((ACME, plain("a", "openai/gpt-5:nitro")), (ACME, plain("b", "litellm:local/qwen/qwen3:8b")))
    assert target_of("a", where) == "openai/gpt-5:nitro"
    route = resolve("b", ACME, where)
    assert (str(route.target), route.target.model) == ("litellm:local/qwen/qwen3:8b", "qwen/qwen3:8b")
    assert route.target.provider == where.providers["local"]


@pytest.mark.parametrize("name", ["litellm:local/qwen", "litellm:nowhere/qwen"])
def test_another_provider_is_reached_by_alias_only(name: str) -> None:
    with pytest.raises(NotFound):
        resolve(name, ACME, directory())


@pytest.mark.parametrize("target", ["openai/gone", "litellm:nowhere/qwen", "litellm:local/", "fast"])
def test_an_alias_that_leads_nowhere_says_so_and_what_helps(target: str) -> None:
    with pytest.raises(NotFound) as unknown:
        resolve("fast", ACME, directory((ACME, plain("fast", target))))
    assert repr("fast") in unknown.value.message
    assert repr(target) in unknown.value.message
    assert "sync_models" in unknown.value.message


TRANSPORTS = [
    # what the alias wants, its target, how that is asked
    ("auto", "anthropic/claude-opus-5", "native"),
    ("auto", "openai/gpt-5", "translate"),
    ("auto", "litellm:local/qwen", "litellm"),
    ("auto", "litellm:claude/claude-opus-5", "native"),
    ("native", "openai/gpt-5", "native"),
    ("native", "litellm:local/qwen", "litellm"),
    ("translate", "anthropic/claude-opus-5", "translate"),
    ("translate", "litellm:claude/claude-opus-5", "litellm"),
    ("litellm", "anthropic/claude-opus-5", "litellm"),
    ("litellm", "litellm:claude/claude-opus-5", "litellm"),
]


@pytest.mark.parametrize(("wanted", "target", "transport"), TRANSPORTS)
def test_a_target_is_asked_as_its_alias_wants_or_as_it_can_be(wanted: str, target: str, transport: str) -> None:
    route = resolve("fast", ACME, directory((ACME, plain("fast", target, transport=wanted))))
    assert route.target.transport == transport


def test_a_claude_model_asked_for_by_its_id_is_relayed() -> None:
    assert resolve("anthropic/claude-opus-5", ACME, directory()).target.transport == "native"


def test_where_every_call_passes_through_litellm_nothing_is_relayed(settings: Settings) -> None:
    settings.OPENROUTER_CLIENT = "litellm"
    assert resolve("anthropic/claude-opus-5", ACME, directory()).target.transport == "litellm"


ROUTERS = [
    "openrouter/auto",
    "@preset/cheap",
    "openai/gpt-5@preset/cheap",
    "openai/gpt-5:online",
    "openai/gpt-5:online ",
    "claude-bridge/openrouter/auto",
]


@pytest.mark.parametrize("name", ROUTERS)
def test_a_router_is_refused_unless_an_alias_leads_there(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolve(name, ACME, directory())
    assert repr(name) in refused.value.message
    assert "alias" in refused.value.message


@pytest.mark.parametrize("target", ["openrouter/auto", "@preset/cheap", "openai/gpt-5:online"])
def test_an_alias_may_lead_to_a_router(target: str) -> None:
    assert target_of("any", directory((ACME, plain("any", target)))) == target


def test_a_key_may_be_held_to_names_and_to_models() -> None:
    route = resolve("fast", ACME, directory((ACME, plain("fast", "openai/gpt-5", "google/gemini-3-pro"))))
    assert within(route, ()) == within(route, ("fa*",)) == route
    assert list(map(str, within(route, ("google/*",)).targets)) == ["google/gemini-3-pro"]
    with pytest.raises(InvalidRequest) as refused:
        within(route, ("anthropic/*",))
    assert "'fast'" in refused.value.message
    assert "anthropic/*" in refused.value.message


def test_a_router_is_not_listed() -> None:
    assert "openrouter/auto" not in directory().names_for(ACME)
