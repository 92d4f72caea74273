"""Owns lists as people write them, one entry a line: names of models with `*` in them, and OpenRouter's names for
providers. Pure but for the errors it raises."""

import re

from django.core.exceptions import ValidationError

_SLUG = re.compile(r"[a-z0-9-]+(/[a-z0-9.-]+)?")
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


def check_slugs(text: str) -> None:
    """Raise ValidationError for a line that no provider of OpenRouter's could be called."""
    slugs = split_globs(text)
    if len(slugs) > MOST:
        raise ValidationError(f"At most {MOST} lines.")
    for slug in slugs:
        if not _SLUG.fullmatch(slug):
            raise ValidationError(f"Not a provider's short name: {slug[:200]!r}. Write one a line: anthropic, azure.")
