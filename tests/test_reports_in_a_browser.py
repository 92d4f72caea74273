"""Whoever opens the admin in a real browser sees who spent what: the figures are those of the records."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from testing.browser import PASSWORD, chromium, picture, sign_in
from testing.server_process import ServerProcess

NOBODY = "http://127.0.0.1:9/api/v1"
DAYS = 60
SEED = f"from datetime import date; from testing.seeded_usage import seed; seed(date.fromisoformat('{{}}'), {DAYS})"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(NOBODY, DJANGO_SUPERUSER_PASSWORD=PASSWORD) as running:
        running.manage("createsuperuser", "--noinput", "--email", "root@example.com")
        running.manage("shell", "-v", "0", "-c", SEED.format(datetime.now(UTC).date()))
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: ServerProcess) -> Iterator[Page]:
    """The admin, signed in."""
    context = browser.new_context(viewport={"width": 1440, "height": 1300}, base_url=server.base_url)
    page = context.new_page()
    sign_in(page)
    yield page
    context.close()


def rows_of_last(server: ServerProcess, days: int) -> list[dict[str, Any]]:
    begin = (datetime.now(UTC) - timedelta(days=days - 1)).date().isoformat()
    return [row for row in server.query("SELECT * FROM usage_usagerecord") if str(row["started_at"])[:10] >= begin]


def dollars(pico: int) -> str:
    return f"${(Decimal(pico) / 10**12).quantize(Decimal('0.01')):,}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_landing_page_says_who_spent_what(page: Page, server: ServerProcess, tmp_path: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto("/admin/")
    page.wait_for_load_state("networkidle")
    rows = rows_of_last(server, 30)
    tile = page.locator(".tiles div", has_text="Spend").first
    assert dollars(sum(row["cost"] for row in rows)) in tile.inner_text()
    of_alice = [row for row in rows if row["email"] == "alice@acme.example"]
    shown = page.locator("#members tr", has_text="alice@acme.example").inner_text()
    assert f"{len(of_alice):,}" in shown
    assert dollars(sum(row["cost"] for row in of_alice)) in shown
    assert page.locator("#spend tbody tr").count() == len({str(row["started_at"])[:10] for row in rows})
    assert page.locator(".drawn-chart").count() == 2
    name = "reports-dark.png" if scheme == "dark" else "reports.png"
    screenshot = page.screenshot(path=picture(name, tmp_path))
    assert len(screenshot) > 20_000


def test_a_figure_leads_to_its_records(page: Page, server: ServerProcess) -> None:
    page.locator("#providers").get_by_role("link", name="Google").click()
    page.wait_for_url("**/usagerecord/**")
    wanted = [row for row in rows_of_last(server, 30) if row["provider"] == "Google"]
    assert f"{len(wanted):,}" in page.locator("#totals div", has_text="Requests").inner_text()


def test_another_period_and_team_are_chosen_without_a_script(page: Page, server: ServerProcess) -> None:
    page.select_option("select[name=period]", "7d")
    page.select_option("select[name=team]", label="Globex")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**period=7d**")
    wanted = [row for row in rows_of_last(server, 7) if row["team_name"] == "Globex"]
    assert (
        dollars(sum(row["cost"] for row in wanted)) in page.locator(".tiles div", has_text="Spend").first.inner_text()
    )
    assert page.locator("#members tbody tr").count() == len({row["email"] for row in wanted})
