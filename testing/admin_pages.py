"""The addresses of the admin, found in its registry and the URLconf: a new page is among them from its first day."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import models
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils.regex_helper import normalize

MODELS: list[type[models.Model]] = sorted(admin.site._registry, key=lambda model: model._meta.label)
#: What the argument of a pattern about one row may be called.
ABOUT_A_ROW = ("object_id", "id")


def address(model: type[models.Model], name: str, *arguments: object) -> str:
    """The address of a model's page: "changelist", "add", or with the key of a row "change", "delete", "history"."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def addresses_of_row(model: type[models.Model], key: int | str) -> Iterator[str]:
    """Every address of the model's page that is about one row."""
    for pattern in admin.site._registry[model].get_urls():
        name = getattr(pattern, "name", None)
        if not name:
            continue
        for argument in ABOUT_A_ROW:
            try:
                yield reverse(f"admin:{name}", kwargs={argument: quote(key)})
            except NoReverseMatch:
                continue


def addresses_of_site(argument: str = "1") -> Iterator[str]:
    """Every address of the whole URLconf, with `argument` for whatever it takes."""
    yield from addresses_under(get_resolver().url_patterns, "/", argument)


def addresses_under(patterns: list[Any], before: str, argument: str) -> Iterator[str]:
    """The addresses of `patterns` and of all below them."""
    for pattern in patterns:
        here = before + _filled_in(pattern, argument)
        if isinstance(pattern, URLResolver):
            yield from addresses_under(pattern.url_patterns, here, argument)
        else:
            yield here


def _filled_in(pattern: URLPattern | URLResolver, argument: str) -> str:
    """The text of a pattern, as it would stand in an address."""
    ((text, names), *_) = normalize(pattern.pattern.regex.pattern)
    return str(text % dict.fromkeys(names, argument))
