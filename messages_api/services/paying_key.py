"""Owns the choice of the key that pays: the personal key's own, else its team's, else the server's."""

from django.conf import settings

from accounts.authentication import Caller
from messages_api.errors import PaymentRequired
from messages_api.services.routing import Target


def paying_key(caller: Caller, target: Target) -> str:
    """The key that pays for asking `target`. Raises PaymentRequired where there is none, or it cannot be read."""
    provider = target.provider
    if caller.has_lost_key or (provider is not None and provider.api_key is None):
        owner = provider.name if provider is not None else f"the team {caller.team}"
        raise PaymentRequired(
            f"The key that pays for {owner} cannot be decrypted: FIELD_ENCRYPTION_KEYS has changed. "
            "An administrator can enter it again."
        )
    if provider is not None:
        return provider.api_key or ""
    key = caller.openrouter_key or settings.OPENROUTER_API_KEY
    if not key:
        raise PaymentRequired(
            "This server has no OpenRouter key yet. Put OPENROUTER_API_KEY=sk-or-... into the server's .env and "
            f"restart it, or add a key for the team in {settings.BASE_URL}/admin/accounts/openrouterkey/."
        )
    return key
