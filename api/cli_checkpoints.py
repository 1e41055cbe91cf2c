"""Commands about proof: the signing key, checkpoints, and verifying the whole ledger."""

from pathlib import Path

import click

from api.commands import actor, format_option, opened_store, require_initialised
from api.tables import print_rows
from ledger import checkpoints
from ledger.events import SigningKeyIntroduced
from ledger.settings import new_origin


@click.command("checkpoint")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the note into this file too.")
def checkpoint_command(output: Path | None) -> None:
    """Sign the ledger as it is now, record that, and show the signed note.

    Keep the note elsewhere: verify --checkpoint and orderledger-verify --earlier hold the ledger to it.
    """
    with opened_store() as store:
        require_initialised(store)
        issued = checkpoints.issue(store, actor=actor())
    if output is not None:
        output.write_text(issued.note, encoding="utf-8")
    click.echo(issued.note, nl=False)


@click.group("key")
def key() -> None:
    """The key that signs checkpoints; its file is outside the database, ORDERLEDGER_SIGNING_KEY names it."""


@key.command("create")
@click.option("--origin", help="The ledger's name in its checkpoints; a new one if left out.")
def create_command(origin: str | None) -> None:
    """Make a key for a ledger that has none, or whose key was lost."""
    with opened_store() as store:
        settings = store.settings()
        require_initialised(store)
        assert settings is not None, "the ledger is initialised"
        signer = checkpoints.required_signer(store)
        made = signer.create_key(origin or new_origin(settings.name))
        checkpoints.introduce_key(store, made, actor=actor())
    click.echo(made.verifier)


@key.command("rotate")
def rotate_command() -> None:
    """Replace the key by a new one, which the old one endorses."""
    with opened_store() as store:
        require_initialised(store)
        made = checkpoints.rotate_key(store, actor=actor())
    click.echo(made.verifier)


@key.command("list")
@format_option
def list_command(form: str) -> None:
    """List the public keys, first to current: what an auditor is given."""
    with opened_store() as store:
        rows = [
            {
                "position": event.position,
                "recorded_at": event.recorded_at.isoformat(),
                "by": event.actor,
                "endorsed": event.data.endorsement is not None,
                "vkey": event.data.vkey,
            }
            for event in store.stream(checkpoints.KEYS_SUBJECT)
            if isinstance(event.data, SigningKeyIntroduced)
        ]
    print_rows(rows, form, numeric=("position",))
