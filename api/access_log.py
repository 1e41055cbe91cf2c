"""What HTTP requests leave in the access log: sign-ins, data taken out, audit data read, and refusals.

It is decided by the answer, not by the routes, so that no route can forget it: an answer that is a file is an export,
a good answer under /v1/audit/ is a reading of audit data, 401 and 403 are refused accesses, and so is 429 of an address
that presented too many wrong secrets. A token's first request from an address on a day counts as its sign-in: bearer
tokens have no other; a browser's session has one, which is noted when it begins. Anything else, such as an order that
is posted, writes nothing here.

An export or audit data that can't be noted is not handed out (storage_unavailable). Sign-ins and refusals that can't be
noted are answered all the same, with a warning in the service's log: the ledger goes on taking orders, and nobody gets
in by filling a disk.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

import psycopg2
from flask import Response, g, request

from api.access import caller, is_asked_inside
from api.exports import MEDIA_TYPES
from api.problems import problem_response
from ledger import access_log
from ledger.access_log import Access, Refusals
from ledger.database import Cursor
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say

AUDIT_PATH: Final = "/v1/audit/"
FILES: Final = {*MEDIA_TYPES.values(), "application/zip", "application/gzip", "application/x-tar"}
"""The media types of answers that are files to keep: exports and bundles."""
PARAMETERS: Final = ("period", "from", "to", "from_position", "to_position", "position", "known_at", "group_by")
"""The query parameters that are noted: which data it was."""
SIGN_IN_PAGES: Final = ("sign_in.post_sign_in",)
SIGN_INS_KEPT: Final = 10_000
_log = logging.getLogger("orderledger.access")


class AccessLog:
    """The access log as the service's requests write it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refusals = Refusals()
        self._signed_in = set[tuple[str, str | None, int]]()

    def logged(self, response: Response) -> Response:
        """Note what is about to be answered; give it, or the refusal of what could not be noted."""
        now = self._store.clock()
        if is_asked_inside():
            return self._noted(response, now)  # the page's own answer is noted too
        self._note_sign_in(now)
        self._write(self._refusals.left(now))
        if response.status_code in (401, 403) or g.get("rate_limited") == "address":
            refused = request_entry(
                access_log.REFUSED, g.get("refused_as", str(response.status_code)), _refused_subject(), now
            )
            self._write(self._refusals.taken(refused))
            return response
        return self._noted(response, now)

    def _noted(self, response: Response, now: datetime) -> Response:
        action = _handed_out(response)
        if action is None or self._write([request_entry(action, access_log.DONE, _subject(response), now)]):
            return response
        response.close()
        return problem_response(
            Refusal.of(
                Code.storage_unavailable,
                say("the access log can't be written, and without it nothing is handed out here: retry in a moment"),
            )
        )

    def flush(self) -> None:
        """Write the refusals that are only counted so far, as when the service stops."""
        self._write(self._refusals.left())

    def _note_sign_in(self, now: datetime) -> None:
        token_id = caller().token_id
        if token_id is None or not caller().is_valid or caller().session or request.endpoint in SIGN_IN_PAGES:
            return  # a session's sign-in is noted when it begins
        key = (token_id, request.remote_addr, now.toordinal())
        if key in self._signed_in:
            return
        if len(self._signed_in) >= SIGN_INS_KEPT:
            self._signed_in.clear()  # whoever comes again is looked up in the log itself
        entry = request_entry(access_log.SIGNED_IN, access_log.DONE, f"token {token_id}", now)
        if self._write([entry], access_log.append_sign_in):
            self._signed_in.add(key)

    def _write(self, entries: list[Access], append: Callable[[Cursor, Access], None] = access_log.append) -> bool:
        """Write entries; False, with a warning, where they can't be."""
        try:
            if entries:
                with self._store.database.transaction() as cursor:
                    for entry in entries:
                        append(cursor, entry)
        except psycopg2.Error as error:
            _log.warning("the access log can't be written: %s", str(error).strip())
            return False
        return True


def request_entry(action: str, outcome: str, subject: str, now: datetime) -> Access:
    """Give the access log's entry of what the request does."""
    known = caller()
    return Access(
        at=now,
        channel=access_log.HTTP,
        action=action,
        outcome=outcome,
        principal=known.principal,
        token_id=known.token_id,
        subject=subject,
        request_id=g.get("request_id"),
        address=request.remote_addr,
    )


def _handed_out(response: Response) -> str | None:
    """Give the action that an answer is, None for one that is not noted: what is public is nobody's reading."""
    if caller().principal is None or not 200 <= response.status_code < 300:
        return None
    if response.mimetype in FILES:
        return access_log.EXPORTED
    reads_audit = request.method in ("GET", "HEAD") and request.path.startswith(AUDIT_PATH)
    return access_log.AUDIT_READ if reads_audit else None


def _subject(response: Response) -> str:
    """Name what is handed out: the address and the days, periods and positions asked for, and the file's type."""
    asked = [f"{name}={request.args[name]}" for name in PARAMETERS if name in request.args]
    kind = [response.mimetype] if response.mimetype in FILES else []
    return _printable(" ".join((request.method, request.path, *asked, *kind)))


def _refused_subject() -> str:
    """Name what was refused: to a known token the address, to others only the route: no text of theirs."""
    return _printable(f"{request.method} {request.path if caller().principal else request.url_rule}")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)
