"""Owns how provider keys rest: encrypted under the first of FIELD_ENCRYPTION_KEYS, readable by any of them."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Undecipherable(Exception):
    """No key in FIELD_ENCRYPTION_KEYS opens this text."""


def encrypt(secret: str) -> str:
    return _fernet().encrypt(secret.encode()).decode()


def decrypt(ciphertext: str) -> str:
    try:
        return _fernet().decrypt(ciphertext.encode()).decode()
    except InvalidToken:
        raise Undecipherable("The key it was encrypted with is not in FIELD_ENCRYPTION_KEYS.") from None


def reencrypt(ciphertext: str) -> str:
    """The same secret under the first key."""
    return encrypt(decrypt(ciphertext))


def is_current(ciphertext: str) -> bool:
    """Whether it is under the first key already."""
    try:
        Fernet(settings.FIELD_ENCRYPTION_KEYS[0]).decrypt(ciphertext.encode())
    except InvalidToken:
        return False
    return True


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_ENCRYPTION_KEYS])
