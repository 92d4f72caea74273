"""A mistyped key is refused from its own letters, without asking the database."""

import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.keys import ALPHABET, digest, new_key, prefix_of, same_digest

# CRC-32 of this is 0xd1ff0ec2 = 3523153602, in base 62 with the digits first 3qQnC6.
BODY = "sk-brg-abcdefgh-" + "0" * 43
PREFIX_START = len("sk-brg-")


def checksum_by_hand(body: str) -> str:
    """CRC-32 bit by bit, then base 62: written out once more so that a change of the code cannot change the test."""
    register = 0xFFFFFFFF
    for byte in body.encode():
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0xEDB88320 if register & 1 else 0)
    number, letters = register ^ 0xFFFFFFFF, ""
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for _ in range(6):
        number, letter = number // 62, number % 62
        letters = alphabet[letter] + letters
    return letters


def test_a_new_key_has_the_shape_that_is_shown_to_people() -> None:
    key = new_key()
    assert re.fullmatch(r"sk-brg-[0-9A-Za-z]{8}-[0-9A-Za-z]{49}", key.text)
    assert key.text.split("-")[2] == key.prefix


def test_a_new_key_passes_and_tells_its_prefix() -> None:
    for _ in range(50):
        key = new_key()
        assert prefix_of(key.text) == key.prefix


def test_the_checksum_is_a_crc32_in_base_62() -> None:
    assert prefix_of(BODY + checksum_by_hand(BODY)) == "abcdefgh"


def test_keys_given_out_once_are_accepted_for_ever() -> None:
    """A change of shape or checksum would lock everyone out."""
    assert prefix_of(BODY + "3qQnC6") == "abcdefgh"


@given(st.integers(PREFIX_START, len(BODY) + 5), st.sampled_from(ALPHABET))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_one_wrong_letter_is_found(place: int, letter: str) -> None:
    text = BODY + checksum_by_hand(BODY)
    wrong = text[:place] + letter + text[place + 1 :]
    assert (prefix_of(wrong) is None) is (wrong != text)


def test_two_letters_that_changed_places_are_found() -> None:
    text = new_key().text
    for place in range(PREFIX_START, len(text) - 1):
        swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        assert (prefix_of(swapped) is None) is (swapped != text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-brg-",
        "sk-or-v1-0123456789abcdef",
        "sk-ant-api03-0123456789",
        BODY,
        BODY + "3qQnC6\n",
        BODY + "3qQnC6 ",
        " " + BODY + "3qQnC6",
        (BODY + "3qQnC6").upper(),
        BODY + "3qQnC60",
        BODY.replace("sk-brg", "sk-brk") + "3qQnC6",
        BODY.replace("0", "é") + "3qQnC6",
        BODY.replace("0", "\u0660") + "3qQnC6",
        "\ud800" * 72,
        "x" * 100_000,
    ],
)
def test_what_is_not_a_key_has_no_prefix(text: str) -> None:
    assert prefix_of(text) is None


def test_keys_are_all_different() -> None:
    keys = [new_key() for _ in range(200)]
    assert len({key.text for key in keys}) == len({key.prefix for key in keys}) == 200


def test_only_a_digest_of_the_whole_is_kept() -> None:
    key = new_key()
    assert key.digest == hashlib.sha256(key.text.encode()).hexdigest() == digest(key.text)
    assert same_digest(key.digest, digest(key.text))
    assert not same_digest(key.digest, digest(key.text[:-1]))
