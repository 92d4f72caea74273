"""A command that works long shows a bar on a terminal, and plain lines elsewhere."""

import io

import pytest
from django.core.management.base import OutputWrapper

from usage import progress
from usage.progress import shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    out = io.StringIO()
    assert list(shown(range(3), 3, "Days", OutputWrapper(out))) == [0, 1, 2]
    assert out.getvalue() == "Days: 1 of 3\nDays: 2 of 3\n"


def test_what_is_quick_says_nothing() -> None:
    out = io.StringIO()
    assert list(shown(range(3), 3, "Days", OutputWrapper(out))) == [0, 1, 2]
    assert out.getvalue() == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setattr(progress, "BAR_AFTER_SECONDS", 0.0)
    assert list(shown(range(3), 3, "Days", OutputWrapper(out))) == [0, 1, 2]
    assert "3/3" in out.getvalue()
