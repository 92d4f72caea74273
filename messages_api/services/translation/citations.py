"""Owns what a search of the upstream's own found: annotations become what Anthropic's web search would have told.

An annotation cites a page for the text before it, and comes late: with the last words, or after them. So a citation
goes to the text block that is open, else to the next one. The pages that were found stand at the end of the answer, as
the call of a server tool and its result, where the client asked for a search, and for pages that no text was left to
cite (wire.md 1.6). The blocks come last because what they cite has long been read by then.
"""

import orjson

from messages_api.services.translation import events as out
from messages_api.services.translation.chat import UrlCitation
from messages_api.services.translation.tools import WEB_SEARCH


class Citations:
    """The pages that one answer cites. Providers repeat annotations: each is told once."""

    def __init__(self) -> None:
        self._noted: set[UrlCitation] = set()
        self._pages: dict[str, str] = {}  # titles by address
        self._waiting: list[out.WebSearchCitation] = []

    def note(self, citation: UrlCitation) -> None:
        url = citation.url
        if not url or citation in self._noted:
            return
        self._noted.add(citation)
        self._pages[url] = citation.title or self._pages.get(url, "")
        self._waiting.append(out.WebSearchCitation(citation.content or "", url, citation.title))

    def take(self) -> list[out.WebSearchCitation]:
        """Those that no text block has been given yet."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def found(self, tool_id: str, query: str, first_index: int, *, was_asked: bool) -> list[out.Event]:
        """The blocks of the search, from `first_index` on; none where nothing was found or all of it is told."""
        if not self._pages or not (was_asked or self._waiting):
            return []
        results = [out.WebSearchResult(url, title or url) for url, title in self._pages.items()]
        asked = out.InputJsonDelta(orjson.dumps({"query": query}).decode())
        return [
            out.ContentBlockStart(first_index, out.ServerToolUse(tool_id, WEB_SEARCH)),
            out.ContentBlockDelta(first_index, asked),
            out.ContentBlockStop(first_index),
            out.ContentBlockStart(first_index + 1, out.WebSearchToolResult(tool_id, results)),
            out.ContentBlockStop(first_index + 1),
        ]
