"""Owns the calls to OpenRouter that are not inference: the catalogue, what a key may spend, keys made from here."""

import http.client
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import orjson
from django.conf import settings
from django.utils.dateparse import parse_datetime

from accounts.redaction import redact

TIMEOUT_SECONDS = 30
PICODOLLARS = 10**12
LONGEST_REASON = 200
#: Far beyond any answer, and well within the columns of the database.
DEAREST = 100_000 * PICODOLLARS
MOST_TOKENS = 10**12


class OpenRouterRefused(Exception):
    """OpenRouter could not be reached, or did not answer as documented. The message is for an administrator."""


class UnknownToOpenRouter(OpenRouterRefused):
    """There is no such key, or no such generation."""


class KeyRefused(OpenRouterRefused):
    """OpenRouter does not take this key, or not for this."""


@dataclass(frozen=True, slots=True)
class KeyState:
    """What OpenRouter says of a key. Amounts are picodollars; no limit is None."""

    limit: int | None
    limit_remaining: int | None
    limit_reset: str
    usage: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Cap:
    """How much a key made from here may spend: picodollars, again in every period where one is named."""

    limit: int
    reset: str = ""  # daily, weekly, monthly

    def as_json(self) -> dict[str, Any]:
        return {"limit": float(Decimal(self.limit) / PICODOLLARS), "limit_reset": self.reset or None}


@dataclass(frozen=True, slots=True)
class ManagedKey:
    """A key that OpenRouter has just made: its text exists only here."""

    managed_id: str
    secret: str
    state: KeyState


@dataclass(frozen=True, slots=True)
class Generation:
    """What OpenRouter says of one answer: its cost in picodollars, and its tokens as the model counts them."""

    cost: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    provider: str


# --- what is there ---------------------------------------------------------------------------------------------------


def list_models() -> list[dict[str, Any]]:
    """`GET /models`: what OpenRouter offers. Needs no key."""
    models = _call("GET", "/models")["data"]
    if not models:
        raise OpenRouterRefused("OpenRouter listed no model.")
    return list(models)


def key_state(secret: str) -> KeyState:
    """`GET /key`: what the key itself may spend and has spent."""
    return _state(_call("GET", "/key", secret)["data"])


def generation(secret: str, generation_id: str) -> Generation:
    """`GET /generation`: what one answer cost. OpenRouter knows it a moment after the answer has ended.

    Only the key that paid is told. With a key of one's own at the provider, the provider's share is part of the cost.
    """
    data: dict[str, Any] = _call("GET", f"/generation?id={quote(generation_id, safe='')}", secret)["data"]
    try:
        own = picodollars(data["upstream_inference_cost"]) if data["is_byok"] else None
        found = Generation(
            cost=(picodollars(data["total_cost"]) or 0) + (own or 0),
            prompt_tokens=int(data["native_tokens_prompt"] or 0),
            cached_tokens=int(data["native_tokens_cached"] or 0),
            completion_tokens=int(data["native_tokens_completion"] or 0),
            reasoning_tokens=int(data["native_tokens_reasoning"] or 0),
            provider=data["provider_name"] or "",
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise OpenRouterRefused("OpenRouter did not describe the generation as documented.") from error
    figures = (found.prompt_tokens, found.cached_tokens, found.completion_tokens, found.reasoning_tokens)
    if not (0 <= found.cost <= DEAREST and all(0 <= figure <= MOST_TOKENS for figure in figures)):
        raise OpenRouterRefused("OpenRouter told a cost or a count that no answer has.")
    return found


# --- keys made from here (OPENROUTER_MANAGEMENT_KEY) -----------------------------------------------------------------


def create_key(name: str, cap: Cap) -> ManagedKey:
    """`POST /keys`: a key with a limit that OpenRouter holds."""
    answer = _call("POST", "/keys", settings.OPENROUTER_MANAGEMENT_KEY, {"name": name, **cap.as_json()})
    try:
        return ManagedKey(answer["data"]["hash"], answer["key"], _state(answer["data"]))
    except (KeyError, TypeError) as error:
        raise OpenRouterRefused("OpenRouter made a key and did not show it: delete it there.") from error


def cap_key(managed_id: str, cap: Cap) -> KeyState:
    """`PATCH /keys/{hash}`: another limit for a key that was made from here."""
    path = f"/keys/{quote(managed_id, safe='')}"
    return _state(_call("PATCH", path, settings.OPENROUTER_MANAGEMENT_KEY, cap.as_json())["data"])


def delete_key(managed_id: str) -> None:
    """`DELETE /keys/{hash}`: OpenRouter refuses the key from now on. One that is gone already is as good as deleted."""
    try:
        _call("DELETE", f"/keys/{quote(managed_id, safe='')}", settings.OPENROUTER_MANAGEMENT_KEY)
    except UnknownToOpenRouter:
        return


# --- the call --------------------------------------------------------------------------------------------------------


def picodollars(dollars: Any) -> int | None:
    return None if dollars is None else int((Decimal(str(dollars)) * PICODOLLARS).to_integral_value())


def _state(data: dict[str, Any]) -> KeyState:
    try:
        return KeyState(
            limit=picodollars(data["limit"]),
            limit_remaining=picodollars(data["limit_remaining"]),
            limit_reset=data["limit_reset"] or "",
            usage=picodollars(data["usage"]) or 0,
            expires_at=parse_datetime(data["expires_at"]) if data.get("expires_at") else None,
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise OpenRouterRefused("OpenRouter did not describe the key as documented.") from error


def _call(method: str, path: str, secret: str = "", body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON of one call, through HTTPS_PROXY (urllib reads it) and with SSL_CERT_FILE where they are set."""
    url = settings.OPENROUTER_BASE_URL + path
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {secret}"} if secret else {})
    data = orjson.dumps(body) if body is not None else None
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310  # settings admit http(s) only
    context = ssl.create_default_context(cafile=settings.SSL_CERT_FILE or None)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context) as answer:  # noqa: S310  # as above
            parsed = orjson.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise _refusal(url, error) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise OpenRouterRefused(f"{url} could not be read: {redact(str(error))}.") from error
    if not isinstance(parsed, dict) or ("data" not in parsed and method != "DELETE"):
        raise OpenRouterRefused(f"{url} did not answer as documented.")
    return parsed


_REFUSALS: dict[int, type[OpenRouterRefused]] = {401: KeyRefused, 403: KeyRefused, 404: UnknownToOpenRouter}


def _refusal(url: str, error: urllib.error.HTTPError) -> OpenRouterRefused:
    """OpenRouter's own words, where it has any."""
    try:
        told = orjson.loads(error.read())["error"]["message"]
    except (OSError, ValueError, KeyError, TypeError):
        told = error.reason
    kind = _REFUSALS.get(error.code, OpenRouterRefused)
    return kind(f"OpenRouter refused ({error.code}): {redact(str(told))[:LONGEST_REASON]}")
