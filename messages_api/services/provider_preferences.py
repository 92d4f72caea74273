"""Owns the shape of OpenRouter's `provider` object: which providers may serve a request, and at what price."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Names = list[str]
Sort = Literal["price", "throughput", "latency", "exacto"]
Quantization = Literal["int4", "int8", "fp4", "fp6", "fp8", "fp16", "bf16", "fp32", "unknown"]
Amount = Annotated[float, Meta(ge=0)]


class SortBy(Struct, forbid_unknown_fields=True):
    by: Sort
    partition: Literal["model", "none"] = "model"


class Percentiles(Struct, forbid_unknown_fields=True):
    p50: Amount | None = None
    p75: Amount | None = None
    p90: Amount | None = None
    p99: Amount | None = None


class MostPaid(Struct, forbid_unknown_fields=True):
    """USD per million tokens, or per request or image."""

    prompt: Amount | None = None
    completion: Amount | None = None
    request: Amount | None = None
    image: Amount | None = None
    audio: Amount | None = None


class ProviderPreferences(Struct, forbid_unknown_fields=True):
    """wire.md 2.1, `provider`."""

    order: Names | None = None
    only: Names | None = None
    ignore: Names | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    enforce_distillable_text: bool | None = None
    quantizations: list[Quantization] | None = None
    sort: Sort | SortBy | None = None
    preferred_min_throughput: Amount | Percentiles | None = None
    preferred_max_latency: Amount | Percentiles | None = None
    max_price: MostPaid | None = None


def check_preferences(value: Any) -> None:
    """Raises ValueError, which names the key, for what OpenRouter would refuse or not understand."""
    try:
        msgspec.convert(value, ProviderPreferences)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
