"""Who may do what: the bearer token of a request, and the roles that each route lets in.

Every route says with @allow or @public who may call it; a route that says nothing lets nobody in.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, g, request

from ledger.checks import is_identifier, shown
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.tokens import Presented, Token, presented
from ledger.wording import say

View = TypeVar("View", bound=Callable[..., Any])
READERS = ("rules", "approver", "finance", "auditor")
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")
"""What proxies add to a request that they pass on."""
EVERYONE = ("ingest", "sales", *READERS, "admin")


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


def register_access(app: Flask, store: Store) -> None:
    """Check every request before its view runs."""

    @app.before_request
    def _check() -> None:
        if request.endpoint is None:
            return
        roles = allowed_roles(current_app, request.endpoint)
        view = current_app.view_functions[request.endpoint]
        if roles == () or (getattr(view, "open_to_this_machine", False) and _is_from_this_machine()):
            return
        token = _token(store)
        if roles is None or not set(roles) & set(token.roles):
            wanted = say("it takes one of: {roles}", roles=", ".join(roles)) if roles else say("no role may")
            raise Refusal.of(
                Code.forbidden,
                say(
                    "the token of {principal} has the roles {roles}; {wanted}",
                    principal=token.principal,
                    roles=", ".join(token.roles),
                    wanted=wanted,
                ),
            )
        g.token = token
        _check_query(view)


def _is_from_this_machine() -> bool:
    """Say whether the connection is from this machine, and not a proxy's that asks for somebody else."""
    address = request.remote_addr or ""
    is_local = address == "::1" or address.startswith("127.")
    return is_local and not any(name in request.headers for name in FORWARDED)


def _check_query(view: Any) -> None:
    """Refuse query parameters that the view does not read, and one given twice: nothing is ignored silently."""
    for name, values in request.args.lists():
        if not getattr(view, "reads_query", False):
            raise Refusal.of(
                Code.invalid_parameter,
                say("{name} is not read here: leave it out, see /docs", name=shown(name)),
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


def _token(store: Store) -> Token:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    g.presented = presented(store.database, text.strip()) if scheme.lower() == "bearer" else Presented()
    token: Token | None = g.presented.token
    if token is None or not token.valid_at(store.clock()):
        raise Refusal.of(
            Code.unauthenticated,
            say("the request carries no valid token (none, a wrong, an expired or a revoked one): send a current one"),
        )
    return token


def principal() -> str:
    """Name who makes the request."""
    token: Token = g.token
    return token.principal


def only_own_figures() -> str | None:
    """Give the salesperson whose figures alone the request may see; None where it may see all."""
    token: Token = g.token
    return None if set(token.roles) & set(READERS) else token.principal
