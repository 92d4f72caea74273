"""An address that people write leads into the internet, however it is spelled, or is refused in words."""

import http.client
import socket
from typing import Any

import pytest
from pytest_django import Settings

from accounts import way_out
from accounts.addresses import is_public, refusal_of_addresses, refusal_of_url

PRIVATE = [
    "http://127.0.0.1:8000/v1",
    "http://127.8.8.8",
    "http://10.0.0.1",
    "http://172.31.255.255",
    "http://192.168.1.1",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1",
    "http://224.0.0.1",
    "http://240.0.0.1",
    "http://255.255.255.255",
    "http://0.0.0.0",
    "http://192.0.2.1",
    "http://[::1]",
    "http://[0:0:0:0:0:0:0:1]",
    "http://[::]",
    "http://[fe80::1]",
    "http://[fc00::1]",
    "http://[fec0::1]",
    "http://[ff02::1]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:a00:1]",
    "http://[::127.0.0.1]",
    "http://[64:ff9b::7f00:1]",
    "http://[2002:7f00:1::]",
    "http://[2001:db8::1]",
    "http://localhost:11434",
    "http://LOCALHOST",
    "http://localhost.",
    "http://model.localhost",
    "http://127.0.0.1.",
]
PUBLIC = [
    "https://api.openai.com/v1",
    "http://8.8.8.8",
    "https://[2606:4700:4700::1111]:8443/",
    "http://[::ffff:8.8.8.8]",
    "http://[64:ff9b::808:808]",
    "https://xn--bcher-kva.example",
    "https://1.example",
]
ODD = ["127.1", "2130706433", "017700000001", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "10.1", "134744072", "0"]
UNREADABLE = [
    "",
    "example.com",
    "ftp://example.com",
    "file:///etc/passwd",
    "http://",
    "http:///path",
    "http://[::1",
    "http://[fe80::1%25eth0]",
    "http://someone@example.com",
    "http://8.8.8.8:80@127.0.0.1",
    "http://8.8.8.8\\@127.0.0.1",
    "http://exa mple.com",
    "http://example.com\n.localhost",
    "http://\uff11\uff12\uff17.0.0.1",
    "http://127\u30020\u30020\u30021",
    "http://\u24dbocalhost",
    "http://example.com:99999",
    "http://example.com:0",
    "http://127.0.0.08",
    "http://127.0.0.256",
    "http://127.0.0.1.1",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_is_refused_unless_a_setting_allows_it(url: str) -> None:
    refusal = refusal_of_url(url, allow_private=False)
    assert refusal is not None
    assert "ALLOW_PRIVATE_ADDRESSES" in refusal
    assert refusal_of_url(url, allow_private=True) is None


@pytest.mark.parametrize("url", PUBLIC)
def test_a_public_address_is_not(url: str) -> None:
    assert refusal_of_url(url, allow_private=False) is None


@pytest.mark.parametrize("host", ODD)
def test_an_odd_spelling_is_refused_always_and_the_usual_one_named(host: str) -> None:
    usual = socket.inet_ntoa(socket.inet_aton(host))
    for allow_private in (True, False):
        refusal = refusal_of_url(f"http://{host}/", allow_private=allow_private)
        assert refusal is not None
        assert f"Write {usual}." in refusal


@pytest.mark.parametrize("url", UNREADABLE)
def test_what_can_be_misread_is_refused_always(url: str) -> None:
    for allow_private in (True, False):
        assert "of the form" in (refusal_of_url(url, allow_private=allow_private) or "")


def test_every_address_that_a_name_stands_for_must_be_public() -> None:
    assert refusal_of_addresses("name", ["8.8.8.8", "2606:4700:4700::1111"], allow_private=False) is None
    assert refusal_of_addresses("name", ["8.8.8.8", "10.0.0.1"], allow_private=False) is not None
    assert refusal_of_addresses("name", ["8.8.8.8", "10.0.0.1"], allow_private=True) is None


def test_the_interface_of_an_address_does_not_hide_it() -> None:
    assert not is_public("fe80::1%eth0")


# --- when it is connected to -----------------------------------------------------------------------------------------


def standing_for(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have every name stand for these."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_name_is_looked_up_when_it_is_written(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    standing_for(monkeypatch, "8.8.8.8", "10.0.0.7")
    assert "private network" in (way_out.refusal_now("https://models.example/v1") or "")
    settings.ALLOW_PRIVATE_ADDRESSES = True
    assert way_out.refusal_now("https://models.example/v1") is None


def test_a_name_that_stands_for_nothing_yet_may_be_written(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    def nothing(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    settings.ALLOW_PRIVATE_ADDRESSES = False
    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    assert way_out.refusal_now("https://models.example/v1") is None


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
def test_no_socket_is_made_for_a_private_address(settings: Settings, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    entry = (family, socket.SOCK_STREAM, 6, "", (address, 80))
    settings.ALLOW_PRIVATE_ADDRESSES = False
    with pytest.raises(way_out.AddressRefused):
        way_out.judged_socket(entry)
    settings.ALLOW_PRIVATE_ADDRESSES = True
    way_out.judged_socket(entry).close()


def test_a_blocking_client_connects_to_what_was_judged(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = http.client.HTTPConnection("localhost", listener.getsockname()[1], timeout=2)
        monkeypatch.setattr(connection, "_create_connection", way_out.judged_connection)
        settings.ALLOW_PRIVATE_ADDRESSES = False
        with pytest.raises(way_out.AddressRefused):
            connection.connect()
        settings.ALLOW_PRIVATE_ADDRESSES = True
        connection.connect()
        connection.close()
