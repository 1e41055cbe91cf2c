"""Commands about proof: the signing key, checkpoints, and verifying the whole ledger."""

import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import click
import psycopg2

from api.commands import (
    EXIT_REFUSED,
    actor,
    echo,
    format_option,
    opened_store,
    progress_bar,
    require_initialised,
    writable,
)
from api.languages import translated
from api.ledgers import opened_ledger
from api.tables import print_rows
from api.verifications import verdict_of
from ledger import checkpoints, verification_log
from ledger.events import SigningKeyIntroduced, encode
from ledger.findings import KeptCheckpoint
from ledger.notes import NoteError, read_checkpoint, read_note
from ledger.refusal import Code, Refusal
from ledger.settings import new_origin
from ledger.store import Store
from ledger.wording import instant_text, say
from projections.verification import VerifiedLedger, verify


@click.command("checkpoint")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    help="Write the note into this file too.",
)
def checkpoint_command(output: Path | None) -> None:
    """Sign the ledger as it is now, record that, and show the signed note.

    Keep the note elsewhere: verify --checkpoint and orderledger-verify --earlier hold the ledger to it.
    """
    with opened_ledger() as ledger:
        issued = ledger.issue_checkpoint()
    if output is not None:
        output.write_text(issued.note, encoding="utf-8")
    click.echo(issued.note, nl=False)


@click.command("verify")
@click.option(
    "--checkpoint",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint's note that was kept elsewhere; may be given several times.",
)
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def verify_command(files: tuple[Path, ...], processes: int, form: str) -> None:
    """Read the whole ledger and check every byte, hash, position, version, checkpoint, statement and projected row.

    The ledger is held to its own tree, to what the signing key signed last, and to the checkpoints that are given.
    Tokens and the access log lie beside the ledger: nothing holds them.
    The verdict is noted beside the ledger, for GET /metrics.
    """
    with opened_store() as store:
        started = store.clock()
        kept = kept_checkpoints(files)
        with progress_bar("Verifying") as progress:
            found = verify(store, kept, signer=store.signer, processes=processes, progress=progress)
        note_verdict(store, found, started)
    echo(encode(_document(found)).decode() if form == "json" else _told(found))
    if not found.is_sound:
        sys.exit(EXIT_REFUSED)


def note_verdict(store: Store, found: VerifiedLedger, started: datetime) -> None:
    """Note the verdict beside the ledger; where that can't be, warn: what was found is told all the same."""
    verdict = verdict_of(found, actor(), started, store.clock())
    try:
        with store.database.cursor() as cursor:
            verification_log.append(cursor, verdict)
    except psycopg2.Error as error:
        echo(say("the verdict can't be noted for the service: {error}", error=str(error).strip()), err=True)


def kept_checkpoints(files: Iterable[Path]) -> list[KeptCheckpoint]:
    """Read checkpoints that were kept in files. Errors: Refusal (invalid_note) for a file that is none."""
    kept = list[KeptCheckpoint]()
    for path in files:
        try:
            note = read_note(path.read_text(encoding="utf-8"))
            _, size, root = read_checkpoint(note.text)
        except (NoteError, UnicodeDecodeError, OSError) as error:
            raise Refusal.of(
                Code.invalid_note, say("{path_name} is not a checkpoint: {error}", path_name=path.name, error=error)
            ) from None
        kept.append(KeptCheckpoint(path.name, size, root, note))
    return kept


def _told(found: VerifiedLedger) -> str:
    ledger = found.ledger
    lines = [say("FAILED {finding}", finding=finding.sentence) for finding in ledger.findings] + [
        say("note: {notice}", notice=notice) for notice in ledger.notices
    ]
    projected = say("the projection was not compared")
    if found.projected_position is not None:
        projected = say(
            "{credit_lines} credit lines up to position {projected_position}",
            credit_lines=found.credit_lines,
            projected_position=found.projected_position,
        )
    read = say(
        "{ledger_size} events, root {ledger_root}; {checkpoints} checkpoints by {keys_count} keys;"
        " {projected}; {statements} statements and drifts carried forward",
        ledger_size=ledger.size,
        ledger_root=ledger.root.hex(),
        checkpoints=ledger.checkpoints,
        keys_count=len(ledger.keys),
        projected=projected,
        statements=found.statements,
    )
    verdict = (
        say("verified") if found.is_sound else say("{findings_count} findings", findings_count=len(ledger.findings))
    )
    return "\n".join(translated(line) for line in [*lines, say("{verdict}: {read}", verdict=verdict, read=read)])


def _document(found: VerifiedLedger) -> dict[str, object]:
    ledger = found.ledger
    return {
        "sound": found.is_sound,
        "size": ledger.size,
        "root": ledger.root.hex(),
        "vkeys": ledger.keys,
        "checkpoints": ledger.checkpoints,
        "projected_position": found.projected_position,
        "credit_lines": found.credit_lines,
        "statements": found.statements,
        "findings": [
            {"part": each.part, "where": translated(each.where), "what": translated(each.what)}
            for each in ledger.findings
        ],
        "notices": [translated(notice) for notice in ledger.notices],
    }


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
    echo(str(made.verifier))


@key.command("rotate")
def rotate_command() -> None:
    """Replace the key by a new one, which the old one endorses."""
    with opened_store() as store:
        require_initialised(store)
        made = checkpoints.rotate_key(store, actor=actor())
    echo(str(made.verifier))


@key.command("list")
@format_option
def list_command(form: str) -> None:
    """List the public keys, first to current: what an auditor is given."""
    with opened_store() as store:
        rows = [
            {
                "position": event.position,
                "recorded_at": instant_text(event.recorded_at),
                "by": event.actor,
                "endorsed": event.data.endorsement is not None,
                "vkey": event.data.vkey,
            }
            for event in store.stream(checkpoints.KEYS_SUBJECT)
            if isinstance(event.data, SigningKeyIntroduced)
        ]
    print_rows(rows, form, numeric=("position",))
