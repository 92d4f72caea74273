"""Owns the catalogue of models: the snapshot that ships with the project, and bringing it up to date."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from django.db import transaction

from messages_api.models import CatalogModel
from usage.pricing import picodollars

SNAPSHOT = Path(__file__).resolve().parent.parent / "catalog_snapshot.json"


def load_snapshot() -> int:
    """Fill an empty catalogue from the snapshot; how many models it holds then."""
    if not CatalogModel.objects.exists():
        save_models(orjson.loads(SNAPSHOT.read_bytes())["models"])
    return CatalogModel.objects.count()


@transaction.atomic
def save_models(described: Iterable[dict[str, Any]]) -> int:
    """Bring the catalogue to what OpenRouter's `/models` describes, and forget what it no longer lists."""
    rows = [catalog_model(model) for model in described if _is_chat_model(model)]
    CatalogModel.objects.exclude(id__in=[row.id for row in rows]).delete()
    fields = [field.name for field in CatalogModel._meta.concrete_fields if field.name != "id"]
    CatalogModel.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=fields)
    return len(rows)


def catalog_model(described: dict[str, Any]) -> CatalogModel:
    """The row of one model of OpenRouter's `GET /models` (wire.md 2.6)."""
    architecture, pricing = described.get("architecture") or {}, described["pricing"]
    return CatalogModel(
        id=described["id"],
        name=described["name"],
        context_length=described["context_length"],
        max_output=(described.get("top_provider") or {}).get("max_completion_tokens"),
        input_modalities=architecture.get("input_modalities") or ["text"],
        supported_parameters=described.get("supported_parameters") or [],
        reasoning=described.get("reasoning") or {},
        input_price=_price(pricing, "prompt"),
        output_price=_price(pricing, "completion"),
        cache_read_price=_price(pricing, "input_cache_read"),
        cache_write_price=_price(pricing, "input_cache_write"),
        request_price=_price(pricing, "request") or 0,
        web_search_price=_price(pricing, "web_search") or 0,
    )


def _is_chat_model(described: dict[str, Any]) -> bool:
    outputs = (described.get("architecture") or {}).get("output_modalities") or ["text"]
    return "text" in outputs and bool(described.get("context_length"))


def _price(pricing: dict[str, Any], name: str) -> int | None:
    """Picodollars; None where it is not said. A router's "-1" means that it depends on the model it chooses."""
    price = pricing.get(name)
    return None if price is None or Decimal(price) < 0 else picodollars(price)
