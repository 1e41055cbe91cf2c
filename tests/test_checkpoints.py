"""Checkpoints: signed and recorded, at every close and on request; the signer signs nothing that was tampered with."""

import base64
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import checkpoints
from ledger.database import Database
from ledger.events import LedgerOpened, SigningKeyIntroduced
from ledger.notes import VerifierKey, read_checkpoint, read_note, read_verifier_key
from ledger.refusal import Code, Refusal
from ledger.sequencer import Append
from ledger.settings import open_ledger
from ledger.signing import Signer
from ledger.store import Store
from projections.closing import close
from projections.projector import Projector
from tests.http_client import Service, refused, serving
from tests.tampering import Tamperer, without_triggers
from tests.test_sequencer import an_event
from verifier.merkle import is_consistent, is_included


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """Give a signer without a key."""
    return Signer(tmp_path / "signing-key")


@pytest.fixture
def store(database: Database, signer: Signer) -> Iterator[Store]:
    """Give a ledger that was opened with a key, and has three events more."""
    store = Store(database, signer=signer)
    open_ledger(store, LedgerOpened("Sales"), actor="admin", origin="ledger.example/sales")
    store.sequencer.append(Append([an_event(f"e{number}") for number in (1, 2, 3)]))
    yield store
    store.close()


@pytest.fixture
def service(database: Database, signer: Signer) -> Iterator[Service]:
    """Serve a ledger that has a key."""
    key = signer.create_key("ledger.example/sales")
    with serving(database, signer.path) as service:
        checkpoints.introduce_key(service.app.store, key, actor="admin")
        service.define(standard="1")
        yield service


def tamper(store: Store, statement: str) -> None:
    """Change the ledger as a superuser can who takes the triggers away."""
    with without_triggers(store.database) as cursor:
        cursor.execute(statement)


def witnessed(note: str) -> tuple[str, str]:
    """Cosign a checkpoint; give the note with the cosignature, and the witness's key."""
    private = Ed25519PrivateKey.generate()
    key = VerifierKey("witness.example/w1", private.public_key().public_bytes_raw(), is_witness=True)
    signature = private.sign(f"cosignature/v1\ntime 1700000000\n{read_note(note).text}".encode())
    line = base64.b64encode(key.id + (1_700_000_000).to_bytes(8, "big") + signature).decode()
    return f"{note}— {key.name} {line}\n", str(key)


def issued_over_http(service: Service) -> Any:
    """Have a checkpoint issued."""
    answer = service.post("/v1/audit/checkpoints", {}, "finance")
    assert answer.status_code == 201
    return answer.json


# ---- issuing


def test_opening_makes_a_key_outside_the_database_and_records_its_public_half(store: Store, signer: Signer) -> None:
    """The key's file is for its owner alone."""
    assert signer.path.stat().st_mode & 0o777 == 0o600
    assert checkpoints.verifier_keys(store) == [str(signer.key.verifier)]
    [introduced] = store.stream(checkpoints.KEYS_SUBJECT)
    assert introduced.data == SigningKeyIntroduced(str(signer.key.verifier))
    assert introduced.position == 2


def test_a_checkpoint_is_the_ledgers_size_and_root_signed_and_recorded(store: Store, signer: Signer) -> None:
    issued = checkpoints.issue(store, actor="fin")
    note = read_note(issued.note)
    assert note.is_signed_by(read_verifier_key(checkpoints.verifier_keys(store)[0]))
    assert read_checkpoint(note.text) == ("ledger.example/sales", 5, store.tree.root_at(5))
    assert checkpoints.recorded_checkpoints(store) == [issued]
    assert issued.position == 6
    assert signer.last_signed() == (6, store.tree.root_at(6))


def test_where_nothing_came_since_the_last_checkpoint_it_is_given_again(store: Store) -> None:
    issued = checkpoints.issue(store, actor="fin")
    assert checkpoints.issue(store, actor="other") == issued
    store.sequencer.append(Append([an_event("e4")]))
    assert checkpoints.issue(store, actor="other").size == 7


def test_every_close_issues_a_checkpoint_of_itself(database: Database, signer: Signer) -> None:
    store = Store(database, signer=signer)
    open_ledger(store, LedgerOpened("Sales"), actor="admin")
    Projector(database).catch_up()
    resolved = close(store, "2024-Q1", "over", actor="fin")
    [issued] = checkpoints.recorded_checkpoints(store)
    assert issued.size == resolved.booked.position
    assert issued.position == issued.size + 1
    store.close()


def test_a_ledger_without_a_signer_is_closed_without_a_checkpoint(database: Database) -> None:
    store = Store(database)
    open_ledger(store, LedgerOpened("Sales"), actor="admin")
    Projector(database).catch_up()
    close(store, "2024-Q1", "over", actor="fin")
    assert checkpoints.recorded_checkpoints(store) == []
    with pytest.raises(Refusal) as refusal:
        checkpoints.issue(store, actor="fin")
    assert refusal.value.code is Code.signing_key_missing
    store.close()


# ---- the key


def test_a_rotation_is_recorded_and_endorsed_by_the_key_before(store: Store, signer: Signer) -> None:
    old = signer.key.verifier
    new = checkpoints.rotate_key(store, actor="admin")
    assert signer.key == new
    assert checkpoints.verifier_keys(store) == [str(old), str(new.verifier)]
    introduced = store.stream(checkpoints.KEYS_SUBJECT)[1].data
    assert isinstance(introduced, SigningKeyIntroduced)
    assert checkpoints.is_endorsed(introduced, old)
    assert not checkpoints.is_endorsed(introduced, new.verifier)
    assert read_note(checkpoints.issue(store, actor="fin").note).is_signed_by(new.verifier)


def test_an_interrupted_rotation_is_finished(store: Store, signer: Signer) -> None:
    """The new key is written first, then recorded, then used: wherever it ends, the next try goes on."""
    begun, before = signer.next_key(), signer.key
    checkpoints.introduce_key(store, begun, actor="admin", endorsed_by=before)
    assert checkpoints.rotate_key(store, actor="admin") == begun == signer.key
    assert len(checkpoints.verifier_keys(store)) == 2


def test_a_key_is_not_made_over_another_one(store: Store, signer: Signer) -> None:
    checkpoints.issue(store, actor="fin")
    for is_lost in (False, True):
        if is_lost:
            signer.path.unlink()
        with pytest.raises(Refusal) as refusal:
            signer.create_key("another")
        assert refusal.value.code is Code.signing_key_exists


def test_a_bad_origin_leaves_neither_key_nor_ledger(database: Database, signer: Signer) -> None:
    store = Store(database, signer=signer)
    with pytest.raises(Refusal) as refusal:
        open_ledger(store, LedgerOpened("Sales"), actor="admin", origin="two words")
    assert (refusal.value.code, refusal.value.problems[0].pointer) == (Code.invalid_value, "/origin")
    assert store.head() == 0
    assert not signer.has_key
    store.close()


def test_a_file_that_is_no_key_is_told_without_its_text(store: Store, signer: Signer) -> None:
    signer.path.write_text("PRIVATE+KEY+secret", encoding="utf-8")
    with pytest.raises(Refusal) as refusal:
        checkpoints.issue(store, actor="fin")
    assert refusal.value.code is Code.signing_key_missing
    assert "secret" not in str(refusal.value)


def test_a_key_signs_only_while_it_is_the_last_that_was_introduced(store: Store, signer: Signer) -> None:
    old = signer.path.read_text(encoding="utf-8")
    checkpoints.rotate_key(store, actor="admin")
    signer.path.write_text(old, encoding="utf-8")
    with pytest.raises(Refusal) as refusal:
        checkpoints.issue(store, actor="fin")
    assert refusal.value.code is Code.signing_key_unknown


# ---- a ledger that is not the one that was signed

REMOVE_THE_LAST = (
    "DELETE FROM event WHERE position = (SELECT max(position) FROM event);UPDATE head SET position = position - 1"
)


@pytest.mark.parametrize(
    "manipulation",
    [
        "UPDATE event SET state = replace(state, 'special', 'standard') WHERE position = 4",
        REMOVE_THE_LAST,
        "UPDATE head SET root = sha256('x')",
    ],
)
def test_nothing_is_signed_that_was_changed(store: Store, manipulation: str) -> None:
    checkpoints.issue(store, actor="fin")
    tamper(store, manipulation)
    with pytest.raises(Refusal) as refusal:
        checkpoints.issue(store, actor="fin")
    assert refusal.value.code is Code.ledger_inconsistent


def test_an_old_copy_put_back_is_not_signed(store: Store) -> None:
    """The old copy is a ledger in order, with a head and blocks that fit; the signer has seen a longer one."""
    old = checkpoints.issue(store, actor="fin")
    store.sequencer.append(Append([an_event("e4")]))
    checkpoints.issue(store, actor="fin")
    with without_triggers(store.database) as cursor:
        cursor.execute("DELETE FROM event WHERE position > %s", (old.position,))
        Tamperer(cursor, Random(0)).fit_tree()  # noqa: S311 - nothing is drawn
    assert store.tree.head() == (old.position, store.tree.root_at(old.position)), "the control: it fits"
    with pytest.raises(Refusal, match="the ledger has 6 events, but 8 were signed: 2 are missing") as refusal:
        checkpoints.issue(store, actor="fin")
    assert refusal.value.code is Code.ledger_inconsistent


def test_a_close_that_cant_be_signed_says_that_it_is_recorded(database: Database, signer: Signer) -> None:
    store = Store(database, signer=signer)
    open_ledger(store, LedgerOpened("Sales"), actor="admin")
    Projector(database).catch_up()
    tamper(store, "UPDATE event SET state = replace(state, 'Sales', 'Salez') WHERE position = 1")
    with pytest.raises(Refusal, match="it is recorded, at position 3, but the ledger could not be signed") as refusal:
        close(store, "2024-Q1", "over", actor="fin")
    assert refusal.value.code is Code.ledger_inconsistent
    assert store.closings().last_closed == "2024-Q1"
    store.close()


# ---- over HTTP


def test_a_witness_fetches_a_checkpoint_and_its_cosignature_is_recorded_once(service: Service) -> None:
    issued = issued_over_http(service)
    text = service.ask("GET", "/v1/audit/checkpoint", "auditor", headers={"Accept": "text/plain"})
    assert (text.mimetype, text.text) == ("text/plain", issued["note"])
    note, witness = witnessed(text.text)
    for _ in range(2):
        answer = service.post(
            f"/v1/audit/checkpoints/{issued['size']}/cosignatures", {"note": note, "witness": witness}, "auditor"
        )
        assert answer.status_code == 201
        cosigned: Any = answer.json
        assert [each["witness"] for each in cosigned["cosignatures"]] == [witness]
    assert service.app.store.stream(checkpoints.SUBJECT)[-1].actor == "auditor-clerk"
    assert service.ask("GET", "/v1/audit/checkpoint", "auditor", headers={"Accept": "text/plain"}).text == note
    assert service.get("/v1/audit/checkpoints")["checkpoints"] == [cosigned]


def test_a_cosignature_that_does_not_hold_is_not_recorded(service: Service) -> None:
    issued = issued_over_http(service)
    address = f"/v1/audit/checkpoints/{issued['size']}/cosignatures"
    note, witness = witnessed(issued["note"])
    before = service.trace()
    for wrong in (
        {"note": issued["note"], "witness": witness},
        {"note": note.replace(f"\n{issued['size']}\n", "\n1\n"), "witness": witness},
        {"note": note, "witness": witnessed(issued["note"])[1]},
        {"note": note, "witness": service.get("/v1/audit/checkpoints")["vkeys"] or "x"},
        {"note": "", "witness": witness},
    ):
        given = {**wrong, "witness": wrong["witness"] if isinstance(wrong["witness"], str) else wrong["witness"][0]}
        refused(service.post(address, given, "auditor"), Code.invalid_note)
    refused(service.post("/v1/audit/checkpoints/7777/cosignatures", given, "auditor"), Code.checkpoint_not_found)
    assert service.trace() == before


def test_proofs_over_http_lead_to_the_checkpoint(service: Service) -> None:
    """Inclusion in the first checkpoint that has the event; consistency with the whole ledger."""
    issued = issued_over_http(service)
    service.define(sample="0")
    proof = service.get("/v1/audit/proofs/inclusion", position=1)
    hashes = list(map(base64.b64decode, proof["hashes"]))
    assert (proof["size"], proof["root"]) == (issued["size"], issued["root"])
    leaf, root = base64.b64decode(proof["leaf_hash"]), base64.b64decode(issued["root"])
    assert is_included(leaf, proof["leaf_index"], proof["size"], hashes, root)
    proof = service.get("/v1/audit/proofs/consistency", **{"from": issued["size"]})
    hashes = list(map(base64.b64decode, proof["hashes"]))
    old = issued["size"], base64.b64decode(proof["old_root"])
    assert proof["old_root"] == issued["root"]
    assert is_consistent(old, (proof["size"], base64.b64decode(proof["root"])), hashes)


def test_without_a_key_the_service_says_so(database: Database) -> None:
    with serving(database) as service:
        refused(service.post("/v1/audit/checkpoints", {}, "finance"), Code.signing_key_missing)
        refused(service.ask("GET", "/v1/audit/checkpoint", "auditor"), Code.checkpoint_not_found)


def test_dates_of_the_ledgers_zone(store: Store) -> None:
    """A checkpoint's effective date is the business day it was issued on."""
    checkpoints.issue(store, actor="fin")
    assert store.stream(checkpoints.SUBJECT)[0].effective_on == store.today() >= date(2026, 1, 1)
