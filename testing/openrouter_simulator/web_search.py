"""The simulated web, and what a request allows of it.

After OpenRouter's documentation: guides/features/server-tools/web-search and guides/features/plugins/web-search.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from testing.openrouter_simulator.exact_json import Json

SEARCH_TOOL = "openrouter:web_search"
ANTHROPIC_SEARCH_TOOLS = "web_search_"
SEARCH_PLUGIN = "web"
ONLINE = ":online"
DEFAULT_RESULTS = 5
#: Families whose provider searches by itself where no engine is named.
NATIVE_FAMILIES = frozenset({"anthropic", "openai", "google", "x-ai", "perplexity"})

PAGES: tuple[Json, ...] = (
    {
        "url": "https://example.com/simulated",
        "title": "A simulated page",
        "content": "What the simulated page says.",
    },
    {
        "url": "https://docs.example.org/guide",
        "title": "A simulated guide",
        "content": "What the guide says.\n[...]\nAnd what it says further down.",
    },
    {"url": "https://news.example.net/today", "title": "Simulated news", "content": "What happened today."},
)


@dataclass(frozen=True)
class Search:
    """What a request says of searching, in whichever of the four ways it may."""

    engine: str = "auto"
    max_results: int | None = None
    max_uses: int | None = None
    max_total_results: int | None = None
    allowed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def engine_for(self, family: str) -> str:
        """`auto` is the provider's own, if it has one and can filter as asked; Google's cannot."""
        if self.engine not in ("auto", "native"):
            return self.engine
        filters = bool(self.allowed or self.excluded)
        is_native = family in NATIVE_FAMILIES and not (family == "google" and filters)
        return "native" if is_native else "exa"

    def times(self, wanted: int, family: str) -> int:
        """How often is searched. Only Claude's own search and OpenRouter's engines keep to max_uses."""
        is_kept = self.engine_for(family) != "native" or family == "anthropic"
        return wanted if self.max_uses is None or not is_kept else min(wanted, self.max_uses)

    def results(self, family: str) -> list[Json]:
        engine = self.engine_for(family)
        excluded = () if engine == "native" and family == "openai" else self.excluded
        pages = [page for page in PAGES if fits(page["url"], self.allowed, excluded)]
        most = DEFAULT_RESULTS if engine == "native" or self.max_results is None else self.max_results
        return pages[: most if self.max_total_results is None else min(most, self.max_total_results)]


def fits(url: str, allowed: tuple[str, ...], excluded: tuple[str, ...]) -> bool:
    return (not allowed or any(covers(each, url) for each in allowed)) and not any(
        covers(each, url) for each in excluded
    )


def covers(domain: str, url: str) -> bool:
    """A domain covers its subdomains; it may begin with `*.` and may name a path."""
    host, _, path = domain.removeprefix("*.").partition("/")
    parts = urlsplit(url)
    is_host = parts.netloc == host or parts.netloc.endswith(f".{host}")
    return is_host and parts.path.removeprefix("/").startswith(path)


def citation(page: Json, start: int = 0, end: int = 20) -> Json:
    return {"type": "url_citation", "url_citation": {**page, "start_index": start, "end_index": end}}


def search_of(body: Json) -> Search | None:
    """None where nothing may be searched. The tool's settings go before the plugin's."""
    tools = [tool for tool in body.get("tools") or [] if isinstance(tool.get("type"), str)]
    for tool in tools:
        if tool["type"] == SEARCH_TOOL:
            return tool_search(tool.get("parameters") or {}, "excluded_domains")
        if tool["type"].startswith(ANTHROPIC_SEARCH_TOOLS):
            return tool_search(tool, "blocked_domains")
    for plugin in body.get("plugins") or []:
        if plugin["id"] == SEARCH_PLUGIN and plugin.get("enabled") is not False:
            return plugin_search(plugin)
    return Search() if str(body.get("model", "")).endswith(ONLINE) else None


def tool_search(settings: Json, excluded: str) -> Search:
    return Search(
        settings.get("engine") or "auto",
        settings.get("max_results"),
        settings.get("max_uses"),
        settings.get("max_total_results"),
        tuple(settings.get("allowed_domains") or ()),
        tuple(settings.get(excluded) or ()),
    )


def plugin_search(plugin: Json) -> Search:
    return Search(
        plugin.get("engine") or "auto",
        plugin.get("max_results"),
        plugin.get("max_uses"),
        allowed=tuple(plugin.get("include_domains") or ()),
        excluded=tuple(plugin.get("exclude_domains") or ()),
    )
