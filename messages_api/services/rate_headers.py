"""Owns Anthropic's headers about rate limits: what is left, where it is scarcest. Pure.

Never `anthropic-ratelimit-unified-*`: Claude Code takes those for the limits of a subscription.
"""

from datetime import UTC, datetime

from usage.services.limits.arithmetic import Standing


def rate_headers(standing: Standing) -> dict[str, str]:
    headers: dict[str, str] = {}
    for kind, left in standing.items():
        name = f"anthropic-ratelimit-{kind}"
        headers[f"{name}-limit"] = str(left.limit)
        headers[f"{name}-remaining"] = str(left.remaining)
        headers[f"{name}-reset"] = f"{datetime.fromtimestamp(left.full_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return headers
