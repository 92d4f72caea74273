"""Owns what a secret looks like in text, and its removal from anything a person will read. Pure."""

import re

# In this order: keys by their makers' prefixes; what follows a word that announces a secret; passwords inside URLs.
_SECRETS = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-|gsk_|xai-|hf_|pplx-|AIza|AKIA)[A-Za-z0-9_-]{8,}"
    r"|(?<=Bearer )[^\s'\",]{8,}"
    r"|(?<=Basic )[A-Za-z0-9+/=]{8,}"
    r"|(?<=api[-_]key[=:])\s*[^\s'\",&]{8,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """`text` with everything that looks like a key replaced."""
    return _SECRETS.sub("[redacted]", text)
