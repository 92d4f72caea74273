"""The control plane's memory: every request received, whether its client is still there, what was ignored."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import orjson

from testing.openrouter_simulator.account import VISIBLE_KEY_CHARACTERS
from testing.openrouter_simulator.exact_json import Json, JsonValue

State = Literal["open", "answered", "client_gone", "cut"]

SECRET_HEADERS = frozenset({"authorization", "x-api-key"})
REQUESTS_KEPT = 500


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.lower(): value[-VISIBLE_KEY_CHARACTERS:] if name.lower() in SECRET_HEADERS else value
        for name, value in headers.items()
    }


@dataclass
class Exchange:
    """One request and what became of it. The body stays bytes until somebody looks."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    time: float = field(default_factory=time.time)
    marker: str | None = None
    step: int | None = None
    generation_id: str | None = None
    status: int | None = None
    refusal: str | None = None
    ignored: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    reasoning: Json = field(default_factory=dict)
    state: State = "open"
    closed_at: float | None = None

    def close(self, state: State) -> None:
        """The first ending counts: a client that leaves after the last byte was answered."""
        if self.state == "open":
            self.state = state
            self.closed_at = time.time()

    def document(self) -> Json:
        shown = {name: value for name, value in vars(self).items() if name != "body"}
        return {**shown, "body": parsed(self.body)}


def parsed(body: bytes) -> JsonValue:
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")


@dataclass
class Log:
    exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT))
    open_streams: int = 0

    def open(self, exchange: Exchange) -> Exchange:
        self.exchanges.append(exchange)
        return exchange

    def document(self) -> Json:
        return {"requests": [exchange.document() for exchange in self.exchanges]}

    def state(self) -> Json:
        waiting = sum(exchange.state == "open" for exchange in self.exchanges)
        return {"open_streams": self.open_streams, "open_requests": waiting, "requests": len(self.exchanges)}
