"""What every test relies on: nothing is cached from the test before."""

from collections.abc import Iterator

import pytest

from accounts import configuration


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    configuration.forget_caches()
    yield
    configuration.forget_caches()
