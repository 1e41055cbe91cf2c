"""Access tokens over HTTP, for admins: make, list and revoke them, as orderledger token does on the command line.

A token's text is in the answer that makes it and nowhere else. Making and revoking are noted in the access log in the
same transaction, and hold from the next request on: nothing about a token is kept from one request to another.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Response

from api.access import allow
from api.access_log import request_entry
from api.answers import answer
from api.bodies import read_body
from api.exports import Kind, Table, asked_export, columns
from api.idempotency import keyed, note_key
from api.preferences import told_in_full
from api.queries import TokensQuery, read_cursor, write_cursor
from api.routes import Routes
from api.shapes import NewTokenAnswer, TokenAnswer, TokenRequest, TokensAnswer
from ledger import access_log
from ledger.access_log import Access, last_number
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.tokens import NewToken, Token, issue_token_in, list_tokens, token_of_id, withdraw_token
from ledger.wording import say

_REQUEST = msgspec.json.Decoder(TokenRequest)
_TOKENS = columns(
    id=Kind.text,
    principal=Kind.text,
    roles=Kind.text,
    created_at=Kind.instant,
    expires_at=Kind.instant,
    revoked_at=Kind.instant,
    last_used_at=Kind.instant,
)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("tokens", __name__, description="Access tokens, for admins.")
    _add_list(routes, store)
    _add_changes(routes, store)
    return routes


def _add_list(routes: Routes, store: Store) -> None:
    @routes.get("/tokens")
    @routes.query(TokensQuery)
    @routes.answers(200, TokensAnswer)
    @routes.exports()
    @allow("admin")
    def get_tokens(query: dict[str, Any]) -> Response:
        """List the access tokens, without their secrets: whose they are, until when, and when they were used last.

        As a file (by Accept) the list is whole, and named after the last entry of the access log, where changes of
        tokens are noted.
        """
        export, known = asked_export(query), list_tokens(store.database)
        if export is not None:
            return export.answered([tokens_table(known)], "tokens", last_number(store.database))
        if "cursor" in query:
            (behind,) = read_cursor(query["cursor"], 1)
            known = known[behind:]
        else:
            behind = 0
        page = known[: query["limit"]]
        cursor = write_cursor(behind + len(page)) if len(page) < len(known) else None
        return answer(TokensAnswer([token_answer(token) for token in page], cursor))


def _add_changes(routes: Routes, store: Store) -> None:
    @routes.post("/tokens")
    @routes.takes(TokenRequest)
    @routes.answers(201, NewTokenAnswer, "The token is made; its text is told this once.")
    @routes.leads_to(201, "post_token_revocation", token_id="$response.body#/id")  # noqa: S106 - where it is, no secret
    @told_in_full
    @keyed(store)
    @allow("admin")
    def post_token() -> Response:
        """Make an access token for a principal, with one or more roles.

        Repeated with its Idempotency-Key it makes no other, and the answer has no text: whoever never heard the first
        answer revokes the token and makes another under another key.
        """
        sent, entry = read_body(_REQUEST), _entry(store)
        new = NewToken(sent.principal, sent.roles, None if sent.expires_at is None else _in_utc(sent.expires_at))
        new.check(entry.at)
        with store.database.transaction() as cursor:
            text, token = issue_token_in(cursor, new, entry)
            told = NewTokenAnswer(None, token.id, token.principal, token.roles, token.created_at, token.expires_at)
            note_key(cursor, answer(told, 201))
        return answer(msgspec.structs.replace(told, token=text), 201)

    @routes.post("/tokens/<token_id>/revoke")
    @routes.answers(200, TokenAnswer, "The token is revoked, now or before.")
    @allow("admin")
    def post_token_revocation(token_id: str) -> Response:
        """Revoke an access token at once, and what signed in with it; one that is revoked stays as it is."""
        token = token_of_id(store.database, token_id) if token_id.isalnum() else None
        if token is None:
            raise Refusal.of(
                Code.not_found, say("there is no token {token_id}: see the list of tokens", token_id=shown(token_id))
            )
        withdraw_token(store.database, token.id, _entry(store))
        return answer(token_answer(token_of_id(store.database, token.id) or token))


def _in_utc(expires_at: datetime) -> datetime:
    try:
        return expires_at.astimezone(UTC)
    except OverflowError:  # at an end of the calendar, in another zone
        raise Refusal.of(
            Code.invalid_value,
            say("{expires_at} is in no year from 1 to 9999 of UTC: give another", expires_at=expires_at.isoformat()),
            "/expires_at",
        ) from None


def _entry(store: Store) -> Access:
    return request_entry(access_log.TOKEN_CREATED, access_log.DONE, "", store.clock())


def token_answer(token: Token) -> TokenAnswer:
    """Tell a token."""
    return TokenAnswer(**{name: getattr(token, name) for name in TokenAnswer.__struct_fields__})


def tokens_table(known: list[Token]) -> Table:
    """Give tokens as a table; the roles of one are separated by spaces."""
    told = (msgspec.structs.asdict(token_answer(token)) for token in known)
    rows = ((each | {"roles": " ".join(each["roles"])}) for each in told)
    return Table("tokens", _TOKENS, (tuple(each[column.name] for column in _TOKENS) for each in rows))
