"""Signing in with the organisation's account: to the OpenID Connect provider and back, and then a session as any other.

What a sign-in under way must remember is in a cookie that only this service can read or write: state, nonce, the proof
of who began it (PKCE), and the secret of the session that it will become. That secret begins a session once, in
whichever process, so a sign-in can't be repeated; and before it ends nothing is written for somebody unknown.
The way back leads to one page of this service; nothing in an address says where to go. Needs the extra `oidc`.
"""

import base64
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from api.access import Caller, presented_session, public, take_as_caller
from api.access_log import request_entry
from api.languages import translated
from api.oidc_provider import Attempt, Provider
from api.oidc_settings import OidcSettings
from api.problems import problem_response
from api.rate_limits import RateLimits
from api.sign_in import refused_page, signed_in
from ledger import access_log
from ledger.checks import is_identifier, shown
from ledger.refusal import Code, Refusal
from ledger.sessions import Vouched, close_session_in, new_secret, open_vouched_session_in
from ledger.store import Store
from ledger.tokens import ROLES
from ledger.wording import say

COOKIE: Final = "orderledger_oidc"
COOKIE_PATH: Final = "/sign-in/oidc"
COOKIE_SECONDS: Final = 600
PREFIX: Final = "oidc:"
"""Of principals that the provider vouches for, so that none can be taken for a token's by chance."""
_ANSWER_CHARACTERS_MAX = 4_000
_REMEMBERED = msgspec.json.Decoder(tuple[str, str, str, str])


class Cookies:
    """Writes and reads what a sign-in under way must remember, encrypted by a key that all processes derive alike."""

    def __init__(self, settings: OidcSettings) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"orderledger sign-in cookie").derive(
            f"{settings.issuer}\n{settings.client_id}\n{settings.client_secret}".encode()
        )
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))

    def written(self, attempt: Attempt, secret: str, *, now: int) -> str:
        """Give the cookie's value."""
        remembered = msgspec.json.encode((attempt.state, attempt.nonce, attempt.verifier, secret))
        return self._fernet.encrypt_at_time(remembered, now).decode()

    def read(self, value: str, redirect_uri: str, *, now: int) -> tuple[Attempt, str] | None:
        """Give the attempt, and the secret of its session, of a value that was written here minutes ago."""
        try:
            remembered = self._fernet.decrypt_at_time(value.encode(), COOKIE_SECONDS, now)
        except (InvalidToken, UnicodeEncodeError):
            return None
        state, nonce, verifier, secret = _REMEMBERED.decode(remembered)
        return Attempt(state, nonce, verifier, redirect_uri), secret


def blueprint(store: Store, limits: RateLimits, settings: OidcSettings, *, secure_cookies: bool) -> Blueprint:
    """Make the two addresses, and the link to them on the page for signing in; nothing connects yet."""
    pages = Blueprint("oidc", __name__)
    provider, cookies = Provider(settings), Cookies(settings)

    @pages.app_context_processor
    def _link() -> dict[str, str]:
        return {"organisation": url_for("oidc.get_begin")}

    @pages.get("/sign-in/oidc")
    @public
    def get_begin() -> Answer:
        now, secure = store.clock(), secure_cookies or request.is_secure
        attempt = _begun(_redirect_uri(secure=secure))
        try:
            answer = redirect(provider.address(attempt, now=now), 303)
        except Refusal as refusal:
            return _refused(refusal)
        value = cookies.written(attempt, new_secret(), now=int(now.timestamp()))
        answer.set_cookie(
            *(COOKIE, value, COOKIE_SECONDS), path=COOKIE_PATH, secure=secure, httponly=True, samesite="Lax"
        )
        return answer

    @pages.get("/sign-in/oidc/callback")
    @public
    def get_callback() -> Answer:
        secure = secure_cookies or request.is_secure
        limits.check_address(request.remote_addr, "")
        try:
            remembered = cookies.read(
                request.cookies.get(COOKIE, ""), _redirect_uri(secure=secure), now=int(store.clock().timestamp())
            )
            attempt, secret = _begun_here(remembered)
            claims = provider.claims(_code(settings), attempt, now=store.clock())
            _open(store, secret, vouched(settings, claims))
            answer = signed_in(secret, secure=secure)
        except Refusal as refusal:
            if refusal.code is Code.sign_in_refused:
                limits.failed(request.remote_addr)
            answer = _refused(refusal)
        answer.delete_cookie(COOKIE, path=COOKIE_PATH, secure=secure, httponly=True, samesite="Lax")
        return answer

    return pages


def vouched(settings: OidcSettings, claims: Mapping[str, Any]) -> Vouched:
    """Give who somebody is here, by the claims of a token that holds.

    Of the role sales the principal is the salesperson's id, the claim as it is; of all others it has a prefix.
    Errors: Refusal (sign_in_refused where the claim names nobody; no_role).
    """
    name = claims.get(settings.principal_claim)
    is_verified = settings.principal_claim != "email" or claims.get("email_verified") is True
    if not isinstance(name, str) or not is_identifier(PREFIX + name) or not is_identifier(name) or not is_verified:
        raise Refusal.of(
            Code.sign_in_refused,
            say(
                "your organisation does not say who you are: {principal_claim} is missing, is no identifier, or is an"
                " address that is not verified; ask whoever manages its accounts",
                principal_claim=shown(settings.principal_claim),
            ),
        )
    said = claims.get(settings.roles_claim)
    groups = {said} if isinstance(said, str) else set(filter(_is_text, said)) if isinstance(said, list) else set()
    given = {role for group, role in settings.roles if group in groups}
    roles = tuple(role for role in ROLES if role in given)
    person = Vouched(name if roles == ("sales",) else PREFIX + name, roles)
    if not roles:
        take_as_caller(Caller(person.principal))
        raise Refusal.of(
            Code.no_role,
            say(
                "{principal} is in no group that has a role here: ask whoever manages your organisation's groups, and"
                " then sign in again",
                principal=shown(person.principal),
            ),
        )
    if "sales" in roles and len(roles) > 1:
        take_as_caller(Caller(person.principal))
        raise Refusal.of(
            Code.no_role,
            say(
                "{principal} has the roles {roles}, but sales goes with no other, because a salesperson acts under"
                " another name: leave one of the groups, and then sign in again",
                principal=shown(person.principal),
                roles=", ".join(roles),
            ),
        )
    return person


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _begun(redirect_uri: str) -> Attempt:
    return Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32), redirect_uri)


def _begun_here(remembered: tuple[Attempt, str] | None) -> tuple[Attempt, str]:
    """Give what the browser began, if it is what it comes back from. Errors: Refusal (sign_in_refused)."""
    state = request.args.get("state", "")
    if remembered is None or not hmac.compare_digest(remembered[0].state.encode(), state.encode()):
        raise Refusal.of(
            Code.sign_in_refused,
            say("this browser did not begin this sign-in, or more than ten minutes ago: begin again at /sign-in"),
        )
    return remembered


def _code(settings: OidcSettings) -> str:
    """Give the code that the provider sent the browser back with. Errors: Refusal (sign_in_refused)."""
    if (error := request.args.get("error")) is not None:
        raise Refusal.of(
            Code.sign_in_refused,
            say(
                "your organisation did not sign you in ({error}): begin again at /sign-in, or ask there",
                error=shown(error),
            ),
        )
    code, issuer = request.args.get("code", ""), request.args.get("iss", settings.issuer)
    if not 0 < len(code) <= _ANSWER_CHARACTERS_MAX or issuer != settings.issuer:
        raise Refusal.of(
            Code.sign_in_refused, say("the browser brought no code of your organisation's: begin again at /sign-in")
        )
    return code


def _open(store: Store, secret: str, person: Vouched) -> None:
    """Begin the session, end the one that the browser had, and note it. Errors: Refusal (sign_in_refused)."""
    take_as_caller(Caller(person.principal, person.roles, is_valid=True))
    now = store.clock()
    with store.database.transaction() as cursor:
        if not open_vouched_session_in(cursor, secret, person, now=now):
            raise Refusal.of(Code.sign_in_refused, say("this sign-in was used before: begin again at /sign-in"))
        if before := presented_session():
            close_session_in(cursor, before, now=now)
        subject = f"session by OpenID Connect ({', '.join(person.roles)})"
        access_log.append(cursor, request_entry(access_log.SIGNED_IN, access_log.DONE, subject, now))


def _redirect_uri(*, secure: bool) -> str:
    return url_for("oidc.get_callback", _external=True, _scheme="https" if secure else "http")


def _refused(refusal: Refusal) -> Response:
    """Answer a browser with the page for signing in, which says what is wrong; a program with a problem document."""
    if "text/html" not in request.headers.get("Accept", ""):
        return problem_response(refusal)
    return refused_page(refusal, problem=translated(refusal.problems[0].detail))
