"""A lease is held by one process at a time, and by nobody for long who has died."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from usage.models import Lease
from usage.services.lease import Taken, turn

pytestmark = pytest.mark.django_db


def test_it_is_taken_once_and_free_again_afterwards() -> None:
    with turn("work", 60), pytest.raises(Taken), turn("work", 60):
        pass
    with turn("work", 60):
        assert Lease.objects.count() == 1


def test_one_of_another_name_is_another() -> None:
    with turn("work", 60), turn("other work", 60):
        assert Lease.objects.count() == 2


def test_it_is_given_back_whatever_happens() -> None:
    with pytest.raises(ZeroDivisionError), turn("work", 60):
        raise ZeroDivisionError
    with turn("work", 60):
        pass


def test_a_holder_that_died_is_in_the_way_until_its_time_is_up() -> None:
    with turn("work", 60) as dead:
        Lease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        with turn("work", 60):
            with pytest.raises(Taken):
                dead.renew()
            dead.give_back()  # of what is no longer its own
            with pytest.raises(Taken), turn("work", 60):
                pass


def test_renewing_holds_it_longer() -> None:
    with turn("work", 60) as held:
        Lease.objects.update(expires_at=timezone.now() + timedelta(seconds=1))
        held.renew()
        assert Lease.objects.get().expires_at > timezone.now() + timedelta(seconds=50)


def test_taking_what_there_is_costs_one_statement(django_assert_num_queries: object) -> None:
    with turn("work", 60):
        pass
    with django_assert_num_queries(2), turn("work", 60):  # type: ignore[operator]  # a fixture: taken and given back
        pass


@contextmanager
def turn_in_memory(name: str, seconds: float) -> Iterator[None]:
    """A turn where threads share SQLite in memory: unlike a file, that refuses at once what is locked for a moment."""
    with ExitStack() as stack:
        for _ in range(1_000):
            try:
                stack.enter_context(turn(name, seconds))
                break
            except OperationalError as error:
                if "table is locked" not in str(error):
                    raise
                time.sleep(0.005)
        else:
            pytest.fail("It stays locked.")
        yield


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_gets_it() -> None:
    held, let_go = [], threading.Event()
    begin = threading.Barrier(4)

    def take() -> None:
        begin.wait()
        try:
            with turn_in_memory("work", 60):
                held.append(1)
                let_go.wait(10)
        except Taken:
            held.append(0)
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(held) < 4 and time.monotonic() < deadline:  # whoever comes once the holder has let go may have it
        time.sleep(0.01)
    let_go.set()
    for thread in threads:
        thread.join(10)
    assert sorted(held) == [0, 0, 0, 1]
