"""Who may do what: the bearer token or the session of a request, and the roles that each route lets in.

Every route says with @allow or @public who may call it; a route that says nothing lets nobody in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, request

from api.console import PREFIX
from api.last_uses import LastUses
from api.rate_limits import RateLimits, too_many
from api.same_site import check_same_site
from ledger.checks import is_identifier, shown
from ledger.refusal import Code, Refusal
from ledger.sessions import Session, find_session, note_session_use
from ledger.store import Store
from ledger.tokens import note_use, presented
from ledger.wording import say

View = TypeVar("View", bound=Callable[..., Any])
READERS = ("rules", "approver", "finance", "auditor")
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")
"""What proxies add to a request that they pass on."""
EVERYONE = ("ingest", "sales", *READERS, "admin")


@dataclass(frozen=True)
class Caller:
    """Who makes a request, as far as is known; it may act only where it is valid.

    Of a wrong secret the token's id is known, of an expired or revoked token also whose it is.
    """

    principal: str | None = None
    roles: tuple[str, ...] = ()
    token_id: str | None = None
    is_valid: bool = False
    session: Session | None = None

    @property
    def key(self) -> str:
        """Name what the caller acts by: a token, also where a session stands for it, or a session without one."""
        return f"token {self.token_id}" if self.session is None or self.token_id else f"session {self.session.id}"


NOBODY = Caller()
ASKED_BY = "orderledger.caller"
"""In the environment of a request that the service makes itself (api/in_process): for whom; no client can set it."""
SESSION_COOKIE = "orderledger_session"
_SESSION_COOKIE_CHARACTERS_MAX = 100


def allow(*roles: str) -> Callable[[View], View]:
    """Let tokens with any of these roles call the view."""

    def mark(view: View) -> View:
        view.allowed_roles = roles  # type: ignore[attr-defined]
        return view

    return mark


def from_this_machine(view: View) -> View:
    """Let also whoever is on this machine call the view without a token."""
    view.open_to_this_machine = True  # type: ignore[attr-defined]
    return view


def public(view: View) -> View:
    """Let anybody call the view."""
    view.allowed_roles = ()  # type: ignore[attr-defined]
    return view


def allowed_roles(app: Flask, endpoint: str) -> tuple[str, ...] | None:
    """Give the roles that may call an endpoint: () for anybody, None where the endpoint lets nobody in."""
    if endpoint == "static":
        return ()
    roles: tuple[str, ...] | None = getattr(app.view_functions[endpoint], "allowed_roles", None)
    return roles


def register_access(app: Flask, store: Store, limits: RateLimits) -> None:
    """Check every request before its view runs, and tell the answer how its token stands with its limit."""
    uses = LastUses()

    @app.before_request
    def _check() -> None:
        if request.endpoint is None:
            if request.path.startswith(f"{PREFIX}/"):
                known = _identified(store, limits)  # for the frame of the page that says so
                take_as_caller(known if known.is_valid else NOBODY)
            return
        roles = allowed_roles(current_app, request.endpoint)
        view = current_app.view_functions[request.endpoint]
        if (inner := request.environ.get(ASKED_BY)) is not None:
            _check_role(take_as_caller(inner), roles)
            _check_query(view)
            return
        if roles == () or (getattr(view, "open_to_this_machine", False) and _is_from_this_machine()):
            return
        caller = take_as_caller(_identified(store, limits))
        if not caller.is_valid:
            raise unauthenticated()
        _note_use(store, uses, caller)
        _check_rate(limits, caller)
        _check_role(caller, roles)
        _check_query(view)

    @app.after_request
    def _tell_rate(response: Response) -> Response:
        response.headers.extend(g.get("rate_headers", {}))
        return response


def _check_rate(limits: RateLimits, caller: Caller) -> None:
    standing = limits.take(caller.key)
    g.rate_headers = limits.headers(standing)
    if not standing.is_within:
        raise too_many(standing)


def _check_role(caller: Caller, roles: tuple[str, ...] | None) -> None:
    if roles is None or not set(roles) & set(caller.roles):
        wanted = say("it takes one of: {roles}", roles=", ".join(roles)) if roles else say("no role may")
        raise Refusal.of(
            Code.forbidden,
            say(
                "the token of {principal} has the roles {roles}; {wanted}",
                principal=caller.principal,
                roles=", ".join(caller.roles),
                wanted=wanted,
            ),
        )


def _note_use(store: Store, uses: LastUses, caller: Caller) -> None:
    now, token_id, session = store.clock(), caller.token_id, caller.session
    if token_id is not None:
        uses.note(f"token {token_id}", now, lambda: note_use(store.database, token_id, now=now))
    if session is not None:
        uses.note(f"session {session.id}", now, lambda: note_session_use(store.database, session, now=now))


def unauthenticated() -> Refusal:
    """Make the refusal of a request that carries no valid token."""
    return Refusal.of(
        Code.unauthenticated,
        say("the request carries no valid token (none, a wrong, an expired or a revoked one): send a current one"),
    )


def _is_from_this_machine() -> bool:
    """Say whether the connection is from this machine, and not a proxy's that asks for somebody else."""
    address = request.remote_addr or ""
    is_local = address == "::1" or address.startswith("127.")
    return is_local and not any(name in request.headers for name in FORWARDED)


def _check_query(view: Any) -> None:
    """Refuse query parameters that the view does not read, and one given twice: nothing is ignored silently."""
    reads = getattr(view, "reads_query", False)  # True: whoever parses the query judges its names
    for name, values in request.args.lists():
        if reads is not True and name not in (reads or ()):
            raise Refusal.of(
                Code.invalid_parameter,
                say("{name} is not read here: leave it out", name=shown(name)),
                f"/{name[:100]}",
            )
        if len(values) > 1:
            raise Refusal.of(
                Code.invalid_parameter, say("{name} is given twice: give it once", name=shown(name)), f"/{name[:100]}"
            )


def path_identifier(value: str) -> str:
    """Give an identifier from an address.

    Errors: Refusal (not_found) for what can't be one.
    """
    if not is_identifier(value):
        raise Refusal.of(
            Code.not_found, say("{value} is not an identifier: there is nothing of that name", value=shown(value))
        )
    return value


def _identified(store: Store, limits: RateLimits) -> Caller:
    """Find who makes the request: by its Authorization header, else by its session's cookie.

    Errors: Refusal (cross_site_request) of a session's request that another site's page may have made; rate_limited.
    """
    authorization = request.headers.get("Authorization")
    if authorization is None:
        if SESSION_COOKIE in request.cookies:
            check_same_site()
        return identified_session(store, limits)
    scheme, _, text = authorization.partition(" ")
    return authenticated(store, limits, text.strip()) if scheme.lower() == "bearer" else NOBODY


def presented_session() -> str:
    """Give the session's secret that the browser sends; '' where it sends none."""
    secret = request.cookies.get(SESSION_COOKIE, "")
    return secret if len(secret) <= _SESSION_COOKIE_CHARACTERS_MAX else ""


def identified_session(store: Store, limits: RateLimits) -> Caller:
    """Find whose session's cookie the request carries. Errors: Refusal (rate_limited)."""
    secret = presented_session()
    if not secret:
        return NOBODY
    limits.check_address(request.remote_addr, secret)
    session = find_session(store.database, secret)
    known = NOBODY
    if session is not None:
        is_valid = session.valid_at(store.clock())
        known = Caller(session.principal, session.roles, session.token_id, is_valid, session)
    _count(limits, secret, known)
    return known


def _count(limits: RateLimits, secret: str, known: Caller) -> None:
    if known.is_valid:
        limits.passed(secret)
    elif known.session is None:  # a session that ended was one: its cookie is no guess
        limits.failed(request.remote_addr)


def authenticated(store: Store, limits: RateLimits, text: str) -> Caller:
    """Find whose token this is; it is looked up each time, so that a revocation holds at once.

    Errors: Refusal (rate_limited) of an address that failed too often.
    """
    limits.check_address(request.remote_addr, text)
    found = presented(store.database, text)
    known = Caller(token_id=found.token_id)
    if (token := found.token) is not None:
        known = Caller(token.principal, token.roles, token.id, token.valid_at(store.clock()))
    _count(limits, text, known)
    return known


def is_asked_inside() -> bool:
    """Say whether the service itself asks, for a page."""
    return ASKED_BY in request.environ


def take_as_caller(known: Caller) -> Caller:
    """Take it that this is who makes the request; logs and views ask for it."""
    g.caller = known
    return known


def caller() -> Caller:
    """Give who makes the request, as far as it was looked at: what is public is anybody's."""
    known: Caller = g.get("caller", NOBODY)
    return known


def principal() -> str:
    """Name who makes the request."""
    name = caller().principal
    assert name is not None, "only routes for some roles ask"
    return name


def only_own_figures() -> str | None:
    """Give the salesperson whose figures alone the request may see; None where it may see all."""
    return None if set(caller().roles) & set(READERS) else principal()
