"""`/v1/models` says what each name can do, in the SDK's shape, and Claude Code's picker shows every model."""

from dataclasses import replace
from typing import Any, get_args, get_type_hints

import orjson
import pytest
from anthropic.types import ModelInfo, ModelLine, ModelListParams
from pydantic import BaseModel
from pytest_django import Settings

from messages_api.errors import InvalidRequest
from messages_api.services.catalog import SNAPSHOT, catalog_model
from messages_api.services.model_facts import ModelFacts
from messages_api.services.model_list import LARGEST_PAGE, LINES, STAGES, Page, list_models, model_info
from messages_api.services.routing import Alias, Directory, ProviderAccess, model_facts, resolve
from messages_api.services.terms import Terms

TEAM = 1
LOCAL = "litellm:ollama/llama"
PLAIN = ModelFacts("qwen/qwen3-coder", family="qwen", modalities=frozenset({"text"}), parameters=frozenset({"tools"}))
GPT = ModelFacts(
    "openai/gpt-5.1",
    family="openai",
    context_length=400_000,
    max_output=128_000,
    modalities=frozenset({"text", "image", "file"}),
    parameters=frozenset({"tools", "reasoning", "structured_outputs"}),
    efforts=("high", "medium", "low", "none"),
)
OPUS = replace(GPT, id="anthropic/claude-opus-5", family="anthropic", efforts=("max", "xhigh", "high", "medium", "low"))
HAIKU = replace(OPUS, id="anthropic/claude-haiku-4.5", efforts=())
WRITER = replace(PLAIN, id="acme/sonnet-writer", family="acme")
ALWAYS = replace(GPT, id="openai/o3", reasoning_is_mandatory=True)
DIRECTORY = Directory(
    aliases={
        (None, "sonnet"): Alias("sonnet", ("",), is_family=True),
        (None, "my-claude"): Alias("my-claude", (OPUS.id,), is_family=False),
        (None, "local"): Alias("local", (LOCAL,), is_family=False),
    },
    models={facts.id: facts for facts in (PLAIN, GPT, OPUS, HAIKU, ALWAYS, WRITER)},
    providers={"ollama": ProviderAccess("ollama", "ollama", "http://127.0.0.1:1", "")},
)


@pytest.fixture(autouse=True)
def default_models(settings: Settings) -> None:
    settings.BIG_MODEL, settings.SMALL_MODEL = GPT.id, HAIKU.id


def described(name: str) -> ModelInfo:
    return ModelInfo.model_validate(model_info(name, DIRECTORY, TEAM, ()))


def everything(directory: Directory = DIRECTORY) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = list_models(directory, TEAM, (), Page(LARGEST_PAGE))["data"]
    return listed


def said(capability: BaseModel, *names: str) -> set[str]:
    """The names of the parts that are supported."""
    parts = {name: getattr(capability, name) for name in type(capability).model_fields if name != "supported"}
    return {name for name, part in parts.items() if part is not None and part.supported}


def assert_complete(value: Any, model: type[BaseModel]) -> None:
    """Every key of the SDK's type is there, and no other."""
    assert value.keys() == model.model_fields.keys()
    for name, field in model.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        for kind in kinds:
            if issubclass(kind, BaseModel):
                assert_complete(value[name], kind)


# --- the shape -------------------------------------------------------------------------------------------------------


def test_every_model_has_every_key_of_the_sdks_type_and_no_other() -> None:
    for model in everything():
        assert_complete(model, ModelInfo)
        ModelInfo.model_validate(model)


def test_the_whole_snapshot_of_the_catalogue_can_be_described() -> None:
    rows = [catalog_model(each) for each in orjson.loads(SNAPSHOT.read_bytes())["models"]]
    listed = everything(Directory({}, {row.id: model_facts(row) for row in rows}, {}))
    assert len(listed) > len(rows) > 50
    for model in listed:
        ModelInfo.model_validate(model)


def test_a_model_has_the_limits_of_the_catalogue() -> None:
    model = described("sonnet")
    assert (model.max_input_tokens, model.max_tokens) == (400_000, 128_000)
    assert (described("local").max_input_tokens, described("local").max_tokens) == (None, None)


def test_an_aliass_own_limit_is_told() -> None:
    brief = Alias("brief", (OPUS.id,), is_family=False, terms=Terms(max_output=1_000))
    where = replace(DIRECTORY, aliases={(None, "brief"): brief})
    assert model_info("brief", where, TEAM, ())["max_tokens"] == 1_000


def test_nothing_is_invented_about_a_models_dates() -> None:
    model = described(GPT.id)
    assert (model.created_at.timestamp(), model.lifecycle, model.deprecated_at, model.retires_at) == (
        0,
        "active",
        None,
        None,
    )


def test_only_claudes_models_have_a_line() -> None:
    assert [described(name).line for name in (OPUS.id, HAIKU.id, "my-claude", "sonnet", WRITER.id)] == [
        "opus",
        "haiku",
        "opus",
        None,
        None,
    ]
    assert set(LINES) == set(get_args(ModelLine))


# --- the capabilities ------------------------------------------------------------------------------------------------


def test_what_a_model_takes_in_is_what_the_catalogue_says() -> None:
    for name, image in ((GPT.id, True), (PLAIN.id, False)):
        can = described(name).capabilities
        assert can is not None
        assert (can.image_input.supported, can.pdf_input.supported) == (image, True), "OpenRouter reads PDFs for any"


@pytest.mark.parametrize(
    ("name", "efforts"),
    [
        (OPUS.id, {"low", "medium", "high", "xhigh", "max"}),
        (GPT.id, {"low", "medium", "high"}),
        (HAIKU.id, {"low", "medium", "high"}),
        (PLAIN.id, set()),
    ],
)
def test_efforts_are_the_models_own_or_the_usual_ones(name: str, efforts: set[str]) -> None:
    can = described(name).capabilities
    assert can is not None
    assert (said(can.effort), can.effort.supported) == (efforts, bool(efforts))


@pytest.mark.parametrize(
    ("name", "types"),
    [
        (OPUS.id, {"adaptive", "enabled", "disabled"}),
        (GPT.id, {"adaptive", "enabled", "disabled", "between_tools"}),
        (ALWAYS.id, {"adaptive", "enabled", "between_tools"}),
        (PLAIN.id, {"disabled"}),
    ],
)
def test_thinking_is_offered_as_it_can_be_asked_for(name: str, types: set[str]) -> None:
    can = described(name).capabilities
    assert can is not None
    assert (said(can.thinking.types), can.thinking.supported) == (types, name != PLAIN.id)


def test_schemas_searches_and_context_edits_are_said_where_they_work() -> None:
    opus, gpt, plain, local = (described(name).capabilities for name in (OPUS.id, GPT.id, PLAIN.id, "local"))
    assert opus and gpt and plain and local
    assert [can.structured_outputs.supported for can in (opus, gpt, plain)] == [True, True, False]
    assert [said(can.server_tools) for can in (opus, gpt, local)] == [{"web_search"}, {"web_search"}, set()]
    assert [len(said(can.context_management)) for can in (opus, gpt)] == [3, 0]
    assert [can.citations.supported for can in (opus, gpt)] == [True, False]
    assert not any(can.batch.supported or can.code_execution.supported for can in (opus, gpt, plain, local))


# --- pitfall 49: the picker shows only names that begin with these ---------------------------------------------------


def test_whatever_can_be_asked_for_is_listed_under_a_name_that_the_picker_shows() -> None:
    ids = [model["id"] for model in everything()]
    shown = [name for name in ids if name.startswith(("claude", "anthropic"))]
    targets = {str(resolve(name, TEAM, DIRECTORY).target) for name in shown}
    assert targets == {str(resolve(name, TEAM, DIRECTORY).target) for name in ids} == {*DIRECTORY.models, LOCAL}
    assert "claude-bridge/my-claude" in shown
    assert len(ids) == len(set(ids))


def test_a_name_tells_the_person_who_picks_it_which_model_answers() -> None:
    assert described("claude-bridge/local").display_name == "claude-bridge/local (llama)"
    assert described(f"claude-bridge/{GPT.id}").display_name == GPT.id


# --- pages -----------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_both_ways() -> None:
    ids = [model["id"] for model in everything()]
    first = list_models(DIRECTORY, TEAM, (), Page(4))
    second = list_models(DIRECTORY, TEAM, (), Page(4, after_id=first["last_id"]))
    back = list_models(DIRECTORY, TEAM, (), Page(4, before_id=second["first_id"]))
    assert [model["id"] for page in (first, second) for model in page["data"]] == ids[:8]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (ids[0], ids[3], True)
    assert (back["data"], back["has_more"]) == (first["data"], False)
    last = list_models(DIRECTORY, TEAM, (), Page(4, after_id=ids[-1]))
    assert (last["data"], last["first_id"], last["has_more"]) == ([], None, False)
    with pytest.raises(InvalidRequest, match="after_id"):
        list_models(DIRECTORY, TEAM, (), Page(4, after_id="nobody"))


@pytest.mark.parametrize("stages", [{"active"}, {"active", "retired"}])
def test_models_in_the_stages_that_are_asked_for_are_listed(stages: set[str]) -> None:
    listed = list_models(DIRECTORY, TEAM, (), Page(LARGEST_PAGE, stages=frozenset(stages)))["data"]
    assert listed == everything()
    assert {model["lifecycle"] for model in listed} == {"active"}


@pytest.mark.parametrize("stages", [{"deprecated"}, {"retired"}, {"deprecated", "retired"}])
def test_where_only_other_stages_are_asked_for_nothing_is_listed(stages: set[str]) -> None:
    page = list_models(DIRECTORY, TEAM, (), Page(LARGEST_PAGE, stages=frozenset(stages)))
    assert page == {"data": [], "has_more": False, "first_id": None, "last_id": None}


def test_the_stages_are_the_sdks() -> None:
    stages, *_ = get_args(get_type_hints(ModelListParams)["lifecycle"])
    assert get_args(stages) == STAGES
