"""Tokens: who may use the service, in which roles and until when; made and revoked here, as over HTTP."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from api.access import allow
from api.console.guide import DUTIES
from api.console.reading import reading
from api.console.shell import Form, Source, client, page, sent_form, told_done
from api.shapes import NewTokenAnswer, TokenAnswer, TokenRequest
from api.transport import Refused
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.tokens import ROLES
from ledger.wording import Sentence, say


def add_tokens(console: Blueprint, store: Store) -> None:
    """Add the page."""

    def shown_page(form: Form, made: NewTokenAnswer | None = None, *, status: int) -> Response:
        tokens = list(reversed(list(client().tokens())))
        return page(
            "tokens.html",
            form=form,
            status=status,
            made=made,
            tokens=tokens,
            done=_done(tokens),
            chosen=set(request.form.getlist("roles")) if made is None else set(),
            duties=DUTIES,
            now=store.clock(),
            sources=[Source(say("Tokens"), "/v1/tokens")],
        )

    @console.get("/tokens")
    @reading("done", "token")
    @allow("admin")
    def get_tokens() -> Response:
        return shown_page(Form(), status=200)

    @console.post("/tokens")
    @allow("admin")
    def post_tokens() -> Response:
        try:
            roles = tuple(name for name in ROLES if name in request.form.getlist("roles"))
            asked = TokenRequest(request.form.get("principal", "").strip(), roles, _end(store))
            return shown_page(Form(), client().create_token(asked), status=201)
        except (Refused, Refusal) as refused:
            form = sent_form(refused)
            return shown_page(form, status=form.status)

    @console.post("/tokens/<token_id>/revoke")
    @allow("admin")
    def post_token_revocation(token_id: str) -> Answer:
        revoked = client().revoke_token(token_id)
        return redirect(url_for("console.get_tokens", done="revoked", token=revoked.id), 303)


def _done(tokens: Iterable[TokenAnswer]) -> Sentence | None:
    """Say which token was just revoked, if it was."""
    for each in tokens:
        if each.id == request.args.get("token") and each.revoked_at:
            said = say("The token {token_id} of {principal} was revoked.", token_id=each.id, principal=each.principal)
            return told_done(revoked=said)
    return None


def _end(store: Store) -> datetime | None:
    """Read the last day of a token: it ends with that day. Errors: Refusal (invalid_value)."""
    text = request.form.get("last_day", "").strip()
    if not text:
        return None
    try:
        return store.begin_of(date.fromisoformat(text) + timedelta(1))
    except (ValueError, OverflowError):
        raise Refusal.of(
            Code.invalid_value, say("{text} is no day: write one such as 2026-05-15", text=shown(text)), "/expires_at"
        ) from None
