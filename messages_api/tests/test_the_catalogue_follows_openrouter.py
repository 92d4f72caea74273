"""The catalogue ships with the project, and `sync_models` brings it up to what OpenRouter lists."""

import asyncio
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from messages_api.models import CatalogModel
from messages_api.services.catalog import catalog_model, load_snapshot
from messages_api.services.routing import current_directory
from testing.simulator_process import SimulatorProcess
from usage.pricing import usd

pytestmark = pytest.mark.django_db(transaction=True)

DESCRIBED: dict[str, Any] = {
    "id": "openai/gpt-x",
    "name": "GPT X",
    "context_length": 400_000,
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    "pricing": {"prompt": "0.00000125", "completion": "0.00001", "input_cache_read": "0.000000125"},
    "top_provider": {"max_completion_tokens": 128_000},
    "supported_parameters": ["tools", "reasoning"],
    "reasoning": {"mandatory": True, "supported_efforts": ["high", "low"]},
}


def test_a_description_becomes_a_row_with_exact_prices() -> None:
    row = catalog_model(DESCRIBED)
    assert (row.id, row.author, row.context_length, row.max_output) == ("openai/gpt-x", "openai", 400_000, 128_000)
    assert (row.input_price, row.output_price, row.cache_read_price) == (1_250_000, 10_000_000, 125_000)
    assert row.cache_write_price is None


def test_a_price_that_depends_on_the_route_is_not_known() -> None:
    row = catalog_model({**DESCRIBED, "pricing": {"prompt": "-1", "completion": "-1"}})
    assert (row.input_price, row.output_price) == (None, None)


@pytest.mark.parametrize("family", ["anthropic", "openai", "google", "meta-llama", "mistralai", "cohere"])
def test_the_snapshot_has_every_family(family: str) -> None:
    assert load_snapshot() > 50
    rows = CatalogModel.objects.filter(id__startswith=f"{family}/")
    assert rows.exists()
    assert all(usd(row.input_price or 0) < 1 and row.context_length > 1000 for row in rows)


def test_the_default_models_are_in_the_snapshot(settings: Any) -> None:
    load_snapshot()
    assert {settings.BIG_MODEL, settings.SMALL_MODEL} <= set(CatalogModel.objects.values_list("id", flat=True))


def test_sync_models_takes_over_what_openrouter_lists(settings: Any) -> None:
    load_snapshot()
    with SimulatorProcess() as simulator:
        settings.OPENROUTER_BASE_URL = simulator.base_url
        out = StringIO()
        call_command("sync_models", stdout=out)
    assert f"{CatalogModel.objects.count()} models" in out.getvalue()
    assert CatalogModel.objects.filter(id="deepseek/deepseek-chat").exists()
    assert not CatalogModel.objects.filter(id="openai/gpt-4.1-nano").exists(), "a model that is gone is forgotten"
    assert "deepseek/deepseek-chat" in asyncio.run(current_directory()).models


def test_an_openrouter_that_does_not_answer_leaves_the_catalogue_as_it_was(settings: Any) -> None:
    count = load_snapshot()
    settings.OPENROUTER_BASE_URL = "http://127.0.0.1:9/api/v1"
    with pytest.raises(CommandError, match="--offline"):
        call_command("sync_models")
    assert CatalogModel.objects.count() == count
