"""Owns what a secret looks like in text, and its removal from anything a person will read. Pure."""

import re

# Personal and provider keys (sk-brg-..., sk-or-..., AIza...), bearer tokens, and passwords inside URLs.
_SECRETS = re.compile(
    r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}|\bAIza[A-Za-z0-9_-]{30,}|(?<=Bearer )[^\s'\",]{8,}|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """`text` with everything that looks like a key replaced."""
    return _SECRETS.sub("[redacted]", text)
