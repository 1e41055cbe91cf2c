"""Whatever is done to the database behind the ledger's back is found where it was done; `make soak` does 2,000 more."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger import checkpoints
from ledger.database import Database
from ledger.findings import KeptCheckpoint
from ledger.protection import PROTECTION
from ledger.roles import APPLICATION
from ledger.sequencer import Append
from ledger.signing import Signer
from ledger.store import Store
from projections.verification import verify
from tests.tampering import MANIPULATIONS, Original, findings, missed, original, without_triggers
from tests.test_sequencer import an_event

EACH = 4


@pytest.fixture(scope="module")
def ledger(
    server_url: Callable[[str], str], worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Original]:
    """Make the ledger that is copied."""
    name = f"orderledger_tampering_{worker_id}"
    with original(server_url, name, tmp_path_factory.mktemp("key")) as made:
        yield made


@pytest.fixture
def copy(ledger: Original) -> Iterator[Database]:
    """Copy the ledger."""
    with ledger.copy(f"{ledger.name}_copy") as database:
        yield database


def test_the_control_an_untouched_ledger_is_verified(ledger: Original, copy: Database) -> None:
    """Every event, block, checkpoint, statement and row is counted, and nothing is found."""
    signed = ledger.signer.last_signed()
    assert signed is not None
    with closing(Store(copy, signer=ledger.signer)) as store:
        verified = verify(store, signer=ledger.signer, processes=1)
        assert verified.ledger.findings == []
        assert verified.ledger.notices == []
        assert verified.is_sound
        assert (verified.ledger.size, verified.ledger.root) == store.tree.head() == signed
        assert (verified.ledger.checkpoints, len(verified.ledger.keys), verified.statements) == (4, 1, 3)
        assert verified.projected_position == verified.ledger.size
        assert (verified.credit_lines or 0) > 1_000


@pytest.mark.parametrize("seed", range(EACH * len(MANIPULATIONS)))
def test_a_manipulation_is_found_where_it_was_done(ledger: Original, seed: int) -> None:
    """By its seed: the kind, and everything about it."""
    assert missed(ledger, seed) == ""


def test_an_old_copy_put_back_is_found_by_what_the_signer_remembers(
    ledger: Original, copy: Database, tmp_path: Path
) -> None:
    """A backup of before is a sound ledger by itself; it is just not the one that was signed since."""
    folder = Path(shutil.copytree(ledger.signer.path.parent, tmp_path / "key"))
    signer = Signer(folder / ledger.signer.path.name)
    with closing(Store(copy, signer=signer)) as store:
        store.sequencer.append(Append([an_event("later")]))
        later = checkpoints.issue(store, actor="auditor")
    with ledger.copy(f"{ledger.name}_old") as old:
        assert findings(old, ledger.signer) == [], "the control: by itself it is sound"
        [finding] = findings(old, signer)
    assert (finding.part, finding.where) == ("kept checkpoint", "what the signing key signed last")
    assert f"{later.position} events were signed, the ledger has {later.size - 1}: 2 are missing" in finding.what


def test_a_checkpoint_that_a_witness_keeps_finds_a_history_that_was_written_anew(copy: Database) -> None:
    """Whoever has the key and the database can write another history; not one that what others keep is of."""
    with closing(Store(copy)) as store:
        kept = KeptCheckpoint("the auditor's", 100, store.tree.root_at(100))
        assert verify(store, [kept], processes=1).is_sound
        other = KeptCheckpoint("the auditor's", 100, store.tree.root_at(99))
        [finding] = verify(store, [other], processes=1).ledger.findings
        assert finding.what.startswith("the first 100 events are not those that were signed")


def test_rows_that_appear_twice_without_their_index_are_found(copy: Database, ledger: Original) -> None:
    """A superuser may take the unique indexes away first."""
    with without_triggers(copy) as cursor:
        cursor.execute("ALTER TABLE event DROP CONSTRAINT event_pkey, DROP CONSTRAINT event_source_event_id")
        cursor.execute("ALTER TABLE event DROP CONSTRAINT event_subject_version")
        cursor.execute("INSERT INTO event SELECT * FROM event WHERE position = 5")
    found = findings(copy, ledger.signer)
    assert {"position 5"} <= {finding.where for finding in found}
    assert any("there twice" in finding.what for finding in found)


def test_verifying_needs_no_more_than_the_service_may(copy: Database, ledger: Original) -> None:
    """The whole is done as the application, which may change nothing that is recorded."""
    with closing(copy.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user, has_table_privilege('event', 'UPDATE')")
        assert cursor.fetchone() == (APPLICATION, False)
    assert findings(copy, ledger.signer) == []


def test_what_protects_the_ledger_is_all_that_is_looked_for(copy: Database) -> None:
    """The tables and triggers that verifying knows are those that are there: a new one is added to them."""
    with copy.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname, tgtype::integer, tgfoid::regproc::text FROM pg_trigger"
            " WHERE NOT tgisinternal"
        )
        assert {tuple(row) for row in cursor.fetchall()} == PROTECTION
