"""The service's log on stderr: a line for each request, and warnings and failures, as JSON or as text.

A line tells the request's id, whose token it was, the route as it is written in the code, status, milliseconds until
the answer was ready (a file is sent after that), and the code of a refusal. It never has a header, a query, an address
with somebody's ids in it, or a body.
"""

import logging
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

from flask import Flask, Response, g, request

from api.access import caller, is_asked_inside
from api.metrics import METHODS, NO_ROUTE, Metrics
from ledger.events import encode
from ledger.ids import uuid7
from ledger.wording import instant_text

FORMATS: Final = ("json", "text")
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{7,63}")
"""No underscore: a token that somebody sends as an id by mistake is not taken over."""
_TOLD_AS_TEXT = ("status", "method", "route", "milliseconds", "principal", "request_id", "code")
_log = logging.getLogger("orderledger.requests")


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, Any] = {
            "at": instant_text(datetime.fromtimestamp(record.created, UTC), precision="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "request", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return encode(line).decode()


class TextLines(logging.Formatter):
    """Writes a record for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        told: dict[str, Any] | None = getattr(record, "request", None)
        if told is None:
            return super().format(record)
        values = ("-" if told[name] is None else str(told[name]) for name in _TOLD_AS_TEXT)
        return " ".join((self.formatTime(record), *values))


def lines(form: str) -> logging.Formatter:
    """Give what writes the lines of a format."""
    return JsonLines() if form == "json" else TextLines()


def log_to_stderr(form: str) -> None:
    """Let this process, and those that it forks, write their log to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(lines(form))
    logging.getLogger().addHandler(handler)
    logging.getLogger("orderledger").setLevel(logging.INFO)


def register_request_log(app: Flask, metrics: Metrics) -> None:
    """Name each request, and log and count its answer; to be registered first, so that it sees the final one."""

    @app.before_request
    def _begin() -> None:
        g.started = time.perf_counter_ns()
        asked = request.headers.get("X-Request-Id", "")
        g.request_id = asked if _SANE_ID.fullmatch(asked) else str(uuid7())

    @app.after_request
    def _end(response: Response) -> Response:
        if is_asked_inside():
            return response
        metrics.count(response)
        if _log.isEnabledFor(logging.INFO):
            _log.info("request", extra={"request": _told(response)})
        return response


def _told(response: Response) -> dict[str, Any]:
    return {
        "request_id": g.request_id,
        "principal": caller().principal,
        "method": request.method if request.method in METHODS else NO_ROUTE,
        "route": str(request.url_rule or NO_ROUTE),
        "status": response.status_code,
        "milliseconds": round((time.perf_counter_ns() - g.started) / 1e6, 3),
        "code": g.get("refused_as"),
    }
