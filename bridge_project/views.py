"""The pages outside the API and the admin: a welcome, probes, and Claude Code's side traffic."""

from uuid import uuid4

from csp.decorators import csp
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from bridge_project import headers
from messages_api.services.gateway import is_draining


@require_safe
@csp(headers.WELCOME)
def welcome(request: HttpRequest) -> HttpResponse:
    """What this is and how to connect: a page for a browser, JSON for a program."""
    if request.accepts("text/html") and "text/html" in request.headers.get("accept", ""):
        return render(request, "welcome.html", {"base_url": settings.BASE_URL, "version": settings.VERSION})
    return JsonResponse(
        {
            "name": "Bridge",
            "version": settings.VERSION,
            "description": "Claude Code, and any Anthropic client, on any OpenRouter model.",
            "connect": {"ANTHROPIC_BASE_URL": settings.BASE_URL, "ANTHROPIC_API_KEY": "your personal key: sk-brg-..."},
            "admin": f"{settings.BASE_URL}/admin/",
        }
    )


@require_safe
def hello(request: HttpRequest) -> HttpResponse:
    """Claude Code looks here whether anybody is at home."""
    return HttpResponse()


@csrf_exempt
def event_logging(request: HttpRequest, rest: str) -> HttpResponse:
    """Claude Code's telemetry, which nobody here keeps."""
    return HttpResponse(status=204)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process runs."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether requests should be sent here: not while it is ending, nor without its database or cache."""
    checks = {"draining": not is_draining(), "database": _database_answers(), "cache": _cache_answers()}
    failed = [name for name, passed in checks.items() if not passed]
    status = {"status": "unavailable", "failed": failed} if failed else {"status": "ready"}
    return JsonResponse(status, status=503 if failed else 200)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except (DatabaseError, InterfaceError):
        return False


def _cache_answers() -> bool:
    mark = uuid4().hex
    try:
        cache.set(f"readyz:{mark}", mark, timeout=10)
        return bool(cache.get(f"readyz:{mark}") == mark)
    except Exception:  # each cache backend has errors of its own; any of them means that it does not answer
        return False
