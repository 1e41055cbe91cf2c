"""The commands about proof: key, checkpoint, verify; what they print and with which exit status."""

import json
import os
from pathlib import Path

import pytest
from psycopg2.errors import InsufficientPrivilege, RestrictViolation

from api.commands import actor
from ledger import verification_log
from ledger.database import Database
from ledger.notes import SigningKey, checkpoint_text, read_checkpoint, read_note, read_verifier_key
from ledger.store import Store
from tests.tampering import without_triggers
from tests.test_cli import CommandLine


@pytest.fixture
def ledger(database: Database, tmp_path: Path) -> CommandLine:
    """Give the commands on a ledger that was initialised."""
    commands = CommandLine(database.url, tmp_path)
    commands.done("init", "--origin", "ledger.example/sales", "--no-four-eyes")
    commands.done("rules", "define", "standard", "--share", "1", "--reason", "as agreed")
    commands.done("performance", "FY2026")  # so that there is a projection
    return commands


def vkeys(ledger: CommandLine) -> list[str]:
    """List the public keys."""
    return [row["vkey"] for row in json.loads(ledger.done("key", "list", "--format", "json"))]


def test_a_checkpoint_is_printed_and_kept_in_a_file(ledger: CommandLine, database: Database, tmp_path: Path) -> None:
    """What is printed is the signed note, byte by byte, for whoever keeps it."""
    path = tmp_path / "kept"
    printed = ledger.done("checkpoint", "--output", str(path))
    assert path.read_text(encoding="utf-8") == printed
    note = read_note(printed)
    assert note.is_signed_by(read_verifier_key(vkeys(ledger)[0]))
    _, size, root = read_checkpoint(note.text)
    store = Store(database)
    assert store.tree.root_at(size) == root
    store.close()


def test_a_sound_ledger_is_verified(ledger: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    ledger.done("checkpoint", "--output", str(path))
    told = ledger.done("verify", "--processes", "1", "--checkpoint", str(path))
    assert told.startswith("verified: 5 events, root ")
    document = json.loads(ledger.done("verify", "--processes", "1", "--format", "json"))
    assert (document["sound"], document["size"], document["checkpoints"]) == (True, 5, 1)
    assert document["vkeys"] == vkeys(ledger)


def test_what_is_wrong_is_told_and_the_exit_status_is_1(ledger: CommandLine, database: Database) -> None:
    with without_triggers(database) as cursor:
        cursor.execute("UPDATE event SET event_id = 'another' WHERE position = 3")
    result = ledger.run("verify", "--processes", "1")
    assert result.exit_code == 1
    assert "FAILED event, position 3: the column event_id says another, the document " in result.stdout
    assert result.stdout.splitlines()[-1].startswith("1 findings: ")
    document = json.loads(ledger.run("verify", "--processes", "1", "--format", "json").stdout)
    assert [(found["part"], found["where"]) for found in document["findings"]] == [("event", "position 3")]


def verdicts(database: Database) -> list[tuple[object, ...]]:
    """List what was noted of verifications: events, findings and who it was."""
    with database.cursor() as cursor:
        cursor.execute("SELECT size, findings, principal FROM verification ORDER BY number")
        return cursor.fetchall()


def test_each_verdict_is_noted_and_stays(ledger: CommandLine, database: Database) -> None:
    """The service acts as the role that can add one and take none back; what was bad is noted as well."""
    ledger.done("verify", "--processes", "1")
    with without_triggers(database) as cursor:
        cursor.execute("UPDATE event SET event_id = 'another' WHERE position = 3")
    ledger.run("verify", "--processes", "1")
    assert verdicts(database) == [(4, 0, actor()), (4, 1, actor())]
    with database.cursor() as cursor:
        last = verification_log.last(cursor)
        assert last is not None
        assert not last.is_sound
        for change in ("UPDATE verification SET findings = 0", "DELETE FROM verification", "TRUNCATE verification"):
            with pytest.raises(InsufficientPrivilege):
                cursor.execute(change)
    with database.administration() as cursor, pytest.raises(RestrictViolation):
        cursor.execute("UPDATE verification SET findings = 0")


def test_a_verdict_that_cannot_be_noted_is_told_all_the_same(ledger: CommandLine, database: Database) -> None:
    with database.administration() as cursor:
        cursor.execute("REVOKE INSERT ON verification FROM orderledger_app")
    result = ledger.run("verify", "--processes", "1")
    assert (result.exit_code, result.stdout.splitlines()[-1][:9]) == (0, "verified:")
    assert "the verdict can't be noted for the service: " in result.stderr


def test_a_kept_checkpoint_of_more_events_tells_how_many_are_missing(ledger: CommandLine, database: Database) -> None:
    """What the signing key signed last is held against the ledger without being asked for."""
    ledger.done("checkpoint")
    with without_triggers(database) as cursor:
        cursor.execute("DELETE FROM event WHERE position = 5")
    result = ledger.run("verify", "--processes", "1")
    assert result.exit_code == 1
    assert "5 events were signed, the ledger has 4: 1 are missing at its end" in result.stdout


def test_a_checkpoint_that_another_key_signed_is_held_against_the_ledger(ledger: CommandLine, tmp_path: Path) -> None:
    """Its size and root are evidence whoever signed it; that it is nobody's of this ledger is told."""
    path = tmp_path / "other"
    path.write_text(SigningKey("x", bytes(32)).sign(checkpoint_text("x", 9, bytes(32))), encoding="utf-8")
    result = ledger.run("verify", "--processes", "1", "--checkpoint", str(path))
    assert result.exit_code == 1
    assert "9 events were signed, the ledger has 4" in result.stdout
    assert "kept checkpoint, other: no key that the ledger tells of has signed it" in result.stdout


def test_a_checkpoint_that_cant_be_written_is_not_issued(ledger: CommandLine, database: Database) -> None:
    before = Store(database)
    size = before.head()
    result = ledger.run("checkpoint", "--output", "/nowhere/kept")
    assert (result.exit_code, "can't be written" in result.stderr) == (2, True)
    assert before.head() == size
    before.close()


def test_what_the_key_signed_last_is_missed(ledger: CommandLine, tmp_path: Path) -> None:
    """Without it nothing is signed any more, and verifying says what was not compared."""
    ledger.done("checkpoint")
    memory = tmp_path / "data" / "signing-key.checkpoint"
    for spoil in (lambda: memory.write_bytes(b"\xff"), lambda: os.mkfifo(memory)):
        memory.unlink()
        spoil()
        result = ledger.run("verify", "--processes", "1")
        assert (result.exit_code, "FAILED signing key, its memory: " in result.stdout) == (1, True)
    memory.unlink()
    assert "ledger_inconsistent" in ledger.run("checkpoint").stderr
    assert "note: nothing kept outside the database was compared" in ledger.done("verify", "--processes", "1")


def test_a_key_that_the_ledger_was_not_told_of_signs_nothing(ledger: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "data" / "signing-key"
    old = path.read_text(encoding="utf-8")
    ledger.done("key", "rotate")
    path.write_text(old, encoding="utf-8")
    assert "signing_key_unknown" in ledger.run("checkpoint").stderr
    assert "is not the key that the ledger was told of last" in ledger.run("verify", "--processes", "1").stdout
    path.unlink()
    path.mkdir()
    assert "FAILED signing key, its file: " in ledger.run("verify", "--processes", "1").stdout


def test_a_file_that_is_no_checkpoint_of_this_ledger_is_refused(ledger: CommandLine, tmp_path: Path) -> None:
    for name, text in (("empty", ""), ("other", "other\n1\nAAAA\n\n— other AAAAAAAAAAAA\n"), ("bytes", "\udc80")):
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        result = ledger.run("verify", "--checkpoint", str(path))
        assert result.exit_code == 1
        assert f"invalid_note: {name} is not a checkpoint: " in result.stderr


def test_a_key_is_rotated_and_both_are_listed(ledger: CommandLine) -> None:
    [first] = vkeys(ledger)
    second = ledger.done("key", "rotate").strip()
    assert vkeys(ledger) == [first, second]
    rows = json.loads(ledger.done("key", "list", "--format", "json"))
    assert [row["endorsed"] for row in rows] == [False, True]
    ledger.done("checkpoint")
    assert ledger.done("verify", "--processes", "1").startswith("verified: ")


def test_a_lost_key_is_replaced_and_verifying_says_so(ledger: CommandLine, tmp_path: Path) -> None:
    """Nobody endorses the new one: that is nothing wrong, but to be asked about."""
    assert "signing_key_exists" in ledger.run("key", "create").stderr
    for path in (tmp_path / "data").glob("signing-key*"):
        path.unlink()
    assert "signing_key_missing" in ledger.run("checkpoint").stderr
    ledger.done("key", "create", "--origin", "ledger.example/sales")
    ledger.done("checkpoint")
    told = ledger.done("verify", "--processes", "1")
    assert told.startswith("note: the key of position 5 is not endorsed by the one before")
