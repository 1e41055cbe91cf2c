"""Signing in with a browser: a page takes a token once, and a cookie acts as the token until the session ends.

The pages work without JavaScript. Signing in always begins a new session, and ends the one that the browser had.
"""

from collections.abc import Mapping

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from api.access import (
    SESSION_COOKIE,
    authenticated,
    identified_session,
    presented_session,
    public,
    take_as_caller,
    unauthenticated,
)
from api.access_log import request_entry
from api.console import PREFIX
from api.pages import is_address_here
from api.problems import problem_response
from api.rate_limits import RateLimits
from api.same_site import check_same_site
from ledger import access_log
from ledger.refusal import Refusal
from ledger.sessions import SESSION_HOURS, close_session_in, open_session_in
from ledger.store import Store
from ledger.tokens import token_of_id


def blueprint(store: Store, limits: RateLimits, *, secure_cookies: bool) -> Blueprint:
    """Make the pages; `secure_cookies` lets browsers send the cookie over https only, whatever a proxy says."""
    pages = Blueprint("sign_in", __name__)

    @pages.get("/sign-in")
    @public
    def get_sign_in() -> Response:
        caller = identified_session(store, limits)
        page = render_template(
            "sign_in.html", caller=caller, after=_after(request.args), signed_out="signed_out" in request.args
        )
        return Response(page, mimetype="text/html")

    @pages.post("/sign-in")
    @public
    def post_sign_in() -> Answer:
        check_same_site()
        caller = authenticated(store, limits, request.form.get("token", "").strip())
        take_as_caller(caller)
        token = token_of_id(store.database, caller.token_id) if caller.token_id and caller.is_valid else None
        if token is None:
            return refused_page(unauthenticated(), refused=True, after=_after(request.form))
        now = store.clock()
        with store.database.transaction() as cursor:
            if before := presented_session():
                close_session_in(cursor, before, now=now)
            secret = open_session_in(cursor, token, now=now)
            subject = f"session of token {token.id}"
            access_log.append(cursor, request_entry(access_log.SIGNED_IN, access_log.DONE, subject, now))
        return signed_in(secret, secure=secure_cookies or request.is_secure, after=_after(request.form))

    @pages.post("/sign-out")
    @public
    def post_sign_out() -> Answer:
        check_same_site()
        if secret := presented_session():
            with store.database.transaction() as cursor:
                close_session_in(cursor, secret, now=store.clock())
        answer = redirect(url_for("sign_in.get_sign_in", signed_out="yes"), 303)
        secure = secure_cookies or request.is_secure
        answer.delete_cookie(SESSION_COOKIE, secure=secure, httponly=True, samesite="Lax")
        return answer

    return pages


def _after(given: Mapping[str, str]) -> str:
    """Give the console's page to go to after signing in; no other address, which could be another site's."""
    address = given.get("next", "")
    return address if address.startswith(f"{PREFIX}/") and is_address_here(address) else ""


def signed_in(secret: str, *, secure: bool, after: str = "") -> Answer:
    """Answer with the session's cookie and the page to go to; without one, that which says who has signed in."""
    answer = redirect(after or url_for("sign_in.get_sign_in"), 303)
    answer.set_cookie(
        SESSION_COOKIE, secret, max_age=SESSION_HOURS * 3600, secure=secure, httponly=True, samesite="Lax"
    )
    return answer


def refused_page(refusal: Refusal, **shown: object) -> Response:
    """Answer a refusal with the page for signing in where a program gets a problem document."""
    answer = problem_response(refusal)
    answer.set_data(render_template("sign_in.html", **shown))
    answer.mimetype = "text/html"
    return answer
