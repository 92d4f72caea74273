"""A browser of few words, for a server that runs as a process of its own: it keeps cookies and fills in forms."""

import http.client
import re
from urllib.parse import urlencode, urlsplit

from testing.browser import PASSWORD
from testing.html_form import fields
from testing.server_process import ServerProcess

LOGIN = "/admin/login/"
TIMEOUT_SECONDS = 30


class Visitor:
    """Somebody with a browser, who says in `headers` what they like about themselves."""

    def __init__(self, server: ServerProcess, **headers: str) -> None:
        self.server, self.headers, self.cookies = server, headers, dict[str, str]()

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """The status, and the page or where it leads."""
        connection = http.client.HTTPConnection(urlsplit(self.server.base_url).netloc, timeout=TIMEOUT_SECONDS)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {**self.headers, "cookie": cookies, "content-type": "application/x-www-form-urlencoded"}
        sent |= {"origin": self.server.base_url, "referer": self.server.base_url}
        try:
            connection.request(method, path, urlencode(form) if form else None, sent)
            response = connection.getresponse()
            for value in response.headers.get_all("set-cookie") or []:
                name, _, rest = value.partition("=")
                self.cookies[name] = rest.partition(";")[0]
            return response.status, response.headers.get("location") or response.read().decode()
        finally:
            connection.close()

    def send_form(self, path: str, **form: str) -> tuple[int, str]:
        _, page = self.ask("GET", path)
        assert re.search(r'name="csrfmiddlewaretoken" value="\w+"', page), page[:500]
        return self.ask("POST", path, {**fields(page), **form})

    def sign_in(self, password: str = PASSWORD) -> int:
        return self.send_form(LOGIN, username="root@example.com", password=password)[0]
