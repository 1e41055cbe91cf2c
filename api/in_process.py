"""Asking the service from inside: the console gets its answers by the addresses that every client uses.

A page shows what the API answers and nothing else: the same routes judge who may see it, refuse, count and record, so
that a page can't show another figure than the program beside it gets. Only what is about the connection is left to the
request that asks: its session, its rate limit and its line in the log.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from flask import Flask, g
from urllib3 import BaseHTTPResponse, HTTPResponse
from werkzeug.test import create_environ

from api.access import ASKED_BY, Caller
from api.console.remedies import DETAILS, for_page, left_empty
from api.shapes import ProblemDocument
from api.transport import Refused, Request, query_text

Answer = TypeVar("Answer")


@dataclass
class InProcess:
    """The way to this service for who makes the current request; `key` is the Idempotency-Key of what it records."""

    app: Flask
    caller: Caller
    language: str
    key: str | None = None
    url: str = "http://localhost"

    def ask(self, request: Request, read: Callable[[BaseHTTPResponse], Answer]) -> Answer:
        """Make a request; give what `read` makes of the good answer. Errors: Refused."""
        headers = {**request.headers(), "Accept-Language": self.language, "X-Request-Id": g.get("request_id", "")}
        if self.key and "Idempotency-Key" in headers:
            headers["Idempotency-Key"] = self.key
        environ = create_environ(
            request.path + query_text(request.query),
            method=request.method,
            headers=headers,
            data=request.body,
            environ_overrides={ASKED_BY: self.caller},
        )
        with self.app.app_context(), self.app.request_context(environ):
            answered = self.app.full_dispatch_request()
            body, status, told = answered.get_data(), answered.status_code, dict(answered.headers)
            answered.close()
        if status >= 300:
            problem = left_empty(msgspec.json.decode(body, type=ProblemDocument), _empty_fields(request.body))
            raise Refused(for_page(problem, DETAILS))
        return read(HTTPResponse(body, told, status, preload_content=True))

    def pause(self, seconds: float) -> None:
        """Never wait: whoever looks at a page asks again."""

    def close(self) -> None:
        """There is nothing to close."""


def _empty_fields(body: bytes | None) -> set[str]:
    """Point at the fields that were sent with nothing in them."""
    try:
        sent = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError:  # a file
        return set()
    return {f"/{name}" for name, value in sent.items() if value == ""} if isinstance(sent, dict) else set()
