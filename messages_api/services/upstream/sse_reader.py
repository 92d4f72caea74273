"""Owns the step from bytes to the payloads of server-sent events, wherever the bytes are cut."""

LONGEST_LINE = 16 * 1024 * 1024


class LineTooLong(ValueError):
    """An upstream sent a line that does not end."""


class SseReader:
    """`feed` bytes as they arrive; each payload of a `data:` line comes out once its event is complete.

    Comments (OpenRouter's `: OPENROUTER PROCESSING`) and other fields say nothing here. An event of several data
    lines is joined by newlines, and a line may end in LF or CRLF, as the standard says.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + received).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise LineTooLong(f"The upstream sent a line of more than {LONGEST_LINE} bytes.")
        payloads: list[bytes] = []
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                self._data.append(text[5:].removeprefix(b" "))
            elif not text and self._data:
                payloads.append(b"\n".join(self._data))
                self._data.clear()
        return payloads

    def finish(self) -> list[bytes]:
        """What was not followed by an empty line: some servers leave the last one out."""
        payloads = self.feed(b"\n\n") if self._rest or self._data else []
        return [payload for payload in payloads if payload]
