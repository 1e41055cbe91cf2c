"""Whatever is done to the database behind the ledger's back is found where it was done; `make soak` does 2,000 more."""

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from ledger.database import Database
from ledger.signing import Signer
from ledger.store import Store
from ledger.verification import KeptCheckpoint
from projections.verification import verify
from tests.tampering import MANIPULATIONS, Original, findings, missed, original, without_triggers

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
        verified = verify(store, [KeptCheckpoint("what was signed last", *signed)], processes=1)
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


def test_an_old_copy_put_back_is_found_by_what_the_signer_remembers(ledger: Original, copy: Database) -> None:
    """A backup of before is a sound ledger by itself; it is just not the one that was signed since."""
    with closing(Store(copy, signer=ledger.signer)) as store:
        before = ledger.signer.memory.read_text(encoding="utf-8")
        assert findings(copy, ledger.signer) == []
        size, root = store.tree.head()
        later = Signer(ledger.signer.path.with_name("later"))
        later.memory.write_text(before.replace(f"\n{size}\n", f"\n{size + 5}\n"), encoding="utf-8")
        [finding] = findings(copy, later)
        assert (finding.part, "5 are missing" in finding.what) == ("kept checkpoint", True)
        assert root


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
    """The whole is done as the application, which changes nothing that is recorded."""
    with closing(psycopg2.connect(make_dsn(copy.url, options="-c role=orderledger_app"))) as connection:
        assert connection.info.options
    assert findings(copy, ledger.signer) == []
