"""An alias that is saved in the admin leads somewhere; one that does not is refused at the field, with what is near."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from accounts.encryption import decrypt
from accounts.models import Team
from messages_api.models import CatalogModel, ModelAlias, Provider
from messages_api.services.routing import load_directory, resolve
from testing import cast
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

ADD = reverse("admin:messages_api_modelalias_add")
LIST = reverse("admin:messages_api_modelalias_changelist")
NEW = {
    "team": "",
    "name": "fast",
    "kind": "name",
    "target": "openai/gpt-5",
    "fallbacks": "",
    "transport": "auto",
    "provider_preferences": "{}",
    "pdf_engine": "",
    "max_output": "",
    "max_effort": "",
    "system_addendum": "",
    "note": "",
}


@pytest.fixture
def admin() -> Client:
    cast.alice()
    return signed_in(cast.root())


def errors(admin: Client, **fields: Any) -> dict[str, str]:
    """What the form says about an alias, field by field."""
    response = admin.post(ADD, {**NEW, **fields})
    if response.status_code == 302:
        return {}
    return {name: " ".join(texts) for name, texts in response.context["adminform"].form.errors.items()}


@pytest.mark.parametrize(
    "target", ["openai/gpt-5", "openai/gpt-5:nitro", "anthropic/claude-sonnet-5", "litellm:groq/llama-3.3-70b"]
)
def test_what_the_form_takes_is_what_requests_can_follow(admin: Client, target: str) -> None:
    Provider.objects.create(name="groq", litellm_provider="groq")
    assert errors(admin, target=target) == {}
    route = resolve("fast", Team.objects.get().pk, load_directory())
    assert str(route.target) == target


def test_a_model_that_is_not_in_the_catalogue_is_refused_with_the_nearest_names(admin: Client) -> None:
    said = errors(admin, target="openai/gpt5")
    assert set(said) == {"target"}
    assert "needs a model" not in said["target"]
    assert "openai/gpt5 is not in the catalogue. The nearest are: " in said["target"]
    assert "openai/gpt-5" in said["target"]


def test_part_of_a_name_finds_the_models_that_contain_it(admin: Client) -> None:
    near = errors(admin, target="sonnet")["target"].partition("The nearest are: ")[2]
    assert near.count("sonnet") == 3


@pytest.mark.parametrize("target", ["openai/gpt-5:", ":free", "litellm:groq/", "litellm:", "litellm:unknown/model"])
def test_half_a_target_is_refused(admin: Client, target: str) -> None:
    Provider.objects.create(name="groq", litellm_provider="groq")
    assert set(errors(admin, target=target)) == {"target"}
    assert not ModelAlias.objects.filter(name="fast").exists()


def test_an_unknown_provider_is_refused_with_the_known_ones(admin: Client) -> None:
    Provider.objects.create(name="groq", litellm_provider="groq")
    assert "The known ones are: groq." in errors(admin, target="litellm:grok/model")["target"]


def test_an_empty_catalogue_says_how_to_fill_it(admin: Client) -> None:
    CatalogModel.objects.all().delete()
    assert "sync_models" in errors(admin, target="openai/gpt-5")["target"]


def test_every_fallback_leads_somewhere_too(admin: Client) -> None:
    assert set(errors(admin, fallbacks="openai/gpt-5-mini\nopenai/gpt5")) == {"fallbacks"}
    assert errors(admin, fallbacks=" openai/gpt-5-mini \n\nanthropic/claude-sonnet-5\n") == {}
    route = resolve("fast", Team.objects.get().pk, load_directory())
    assert list(map(str, route.targets)) == ["openai/gpt-5", "openai/gpt-5-mini", "anthropic/claude-sonnet-5"]


def test_what_openrouter_would_not_take_as_preferences_is_refused_by_its_name(admin: Client) -> None:
    assert "zdrr" in errors(admin, provider_preferences='{"zdrr": true}')["provider_preferences"]
    assert "`$.sort`" in errors(admin, provider_preferences='{"sort": "cheap"}')["provider_preferences"]
    assert set(errors(admin, provider_preferences='["zdr"]')) == {"provider_preferences"}
    assert errors(admin, provider_preferences='{"zdr": true, "max_price": {"prompt": 3}}') == {}
    terms = resolve("fast", Team.objects.get().pk, load_directory()).terms
    assert terms.provider == {"zdr": True, "max_price": {"prompt": 3}}


def test_a_provider_that_speaks_messages_says_where(admin: Client) -> None:
    page = reverse("admin:messages_api_provider_add")
    given = {"name": "claude", "litellm_provider": "anthropic", "base_url": "", "speaks_messages": "on"}
    assert set(admin.post(page, given).context["adminform"].form.errors) == {"base_url"}
    assert admin.post(page, {**given, "base_url": "https://api.anthropic.com"}).status_code == 302


def test_a_name_needs_a_target_and_a_family_does_not(admin: Client) -> None:
    ModelAlias.objects.filter(team=None, name="opus").delete()
    assert set(errors(admin, target="")) == {"target"}
    assert errors(admin, name="opus", kind="family", target="") == {}


def test_a_family_is_one_of_claudes(admin: Client) -> None:
    assert set(errors(admin, name="gpt", kind="family")) == {"name"}


def test_a_name_is_given_once_to_a_team_and_once_to_everyone(admin: Client) -> None:
    assert errors(admin) == {}
    assert set(errors(admin)) == {"name"}
    acme = Team.objects.get(name="Acme").pk
    assert errors(admin, team=acme) == {}
    assert errors(admin, team=acme)


def test_the_list_shows_the_setting_that_an_empty_family_follows(admin: Client) -> None:
    page = admin.get(LIST).content.decode()
    assert f"{settings.BIG_MODEL} (BIG_MODEL)" in page
    assert f"{settings.SMALL_MODEL} (SMALL_MODEL)" in page


def test_the_list_shows_what_a_family_was_given(admin: Client) -> None:
    ModelAlias.objects.filter(name="sonnet").update(target="openai/gpt-5")
    response = admin.get(LIST, {"q": "sonnet"})
    assert "openai/gpt-5" in response.content.decode()
    assert "(BIG_MODEL)" not in response.content.decode()


@pytest.mark.parametrize("page", ["modelalias_add", "team_change"])
def test_the_target_is_completed_from_the_catalogue(admin: Client, page: str) -> None:
    app, args = ("messages_api", []) if page == "modelalias_add" else ("accounts", [Team.objects.get().pk])
    html = admin.get(reverse(f"admin:{app}_{page}", args=args)).content.decode()
    assert html.count("<datalist") == 1
    assert 'list="catalogue-models"' in html
    assert '<option value="openai/gpt-5">' in html


def test_a_teams_page_checks_its_aliases_too(admin: Client) -> None:
    team = Team.objects.get(name="Acme")
    alias = ModelAlias.objects.get(team=team, name="sonnet")
    none = {f"memberships-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    rows = {"aliases-TOTAL_FORMS": "1", "aliases-INITIAL_FORMS": "1", "aliases-0-id": alias.pk}
    form = {"name": "Acme", "slug": "acme", "is_active": "on", **none, **rows, "aliases-0-team": team.pk}
    row = {"aliases-0-name": "sonnet", "aliases-0-kind": "family", "aliases-0-target": "openai/gpt5"}
    change = reverse("admin:accounts_team_change", args=[team.pk])
    assert escape("openai/gpt5 is not in the catalogue.") in admin.post(change, {**form, **row}).content.decode()
    admin.post(change, {**form, **row, "aliases-0-target": "openai/gpt-5"})
    alias.refresh_from_db()
    assert alias.target == "openai/gpt-5"


def test_a_teams_page_refuses_a_second_alias_of_a_name(admin: Client) -> None:
    team = Team.objects.get(name="Acme")
    none = {f"memberships-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    rows = {"aliases-TOTAL_FORMS": "1", "aliases-INITIAL_FORMS": "0", "aliases-0-name": "sonnet"}
    form = {"name": "Acme", "slug": "acme", "is_active": "on", **none, **rows, "aliases-0-kind": "family"}
    response = admin.post(reverse("admin:accounts_team_change", args=[team.pk]), form)
    assert response.status_code == 200
    assert "already exists" in response.content.decode()


def test_a_providers_key_goes_in_and_never_comes_out(admin: Client) -> None:
    secret = "gsk_0123456789abcdefghij"
    fields = {"name": "groq", "litellm_provider": "groq", "base_url": "https://api.groq.com/openai/v1"}
    admin.post(reverse("admin:messages_api_provider_add"), {**fields, "secret": secret})
    row = Provider.objects.get()
    assert (decrypt(row.ciphertext), row.hint, row.base_url) == (secret, "ghij", fields["base_url"])
    change = reverse("admin:messages_api_provider_change", args=[row.pk])
    admin.post(change, {**fields, "secret": ""})
    page = admin.get(change).content.decode()
    row.refresh_from_db()
    assert decrypt(row.ciphertext) == secret
    assert secret not in page
    assert row.ciphertext not in page


def test_the_catalogue_shows_prices_per_million_tokens(admin: Client) -> None:
    CatalogModel.objects.filter(id="openai/gpt-5").update(input_price=1_250_000, output_price=10_000_000)
    page = admin.get(reverse("admin:messages_api_catalogmodel_changelist"), {"q": "openai/gpt-5"}).content.decode()
    assert "$1.25" in page
    assert "$10.00" in page


def test_the_catalogue_is_filtered_by_author(admin: Client) -> None:
    response = admin.get(reverse("admin:messages_api_catalogmodel_changelist"), {"author": "mistralai"})
    authors = {model.author for model in response.context["cl"].queryset}
    assert authors == {"mistralai"}
