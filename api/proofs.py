"""Proofs: the ledger's signed checkpoints, and that an event, or an older ledger, is in it; hashes are base64."""

import base64
from typing import Any

import msgspec
from flask import Response, g, request
from marshmallow import Schema, fields, validate

from api.access import READERS, allow, principal
from api.answers import answer
from api.bodies import read_body
from api.idempotency import asked_store, keyed, keyed_store
from api.queries import DryRunQuery
from api.routes import Routes
from api.shapes import (
    CheckpointAnswer,
    CheckpointPreview,
    CheckpointsAnswer,
    ConsistencyAnswer,
    Cosignature,
    CosignatureAnswer,
    InclusionAnswer,
)
from ledger import checkpoints
from ledger.checkpoints import Checkpoint
from ledger.events import CheckpointCosigned, CheckpointIssued
from ledger.merkle import leaf_hash
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say

NOTE_TYPE = "text/plain"
_POSITION = validate.Range(min=1, max=2**63 - 1)


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


_SIGNING = (Code.signing_key_missing, Code.signing_key_unknown, Code.ledger_inconsistent)
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
    @routes.may_answer(NOTE_TYPE)
    @routes.tells_header("Vary")
    @routes.refuses(Code.checkpoint_not_found)
    @allow(*READERS, "admin")
    def get_checkpoint(query: dict[str, Any]) -> Response:
        """Give a checkpoint, the last one unless a size is named; as text it is what witnesses cosign."""
        found = _checkpoint(store, query.get("size"))
        g.is_chosen_by_accept = True
        if request.accept_mimetypes.best_match(["application/json", NOTE_TYPE]) == NOTE_TYPE:
            return Response(_cosigned(store, found), mimetype=NOTE_TYPE)
        return answer(checkpoint_answer(store, found))

    @routes.get("/audit/checkpoints")
    @routes.answers(200, CheckpointsAnswer)
    @allow(*READERS, "admin")
    def get_checkpoints() -> Response:
        """List the checkpoints, and the keys that sign them."""
        found = [checkpoint_answer(store, each) for each in checkpoints.recorded_checkpoints(store)]
        return answer(CheckpointsAnswer(checkpoints.verifier_keys(store), found))

    @routes.post("/audit/checkpoints")
    @routes.query(DryRunQuery)
    @routes.answers(200, CheckpointPreview, "A dry run: it could be signed.")
    @routes.answers(201, CheckpointAnswer, "Signed and recorded.")
    @routes.refuses(*_SIGNING)
    @routes.leads_to(201, "get_checkpoint", size="$response.body#/size")
    @routes.leads_to(201, "get_inclusion", position="$response.body#/size")
    @routes.leads_to(201, "post_cosignature", size="$response.body#/size")
    @keyed(store, lambda position: _told_again(store, position))
    @allow("approver", "finance", "admin")
    def post_checkpoint(query: dict[str, Any]) -> Response:
        """Sign the ledger as it is now, and record that; the last checkpoint where nothing came since."""
        if query["dry_run"]:
            size, root = checkpoints.signable(store)
            return answer(CheckpointPreview(size, _text(root)))
        return answer(checkpoint_answer(store, checkpoints.issue(keyed_store(store), actor=principal())), 201)

    @routes.post("/audit/checkpoints/<int:size>/cosignatures")
    @routes.takes(Cosignature)
    @routes.query(DryRunQuery)
    @routes.answers(200, CheckpointAnswer, "A dry run: it could be recorded.")
    @routes.answers(201, CheckpointAnswer, "Recorded.")
    @routes.refuses(Code.checkpoint_not_found, Code.invalid_note)
    @keyed(store, lambda position: _told_again(store, position))
    @allow("auditor", "admin")
    def post_cosignature(query: dict[str, Any], size: int) -> Response:
        """Record a witness's cosignature of a checkpoint (C2SP tlog-cosignature)."""
        given = read_body(_COSIGNATURE)
        found = _checkpoint(store, size)
        ledger = asked_store(store, query)
        checkpoints.cosign(ledger, found, given.note, given.witness, actor=principal())
        return answer(checkpoint_answer(store, found), 200 if query["dry_run"] else 201)


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


def _told_again(store: Store, position: int) -> Response:
    """Tell the checkpoint that was recorded, or cosigned, at a position."""
    (event,) = store.recorded_at_positions([position])
    assert isinstance(event.data, CheckpointIssued | CheckpointCosigned), "the key is of a checkpoint"
    return answer(checkpoint_answer(store, _checkpoint(store, event.data.size)), 201)


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


def checkpoint_answer(store: Store, found: Checkpoint) -> CheckpointAnswer:
    """Tell a checkpoint with its cosignatures."""
    given = [CosignatureAnswer(each.witness, each.signature) for each in checkpoints.cosignatures(store, found.size)]
    return CheckpointAnswer(found.size, _text(found.root), found.note, found.position, given)


def _cosigned(store: Store, found: Checkpoint) -> str:
    return found.note + "".join(f"{each.signature}\n" for each in checkpoints.cosignatures(store, found.size))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
