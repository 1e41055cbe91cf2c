"""orderledger export, restore: a period's bundle for an auditor, and a whole ledger from one database to another."""

from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import click
import msgspec

from api.commands import (
    Remote,
    WrongUse,
    actor,
    asked_remote,
    echo,
    log_command,
    opened_store,
    progress_bar,
    require_initialised,
)
from api.ledgers import opened_client
from ledger.access_log import EXPORTED
from ledger.checkpoints import issue
from ledger.refusal import Code, Refusal
from ledger.restore import EVENTS, MANIFEST, read_anchor, restore
from ledger.store import Store
from ledger.wording import say
from projections.bundle import Manifest, Wanted, check, check_folder, export, filled
from projections.projector import Projector

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("export")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--period", help="The closing period, closed or open, whose bundle to make: 2026-Q1.")
@click.option("--whole", is_flag=True, help="All events, for orderledger restore and for an auditor of everything.")
@click.option(
    "--checkpoint",
    "earlier",
    type=_FILE,
    multiple=True,
    help="Prove that the ledger continues this earlier checkpoint.",
)
def export_command(folder: Path, period: str | None, earlier: tuple[Path, ...], *, whole: bool) -> None:
    """Write a bundle into DIR, which is new or empty: what an auditor verifies and recomputes without us.

    A checkpoint of the ledger as it is now is issued for it. DIR/README.md says what to do with it.
    """
    if (period is None) != whole:
        raise WrongUse(say("give --period PERIOD or --whole"))
    if (remote := asked_remote()) is not None:
        if period is None or earlier:
            raise WrongUse(say("a service gives the bundle of a --period; the rest is for the ledger's own machine"))
        _fetch(remote, folder, period)
        return
    with opened_store() as store:
        require_initialised(store)
        wanted = Wanted(period, folder, tuple(_continued_size(store, path) for path in earlier))
        check(store, wanted)
        checkpoint = issue(store, actor=actor())
        Projector(store.database).catch_up()
        log_command(store, EXPORTED, f"the bundle of {period}" if period else "the whole ledger")
        with progress_bar("Exporting") as progress:
            done = export(store, checkpoint, wanted, progress)
    _tell(folder, done.events, done.checkpoint_size)


def _tell(folder: Path, events: int, size: int) -> None:
    echo(
        say(
            "{folder}: {events} events, as known at position {checkpoint_size}; README.md says what to do",
            folder=folder,
            events=events,
            checkpoint_size=size,
        )
    )


def _fetch(remote: Remote, folder: Path, period: str) -> None:
    """Get the bundle of a period from a service, and unpack it into a folder that is new or empty, or leave nothing."""
    check_folder(folder)
    with TemporaryDirectory(prefix="orderledger-bundle-") as aside, opened_client(remote) as client:
        packed = client.bundle(period, Path(aside) / "bundle.zip")
        with filled(folder), ZipFile(packed) as archive:
            archive.extractall(folder)
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    with (folder / EVENTS).open("rb") as events:
        _tell(folder, sum(1 for _ in events), manifest.checkpoint_size)


def _continued_size(store: Store, path: Path) -> int:
    """Give the size that a checkpoint of somebody is of.

    Errors: Refusal (checkpoint_differs) where this ledger does not continue it.
    """
    earlier = read_anchor(path.read_text(encoding="utf-8", errors="replace"))
    if earlier.size > (size := store.head()):
        sentence = say(
            "{path} is of {earlier_size} events, this ledger has {size}: events are missing, or it is another's",
            path=path,
            earlier_size=earlier.size,
            size=size,
        )
        raise Refusal.of(Code.checkpoint_differs, sentence)
    root = store.tree.root_at(earlier.size)
    if root != earlier.root:
        raise Refusal.of(
            Code.checkpoint_differs,
            say(
                "{path} says that the root over the first {earlier_size} events is {earlier_root}, here it is"
                " {root}: an event was altered, or it is another ledger's",
                path=path,
                earlier_size=earlier.size,
                earlier_root=earlier.root.hex(),
                root=root.hex(),
            ),
        )
    return earlier.size


@click.command("restore")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore_command(folder: Path) -> None:
    """Record the events of DIR, which `export --whole` made, in an empty ledger; all, or nothing.

    Verify DIR first (orderledger-verify): whose key signed it is not asked here, only that its events make its root.
    """
    with opened_store() as store, progress_bar("Restoring") as progress:
        restored = restore(store, folder, progress)
    echo(
        say(
            "{restored_size} events restored; the root is {restored_root}",
            restored_size=restored.size,
            restored_root=restored.root.hex(),
        )
    )


BUNDLE_COMMANDS = (export_command, restore_command)
