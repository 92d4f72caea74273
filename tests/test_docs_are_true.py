"""What the documents say is so: settings, links, paths, versions."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
READ = re.compile(r'env\.\w+\(\s*"([A-Z_]+)"')


def settings_read() -> set[str]:
    return set(READ.findall((ROOT / "bridge_project" / "settings.py").read_text()))


def test_the_readme_lists_every_setting_and_no_other() -> None:
    table = (ROOT / "README.md").read_text().partition("| setting | default | what it is |")[2].partition("\n\n")[0]
    first_cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert set(re.findall(r"`([A-Z_]+)`", " ".join(first_cells))) == settings_read()


def test_the_example_lists_every_setting_and_no_other() -> None:
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == settings_read()


@pytest.mark.parametrize("name", ["BIG_MODEL", "SMALL_MODEL", "OPENROUTER_BASE_URL", "PORT"])
def test_defaults_are_the_same_everywhere(name: str) -> None:
    source = (ROOT / "bridge_project" / "settings.py").read_text()
    default = re.search(rf'"{name}", "?([^",)]+)', source)
    assert default
    assert f"{name}={default[1]}" in (ROOT / ".env.example").read_text()
    assert f"`{default[1]}`" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: str(doc.relative_to(ROOT)))
def test_every_link_and_path_leads_somewhere(doc: Path) -> None:
    text = doc.read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    missing = [link for link in links if not (doc.parent / link).exists()]
    paths = re.findall(
        r"`((?:bridge_project|accounts|usage|messages_api|testing|tests|benchmarks|docs)/[\w./-]+)`", text
    )
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: str(doc.relative_to(ROOT)))
def test_the_project_speaks_only_of_itself(doc: Path) -> None:
    assert not re.search(r"/(?:work|root|home)/", doc.read_text())


def test_every_dependency_is_explained() -> None:
    explained = (ROOT / "docs" / "dependencies.md").read_text()
    for name in ("requirements.in", "requirements-dev.in"):
        for line in (ROOT / name).read_text().splitlines():
            package = re.match(r"[a-z0-9-]+", line)
            assert not package or package[0] in explained, f"docs/dependencies.md does not explain {package[0]}"


def test_every_pinned_requirement_has_its_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        pins = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text())
        assert all("--hash=sha256:" in pin for pin in pins if "==" in pin)


def test_the_requirements_hold_what_the_project_promises() -> None:
    pinned = (ROOT / "requirements.txt").read_text()
    for package in ["django", "djangorestframework", "litellm", "channels", "daphne", "psycopg", "pytest-django"]:
        assert re.search(rf"^{package}(\[\w+\])?==", pinned, re.MULTILINE), package


def test_the_checks_are_configured_without_waivers_for_whole_files() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert config["tool"]["mypy"]["strict"] is True
    (override,) = config["tool"]["mypy"]["overrides"]
    assert override == {"module": ["unfold.*", "axes.*", "auditlog.*"], "follow_untyped_imports": True}
