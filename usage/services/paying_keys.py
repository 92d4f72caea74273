"""Owns which OpenRouter keys may have paid for a request that is over: OpenRouter tells only the one that did."""

from collections.abc import Iterator

from django.conf import settings

from accounts.encryption import Undecipherable, decrypt
from accounts.models import ApiKey, OpenRouterKey, Team
from usage.models import UsageRecord


def keys_that_may_have_paid(record: UsageRecord) -> list[str]:
    """The secrets, the likeliest first. Which key pays may have changed since, so all that are near are among them."""
    secrets = [*_opened(_rows(record)), settings.OPENROUTER_API_KEY]
    return [secret for secret in dict.fromkeys(secrets) if secret]


def _rows(record: UsageRecord) -> Iterator[OpenRouterKey | None]:
    for key in ApiKey.objects.with_owner().filter(pk=record.api_key_id or 0):
        yield from (key.openrouter_key, key.membership.openrouter_key)
    for team in Team.objects.select_related("openrouter_key").filter(pk=record.team_id or 0):
        yield team.openrouter_key
        yield from team.openrouter_keys.order_by("pk")


def _opened(rows: Iterator[OpenRouterKey | None]) -> Iterator[str]:
    for row in rows:
        try:
            if row is not None:
                yield decrypt(row.ciphertext)
        except Undecipherable:
            continue  # the requests that it should pay for say so already
