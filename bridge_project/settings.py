"""Every setting of the server, read once at start from the environment or `.env`, top to bottom.

`.env.example` and the table in README.md describe each name; a test holds both against this file.
"""

import os
import re
import ssl
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from cryptography.fernet import Fernet
from django.apps import apps
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from marshmallow.validate import OneOf, Range

from bridge_project import headers
from bridge_project.env import Environment, kept_secret, stop

BASE_DIR = Path(__file__).resolve().parent.parent

# --- 1. What the administrator says --------------------------------------------------------------------------------

env = Environment(Path(os.environ.get("ENV_FILE", BASE_DIR / ".env")))

VAR_DIR: Path = env.path("VAR_DIR", BASE_DIR / "var").absolute()
HOST: str = env.str("HOST", "127.0.0.1")
PORT: int = env.int("PORT", 8083, validate=Range(1, 65535))
PUBLIC_URL: str = env.str("PUBLIC_URL", "").rstrip("/")
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", ["127.0.0.1", "::1"])
SECRET_KEY: str = env.str("SECRET_KEY", "")
FIELD_ENCRYPTION_KEYS: list[str] = env.list("FIELD_ENCRYPTION_KEYS", [])

OPENROUTER_API_KEY: str = env.str("OPENROUTER_API_KEY", "")
OPENROUTER_MANAGEMENT_KEY: str = env.str("OPENROUTER_MANAGEMENT_KEY", "")
OPENROUTER_BASE_URL: str = env.str("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1").rstrip("/")
OPENROUTER_CLIENT: str = env.str("OPENROUTER_CLIENT", "direct", validate=OneOf(["direct", "litellm"]))
BIG_MODEL: str = env.str("BIG_MODEL", "anthropic/claude-sonnet-5")
SMALL_MODEL: str = env.str("SMALL_MODEL", "anthropic/claude-haiku-4.5")
CONTENT_SECONDS: float = env.float("CONTENT_SECONDS", 280.0, validate=Range(1))
SILENCE_SECONDS: float = env.float("SILENCE_SECONDS", 120.0, validate=Range(1))
RETRY_SECONDS: float = env.float("RETRY_SECONDS", 30.0, validate=Range(0))
HTTPS_PROXY: str = env.str("HTTPS_PROXY", "")
SSL_CERT_FILE: str = env.str("SSL_CERT_FILE", "")
ALLOW_PRIVATE: str = env.str("ALLOW_PRIVATE_ADDRESSES", "", validate=OneOf(["", "true", "false"]))

BUDGET_WITHOUT_DATABASE: str = env.str("BUDGET_WITHOUT_DATABASE", "refuse", validate=OneOf(["refuse", "allow"]))
EMAIL_HOST: str = env.str("EMAIL_HOST", "")
EMAIL_PORT: int = env.int("EMAIL_PORT", 587, validate=Range(1, 65535))
EMAIL_HOST_USER: str = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD: str = env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_SECURITY: str = env.str("EMAIL_SECURITY", "starttls", validate=OneOf(["starttls", "tls", "none"]))
DEFAULT_FROM_EMAIL: str = env.str("EMAIL_FROM", "bridge@localhost")

DATABASE_URL: str = env.str("DATABASE_URL", "") or f"sqlite:///{VAR_DIR / 'bridge.sqlite3'}"
REDIS_URL: str = env.str("REDIS_URL", "")
SPOOL_DIR: Path = env.path("SPOOL_DIR", VAR_DIR / "spool")
DRAIN_SECONDS: float = env.float("DRAIN_SECONDS", 30.0, validate=Range(0))
LOG_FORMAT: str = env.str("LOG_FORMAT", "", validate=OneOf(["", "console", "json"]))
LOG_LEVEL: str = env.str("LOG_LEVEL", "INFO", validate=OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]))

env.seal()

# --- 2. What follows from it ---------------------------------------------------------------------------------------


def _hostname(name: str, url: str, *schemes: str) -> str:
    """The host in an address without a path."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # reading the port is what checks it
    except ValueError:
        host = None
    if not host or parts.scheme not in schemes or parts.path not in {"", "/"}:
        stop(f"{name}: not an address of the form {schemes[-1]}://host[:port]")
    return host


def _folder(name: str, path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        stop(f"{name}: {path} cannot be made: {error.strerror}")
    if not os.access(path, os.W_OK):
        stop(f"{name}: {path} cannot be written to")


LOCAL_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
PUBLIC_HOST = _hostname("PUBLIC_URL", PUBLIC_URL, "http", "https") if PUBLIC_URL else "127.0.0.1"
# Anyone but this machine can reach it: no secret may be a default one.
PRODUCTION = PUBLIC_HOST not in {"127.0.0.1", "localhost", "::1"}
BASE_URL = PUBLIC_URL or f"http://127.0.0.1:{PORT}"
# Whether an address that is written in the admin may lead into the network that the server stands in.
ALLOW_PRIVATE_ADDRESSES = ALLOW_PRIVATE == "true" if ALLOW_PRIVATE else not PRODUCTION

if PRODUCTION and not SECRET_KEY:
    stop("SECRET_KEY: must be set when PUBLIC_URL is not this machine. Make one: openssl rand -base64 48")
if PRODUCTION and not FIELD_ENCRYPTION_KEYS:
    stop("FIELD_ENCRYPTION_KEYS: must be set when PUBLIC_URL is not this machine. Make one: openssl rand -base64 32")
if SECRET_KEY and len(SECRET_KEY) < 32:
    stop("SECRET_KEY: shorter than 32 characters")

_folder("VAR_DIR", VAR_DIR)
_folder("SPOOL_DIR", SPOOL_DIR)
SECRET_KEY = SECRET_KEY or kept_secret(VAR_DIR / "secret_key")
FIELD_ENCRYPTION_KEYS = FIELD_ENCRYPTION_KEYS or [
    kept_secret(VAR_DIR / "encryption_key", Fernet.generate_key().decode())
]


def _encryption_key(text: str) -> str:
    """Fernet's alphabet is URL-safe base64; `openssl rand -base64 32` prints the plain one."""
    urlsafe = text.translate(str.maketrans("+/", "-_"))
    try:
        Fernet(urlsafe)
    except ValueError:
        stop("FIELD_ENCRYPTION_KEYS: each must be 32 bytes in base64")
    return urlsafe


FIELD_ENCRYPTION_KEYS = [_encryption_key(text) for text in FIELD_ENCRYPTION_KEYS]

if HTTPS_PROXY:
    _hostname("HTTPS_PROXY", HTTPS_PROXY, "https", "http")
if REDIS_URL and not re.match(r"(redis|rediss|unix)://.+", REDIS_URL):
    stop("REDIS_URL: not an address of the form redis://host:port/number")
for proxy in TRUSTED_PROXIES:
    try:
        ip_network(proxy, strict=False)
    except ValueError:
        stop(f"TRUSTED_PROXIES: not an IP address or network: {proxy!r}")
for name, model in (("BIG_MODEL", BIG_MODEL), ("SMALL_MODEL", SMALL_MODEL)):
    if not re.fullmatch(r"[^\s/]+/\S+", model):
        stop(f"{name}: not a model of the form author/model: {model!r}")
if not re.match(r"https?://[^/]+", OPENROUTER_BASE_URL):
    stop(f"OPENROUTER_BASE_URL: not an http address: {OPENROUTER_BASE_URL!r}")
if SSL_CERT_FILE:
    try:
        ssl.create_default_context(cafile=SSL_CERT_FILE)
    except OSError:
        stop(f"SSL_CERT_FILE: not a readable file of certificates: {SSL_CERT_FILE!r}")

VERSION = re.findall(r"^## (\d+\.\d+\.\d+)", (BASE_DIR / "CHANGELOG.md").read_text(), re.MULTILINE)[0]

# --- 3. Django -----------------------------------------------------------------------------------------------------

DEBUG = False
ALLOWED_HOSTS = [PUBLIC_HOST, *LOCAL_HOSTS]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
HTTPS = PUBLIC_URL.startswith("https://")
# The scheme comes from uvicorn, which believes X-Forwarded-Proto from TRUSTED_PROXIES only.
SECURE_PROXY_SSL_HEADER = None
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {"DIRECTIVES": headers.PAGES}
PERMISSIONS_POLICY = headers.UNUSED_FEATURES
# An API path never redirects: Claude Code takes any redirect of /v1/models for a failure.
APPEND_SLASH = True

INSTALLED_APPS = [
    "daphne",  # for `runserver` only: it must come before staticfiles
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "channels",
    "csp",
    "axes",
    "auditlog",
    "accounts",
    "usage",
    "messages_api",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.audit.AuditMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last, as its manual asks: it puts its own answer in the place of another's
]
ROOT_URLCONF = "bridge_project.urls"
ASGI_APPLICATION = "bridge_project.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "bridge_project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
LOGIN_REDIRECT_URL = "admin:index"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Five wrong passwords for one user from one address, then a quarter of an hour without another try.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "accounts.sign_in.user_name"
AXES_USERNAME_FORM_FIELD = "username"
AXES_CLIENT_IP_CALLABLE = "accounts.sign_in.counted_address"
AXES_LOCKOUT_TEMPLATE = "admin/locked_out.html"
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken"]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False  # the page is ours: accounts/admin/sign_ins.py
AXES_VERBOSE = False

AUDITLOG_LOGENTRY_MODEL = "accounts.AuditEntry"
AUDITLOG_USE_FK_STRING_REPRESENTATION = True  # a name can still be read when its row is gone
AUDITLOG_CID_HEADER = None
# Its tables are those of the entry that ours takes the place of.
MIGRATION_MODULES = {"auditlog": None}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
# Straight from the packages: nobody has to remember collectstatic.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# --- 4. Where things are kept --------------------------------------------------------------------------------------

try:
    DATABASES: dict[str, Any] = {"default": dj_database_url.parse(DATABASE_URL, conn_max_age=60)}
except ValueError as error:
    stop(f"DATABASE_URL: {error}")
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if not DATABASES["default"]["ENGINE"].endswith(("sqlite3", "postgresql")):
    stop("DATABASE_URL: must begin with sqlite:/// or postgresql://")
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    Path(DATABASES["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["OPTIONS"] = {
        # With SQLite's default (deferred) mode, four writers saw 72 of 100 writes "database is locked".
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)

CACHES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# Without a host no letter is sent: what it would say is in the log, too.
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'dummy'}.EmailBackend"
EMAIL_USE_TLS = EMAIL_SECURITY == "starttls"
EMAIL_USE_SSL = EMAIL_SECURITY == "tls"
EMAIL_TIMEOUT = 10

# --- 5. What people see --------------------------------------------------------------------------------------------

LOG_FORMAT = LOG_FORMAT or ("json" if PRODUCTION else "console")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "bridge_project.logging.RedactSecrets"}},
    "formatters": {
        "console": {"()": "bridge_project.logging.ConsoleFormatter"},
        "json": {"()": "bridge_project.logging.JsonFormatter"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["redact"]},
        "nowhere": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "bridge": {"level": LOG_LEVEL},
        "uvicorn": {"level": "WARNING"},
        "django.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        # A wrong Host gets 400. Anybody could fill the log with the traceback that would tell of it.
        "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
    },
}

REST_FRAMEWORK: dict[str, Any] = {"UNAUTHENTICATED_USER": None, "UNAUTHENTICATED_TOKEN": None}


def _page(title: str, icon: str, model: str) -> dict[str, Any]:
    """A line of the admin's sidebar, for those who may see its page."""
    app, _, name = model.rpartition("_")

    def permitted(request: HttpRequest) -> bool:
        from django.contrib import admin  # not before the settings are there

        return admin.site.get_model_admin(apps.get_model(app, name)).has_module_permission(request)

    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{model}_changelist"), "permission": permitted}


NAVIGATION = [
    {
        "title": "Spending",
        "items": [
            {"title": "Overview", "icon": "dashboard", "link": reverse_lazy("admin:index")},
            _page("Requests", "monitoring", "usage_usagerecord"),
            _page("Limits", "speed", "usage_limit"),
            _page("Budgets", "savings", "usage_budget"),
        ],
    },
    {
        "title": "People",
        "items": [
            _page("Teams", "groups", "accounts_team"),
            _page("Users", "person", "accounts_user"),
            _page("Members", "badge", "accounts_membership"),
            _page("Personal keys", "key", "accounts_apikey"),
        ],
    },
    {
        "title": "What happened",
        "items": [
            _page("Audit log", "history", "accounts_auditentry"),
            _page("Failed sign-ins", "lock_person", "axes_accessattempt"),
        ],
    },
    {
        "title": "Models",
        "items": [
            _page("Model aliases", "alt_route", "messages_api_modelalias"),
            _page("Policies", "policy", "accounts_policy"),
            _page("Catalogue", "menu_book", "messages_api_catalogmodel"),
        ],
    },
    {
        "title": "Upstream",
        "items": [
            _page("OpenRouter keys", "credit_card", "accounts_openrouterkey"),
            _page("Other providers", "hub", "messages_api_provider"),
        ],
    },
]
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='4' fill='%239810fa'/%3E%3C/svg%3E"
)
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Bridge",
    "SITE_HEADER": "Bridge",
    "SITE_SUBHEADER": "Claude Code on any model",
    "SITE_URL": "/",
    "DASHBOARD_CALLBACK": "usage.dashboard.dashboard",
    "SITE_SYMBOL": "swap_horiz",
    "STYLES": [lambda request: static("accounts/contrast.css")],
    "SCRIPTS": [lambda request: static("accounts/access.js")],
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": ICON}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": NAVIGATION},
}
