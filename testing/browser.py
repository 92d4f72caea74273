"""The real Chromium, quiet, a superuser signing in with it, and where its pictures go."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
PASSWORD = "correct-horse-battery"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "chromium is missing: `make tools` installs it"
    browser = playwright.chromium.launch(executable_path=program, args=QUIET)
    try:
        yield browser
    finally:
        browser.close()


def sign_in(page: Page, email: str = "root@example.com") -> None:
    page.goto("/admin/")
    page.fill("input[name=username]", email)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/admin/")


def choose(page: Page, field: str, words: str) -> None:
    """Choose a row in a field that completes what is typed, as a person does."""
    page.locator(f"#id_{field} + .select2 .select2-selection").click()
    page.locator(".select2-search__field").fill(words)
    page.locator(".select2-results__option", has_text=words).first.click()


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_load_state("load")


def picture(name: str, folder: Path) -> Path:
    """Where a picture of the documents goes; one that is there stays, unless UPDATE_PICTURES asks for a new one."""
    path = IMAGES / name
    if path.exists() and not os.environ.get("UPDATE_PICTURES"):
        return folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
