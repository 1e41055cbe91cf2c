"""If-Match: a command says which version of a thing it is about, by the ETag of what was read (RFC 9110, 13.1.1).

Without it two people act on what neither has seen, so a command that records must say it (428), and it is refused
where the thing is at another version by now (412). "*" is whatever it is now. Our ETags are strong and are the version,
which counts what was recorded of the thing; what is computed beside it, such as a drift, moves without it, so that GET
is always answered in full. A list matches with any of its tags, a weak tag never does.
"""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from flask import Response, request

from api.routes import noting
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.wording import say

View = TypeVar("View", bound=Callable[..., Any])
HEADER: Final = "If-Match"
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*\Z")
_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": rf"^(?:\*|{_TAG}(?:[ \t]*,[ \t]*{_TAG})*)$"},
    "example": '"3"',
    "description": "The ETag of what was read, or *; needed unless the body has the version, or nothing is recorded.",
}


def conditional(view: View) -> View:
    """Document that the view reads If-Match."""
    return noting("request_headers", (_PARAMETER,))(view)


def tagged(response: Response, version: int) -> Response:
    """Give an answer the ETag of the version that it tells."""
    response.set_etag(str(version))
    return response


def checked_version(about: str, actual: int, *, sent: int | None, demanded: bool) -> int | None:
    """Give the version that the request is about, which is the actual one; None where any will do.

    Shape: `sent` is the version in the body; one of it and If-Match is enough.
    Errors: Refusal (precondition_required, precondition_failed; invalid_parameter for a header that is no list of tags,
    invalid_value where header and body differ).
    """
    header = request.headers.get(HEADER)
    if header is None and sent is None:
        if demanded:
            raise Refusal.of(
                Code.precondition_required,
                say(
                    "which version of {about} was looked at? read it, and send its ETag as If-Match ('*' for"
                    " any), or its version in the body",
                    about=about,
                ),
                f"/{HEADER}",
            )
        return None
    tags = _tags(header)
    if tags is not None and sent is not None and f'"{sent}"' not in tags:
        raise Refusal.of(
            Code.invalid_value,
            say("version is {sent}, If-Match says {header}: send one of the two", sent=sent, header=shown(header)),
            "/version",
        )
    if tags is None and sent is None:
        return None
    expected = [f'"{sent}"'] if sent is not None else tags or []
    if f'"{actual}"' not in expected:
        raise Refusal.of(
            Code.precondition_failed,
            say(
                "{about} is at version {actual}, the request is about {expected}: read it again, and repeat the"
                " request if it is still what you want",
                about=about,
                actual=actual,
                expected=", ".join(expected),
            ),
            f"/{HEADER}" if sent is None else "/version",
            expected=", ".join(expected) if sent is None else sent,
            actual=actual,
        )
    return actual


def _tags(header: str | None) -> list[str] | None:
    """Read the tags of If-Match; None for none and for "*"."""
    if header is None or header.strip() == "*":
        return None
    if not _TAGS.match(header.strip()):
        raise Refusal.of(
            Code.invalid_parameter,
            say("If-Match is {header}: send the ETag as it was answered", header=shown(header)),
            f"/{HEADER}",
        )
    return re.findall(_TAG, header)
