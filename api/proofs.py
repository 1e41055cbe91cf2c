"""Proofs: the ledger's signed checkpoints, and that an event, or an older ledger, is in it; hashes are base64."""

import base64
from typing import Any

import msgspec
from flask import Response, request
from marshmallow import Schema, fields, validate
from msgspec import Struct

from api.access import READERS, allow, principal
from api.answers import answer
from api.bodies import read_body
from api.routes import Routes
from ledger import checkpoints
from ledger.checkpoints import Checkpoint
from ledger.events import Fact
from ledger.merkle import leaf_hash
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say

NOTE_TYPE = "text/plain"
_POSITION = validate.Range(min=1, max=2**63 - 1)


class CosignatureAnswer(Struct, frozen=True):
    """A witness's signature of a checkpoint: by which key, and the line below the note."""

    witness: str
    signature: str


class CheckpointAnswer(Struct, frozen=True):
    """The first `size` events have this Merkle root; `note` is that, signed. `position` is where it was recorded."""

    size: int
    root: str
    note: str
    position: int
    cosignatures: list[CosignatureAnswer]


class CheckpointsAnswer(Struct, frozen=True):
    """The keys that signed, first to current, and the checkpoints, oldest first."""

    vkeys: list[str]
    checkpoints: list[CheckpointAnswer]


class InclusionAnswer(Struct, frozen=True):
    """The audit path of an event's leaf in the tree of `size` events, from the leaf upwards (RFC 6962, 2.1.1)."""

    position: int
    leaf_index: int
    leaf_hash: str
    size: int
    root: str
    hashes: list[str]


class ConsistencyAnswer(Struct, frozen=True):
    """The proof that the older tree is the beginning of the newer one (RFC 6962, 2.1.2)."""

    old_size: int
    old_root: str
    size: int
    root: str
    hashes: list[str]


class Cosignature(Fact, frozen=True):
    """A checkpoint's note with a witness's cosignature below it, and the witness's vkey."""

    note: str
    witness: str


class CheckpointQuery(Schema):
    """Which checkpoint."""

    size = fields.Integer(validate=_POSITION, metadata={"description": "Of so many events; default: the last one."})


class InclusionQuery(Schema):
    """Which event, in which tree."""

    position = fields.Integer(required=True, validate=_POSITION, metadata={"description": "The event's position."})
    size = fields.Integer(
        validate=_POSITION,
        metadata={"description": "The tree of so many events; default: of the first checkpoint with the event in it."},
    )


class ConsistencyQuery(Schema):
    """Which trees."""

    old_size = fields.Integer(
        required=True, data_key="from", validate=_POSITION, metadata={"description": "Size of the older tree."}
    )
    size = fields.Integer(
        data_key="to", validate=_POSITION, metadata={"description": "Size of the newer one; default: all events."}
    )


_COSIGNATURE = msgspec.json.Decoder(Cosignature)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("proofs", __name__, description="Checkpoints and proofs: that nothing was edited or cut off.")
    _add_checkpoints(routes, store)
    _add_proofs(routes, store)
    return routes


def _add_checkpoints(routes: Routes, store: Store) -> None:
    @routes.get("/audit/checkpoint")
    @routes.query(CheckpointQuery)
    @routes.answers(200, CheckpointAnswer, "The checkpoint; with Accept: text/plain its note and cosignatures.")
    @allow(*READERS, "admin")
    def get_checkpoint(query: dict[str, Any]) -> Response:
        """Give a checkpoint, the last one unless a size is named; as text it is what witnesses cosign."""
        found = _checkpoint(store, query.get("size"))
        if request.accept_mimetypes.best_match(["application/json", NOTE_TYPE]) == NOTE_TYPE:
            return Response(_cosigned(store, found), mimetype=NOTE_TYPE)
        return answer(_checkpoint_answer(store, found))

    @routes.get("/audit/checkpoints")
    @routes.answers(200, CheckpointsAnswer)
    @allow(*READERS, "admin")
    def get_checkpoints() -> Response:
        """List the checkpoints, and the keys that sign them."""
        found = [_checkpoint_answer(store, each) for each in checkpoints.recorded_checkpoints(store)]
        return answer(CheckpointsAnswer(checkpoints.verifier_keys(store), found))

    @routes.post("/audit/checkpoints")
    @routes.answers(201, CheckpointAnswer, "Signed and recorded.")
    @allow("approver", "finance", "admin")
    def post_checkpoint() -> Response:
        """Sign the ledger as it is now, and record that; the last checkpoint where nothing came since."""
        return answer(_checkpoint_answer(store, checkpoints.issue(store, actor=principal())), 201)

    @routes.post("/audit/checkpoints/<int:size>/cosignatures")
    @routes.takes(Cosignature)
    @routes.answers(201, CheckpointAnswer, "Recorded.")
    @allow("auditor", "admin")
    def post_cosignature(size: int) -> Response:
        """Record a witness's cosignature of a checkpoint (C2SP tlog-cosignature)."""
        given = read_body(_COSIGNATURE)
        found = _checkpoint(store, size)
        checkpoints.cosign(store, found, given.note, given.witness, actor=principal())
        return answer(_checkpoint_answer(store, found), 201)


def _add_proofs(routes: Routes, store: Store) -> None:
    @routes.get("/audit/proofs/inclusion")
    @routes.query(InclusionQuery)
    @routes.answers(200, InclusionAnswer)
    @allow(*READERS)
    def get_inclusion(query: dict[str, Any]) -> Response:
        """Prove that an event is in the ledger, as its checkpoint says."""
        position: int = query["position"]
        size = _size(store, query.get("size") or _covering(store, position), "/size")
        if position > size:
            sentence = say(
                "the event at {position} is not among the first {size}: ask for a larger size",
                position=position,
                size=size,
            )
            raise Refusal.of(Code.invalid_parameter, sentence, "/position")
        (document,) = store.documents(position - 1, 1)
        return answer(
            InclusionAnswer(
                position=position,
                leaf_index=position - 1,
                leaf_hash=_text(leaf_hash(document.state.encode())),
                size=size,
                root=_text(store.tree.root_at(size)),
                hashes=list(map(_text, store.tree.inclusion_proof(position, size))),
            )
        )

    @routes.get("/audit/proofs/consistency")
    @routes.query(ConsistencyQuery)
    @routes.answers(200, ConsistencyAnswer)
    @allow(*READERS)
    def get_consistency(query: dict[str, Any]) -> Response:
        """Prove that an older ledger is the beginning of a newer one."""
        size = _size(store, query.get("size"), "/to")
        old_size: int = query["old_size"]
        if old_size > size:
            sentence = say(
                "{old_size} events are more than {size}: name the older size first", old_size=old_size, size=size
            )
            raise Refusal.of(Code.invalid_parameter, sentence, "/from")
        tree = store.tree
        roots = _text(tree.root_at(old_size)), _text(tree.root_at(size))
        hashes = list(map(_text, tree.consistency_proof(old_size, size)))
        return answer(ConsistencyAnswer(old_size, roots[0], size, roots[1], hashes))


def _checkpoint(store: Store, size: int | None) -> Checkpoint:
    """Give a recorded checkpoint, the last one unless a size is named. Errors: Refusal (checkpoint_not_found)."""
    found = [each for each in checkpoints.recorded_checkpoints(store) if size in (None, each.size)]
    if not found:
        sentence = (
            say("no checkpoint was issued yet")
            if size is None
            else say("no checkpoint of {size} events was issued", size=size)
        )
        raise Refusal.of(Code.checkpoint_not_found, sentence)
    return found[-1]


def _covering(store: Store, position: int) -> int | None:
    """Give the size of the first checkpoint that has an event in it."""
    sizes = [each.size for each in checkpoints.recorded_checkpoints(store)]
    return min((size for size in sizes if size >= position), default=None)


def _size(store: Store, asked: int | None, pointer: str) -> int:
    """Give the size that is asked for, that of the whole ledger where none is. Errors: Refusal (not_yet_projected)."""
    head = store.head()
    if asked is not None and asked > head:
        raise Refusal.of(
            Code.invalid_parameter, say("the ledger has {head} events, not {asked}", head=head, asked=asked), pointer
        )
    return head if asked is None else asked


def _checkpoint_answer(store: Store, found: Checkpoint) -> CheckpointAnswer:
    given = [CosignatureAnswer(each.witness, each.signature) for each in checkpoints.cosignatures(store, found.size)]
    return CheckpointAnswer(found.size, _text(found.root), found.note, found.position, given)


def _cosigned(store: Store, found: Checkpoint) -> str:
    return found.note + "".join(f"{each.signature}\n" for each in checkpoints.cosignatures(store, found.size))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
