"""What every test relies on: nothing is left of the test before."""

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from accounts import configuration
from messages_api.services import gateway


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    configuration.forget_caches()
    yield
    configuration.forget_caches()
    gateway._running = None  # it belongs to an event loop that is closed by now


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """At the end PostgreSQL drops the database only once the threads' connections are gone, and some go slowly."""
    yield
    if connection.vendor == "postgresql":
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(others, [connection.settings_dict["NAME"]])
