"""Owns lists of model names with `*` in them, one a line, as people write them. Pure but for the error it raises."""

import re

from django.core.exceptions import ValidationError

_GLOB = re.compile(r"[A-Za-z0-9._:/@~*?\[\]-]{1,200}")
MOST = 100


def split_globs(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def check_globs(text: str) -> None:
    """Raise ValidationError for a line that no name of a model could match."""
    globs = split_globs(text)
    if len(globs) > MOST:
        raise ValidationError(f"At most {MOST} lines.")
    for glob in globs:
        if not _GLOB.fullmatch(glob):
            raise ValidationError(f"Not a name of a model: {glob[:200]!r}. Write one a line, with * for anything.")
