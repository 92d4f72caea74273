"""What nobody would type is refused: no address, filter, search or choice of nonsense makes a page fail."""

import zlib
from collections.abc import Callable, Iterator

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client, RequestFactory
from django.urls import reverse

from messages_api.models import ModelAlias
from testing import cast
from testing.admin_pages import MODELS, address, addresses_of_row
from testing.admin_rows import make_one_of_each
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

NONSENSE = ("x", "0", "-1", "9" * 40, "\x00", "é\u202e'\"<script>", "1' OR 1=1 --", "2026-99-99", "[" * 300, "%")
KEYS = ("x", "-1", "9" * 40, "1'", "é", "1&name=x", "None")
Chosen = Callable[[str], tuple[str, ...]]


def three_for(name: str) -> tuple[str, ...]:
    """Three of them, and others for another name: between them the fields of a kind meet all."""
    start = zlib.crc32(name.encode())
    return tuple(NONSENSE[(start + step) % len(NONSENSE)] for step in (0, 3, 7))


def all_for(name: str) -> tuple[str, ...]:
    return NONSENSE


some_or_all = pytest.mark.parametrize(
    "nonsense_for", [three_for, pytest.param(all_for, marks=pytest.mark.proof)], ids=["three", "all"]
)


def of_each(models_: list[type[models.Model]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", models_, ids=lambda model: model._meta.label)


@pytest.fixture(params=["superuser", "owner"])
def browser(request: pytest.FixtureRequest) -> Client:
    alice = cast.alice()
    make_one_of_each(alice)
    return signed_in(alice.user if request.param == "owner" else cast.root())


@of_each(MODELS)
def test_a_key_that_is_none(browser: Client, model: type[models.Model]) -> None:
    for key in KEYS:
        for path in addresses_of_row(model, key):
            for method in (browser.get, browser.post):
                response = method(path)
                assert response.status_code in {302, 403, 404}, path
                assert "name=x" not in response.headers.get("Location", "")


def parameters(model: type[models.Model]) -> Iterator[str]:
    """What stands in the addresses of a model's list: those of its filters, and Django's and Unfold's own."""
    page = admin.site._registry[model]
    request = RequestFactory().get("/")
    request.user = cast.root()
    yield from ("q", "o", "p", "all", "_facets", "_popup", "_to_field", "e")
    for field in model._meta.get_fields():
        yield from (field.name, f"{field.name}__exact", f"{field.name}__id__exact", f"{field.name}__isnull")
    for spec in page.get_changelist_instance(request).filter_specs:
        yield from (name for name in spec.expected_parameters() if name)
    if page.date_hierarchy:
        yield from (f"{page.date_hierarchy}__{part}" for part in ("year", "month", "day"))


@some_or_all
@of_each(MODELS)
def test_a_filter_or_a_search_for_nonsense(browser: Client, model: type[models.Model], nonsense_for: Chosen) -> None:
    for name in set(parameters(model)):
        for value in nonsense_for(name):
            response = browser.get(address(model, "changelist"), {name: value})
            assert response.status_code in {200, 302, 400, 403}, (name, value)


@of_each(MODELS)
def test_a_field_that_a_popup_may_not_ask_for(browser: Client, model: type[models.Model]) -> None:
    for field in model._meta.concrete_fields:
        if not field.primary_key:
            response = browser.get(address(model, "changelist"), {"_to_field": field.name, "_popup": "1"})
            assert response.status_code in {400, 403}, field.name


def test_completing_nonsense(browser: Client) -> None:
    for name in ("app_label", "model_name", "field_name", "term", "page"):
        for value in NONSENSE:
            asked = {"app_label": "accounts", "model_name": "apikey", "field_name": "membership", name: value}
            assert browser.get(reverse("admin:autocomplete"), asked).status_code in {200, 403, 404}, (name, value)


@some_or_all
@of_each(MODELS)
def test_a_new_row_that_the_address_fills_with_nonsense(
    browser: Client, model: type[models.Model], nonsense_for: Chosen
) -> None:
    for field in model._meta.concrete_fields:
        for value in nonsense_for(field.name):
            assert browser.get(address(model, "add"), {field.name: value}).status_code in {200, 403}, field.name


def test_an_object_that_is_nested_without_end_is_an_error_at_its_field(browser: Client) -> None:
    form = {"name": "deep", "kind": "name", "target": "openai/gpt-5", "transport": "auto"}
    for deep in ("[" * 100_000, '{"a":' * 100_000, "[" * 50_000 + "]" * 50_000):
        response = browser.post(address(ModelAlias, "add"), {**form, "provider_preferences": deep})
        assert response.status_code == 200
        assert "provider_preferences" in response.context["adminform"].form.errors
