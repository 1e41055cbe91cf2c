"""The checks of a bundle's proofs, in order: its files, its checkpoint, inclusion, consistency, its events.

Each takes the evidence and notes in a Check what holds and what does not. The checks of what the events mean are in
statements.py, views.py and agreement.py.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from verifier.bundle import CHECKPOINT, EVENTS, INCLUSION, KEYS, MANIFEST, Row, hashes, is_file_of_the_format
from verifier.documents import Event
from verifier.evidence import Evidence
from verifier.findings import Check, Malformed, shown
from verifier.merkle import is_consistent, is_included, roots
from verifier.notes import Checkpoint, parse_checkpoint, parse_note, signer
from verifier.source import chunks, open_source, read_small

NO_CHECKPOINT = "there is no readable checkpoint to check against"


def check_manifest(check: Check, evidence: Evidence) -> None:
    """The files are those that the manifest names, byte for byte."""
    bundle = evidence.bundle
    for problem in bundle.source.problems:
        check.malformed(problem, MANIFEST)
    if bundle.manifest is None:
        return
    named = bundle.manifest["files"]
    for name, told in named.items():
        if not is_file_of_the_format(name, bundle.manifest["views"]):
            check.fail(f"it names {shown(name)}, which is no file of a bundle with these views", MANIFEST)
        elif name not in bundle.source.sizes:
            check.fail("the manifest names it, but it is missing", shown(name))
        else:
            _check_file(check, evidence, name, told)
    for name in sorted(set(bundle.source.sizes) - set(named) - {MANIFEST, CHECKPOINT}):
        check.fail("the manifest does not name it: it is not of the bundle", shown(name))
    if bundle.is_whole and INCLUSION in named:
        check.fail("a bundle of the whole ledger has no proofs of inclusion", INCLUSION)
    if not check.failures:
        check.ok(f"{len(named)} files as named, {sum(told['bytes'] for told in named.values())} bytes")


def _check_file(check: Check, evidence: Evidence, name: str, told: dict[str, object]) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in chunks(evidence.bundle.source, name):
            digest.update(chunk)
            size += len(chunk)
    except Malformed as error:
        check.malformed(error, name)
        return
    if size != told["bytes"]:
        check.fail(f"it has {size} bytes, the manifest says {told['bytes']}", name)
    elif digest.hexdigest() != told["sha256"]:
        check.fail("its SHA-256 is not the one that the manifest says: it was changed", name)


def check_checkpoint(check: Check, evidence: Evidence) -> None:
    """The checkpoint is what the manifest says, and signed by a key that is trusted."""
    bundle, checkpoint = evidence.bundle, evidence.bundle.checkpoint
    for problem in evidence.keys.problems:
        check.malformed(problem, EVENTS)
    recorded = [event.data["vkey"] for event in evidence.events_of("signing_key.introduced")]
    if [row.values["vkey"] for row in bundle.keys] != recorded:
        check.fail(f"it does not name the {len(recorded)} keys that the events introduce, in their order", KEYS)
    if checkpoint is None:
        check.require(check.failures > 0, NO_CHECKPOINT, CHECKPOINT)
        return
    if manifest := bundle.manifest:
        if checkpoint.origin != manifest["origin"]:
            said = f"it is of {shown(checkpoint.origin)}, the manifest says {shown(manifest['origin'])}"
            check.fail(said, CHECKPOINT)
        if checkpoint.size != manifest["checkpoint_size"]:
            said = f"it is of size {checkpoint.size}, the manifest says {manifest['checkpoint_size']}"
            check.fail(said, CHECKPOINT)
    _check_signature(check, evidence, checkpoint)


def _check_signature(check: Check, evidence: Evidence, checkpoint: Checkpoint) -> None:
    try:
        key = evidence.signer(checkpoint)
    except Malformed as error:
        check.malformed(error, CHECKPOINT)
        return
    if key is None:
        names = ", ".join(f"{shown(name)}+{key_id.hex()}" for name, key_id, _ in checkpoint.note.signatures)
        given = ", ".join(f"{each.name}+{each.key_id.hex()}" for each in evidence.keys.trusted) or "none"
        check.fail(f"no trusted key signed it: it has signatures of {names}; trusted are {given}", CHECKPOINT)
    elif not check.failures:
        check.ok(
            f"size {checkpoint.size}, root {checkpoint.root.hex()}, signed by {key.name}+{key.key_id.hex()},"
            f" {evidence.keys.reason(key)}"
        )


def check_inclusion(check: Check, evidence: Evidence) -> None:
    """Every event is in the ledger at its position."""
    bundle, checkpoint = evidence.bundle, evidence.bundle.checkpoint
    for before, leaf in zip(bundle.leaves, bundle.leaves[1:], strict=False):
        if leaf.position <= before.position:
            check.fail(f"positions ascend, position {before.position} is before it", leaf.where)
    if checkpoint is None:
        check.fail(NO_CHECKPOINT, CHECKPOINT)
    elif bundle.is_whole:
        _check_all_leaves(check, evidence, checkpoint)
    else:
        _check_paths(check, evidence, checkpoint)


def _check_all_leaves(check: Check, evidence: Evidence, checkpoint: Checkpoint) -> None:
    leaves = evidence.bundle.leaves
    for at, leaf in enumerate(leaves, 1):
        if leaf.position != at:
            check.fail(f"position {at} is missing: the whole ledger has every position", leaf.where)
            return
    if len(leaves) != checkpoint.size:
        check.fail(f"there are {len(leaves)} events, the checkpoint is of {checkpoint.size}", EVENTS)
        return
    root = dict(roots((leaf.hash for leaf in leaves), {checkpoint.size}))[checkpoint.size]
    if root != checkpoint.root:
        said = f"the events have the root {root.hex()}, the checkpoint says {checkpoint.root.hex()}: some were changed"
        check.fail(said, EVENTS)
    elif not check.failures:
        check.ok(f"the {len(leaves)} events are the whole ledger: their root is the checkpoint's")


def _check_paths(check: Check, evidence: Evidence, checkpoint: Checkpoint) -> None:
    bundle = evidence.bundle
    proofs = {row.values["position"]: row for row in bundle.inclusion}
    if [row.values["position"] for row in bundle.inclusion] != [leaf.position for leaf in bundle.leaves]:
        check.fail(f"its positions are not those of {EVENTS}, line by line", INCLUSION)
    for leaf in bundle.leaves:
        row = proofs.get(leaf.position)
        if row is None:
            check.fail("there is no proof that it is in the ledger", leaf.where)
        elif not is_included(leaf.hash, leaf.position - 1, checkpoint.size, hashes(row), checkpoint.root):
            check.fail(f"the proof at {row.where} does not lead to the checkpoint's root: one was changed", leaf.where)
    if not check.failures:
        check.ok(f"{len(bundle.leaves)} events are in the ledger at their positions, by their audit paths")


def check_consistency(check: Check, evidence: Evidence) -> None:
    """The ledger begins with what every earlier checkpoint says."""
    checkpoint = evidence.bundle.checkpoint
    if checkpoint is None:
        check.fail(NO_CHECKPOINT, CHECKPOINT)
        return
    proofs = dict[int, Row]()
    for row in evidence.bundle.consistency:
        told = row.values
        known = proofs.setdefault(told["from"], row)
        check.require(known is row, f"there are two proofs from size {told['from']}", row.where)
        in_range = 0 < told["from"] <= told["to"] == checkpoint.size
        check.require(in_range, f"it is not of a proof to size {checkpoint.size}", row.where)
    recorded = list(_recorded_checkpoints(check, evidence))
    earlier = list(_earlier_checkpoints(check, evidence))
    for where, old in recorded:
        if evidence.bundle.is_whole and old.size not in proofs:
            check.fail(f"there is no proof of consistency from its size {old.size} on, as every bundle has", where)
    sizes = {old.size for _, old in (*recorded, *earlier)} | set(proofs)
    known_roots = dict(roots((leaf.hash for leaf in evidence.bundle.leaves), sizes)) if evidence.bundle.is_whole else {}
    consistent = [
        where
        for where, old in (*recorded, *earlier)
        if _check_old(check, (where, old), checkpoint, proofs, known_roots)
    ]
    for size, row in proofs.items():
        if size in known_roots:
            fits = is_consistent((size, known_roots[size]), (checkpoint.size, checkpoint.root), hashes(row))
            check.require(fits, f"the proof from size {size} does not fit the events", row.where)
    if not check.failures:
        check.ok(f"the ledger begins with what {_counted(len(recorded), 'recorded checkpoint')} in it say")
        for where, old in earlier:
            if where in consistent:
                check.ok(f"the ledger begins with the {old.size} events of it, unchanged", where)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _check_old(
    check: Check,
    told: tuple[str, Checkpoint],
    new: Checkpoint,
    proofs: dict[int, Row],
    known_roots: dict[int, bytes],
) -> bool:
    where, old = told
    if old.size > new.size:
        check.fail(f"it is of {old.size} events, the bundle's ledger has {new.size}: events were cut off since", where)
    elif old.size == new.size or old.size in known_roots:
        if old.root == (new.root if old.size == new.size else known_roots[old.size]):
            return True
        check.fail(f"its root of {old.size} events is another one: the ledger was changed since", where)
    elif old.size == 0:
        return True
    elif old.size not in proofs:
        remedy = "export the bundle again with that checkpoint named"
        check.fail(f"there is no proof of consistency from its size {old.size} on: {remedy}", where)
    elif is_consistent((old.size, old.root), (new.size, new.root), hashes(proofs[old.size])):
        return True
    else:
        proof = proofs[old.size].where
        check.fail(f"the proof at {proof} does not lead from its root to the bundle's: the ledger was changed", where)
    return False


def _recorded_checkpoints(check: Check, evidence: Evidence) -> Iterator[tuple[str, Checkpoint]]:
    """Give the checkpoints that events record, if they are what the events say."""
    for event in evidence.events_of("checkpoint.issued"):
        try:
            issued = parse_checkpoint(event.data["note"].encode())
            key = signer(issued.note, [*evidence.keys.trusted, *evidence.keys.recorded])
            bundle_origin = evidence.bundle.checkpoint.origin if evidence.bundle.checkpoint else issued.origin
            if (issued.size, issued.origin) != (event.data["size"], bundle_origin) or key is None:
                raise Malformed("its note is not of this ledger and size, or not signed by a key of the ledger")
            _check_root(event.data["root"], issued)
        except Malformed as error:
            check.malformed(error, event.where)
            continue
        check.require(issued.size < event.position, "it is of more events than were before it", event.where)
        yield event.where, issued


def _check_root(root: str, issued: Checkpoint) -> None:
    if issued.note.text.split("\n")[2] != root:
        raise Malformed("its note has another root")


def _earlier_checkpoints(check: Check, evidence: Evidence) -> Iterator[tuple[str, Checkpoint]]:
    """Give the checkpoints that the auditor brought, if they are signed by a trusted key."""
    for path in evidence.brought.earlier:
        where = shown(str(path))
        try:
            earlier = parse_checkpoint(_note_of(path))
            if evidence.bundle.checkpoint and earlier.origin != evidence.bundle.checkpoint.origin:
                raise Malformed(f"it is of another ledger, {shown(earlier.origin)}")
            if evidence.signer(earlier) is None:
                raise Malformed("no trusted key signed it: give the key of that time with --key too")
        except Malformed as error:
            check.fail(error.what, where)
            continue
        yield where, earlier


def _note_of(path: Path) -> bytes:
    """Read the checkpoint of a bundle, or a checkpoint alone."""
    if path.is_dir():
        return read_small(open_source(path), CHECKPOINT)
    if not path.is_file():
        raise Malformed("it is neither a folder nor a file")
    try:
        with path.open("rb") as file:
            start = file.read(4)
            if start != b"PK\x03\x04":
                return start + file.read(2**20)
    except OSError as error:
        raise Malformed(f"it can't be read: {error.strerror or error}") from error
    return read_small(open_source(path), CHECKPOINT)


def check_events(check: Check, evidence: Evidence) -> None:
    """The events fit each other: streams without gaps, time that does not run back, identities that are one."""
    events, manifest = evidence.bundle.events, evidence.bundle.manifest
    versions, identities = dict[str, int](), dict[tuple[str, str], int]()
    time = ""
    for event in events:
        expected = versions.get(event.subject, 0) + 1
        if event.version != expected:
            stream = shown(event.subject)
            check.fail(f"of {stream}, version {event.version} follows, not {expected}: one is missing", event.where)
        versions[event.subject] = event.version
        if (sortable := _sortable(event.time)) < time:
            check.fail(f"it was recorded at {event.time}, before the event before it", event.where)
        time = max(time, sortable)
        before = identities.setdefault((event.source, event.id), event.position)
        if before != event.position:
            check.fail(f"position {before} has the same source and id", event.where)
    opened = evidence.settings.get("name")
    if manifest and opened is not None and manifest["ledger"] != opened:
        check.fail(f"the ledger is {shown(opened)}, the manifest says {shown(manifest['ledger'])}", MANIFEST)
    _check_cosignatures(check, evidence)
    if not check.failures:
        check.ok(f"{len(events)} events of {_counted(len(versions), 'stream')}, each without a gap from its first on")


def _sortable(time: str) -> str:
    """Write an instant so that texts compare as instants do: with six decimals."""
    seconds, _, fraction = time.rstrip("Z").partition(".")
    return f"{seconds}.{fraction.ljust(6, '0')}"


def _check_cosignatures(check: Check, evidence: Evidence) -> None:
    """See that what a witness signed is a checkpoint of this ledger, and that the line is the witness's."""
    issued = dict[int, str]()
    for event in evidence.events_of("checkpoint.issued", "checkpoint.cosigned"):
        size = event.data["size"]
        if event.type == "checkpoint.issued":
            issued[size] = event.data["note"]
        elif size not in issued:
            check.fail(f"no checkpoint of size {size} was issued before it", event.where)
        else:
            _check_witness(check, event, issued[size])


def _check_witness(check: Check, event: Event, issued: str) -> None:
    try:
        cosigned = parse_note(f"{issued}{event.data['signature'].removesuffix(chr(10))}\n".encode())
    except Malformed as error:
        check.malformed(error, event.where)
        return
    named = cosigned.signatures[-1][0]
    if named != event.data["witness"]:
        check.fail(f"the signature is of {shown(named)}, not of {shown(event.data['witness'])}", event.where)
