"""Owns what a secret looks like in text, and its removal from anything a person will read. Pure."""

import json
import re
from urllib.parse import quote

# In this order: keys by their makers' prefixes; what follows a word that announces a secret; passwords inside URLs.
_SECRETS = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-|gsk_|xai-|hf_|pplx-|AIza|AKIA)[A-Za-z0-9_-]{8,}"
    r"|(?<=Bearer )[^\s'\",]{8,}"
    r"|(?<=Basic )[A-Za-z0-9+/=]{8,}"
    r"|(?<=api[-_]key[=:])\s*[^\s'\",&]{8,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",
    re.IGNORECASE,
)
#: What every secret begins with or follows: most text holds none of it, and to look is a tenth of the work.
_CUES = ("sk-", "gsk_", "xai-", "hf_", "pplx-", "aiza", "akia", "bearer ", "basic ", "api-key", "api_key", "://")

#: A shorter key (`none`, `EMPTY`: servers on one's own machine want any) is taken out only where it stands alone.
_SHORT = 8


def without(secret: str, text: str) -> str:
    """`text` without `secret`, which need not look like one: as it is, and as addresses and JSON write it."""
    for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]} if secret else ():
        if form not in text:
            continue
        alone = rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])"
        text = text.replace(form, "[redacted]") if len(form) >= _SHORT else re.sub(alone, "[redacted]", text)
    return text


def redact(text: str) -> str:
    """`text` with everything that looks like a key replaced."""
    if text.isascii():  # beyond ASCII there are letters that the expression takes for `s`, `k` or `i`
        lowered = text.lower()
        if not any(cue in lowered for cue in _CUES):
            return text
    return _SECRETS.sub("[redacted]", text)
