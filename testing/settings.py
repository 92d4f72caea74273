"""The settings of the tests: the server's own, without anything that this machine's environment or `.env` says."""

import os

for name in (
    "ENV_FILE",
    "PUBLIC_URL",
    "REDIS_URL",
    "HTTPS_PROXY",
    "SSL_CERT_FILE",
    "ALLOW_PRIVATE_ADDRESSES",
    "BUDGET_WITHOUT_DATABASE",
    "EMAIL_HOST",
    "OPENROUTER_API_KEY",
    "OPENROUTER_BASE_URL",
):
    os.environ.pop(name, None)
os.environ["ENV_FILE"] = os.devnull

from bridge_project.settings import *  # noqa: E402, F403
from bridge_project.settings import DATABASES  # noqa: E402

# Hashing a password slowly is Django's business, and would be most of the tests' time.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# No thread keeps its connection: PostgreSQL would not let go of the test database.
DATABASES["default"]["CONN_MAX_AGE"] = 0
