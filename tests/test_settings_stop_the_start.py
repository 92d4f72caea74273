"""A missing or malformed setting stops the start with one line that names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCTION = {
    "PUBLIC_URL": "https://bridge.example.com",
    "SECRET_KEY": "s" * 50,
    "FIELD_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}


def start(tmp_path: Path, code: str = "import bridge_project.settings", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), "ENV_FILE": os.devnull, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("PORT", {"PORT": "eighty"}),
        ("PORT", {"PORT": "99999"}),
        ("DRAIN_SECONDS", {"DRAIN_SECONDS": "-1"}),
        ("LOG_FORMAT", {"LOG_FORMAT": "xml"}),
        ("LOG_LEVEL", {"LOG_LEVEL": "chatty"}),
        ("OPENROUTER_CLIENT", {"OPENROUTER_CLIENT": "magic"}),
        ("OPENROUTER_BASE_URL", {"OPENROUTER_BASE_URL": "openrouter.ai"}),
        ("HTTPS_PROXY", {"HTTPS_PROXY": "garbage"}),
        ("HTTPS_PROXY", {"HTTPS_PROXY": "http://[bad"}),
        ("ALLOW_PRIVATE_ADDRESSES", {"ALLOW_PRIVATE_ADDRESSES": "perhaps"}),
        ("REDIS_URL", {"REDIS_URL": "garbage"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "10.0.0.0/8,nginx"}),
        ("BIG_MODEL", {"BIG_MODEL": "gpt-5"}),
        ("VAR_DIR", {"VAR_DIR": "/proc/nowhere"}),
        ("SPOOL_DIR", {"SPOOL_DIR": "/proc/nowhere"}),
        ("PUBLIC_URL", {"PUBLIC_URL": "bridge.example.com"}),
        ("PUBLIC_URL", {**PRODUCTION, "PUBLIC_URL": "https://bridge.example.com/path"}),
        ("SECRET_KEY", {**PRODUCTION, "SECRET_KEY": ""}),
        ("SECRET_KEY", {"SECRET_KEY": "short"}),
        ("FIELD_ENCRYPTION_KEYS", {**PRODUCTION, "FIELD_ENCRYPTION_KEYS": ""}),
        ("FIELD_ENCRYPTION_KEYS", {"FIELD_ENCRYPTION_KEYS": "not-a-key"}),
        ("DATABASE_URL", {"DATABASE_URL": "oracle://somewhere"}),
        ("SSL_CERT_FILE", {"SSL_CERT_FILE": "/no/such/file"}),
        ("SECRET_KEY_FILE", {"SECRET_KEY_FILE": "/no/such/file"}),
    ],
)
def test_a_bad_setting_is_named_in_one_line(tmp_path: Path, name: str, env: dict[str, str]) -> None:
    done = start(tmp_path, **env)
    assert done.returncode == 1
    assert done.stderr.startswith("Cannot start. ")
    assert name in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 40 + "\n")
    code = "from bridge_project import settings; print(settings.SECRET_KEY)"
    assert start(tmp_path, code, SECRET_KEY_FILE=str(tmp_path / "key")).stdout == "k" * 40 + "\n"


def test_a_development_install_keeps_secrets_of_its_own(tmp_path: Path) -> None:
    code = "from bridge_project import settings; print(settings.SECRET_KEY, *settings.FIELD_ENCRYPTION_KEYS)"
    first, second = start(tmp_path, code), start(tmp_path, code)
    assert first.stdout == second.stdout != start(tmp_path / "other", code).stdout
    assert {oct((tmp_path / name).stat().st_mode & 0o777) for name in ("secret_key", "encryption_key")} == {"0o600"}


def test_production_is_strict_about_cookies_and_hosts(tmp_path: Path) -> None:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "LOG_FORMAT", "ALLOWED_HOSTS")
    code = f"from bridge_project import settings; print(*(getattr(settings, name) for name in {names}))"
    hosts = ["bridge.example.com", "127.0.0.1", "localhost", "[::1]"]
    assert start(tmp_path, code, **PRODUCTION).stdout == f"True True True json {hosts}\n"


@pytest.mark.parametrize(
    ("env", "is_allowed"),
    [
        ({}, True),
        (PRODUCTION, False),
        ({**PRODUCTION, "ALLOW_PRIVATE_ADDRESSES": "true"}, True),
        ({"ALLOW_PRIVATE_ADDRESSES": "false"}, False),
    ],
)
def test_private_addresses_are_allowed_on_ones_own_machine_or_by_name(
    tmp_path: Path, env: dict[str, str], is_allowed: bool
) -> None:
    code = "from bridge_project import settings; print(settings.ALLOW_PRIVATE_ADDRESSES)"
    assert start(tmp_path, code, **env).stdout == f"{is_allowed}\n"
