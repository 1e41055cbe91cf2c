"""Bundles for the verifier's tests, made from a real ledger by code of the tests alone: proofs, signatures and all.

`sealed` takes a ledger's documents and appends what the ledger records of its keys and checkpoints; `write_bundle`
writes a bundle of them. Credit lines and rules are the projection's and the ledger's, so that the verifier's own
recomputation is held against them.
Source: docs/bundle.md.
"""

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import statements
from ledger.events import Conditions
from ledger.periods import Period
from ledger.store import Store
from projections.performance import performance, reading
from tests.oracle import ATTRIBUTES, world

ORIGIN = "ledger.example/life"
_LINES = """
SELECT l.position, l.seq, substr(placed.subject, 7), l.line_no, salesperson.value, l.ordered_on, l.credited_on,
       order_type.value, customer.value, product.value, category.value, currency.value, l.quantity, l.amount
FROM credit_line l
JOIN event placed ON placed.position = l.order_key
LEFT JOIN term salesperson ON salesperson.id = l.salesperson
JOIN term order_type ON order_type.id = l.order_type
JOIN term customer ON customer.id = l.customer
JOIN term product ON product.id = l.product
LEFT JOIN term category ON category.id = l.category
JOIN term currency ON currency.id = l.currency
WHERE l.position <= %s AND l.credited_on >= %s AND l.credited_on < %s
ORDER BY l.position, l.seq
"""


# ---- keys, notes and proofs


@dataclass(frozen=True)
class Signer:
    """A ledger's private key, made from a number so that tests are the same again."""

    number: int
    name: str = ORIGIN

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(bytes([self.number])).digest())

    @property
    def _public(self) -> bytes:
        return b"\x01" + self._key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        """Give the key id."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._public).digest()[:4]

    @property
    def vkey(self) -> str:
        """Give the verifier key."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self._public).decode()}"

    def note(self, text: str) -> str:
        """Sign a text."""
        signature = base64.b64encode(self.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.name} {signature}\n"

    def checkpoint(self, size: int, root: bytes) -> str:
        """Sign a checkpoint."""
        return self.note(f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n")


def leaf(data: bytes) -> bytes:
    """Hash a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def _cut(size: int) -> int:
    """Give the largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Give the Merkle tree hash, by the recursive definition of RFC 6962, section 2.1."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    cut = _cut(len(leaves))
    return hashlib.sha256(b"\x01" + root_of(leaves[:cut]) + root_of(leaves[cut:])).digest()


def audit_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Give the audit path of a leaf, by the recursive definition of RFC 6962, section 2.1.1."""
    if len(leaves) <= 1:
        return []
    cut = _cut(len(leaves))
    if index < cut:
        return [*audit_path(index, leaves[:cut]), root_of(leaves[cut:])]
    return [*audit_path(index - cut, leaves[cut:]), root_of(leaves[:cut])]


def consistency_path(size: int, leaves: Sequence[bytes], *, is_whole: bool = True) -> list[bytes]:
    """Give the consistency proof from a size, by the recursive definition of RFC 6962, section 2.1.2."""
    if size == len(leaves):
        return [] if is_whole else [root_of(leaves)]
    cut = _cut(len(leaves))
    if size <= cut:
        return [*consistency_path(size, leaves[:cut], is_whole=is_whole), root_of(leaves[cut:])]
    return [*consistency_path(size - cut, leaves[cut:], is_whole=False), root_of(leaves[:cut])]


def _encoded(hashes: Iterable[bytes]) -> list[str]:
    return [base64.b64encode(each).decode() for each in hashes]


# ---- a ledger's documents, sealed


@dataclass
class Sealed:
    """A ledger's documents, with its keys and checkpoints recorded behind them; `signer` is the current key."""

    store: Store
    states: list[str]
    signer: Signer = field(default_factory=lambda: Signer(1))

    @property
    def leaves(self) -> list[bytes]:
        """Give the leaf hashes."""
        return [leaf(state.encode()) for state in self.states]

    def record(self, kind: str, stream: str, data: dict[str, Any]) -> None:
        """Append an event as the ledger would."""
        last = json.loads(self.states[-1])
        version = 1 + sum(json.loads(state)["subject"] == stream for state in self.states)
        document = {
            "specversion": "1.0",
            "id": f"{stream}-{version}",
            "source": "orderledger",
            "type": kind,
            "subject": stream,
            "version": version,
            "time": last["time"],
            "effective": last["time"][:10],
            "actor": "admin",
            "data": data,
        }
        self.states.append(json.dumps(document, ensure_ascii=False, separators=(",", ":")))

    def introduce(self, signer: Signer) -> None:
        """Record a key; one that follows another is endorsed by it."""
        known = any('"signing_key.introduced"' in state for state in self.states)
        text = f"{ORIGIN}\nnext key\n{signer.vkey}\n"
        data = {"vkey": signer.vkey} | ({"endorsement": self.signer.note(text)} if known else {})
        self.record("signing_key.introduced", "signing_keys", data)
        self.signer = signer

    def issue(self) -> str:
        """Record a checkpoint of all that is recorded, and give it."""
        size, root = len(self.states), root_of(self.leaves)
        note = self.signer.checkpoint(size, root)
        self.record(
            "checkpoint.issued",
            "checkpoints",
            {"size": size, "root": base64.b64encode(root).decode(), "note": note},
        )
        return note

    def cosign(self, witness: Signer) -> None:
        """Record what a witness signed: the last checkpoint."""
        issued = next(data for each in reversed(self.states) if "note" in (data := json.loads(each)["data"]))
        line = witness.note(issued["note"].partition("\n\n")[0] + "\n").splitlines()[-1]
        data = {"size": issued["size"], "witness": witness.name, "signature": line}
        self.record("checkpoint.cosigned", "checkpoints", data)

    @property
    def checkpoints(self) -> list[int]:
        """Give the sizes of the recorded checkpoints."""
        return [
            document["data"]["size"]
            for state in self.states
            if (document := json.loads(state))["type"] == "checkpoint.issued"
        ]


def sealed(store: Store, *, rotated: bool = False) -> Sealed:
    """Seal a ledger: its first key, a checkpoint, and where it is `rotated` the next key and a checkpoint by that."""
    ledger = Sealed(store, [document.state for document in store.documents(0, 1_000_000)])
    ledger.introduce(Signer(1))
    ledger.issue()
    ledger.cosign(Signer(100, "witness.example/w"))
    if rotated:
        ledger.introduce(Signer(2))
        ledger.issue()
    return ledger


# ---- writing


def write_bundle(ledger: Sealed, folder: Path, period: Period | None, *, proofs_from: Iterable[int] = ()) -> Path:
    """Write the bundle of a period, or of the whole ledger."""
    size, leaves = len(ledger.states), ledger.leaves
    files = dict[str, bytes]()
    positions = range(1, size + 1) if period is None else _positions(ledger, period)
    files["README.md"] = b"# a bundle\n"
    files["keys.ndjson"] = _ndjson({"vkey": vkey} for vkey in _vkeys(ledger))
    files["events.ndjson"] = _ndjson({"position": at, "state": ledger.states[at - 1]} for at in positions)
    proofs = sorted({*ledger.checkpoints, *proofs_from})
    files["consistency.ndjson"] = _ndjson(
        {"from": old, "to": size, "hashes": _encoded(consistency_path(old, leaves))} for old in proofs
    )
    views = list[str]()
    if period is not None:
        files["inclusion.ndjson"] = _ndjson(
            {"position": at, "hashes": _encoded(audit_path(at - 1, leaves))} for at in positions
        )
        for view in _views(ledger, period):
            views.append(view["name"])
            files |= _view_files(ledger, period, view)
    settings = ledger.store.settings()
    write_files(
        folder,
        files,
        {
            "format": "orderledger-bundle/1",
            "scope": "whole" if period is None else "period",
            "ledger": settings.name if settings else None,
            "origin": ORIGIN,
            "period": period.name if period else None,
            "start": period.start.isoformat() if period else None,
            "end": period.end.isoformat() if period else None,
            "checkpoint_size": size,
            "views": views,
        },
    )
    (folder / "checkpoint").write_text(ledger.signer.checkpoint(size, root_of(leaves)), encoding="utf-8")
    return folder


def write_files(folder: Path, files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    """Write files and the manifest that names them."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    manifest = manifest | {"files": {name: described(content) for name, content in files.items()}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def described(content: bytes) -> dict[str, Any]:
    """Give what a manifest says of a file."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def zipped(folder: Path) -> Path:
    """Put a bundle into a zip archive beside it."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def _ndjson(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _vkeys(ledger: Sealed) -> list[str]:
    documents = [json.loads(state) for state in ledger.states]
    return [each["data"]["vkey"] for each in documents if each["type"] == "signing_key.introduced"]


def _positions(ledger: Sealed, period: Period) -> list[int]:
    """Give the positions of all events but those of orders without a credit line in the period."""
    meant = {f"order/{row[2]}" for row in _lines(ledger.store, period, len(ledger.states))}
    subjects = [json.loads(state)["subject"] for state in ledger.states]
    return [at for at, name in enumerate(subjects, 1) if not name.startswith("order/") or name in meant]


def _views(ledger: Sealed, period: Period) -> list[dict[str, Any]]:
    """Give the view of each statement of the period, and of now."""
    views = list[dict[str, Any]]()
    for at, state in enumerate(ledger.states, 1):
        document = json.loads(state)
        if document["type"] in ("period.closed", "period.restated") and document["data"]["period"] == period.name:
            statement = document["data"]["statement"]
            name = f"statement-{statement['version']}"
            views.append(_view(ledger, period, name, statement["position"]))
            views[-1] |= {"statement": statement, "statement_position": at}
    return [*views, _view(ledger, period, "now", len(ledger.states))]


def _view(ledger: Sealed, period: Period, name: str, position: int) -> dict[str, Any]:
    head = min(position, ledger.store.head())
    return {
        "name": name,
        "position": position,
        "rulebook_position": ledger.store.rulebook_at(head).position,
        "statement": None,
        "statement_position": None,
        "figures": recorded_figures(ledger.store, period, head),
    }


def recorded_figures(store: Store, period: Period, position: int) -> list[dict[str, Any]]:
    """Give the figures that the ledger's own calculation has, as a bundle writes them."""
    closings = store.closings(position)
    figures = {
        (figure.keys[0].value, figure.currency): figure
        for figure in performance(store, period, position=position).figures
    }
    made = statements.statement_figures(
        closings,
        period,
        credited={key: figure.credited for key, figure in figures.items() if figure.credited},
        gross={key: figure.gross * 10_000 for key, figure in figures.items() if figure.gross},
    )
    return [
        {name: getattr(each, name) for name in ("salesperson_id", "currency", "credited", "gross", "adjustments")}
        for each in made
    ]


def _view_files(ledger: Sealed, period: Period, view: dict[str, Any]) -> dict[str, bytes]:
    head = min(view["position"], ledger.store.head())
    rules = ledger.store.rulebook_at(head).rules()
    known = world(ledger.store, head)
    profiles, lines = dict[tuple[Any, ...], int](), list[dict[str, Any]]()
    for row in _lines(ledger.store, period, head):
        line = dict(zip(_COLUMNS, row, strict=True))
        line["customer_class"] = known.class_on(line["customer_id"], line["ordered_on"])
        line["category"] = known.category_on(line["product_id"], line["ordered_on"], line["category"])
        line |= {name: line[name].isoformat() for name in ("ordered_on", "credited_on")}
        values = tuple(line[name] for name in ATTRIBUTES)
        line["profile"] = profiles.setdefault(values, len(profiles))
        lines.append(line)
    intervals = [
        {
            "profile": number,
            "valid_from": piece.start.isoformat(),
            "valid_to": piece.end.isoformat(),
            "share": piece.value.share,
            "rule_change_id": piece.value.rule_change_id,
            "rule_position": piece.value.position,
        }
        | {name: getattr(piece.value.conditions, name) for name in ATTRIBUTES}
        for values, number in profiles.items()
        for piece in rules.resolve(Conditions(*values))
    ]
    folder = f"views/{view['name']}"
    return {
        f"{folder}/view.json": json.dumps(view, ensure_ascii=False).encode(),
        f"{folder}/credit_lines.ndjson": _ndjson(lines),
        f"{folder}/rules.ndjson": _ndjson(intervals),
        f"{folder}/calculation.sql": b"SELECT 1;\n",
    }


_COLUMNS = (
    "position",
    "seq",
    "order_id",
    "line_no",
    "salesperson_id",
    "ordered_on",
    "credited_on",
    "order_type",
    "customer_id",
    "product_id",
    "category",
    "currency",
    "quantity",
    "amount",
)


def _lines(store: Store, period: Period, position: int) -> list[tuple[Any, ...]]:
    """Read the projection's credit lines of a period as known at a position."""
    with reading(store, None) as (cursor, _):
        cursor.execute(_LINES, (position, period.start, period.end))
        return cursor.fetchall()
