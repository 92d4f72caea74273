"""Owns the step from bytes to the payloads of server-sent events, wherever the bytes are cut."""

LONGEST_EVENT = 16 * 1024 * 1024


class LineTooLong(ValueError):
    """An upstream sent a line, or lines of one event, that do not end."""


class SseReader:
    """`feed` bytes as they arrive; each payload of a `data:` line comes out once its event is complete.

    Comments (OpenRouter's `: OPENROUTER PROCESSING`) and other fields say nothing here. An event of several data
    lines is joined by newlines, and a line may end in LF or CRLF, as the standard says.
    """

    def __init__(self) -> None:
        self._begun: list[bytes] = []  # the parts of a line whose end is still to come
        self._data: list[bytes] = []
        self._size = 0  # of both

    def feed(self, received: bytes) -> list[bytes]:
        if b"\n" not in received:
            self._begun.append(received)
            self._bound(self._size + len(received))
            return []
        if self._begun:
            received = b"".join([*self._begun, received])
            self._begun.clear()
        *lines, rest = received.split(b"\n")
        payloads: list[bytes] = []
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                self._data.append(text[5:].removeprefix(b" "))
            elif not text and self._data:
                payloads.append(b"\n".join(self._data))
                self._data.clear()
        self._size = 0
        if rest or self._data:
            self._begun = [rest]
            self._bound(len(rest) + sum(map(len, self._data)))
        return payloads

    def _bound(self, size: int) -> None:
        self._size = size
        if size > LONGEST_EVENT:
            raise LineTooLong(f"The upstream sent an event of more than {LONGEST_EVENT} bytes.")

    def finish(self) -> list[bytes]:
        """What was not followed by an empty line: some servers leave the last one out."""
        payloads = self.feed(b"\n\n") if self._begun or self._data else []
        return [payload for payload in payloads if payload]
