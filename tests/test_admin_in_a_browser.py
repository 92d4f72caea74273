"""An administrator changes an alias in a real browser, and the next request of the real Claude Code goes elsewhere."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from testing.browser import PASSWORD, chromium, picture, sign_in
from testing.claude_code import ask
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import message_body, send


@pytest.fixture(scope="module")
def busy_server(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    """A server that two teams have used for a while."""
    with ServerProcess(simulator.base_url, DJANGO_SUPERUSER_PASSWORD=PASSWORD) as server:
        server.manage("sync_models")
        server.manage("createsuperuser", "--noinput", "--email", "root@example.com")
        bob = orjson.loads(server.manage("bootstrap", "--team", "Acme", "--email", "bob@acme.example", "--json"))
        carol = orjson.loads(
            server.manage("bootstrap", "--team", "Globex", "--email", "carol@globex.example", "--json")
        )
        for number, (key, model, prompt) in enumerate(
            [
                (server.api_key, "claude-sonnet-5", "[[reasoning_text]]"),
                (server.api_key, "claude-sonnet-5", "[[stream 30 0]]"),
                (bob["api_key"], "claude-haiku-4-5", "[[stream 60 0]]"),
                (bob["api_key"], "google/gemini-2.5-pro", "[[reasoning_text]]"),
                (bob["api_key"], "claude-opus-5", "[[error 429]]"),
                (carol["api_key"], "anthropic/claude-sonnet-5", "[[stream 90 0]]"),
                (carol["api_key"], "claude-sonnet-5", "[[mid_stream_error]]"),
            ]
        ):
            body = message_body(f"{prompt} {number} {'context ' * 400}", model=model, stream=True, max_tokens=4000)
            send(server.base_url, "POST", "/v1/messages", body, {"x-api-key": key})
        server.records()
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@pytest.fixture
def page(browser: Browser, busy_server: ServerProcess) -> Iterator[Page]:
    """The admin, signed in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=busy_server.base_url)
    page = context.new_page()
    sign_in(page)
    yield page
    context.close()


def test_an_alias_changed_in_admin_is_used_by_the_next_request(page: Page, busy_server: ServerProcess) -> None:
    assert model_of_a_session(busy_server) == "openai/gpt-5"
    page.goto("/admin/messages_api/modelalias/?q=sonnet")
    page.locator("#result_list tbody tr", has_text="Acme").get_by_role("link", name="sonnet").click()
    page.fill("input[name=target]", "google/gemini-2.5-pro")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("text=was changed successfully").first.wait_for()
    assert model_of_a_session(busy_server) == "google/gemini-2.5-pro"


def model_of_a_session(server: ServerProcess) -> str:
    answer = ask(
        "[[bash_echo]]",
        "--model",
        "sonnet",
        ANTHROPIC_BASE_URL=server.base_url,
        ANTHROPIC_API_KEY=server.api_key,
    )
    assert not answer.is_error, answer.text
    (model,) = {row["model"] for row in server.records(session_id=answer.session_id)}
    return str(model)


def test_a_target_that_is_not_in_the_catalogue_is_refused_at_its_field(page: Page) -> None:
    page.goto("/admin/messages_api/modelalias/add/")
    page.fill("input[name=name]", "fast")
    page.fill("input[name=target]", "openai/gpt-five")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("text=openai/gpt-five is not in the catalogue. The nearest are: openai/gpt-5").first.wait_for()
    assert page.url.endswith("/add/")


def test_a_key_made_in_admin_is_shown_once_and_works(page: Page, busy_server: ServerProcess) -> None:
    page.goto("/admin/accounts/apikey/add/")
    page.fill("input[name=name]", "made in a browser")
    page.locator(".select2-selection").first.click()
    page.locator(".select2-search__field").fill("carol")
    page.locator(".select2-results__option", has_text="carol").first.click()
    page.get_by_role("button", name="Save", exact=True).click()
    shown = page.locator("#new-key").inner_text()
    key = next(word for word in shown.replace("=", " ").split() if word.startswith("sk-brg-"))
    reply = send(busy_server.base_url, "POST", "/v1/messages", message_body(), {"x-api-key": key})
    assert reply.status == 200
    page.goto("/admin/accounts/apikey/?q=made+in+a+browser")
    assert "made in a browser" in page.content()
    assert key not in page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_usage_is_listed_with_totals(page: Page, busy_server: ServerProcess, tmp_path: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto("/admin/usage/usagerecord/")
    page.wait_for_load_state("networkidle")
    assert page.locator("#result_list tbody tr").count() >= 7
    total = Decimal(sum(row["cost"] for row in busy_server.records())) / 10**12
    assert f"${total.normalize():f}" in page.content()
    screenshot = page.screenshot(path=picture(f"usage-{scheme}.png" if scheme == "dark" else "usage.png", tmp_path))
    assert len(screenshot) > 20_000


def test_a_session_with_a_subagent_is_seen_as_a_tree(page: Page, busy_server: ServerProcess, tmp_path: Path) -> None:
    to = {"ANTHROPIC_BASE_URL": busy_server.base_url, "ANTHROPIC_API_KEY": busy_server.api_key}
    answer = ask("[[subagent]]", **to)
    assert not answer.is_error, answer.text
    rows = busy_server.records(session_id=answer.session_id)
    page.goto(f"/admin/usage/usagerecord/?session_is={answer.session_id}")
    page.locator("#result_list tbody a").first.click()
    page.get_by_role("link", name=answer.session_id).click()
    page.wait_for_load_state("load")
    agents = page.locator("#session-0 tbody tr")
    assert agents.count() == len({row["agent_id"] for row in rows}) == 2
    assert "main agent" in agents.nth(0).inner_text()
    (subagent,) = {row["agent_id"] for row in rows if row["agent_id"]}
    assert subagent in agents.nth(1).inner_text()
    assert agents.nth(0).locator("td").first.inner_text() == str(sum(not row["agent_id"] for row in rows))
    total = Decimal(sum(row["cost"] for row in rows)) / 10**12
    assert f"{len(rows)} requests, ${total.normalize():f} together." in page.content()
    page.screenshot(path=picture("session.png", tmp_path))
