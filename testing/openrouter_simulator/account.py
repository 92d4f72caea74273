"""What was charged: one fsynced line per generation, kept in memory for GET /generation and /key."""

import os
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from testing.openrouter_simulator.exact_json import Json, amount, encode

Status = Literal["completed", "cut", "client_gone", "error"]
VISIBLE_KEY_CHARACTERS = 4


@dataclass(frozen=True)
class Charge:
    generation_id: str
    key: str
    model: str
    provider: str
    status: Status
    session_id: str | None
    tokens: Json
    cost: Decimal
    upstream_cost: Decimal
    is_byok: bool
    finish: Json
    streamed: bool
    seconds: float
    time: float = field(default_factory=time.time)

    def row(self) -> Json:
        return {
            "generation_id": self.generation_id,
            "time": self.time,
            "key": self.key[-VISIBLE_KEY_CHARACTERS:],
            "model": self.model,
            "tokens": self.tokens,
            "cost": plain(self.cost),
            "upstream_cost": plain(self.upstream_cost),
            "is_byok": self.is_byok,
            "status": self.status,
            "session_id": self.session_id,
        }

    def generation(self) -> Json:
        """GET /generation, wire.md 2.6."""
        milliseconds = round(self.seconds * 1000)
        return {
            "id": self.generation_id,
            "upstream_id": None,
            "total_cost": amount(self.cost),
            "usage": amount(self.cost),
            "upstream_inference_cost": amount(self.upstream_cost) if self.is_byok else None,
            "cache_discount": None,
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.time)),
            "model": self.model,
            "provider_name": self.provider,
            "is_byok": self.is_byok,
            "streamed": self.streamed,
            "cancelled": self.status == "client_gone",
            "latency": milliseconds,
            "generation_time": milliseconds,
            **self.finish,
            "tokens_prompt": self.tokens["prompt"],
            "tokens_completion": self.tokens["completion"],
            "native_tokens_prompt": self.tokens["prompt"],
            "native_tokens_completion": self.tokens["completion"],
            "native_tokens_reasoning": self.tokens["reasoning"],
            "native_tokens_cached": self.tokens["cached"],
            "num_search_results": None,
        }


def plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass
class Account:
    path: Path
    charges: dict[str, Charge] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path.touch()

    def charge(self, charge: Charge) -> None:
        self.charges[charge.generation_id] = charge
        with self.path.open("ab") as file:
            file.write(encode(charge.row()) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def total(self, key: str | None = None) -> Decimal:
        charged = (charge.cost for charge in self.charges.values() if key in (None, charge.key))
        return sum(charged, Decimal(0))

    def document(self) -> Json:
        rows = [charge.row() for charge in self.charges.values()]
        return {"rows": rows, "total_cost": plain(self.total())}

    def key_document(self, key: str) -> Json:
        """GET /key, wire.md 2.6."""
        used = amount(self.total(key))
        return {
            "data": {
                "label": f"sk-or-...{key[-VISIBLE_KEY_CHARACTERS:]}",
                "limit": None,
                "limit_remaining": None,
                "limit_reset": None,
                "usage": used,
                "usage_daily": used,
                "usage_weekly": used,
                "usage_monthly": used,
                "byok_usage": 0,
                "byok_usage_daily": 0,
                "byok_usage_weekly": 0,
                "byok_usage_monthly": 0,
                "is_free_tier": False,
                "is_management_key": False,
                "include_byok_in_limit": False,
                "expires_at": None,
                "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated."},
            }
        }
