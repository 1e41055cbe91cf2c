"""Prefer: what a client would rather have, as far as it is done here, and said in Preference-Applied (RFC 7240).

`return=minimal`: a POST or PUT that made or recorded something is answered without its body: 200 becomes 204, other
statuses stay. What a client can't go on without is in headers: Ledger-Position, to read its own write, and Location.
`return=representation` is what is answered anyway. `wait=N`: see api/feed.

In full is answered whatever happens to be the point of the request: refusals, 207 with a result per item, a dry run,
and views that are @told_in_full. A preference is no demand: what is not known here, or is no preference, is ignored.
Answers are kept by nobody (no-store), so that none varies by Prefer.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar, cast

import msgspec
from flask import Response, request, url_for
from marshmallow import fields
from werkzeug.http import parse_list_header

View = TypeVar("View", bound=Callable[..., Any])
HEADER: Final = "Prefer"
APPLIED_HEADER: Final = "Preference-Applied"
POSITION_HEADER: Final = "Ledger-Position"
WAIT_SECONDS_MAX: Final = 20
_MINIMAL, _REPRESENTATION = "return=minimal", "return=representation"
_WHOLE: Final = (200, 201, 202)
"""The statuses whose answers can be told by headers alone."""
_STRING: Final = {"type": "string"}
RETURN_PARAMETER: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": _STRING,
    "example": _MINIMAL,
    "description": f"{_MINIMAL}: no body in the answer, 204 for 200; {POSITION_HEADER} and, of what was made, Location"
    f" are in its headers. A dry run and results per item (207) are told in full. {_REPRESENTATION}: as without it.",
}
WAIT_PARAMETER: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": _STRING,
    "example": "wait=10",
    "description": f"wait=N: as wait in the query, which goes before it; more than {WAIT_SECONDS_MAX} is"
    f" {WAIT_SECONDS_MAX}.",
}


def told_in_full(view: View) -> View:
    """Let the view's answers always have their body: it has what is shown once, or is what was asked for."""
    view.is_told_in_full = True  # type: ignore[attr-defined]
    return view


def preferring(view: View) -> View:
    """Let the view's requests prefer an answer without its body."""

    @wraps(view)
    def run(*arguments: Any, **named: Any) -> Response:
        response: Response = view(*arguments, **named)
        if HEADER not in request.headers:
            return response
        wanted = f"return={preferences().get('return')}"
        if wanted == _MINIMAL and response.status_code in _WHOLE and not _is_dry_run():
            _empty(response, getattr(view, "leads", ()))
        elif wanted != _REPRESENTATION:
            return response
        response.headers[APPLIED_HEADER] = wanted
        return response

    return cast(View, run)


def preferences() -> dict[str, str]:
    """Read what the request prefers; of one that is said twice, the first."""
    found = dict[str, str]()
    for each in parse_list_header(request.headers.get(HEADER, "")):
        name, _, value = each.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def preferred_wait() -> int | None:
    """Give the seconds that the request would wait at most, as far as that is done; None where it does not say."""
    text = preferences().get("wait", "")
    return min(int(text[:9]), WAIT_SECONDS_MAX) if text.isascii() and text.isdigit() else None


def _is_dry_run() -> bool:
    return request.args.get("dry_run") in fields.Boolean.truthy


def _empty(response: Response, leads: tuple[Any, ...]) -> None:
    """Take the body off an answer, having put into headers what a client can't go on without."""
    told = msgspec.json.decode(response.get_data())
    if told.get("position") is not None:
        response.headers[POSITION_HEADER] = str(told["position"])
    for lead in leads:  # from the last one that the view names to the first, which is the thing itself
        if lead.status == response.status_code and (place := _led(lead, told)) is not None:
            response.headers["Location"] = place
    response.status_code = 204 if response.status_code == 200 else response.status_code
    response.set_data(b"")
    del response.headers["Content-Type"]


def _led(lead: Any, told: Any) -> str | None:
    """Give the address that an answer leads to; None where that is not to be read, or is not named by it."""
    values = {name: _value(where, told) for name, where in lead.parameters.items()}
    if not lead.operation.startswith("get_") or None in values.values():
        return None
    return url_for(f".{lead.operation}", **values)


def _value(where: str, told: Any) -> Any:
    """Look up what one of OpenAPI's runtime expressions names; None where it is not in the answer or the address."""
    source, _, pointer = where.partition("#/")
    if source.startswith("$request.path."):
        return (request.view_args or {}).get(source.removeprefix("$request.path."))
    if source != "$response.body":
        return None
    for name in pointer.split("/"):
        told = told.get(name) if isinstance(told, dict) else None
    return told
