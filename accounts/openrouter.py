"""Owns the calls to OpenRouter that are not inference."""

import http.client
import ssl
import urllib.request
from typing import Any

import orjson
from django.conf import settings

TIMEOUT_SECONDS = 30


class OpenRouterRefused(Exception):
    """OpenRouter could not be reached, or did not answer as documented. The message is for an administrator."""


def list_models() -> list[dict[str, Any]]:
    """`GET /models`: what OpenRouter offers. Needs no key."""
    models = _get("/models")["data"]
    if not models:
        raise OpenRouterRefused("OpenRouter listed no model.")
    return list(models)


def _get(path: str) -> dict[str, Any]:
    """The JSON of one GET, through HTTPS_PROXY (urllib reads it) and with SSL_CERT_FILE where they are set."""
    url = settings.OPENROUTER_BASE_URL + path
    context = ssl.create_default_context(cafile=settings.SSL_CERT_FILE or None)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS, context=context) as answer:  # noqa: S310  # settings admit http(s) only
            parsed = orjson.loads(answer.read())
    except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
        raise OpenRouterRefused(f"{url} could not be read: {error}.") from error
    if not isinstance(parsed, dict) or "data" not in parsed:
        raise OpenRouterRefused(f"{url} did not answer as documented.")
    return parsed
