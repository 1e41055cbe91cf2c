"""orderledger token: make, list and revoke access tokens."""

from datetime import UTC, datetime

import click

from api.commands import DAY, command_entry, echo, format_option, make_token, opened_store
from api.tables import print_rows
from ledger import access_log
from ledger.refusal import Code, Refusal
from ledger.tokens import ROLES, list_tokens, withdraw_token
from ledger.wording import instant_text, say


@click.group()
def token() -> None:
    """Make, list and revoke access tokens."""


@token.command("create")
@click.argument("principal")
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, required=True, help="May be given again.")
@click.option("--expires", type=DAY, help="The first day on which it is no longer valid (UTC).")
def token_create(principal: str, roles: tuple[str, ...], expires: datetime | None) -> None:
    """Make a token for PRINCIPAL (of role sales: the salesperson's id) and show it once."""
    with opened_store() as store:
        expires_at = expires.replace(tzinfo=UTC) if expires else None
        echo(make_token(store, principal, roles, expires_at=expires_at))


@token.command("list")
@format_option
def token_list(form: str) -> None:
    """List the tokens, without their secrets."""
    with opened_store() as store:
        rows = [
            {
                "id": known.id,
                "principal": known.principal,
                "roles": " ".join(known.roles),
                "created": instant_text(known.created_at, precision="seconds"),
                "expires": instant_text(known.expires_at, precision="seconds") if known.expires_at else "",
                "revoked": instant_text(known.revoked_at, precision="seconds") if known.revoked_at else "",
                "last_used": instant_text(known.last_used_at, precision="seconds") if known.last_used_at else "",
            }
            for known in list_tokens(store.database)
        ]
    print_rows(rows, form)


@token.command("revoke")
@click.argument("token_id")
def token_revoke(token_id: str) -> None:
    """Revoke a token at once; TOKEN_ID is the part between the first two underscores."""
    with opened_store() as store:
        if not withdraw_token(store.database, token_id, command_entry(store, access_log.TOKEN_REVOKED, "")):
            raise Refusal.of(
                Code.not_found,
                say("there is no token {token_id} to revoke: see orderledger token list", token_id=token_id),
            )
    echo(say("revoked {token_id}", token_id=token_id))
