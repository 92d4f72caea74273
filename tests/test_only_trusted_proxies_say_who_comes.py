"""Who comes from where is believed of TRUSTED_PROXIES alone: in the audit log, at the sign-in, and of the scheme."""

from collections.abc import Iterator

import pytest

from testing.browser import PASSWORD
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.visitor import LOGIN, Visitor

CLAIMED = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https", "forwarded": "for=203.0.113.9;proto=https"}


def server_behind(simulator: SimulatorProcess, proxies: str) -> Iterator[ServerProcess]:
    with ServerProcess(simulator.base_url, DJANGO_SUPERUSER_PASSWORD=PASSWORD, TRUSTED_PROXIES=proxies) as server:
        server.manage("createsuperuser", "--noinput", "--email", "root@example.com")
        yield server


@pytest.fixture
def behind_nothing(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    yield from server_behind(simulator, "192.0.2.1")


@pytest.fixture
def behind_a_proxy(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    yield from server_behind(simulator, "127.0.0.1")


def addresses_in_the_audit_log(server: ServerProcess) -> set[str]:
    rows = server.query("SELECT remote_addr FROM accounts_auditentry WHERE actor_email = %s", "root@example.com")
    return {str(row["remote_addr"]) for row in rows}


def make_a_team(visitor: Visitor) -> None:
    form = {"name": "Initech", "memberships-TOTAL_FORMS": "0"}
    assert visitor.send_form("/admin/accounts/team/add/", **form)[0] == 302


def test_what_a_stranger_claims_changes_neither_log_nor_lock_nor_scheme(behind_nothing: ServerProcess) -> None:
    visitor = Visitor(behind_nothing, **CLAIMED)
    assert visitor.sign_in() == 302
    make_a_team(visitor)
    assert addresses_in_the_audit_log(behind_nothing) == {"127.0.0.1"}
    for number in range(5):
        Visitor(behind_nothing, **{**CLAIMED, "x-forwarded-for": f"203.0.113.{number}"}).sign_in("wrong")
    assert Visitor(behind_nothing, **{**CLAIMED, "x-forwarded-for": "203.0.113.77"}).sign_in() == 429
    kept = behind_nothing.query("SELECT ip_address FROM axes_accessattempt")
    assert {str(row["ip_address"]) for row in kept} == {"127.0.0.1"}


def test_an_https_server_is_not_told_by_a_stranger_that_the_way_was_safe(simulator: SimulatorProcess) -> None:
    env = {
        "PUBLIC_URL": "https://bridge.example",
        "SECRET_KEY": "k" * 50,
        "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=",
    }
    for proxies, status in (("192.0.2.1", 301), ("127.0.0.1", 200)):
        with ServerProcess(simulator.base_url, TRUSTED_PROXIES=proxies, **env) as server:
            visitor = Visitor(server, host="bridge.example", **CLAIMED)
            assert visitor.ask("GET", LOGIN)[0] == status


def test_a_trusted_proxy_is_believed_and_what_stands_before_it_is_not(behind_a_proxy: ServerProcess) -> None:
    """A proxy puts the address that it sees at the end of what the client claimed."""
    visitor = Visitor(behind_a_proxy, **{"x-forwarded-for": "198.51.100.1, 203.0.113.9"})
    assert visitor.sign_in() == 302
    make_a_team(visitor)
    assert addresses_in_the_audit_log(behind_a_proxy) == {"203.0.113.9"}


def test_nonsense_from_a_proxy_breaks_nothing(behind_a_proxy: ServerProcess) -> None:
    visitor = Visitor(behind_a_proxy, **{"x-forwarded-for": "not an address"})
    assert visitor.sign_in("wrong") == 200
    assert visitor.sign_in() == 302
    make_a_team(visitor)
    assert addresses_in_the_audit_log(behind_a_proxy) == {"None"}
