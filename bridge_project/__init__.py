"""The project: settings, URLs, the ASGI lanes and the server that runs them."""
