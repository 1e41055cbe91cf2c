"""Addresses with identifiers in them, which may have slashes: `a%2Fevents` is an order, `a/events` an order's events.

WSGI hands the path over decoded, where the two are alike. The server also hands over what was sent, and from that an
encoded slash is told apart until a route is found. A slash that is sent as it is still belongs to an identifier where
no other route matches.
"""

import re
from typing import Any, Final
from urllib.parse import quote, unquote

from flask import Flask, Request
from werkzeug.routing import MapAdapter, PathConverter

_ENCODED: Final = re.compile("%2f", re.IGNORECASE)
_MARK: Final = "\udc2f"
"""Stands for an encoded slash; no decoded path has half a surrogate pair."""


class IdentifierConverter(PathConverter):
    """An identifier in an address that we write: its slashes are encoded."""

    def to_url(self, value: Any) -> str:
        """Write it."""
        return quote(str(value), safe="!$&'()*+,:;=@")


def tell_slashes_apart(adapter: MapAdapter, request: Request) -> None:
    """Have routes matched by the path as it was sent, where the server tells it and it has an encoded slash."""
    sent = request.environ.get("RAW_URI", "").partition("?")[0]
    if _ENCODED.search(sent) and unquote(sent) == request.path:
        adapter.path_info = _MARK.join(unquote(part) for part in _ENCODED.split(sent))


def register_addresses(app: Flask) -> None:
    """Read and write identifiers in addresses; to be registered before the routes."""
    app.url_map.converters = {**app.url_map.converters, "path": IdentifierConverter}

    @app.url_value_preprocessor
    def _read(_endpoint: str | None, values: dict[str, Any] | None) -> None:
        if values:
            values |= {name: value.replace(_MARK, "/") for name, value in values.items() if isinstance(value, str)}
