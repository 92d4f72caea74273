"""What every test relies on: no settings of this machine, nothing cached from the test before."""

import os
from collections.abc import Iterator

import pytest

for name in (
    "OPENROUTER_API_KEY",
    "OPENROUTER_BASE_URL",
    "PUBLIC_URL",
    "REDIS_URL",
    "HTTPS_PROXY",
    "OPENROUTER_CLIENT",
):
    os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    from accounts import configuration

    configuration.forget_caches()
    yield
    configuration.forget_caches()


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    """Hashing a password slowly is Django's business, and would be most of the tests' time."""
    from django.conf import settings
    from django.test import override_settings

    quick = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    with override_settings(PASSWORD_HASHERS=quick):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """No thread keeps its connection: PostgreSQL would not let go of the test database."""
    from django.db import connections

    connections.settings["default"]["CONN_MAX_AGE"] = 0
