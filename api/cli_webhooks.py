"""orderledger webhook: make, list and switch the endpoints that the service tells of what is recorded."""

import sys

import click

from api.commands import EXIT_REFUSED, actor, command_entry, format_option, insecure_option, opened_store, webhook_reach
from api.tables import print_rows
from api.webhook_dispatcher import attempted
from api.webhook_messages import trial_message
from api.webhook_sender import Sender
from ledger import access_log, webhooks
from ledger.database import Cursor
from ledger.store import Store
from ledger.webhooks import DEFAULT_TYPES, DELIVERED, EVENT_TYPES, Asked
from ledger.wording import instant_text


@click.group()
def webhook() -> None:
    """Make, list and switch webhooks: URLs that the service tells of what is recorded."""


@webhook.command("create")
@click.argument("url")
@click.option("--event-type", "event_types", type=click.Choice(EVENT_TYPES), multiple=True, default=DEFAULT_TYPES)
@click.option("--description", help="What it is for.")
@click.option("--from-position", type=int, help="Tell of the events behind it, 0 for all; by default from now on.")
@insecure_option("--insecure")
def webhook_create(
    url: str, event_types: tuple[str, ...], description: str | None, from_position: int | None, *, insecure: bool
) -> None:
    """Make a webhook to URL, and show its id and its secret, this once."""
    with opened_store() as store:
        asked, head = Asked(url, event_types, description, from_position), store.head()
        webhooks.check_asked(asked, webhook_reach(insecure=insecure), head=head)
        with store.database.transaction() as cursor:
            made = webhooks.create_in(cursor, asked, head=head, now=store.clock(), creator=actor())
            log_change(store, cursor, "create", made.id)
    click.echo(f"{made.id} {made.secret}")


@webhook.command("list")
@format_option
def webhook_list(form: str) -> None:
    """List the webhooks, without their secrets."""
    with opened_store() as store:
        rows = [
            {
                "id": known.id,
                "url": known.url,
                "event_types": " ".join(known.event_types),
                "state": known.state,
                "position": str(known.position),
                "waiting": str(store.count_recorded(known.position, store.head(), known.event_types)),
                "reason": known.state_reason or "",
            }
            for known in webhooks.list_endpoints(store.database)
        ]
    print_rows(rows, form, numeric=("position", "waiting"))


@webhook.command("deliveries")
@click.argument("webhook_id")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@format_option
def webhook_deliveries(webhook_id: str, limit: int, form: str) -> None:
    """List the last attempts to deliver to a webhook, and what became of each."""
    with opened_store() as store:
        rows = [
            {
                "at": instant_text(made.at, precision="seconds"),
                "message_id": made.message_id,
                "attempt": str(made.attempt),
                "outcome": made.outcome,
                "status": str(made.status or ""),
                "milliseconds": str(made.milliseconds),
                "detail": made.detail,
            }
            for made in webhooks.read_deliveries(store.database, webhook_id, before=None, limit=limit)
        ]
    print_rows(rows, form, numeric=("attempt", "status", "milliseconds"))


@webhook.command("test")
@click.argument("webhook_id")
@insecure_option("--insecure")
def webhook_test(webhook_id: str, *, insecure: bool) -> None:
    """Send a message of the type webhook.test; the exit status says whether it was taken."""
    with opened_store() as store:
        with store.database.transaction() as cursor:
            endpoint = webhooks.held_in(cursor, webhook_id)
        outgoing = trial_message(endpoint, now=store.clock(), requested_by=actor())
        sender = Sender(webhook_reach(insecure=insecure))
        made, delivery = attempted(sender, endpoint, outgoing, now=store.clock(), position=None, attempt=1)
        webhooks.note_test(store.database, delivery)
    click.echo(f"{made.outcome} in {made.milliseconds} ms {made.detail}".strip())
    if made.outcome != DELIVERED:
        sys.exit(EXIT_REFUSED)


@webhook.command("enable")
@click.argument("webhook_id")
def webhook_enable(webhook_id: str) -> None:
    """Let a webhook go on where it stopped."""
    with opened_store() as store, store.database.transaction() as cursor:
        webhooks.enable_in(cursor, webhook_id)
        log_change(store, cursor, "enable", webhook_id)


@webhook.command("disable")
@click.argument("webhook_id")
def webhook_disable(webhook_id: str) -> None:
    """Let a webhook stop where it is."""
    with opened_store() as store, store.database.transaction() as cursor:
        webhooks.disable_in(cursor, webhook_id, f"disabled by {actor()}")
        log_change(store, cursor, "disable", webhook_id)


@webhook.command("delete")
@click.argument("webhook_id")
def webhook_delete(webhook_id: str) -> None:
    """Delete a webhook, with the record of its deliveries."""
    with opened_store() as store, store.database.transaction() as cursor:
        webhooks.delete_in(cursor, webhook_id)
        log_change(store, cursor, "delete", webhook_id)


@webhook.command("rotate-secret")
@click.argument("webhook_id")
def webhook_rotate_secret(webhook_id: str) -> None:
    """Give a webhook another secret and show it this once; the one before signs too for 24 hours."""
    with opened_store() as store, store.database.transaction() as cursor:
        secret = webhooks.rotate_in(cursor, webhook_id, now=store.clock())
        log_change(store, cursor, "rotate-secret", webhook_id)
    click.echo(secret)


@webhook.command("replay")
@click.argument("webhook_id")
@click.option("--from-position", type=int, required=True)
@click.option("--to-position", type=int, help="By default up to the webhook's own position.")
def webhook_replay(webhook_id: str, from_position: int, to_position: int | None) -> None:
    """Deliver the events at these positions again, under the same message ids."""
    with opened_store() as store, store.database.transaction() as cursor:
        webhooks.replay_in(cursor, webhook_id, from_position, to_position)
        log_change(store, cursor, "replay", webhook_id)


def log_change(store: Store, cursor: Cursor, what: str, webhook_id: str) -> None:
    """Note in the access log what was changed, in the transaction that changes it."""
    entry = command_entry(store, access_log.WEBHOOK_CHANGED, f"{what} webhook {webhook_id}")
    access_log.append(cursor, entry)
