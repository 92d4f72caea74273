"""Owns the last thing a user said, which stands for the query of a search that the upstream made of it. Pure."""

from messages_api import schemas
from messages_api.schemas import MessagesRequest

LENGTH = 400


def last_words(request: MessagesRequest) -> str:
    """The last thing the user said, for instance the query of a search."""
    for message in reversed(request.messages):
        if isinstance(message, schemas.UserMessage):
            content = message.content
            texts = (
                [content] if isinstance(content, str) else [b.text for b in content if isinstance(b, schemas.TextBlock)]
            )
            return " ".join(texts)[:LENGTH]
    return ""
