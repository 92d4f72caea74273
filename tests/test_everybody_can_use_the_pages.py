"""Every page can be read and used by everybody, in light and dark, by the keyboard alone; none breaks its policy.

The real Chromium opens each page of the whole registry. axe looks for what keeps people with a screen reader or weak
eyes out; the browser's console would say what the Content-Security-Policy has stopped.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, StorageState, sync_playwright

from testing.admin_pages import MODELS, address, addresses_of_row
from testing.browser import PASSWORD, chromium, sign_in
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess

AXE = Path(__file__).resolve().parent.parent / ".node" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
ONE_OF_EACH = (
    "import json; from testing import cast; from testing.admin_rows import make_one_of_each; "
    "print(json.dumps(make_one_of_each(cast.alice())))"
)
SCHEMES = ("light", "dark")
RULES: dict[str, dict[str, Any]] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]},
}
#: A row's page that only looks, or that was never to be opened.
REFUSED = 403
GRAVE = ("serious", "critical")
MOST_TABS = 150


@pytest.fixture(scope="module")
def filled(simulator: SimulatorProcess) -> Iterator[tuple[ServerProcess, dict[str, str]]]:
    """A server with a row of everything, and the keys of those rows."""
    env = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD, "OPENROUTER_MANAGEMENT_KEY": "sk-or-v1-management-0123456789"}
    with ServerProcess(simulator.base_url, **env) as server:
        server.manage("createsuperuser", "--noinput", "--email", "root@example.com")
        rows = orjson.loads(server.manage("shell", "-v", "0", "-c", ONE_OF_EACH).splitlines()[-1])
        server.query("UPDATE accounts_openrouterkey SET managed_id = 'made-from-here'")
        yield server, rows


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


Open = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def opened(browser: Browser, filled: tuple[ServerProcess, dict[str, str]]) -> Open:
    return partial(browser.new_context, viewport={"width": 1440, "height": 900}, base_url=filled[0].base_url)


@pytest.fixture(scope="module")
def session(opened: Open) -> StorageState:
    """The cookies of a superuser, who signs in once."""
    with opened() as context:
        sign_in(context.new_page())
        return context.storage_state()


@pytest.fixture
def page(opened: Open, session: StorageState) -> Iterator[Page]:
    """A page of the superuser's."""
    with opened(storage_state=session) as context:
        yield context.new_page()


@pytest.fixture
def strangers_page(opened: Open) -> Iterator[Page]:
    with opened() as context:
        yield context.new_page()


def complaints(page: Page) -> list[str]:
    """What the browser says of a page from now on, and what its scripts stumble over.

    A bare refusal has no icon: the browser looks for one at its own time, maybe when the next page is there.
    """
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.location["url"].endswith("/favicon.ico"):
            said.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def violations(page: Page, scheme: str = "light") -> list[str]:
    """What axe finds that is serious, each with its place in the page; in the dark only colours can be other."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("(how) => axe.run(document, how)", RULES[scheme])
    grave = [violation for violation in found["violations"] if violation["impact"] in GRAVE]
    return [f"{each['id']}: {node['html'][:200]}" for each in grave for node in each["nodes"]]


def open_in(page: Page, path: str, scheme: Any) -> int:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    response = page.goto(path, wait_until="load")
    assert response is not None
    return response.status


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_pages_of_a_model(page: Page, filled: tuple[ServerProcess, dict[str, str]], model: Any) -> None:
    said = complaints(page)
    opened = 0
    for path in (
        address(model, "changelist"),
        address(model, "add"),
        *addresses_of_row(model, filled[1][model._meta.label]),
    ):
        for scheme in SCHEMES:
            if open_in(page, path, scheme) == REFUSED:
                said.clear()
                break
            opened += 1
            assert violations(page, scheme) == [], f"{path} in {scheme}"
            assert said == [], f"{path} in {scheme}"
    assert opened >= 2 * len(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_pages_around_them(strangers_page: Page, scheme: str) -> None:
    page = strangers_page
    said = complaints(page)
    for path in ("/", "/admin/login/"):
        assert open_in(page, path, scheme) == 200
        assert violations(page, scheme) == [], path
    sign_in(page)
    for path in ("/admin/", "/admin/password_change/"):
        assert open_in(page, path, scheme) == 200
        assert violations(page, scheme) == [], path
    assert said == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_sign_in_that_fails_and_the_page_of_who_is_locked_out(strangers_page: Page, scheme: str) -> None:
    page = strangers_page
    open_in(page, "/admin/login/", scheme)
    for _ in range(5):
        page.fill("input[name=username]", f"{scheme}@example.com")
        page.fill("input[name=password]", "wrong")
        page.click("button[type=submit]")
        page.wait_for_load_state("networkidle")
        assert violations(page) == []
    assert "quarter of an hour" in page.content()


# --- by the keyboard -------------------------------------------------------------------------------------------------


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus says `name`; it must be there for everybody to see."""
    passed = []
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(FOCUSED))
        if passed[-1] == name or ("@" in name and name in passed[-1]):
            assert page.evaluate("() => document.activeElement.checkVisibility()")
            return
    raise AssertionError(f"{name!r} is not reached by Tab, but {passed[:50]}")


#: The name of what has the focus, as a screen reader would say it.
FOCUSED = """() => {
    const here = document.activeElement;
    const by = (here.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id));
    const label = (here.labels && here.labels[0]) || by.find((element) => element);
    const copy = here.cloneNode(true);
    copy.querySelectorAll("[aria-hidden=true]").forEach((hidden) => hidden.remove());
    const named = here.getAttribute("aria-label") || (label && label.textContent);
    return (named || copy.textContent || (here.type === "submit" && here.value) || "").replace(/[*\\s]+/g, " ").trim();
}"""


def test_a_key_is_made_rotated_and_revoked_without_a_mouse(page: Page) -> None:
    page.goto("/admin/accounts/apikey/add/", wait_until="networkidle")
    tab_to(page, "Member")
    page.keyboard.press("Enter")
    page.keyboard.type("alice")
    page.locator(".select2-results__option", has_text="alice").first.wait_for()
    page.keyboard.press("Enter")
    tab_to(page, "Name")
    page.keyboard.type("made by keyboard")
    tab_to(page, "Save")
    page.keyboard.press("Enter")
    page.locator("#new-key").wait_for()
    assert "sk-brg-" in page.locator("#new-key").inner_text()
    assert violations(page) == []
    page.goto("/admin/accounts/apikey/?q=made+by+keyboard", wait_until="networkidle")
    tab_to(page, "made by keyboard")
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/**")
    key = page.url.split("?")[0]
    press(page, "Rotate", "**/rotate/")
    press(page, "Rotate", None)
    page.locator("#new-key").wait_for()
    page.goto(key)
    press(page, "Revoke", "**/revoke/")
    press(page, "Revoke", "**/change/")
    page.locator("text=Revoked: made by keyboard").first.wait_for()


def press(page: Page, name: str, leads_to: str | None) -> None:
    tab_to(page, name)
    page.keyboard.press("Enter")
    if leads_to:
        page.wait_for_url(leads_to)
        page.wait_for_load_state("networkidle")


def test_the_menu_of_a_row_opens_without_a_mouse(page: Page) -> None:
    page.goto("/admin/accounts/membership/", wait_until="networkidle")
    tab_to(page, "More actions")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.innerText.includes('Make a personal key')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/apikey/add/?membership=*")


def test_filters_and_signing_out_are_reached_without_a_mouse(strangers_page: Page) -> None:
    page = strangers_page
    sign_in(page)
    page.goto("/admin/accounts/apikey/", wait_until="networkidle")
    tab_to(page, "Filters")
    page.keyboard.press("Enter")
    page.locator("#changelist-filter, #changelist-filter-container").first.wait_for()
    page.goto("/admin/", wait_until="networkidle")
    tab_to(page, "root@example.com")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Log out").wait_for()
    tab_to(page, "Log out")
    page.keyboard.press("Enter")
    page.locator("text=logged out").first.wait_for()
