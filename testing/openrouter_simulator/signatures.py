"""Seals on reasoning and on tool call ids, so that what comes back can be verified."""

import base64
import hashlib
import hmac
import secrets
import string

SECRET = b"openrouter-simulator"
NONCE_LENGTH = 10
SEAL_LENGTH = 12
MISTRAL_ID_LENGTH = 9
ALPHANUMERIC = string.ascii_letters + string.digits

CLAUDE_HEAD = "Eq"
OPENAI_HEAD = "gAAAAAB"
GEMINI_HEAD = "CiQB"

ID_PREFIX = {"anthropic": "toolu_01", "openai": "call_", "x-ai": "call_"}


def digest(*parts: str) -> bytes:
    return hmac.new(SECRET, "\x00".join(parts).encode(), hashlib.sha256).digest()


def encrypted(head: str, family: str, bound_to: str) -> str:
    """Opaque data that proves it was issued for `bound_to`: an rs_ id, a tool call id, a text."""
    nonce = secrets.token_hex(NONCE_LENGTH)
    seal = digest(family, bound_to, nonce).hex()
    return head + base64.b64encode(f"{nonce}:{seal}".encode()).decode()


def encrypted_holds(data: str, head: str, family: str, bound_to: str) -> bool:
    if not data.startswith(head):
        return False
    try:
        nonce, _, seal = base64.b64decode(data[len(head) :], validate=True).decode().partition(":")
    except ValueError:
        return False
    if data != head + base64.b64encode(f"{nonce}:{seal}".encode()).decode():
        return False  # other text of the same bytes: altered all the same
    return hmac.compare_digest(digest(family, bound_to, nonce).hex().encode(), seal.encode())


def reasoned_suffix(family: str) -> str:
    nonce = secrets.token_hex(NONCE_LENGTH // 2)
    return nonce + digest("call", family, nonce).hex()[:SEAL_LENGTH]


def issued_with_reasoning(call_id: str, family: str) -> bool:
    """Whether this id was given out together with reasoning that must come back beside it."""
    suffix = call_id[-(NONCE_LENGTH + SEAL_LENGTH) :]
    nonce, seal = suffix[:NONCE_LENGTH], suffix[NONCE_LENGTH:]
    return hmac.compare_digest(digest("call", family, nonce).hex()[:SEAL_LENGTH].encode(), seal.encode())


def new_call_id(family: str, name: str, position: int, with_reasoning: bool) -> str:
    """A tool call id in the family's own shape; Kimi's breaks Anthropic's pattern, as the real one does."""
    if family == "mistralai":
        return "".join(secrets.choice(ALPHANUMERIC) for _ in range(MISTRAL_ID_LENGTH))
    if family == "moonshotai":
        return f"functions.{name}:{position}"
    suffix = reasoned_suffix(family) if with_reasoning else secrets.token_hex((NONCE_LENGTH + SEAL_LENGTH) // 2)
    if family == "google":
        return f"tool_{name}_{suffix}"
    return ID_PREFIX.get(family, "call_") + suffix


def claude_signature(thinking: str) -> str:
    """Bound to the exact text, and never the same twice."""
    return encrypted(CLAUDE_HEAD, "claude", thinking)


def claude_signature_holds(thinking: str, signature: str) -> bool:
    return encrypted_holds(signature, CLAUDE_HEAD, "claude", thinking)


def claude_redaction() -> str:
    return encrypted(CLAUDE_HEAD, "claude-redacted", "")


def claude_redaction_holds(data: str) -> bool:
    return encrypted_holds(data, CLAUDE_HEAD, "claude-redacted", "")


def page_content(url: str) -> str:
    """What Claude's own search carries a page in."""
    return encrypted(CLAUDE_HEAD, "claude-page", url)


def page_content_holds(url: str, content: str) -> bool:
    return encrypted_holds(content, CLAUDE_HEAD, "claude-page", url)


def page_index(url: str) -> str:
    """Where in a page Claude found what it cites."""
    return encrypted(CLAUDE_HEAD, "claude-index", url)


def page_index_holds(url: str, index: str) -> bool:
    return encrypted_holds(index, CLAUDE_HEAD, "claude-index", url)


def gemini_redaction() -> str:
    return encrypted(GEMINI_HEAD, "gemini", "")


def unknown_redaction() -> str:
    return secrets.token_hex(SEAL_LENGTH)
