"""A bundle, read: what each of its files says, as far as it can be read, and what can't be.

Source: docs/bundle.md, format "orderledger-bundle/1".
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from verifier.documents import ATTRIBUTES, STATEMENT, Event, Leaf, exact_amount, read_event, read_leaf
from verifier.findings import Finding, Malformed
from verifier.notes import Checkpoint, parse_checkpoint
from verifier.shapes import (
    Shape,
    base64_bytes,
    count,
    day,
    either,
    hash_text,
    integer,
    list_of,
    mapping_of,
    matching,
    nullable,
    number,
    object_of,
    one_of,
    parse_json,
    text,
)
from verifier.source import Source, lines, read_small

FORMAT: Final = "orderledger-bundle/1"
MANIFEST, CHECKPOINT, KEYS, EVENTS = "manifest.json", "checkpoint", "keys.ndjson", "events.ndjson"
INCLUSION, CONSISTENCY = "inclusion.ndjson", "consistency.ndjson"
VIEW, CREDIT_LINES, RULES = "view.json", "credit_lines.ndjson", "rules.ndjson"
NOW: Final = "now"
OTHERS: Final = ("README.md", "keys.parquet", "events.parquet", "recompute.py")
VIEW_FILES: Final = (VIEW, CREDIT_LINES, "credit_lines.parquet", RULES, "rules.parquet", "calculation.sql")
T = TypeVar("T")

_view_name = matching(r"now|statement-[1-9][0-9]{0,8}", "name of a view")
_MANIFEST = object_of(
    {
        "format": one_of(FORMAT),
        "scope": one_of("period", "whole"),
        "ledger": nullable(text),
        "origin": text,
        "period": nullable(text),
        "start": nullable(day),
        "end": nullable(day),
        "checkpoint_size": count,
        "views": list_of(_view_name),
        "files": mapping_of(object_of({"sha256": matching("[0-9a-f]{64}", "SHA-256"), "bytes": count})),
    }
)
_KEY = object_of({"vkey": text})
_INCLUSION = object_of({"position": number, "hashes": list_of(hash_text)})
_CONSISTENCY = object_of({"from": count, "to": count, "hashes": list_of(hash_text)})
_FIGURE = object_of(
    {"salesperson_id": nullable(text), "currency": text}
    | dict.fromkeys(("credited", "gross", "adjustments"), exact_amount)
)
_VIEW = object_of(
    {
        "name": _view_name,
        "position": count,
        "rulebook_position": count,
        "statement": nullable(STATEMENT),
        "statement_position": nullable(number),
        "figures": list_of(_FIGURE),
    }
)
_profile = either(integer, text)
_CREDIT_LINE = object_of(
    {
        "position": number,
        "seq": count,
        "order_id": text,
        "line_no": number,
        "salesperson_id": nullable(text),
        "ordered_on": day,
        "credited_on": day,
        "order_type": text,
        "customer_id": text,
        "customer_class": nullable(text),
        "product_id": text,
        "category": nullable(text),
        "currency": text,
        "quantity": integer,
        "amount": integer,
        "profile": _profile,
    }
)
_RULE = object_of(
    {
        "profile": _profile,
        "valid_from": day,
        "valid_to": day,
        "share": count,
        "rule_change_id": nullable(text),
        "rule_position": nullable(count),
    }
    | dict.fromkeys(ATTRIBUTES, nullable(text))
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a file: where it is, and its values."""

    where: str
    values: dict[str, Any]


@dataclass
class View:
    """The figures of the period as known at a position, and what they are from."""

    folder: str
    values: dict[str, Any]
    credit_lines: list[Row]
    rules: list[Row]

    @property
    def name(self) -> str:
        """Give its name."""
        return self.folder.rpartition("/")[2]

    @property
    def where(self) -> str:
        """Say where it is."""
        return f"{self.folder}/{VIEW}"

    @property
    def position(self) -> int:
        """Give the position at which it is known."""
        position: int = self.values["position"]
        return position


@dataclass
class Bundle:
    """What could be read of a bundle. Errors in reading are in `unreadable`."""

    source: Source
    manifest: dict[str, Any] | None = None
    checkpoint: Checkpoint | None = None
    keys: list[Row] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    inclusion: list[Row] = field(default_factory=list)
    consistency: list[Row] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    unreadable: list[Finding] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Say whether its events are the whole ledger; without a manifest, whether there are no proofs of inclusion."""
        if self.manifest is None:
            return INCLUSION not in self.source.sizes
        return bool(self.manifest["scope"] == "whole")


def is_file_of_the_format(name: str, views: list[str]) -> bool:
    """Say whether the format has a file of this name in a bundle of these views, manifest and checkpoint aside.

    >>> is_file_of_the_format("views/now/view.json", ["now"]), is_file_of_the_format("notes.txt", ["now"])
    (True, False)
    """
    of_views = {f"views/{view}/{file}" for view in views for file in VIEW_FILES}
    return name in {KEYS, EVENTS, INCLUSION, CONSISTENCY, *OTHERS} | of_views


def read_bundle(source: Source) -> Bundle:
    """Read what can be read."""
    bundle = Bundle(source)
    bundle.manifest = _attempt(bundle, "manifest", MANIFEST, lambda: _object(source, MANIFEST, _MANIFEST))
    bundle.checkpoint = _attempt(
        bundle, "checkpoint", CHECKPOINT, lambda: parse_checkpoint(read_small(source, CHECKPOINT))
    )
    bundle.keys = _rows(bundle, "checkpoint", KEYS, _KEY)
    _read_events(bundle)
    if not bundle.is_whole:
        bundle.inclusion = _rows(bundle, "inclusion", INCLUSION, _INCLUSION)
    bundle.consistency = _rows(bundle, "consistency", CONSISTENCY, _CONSISTENCY)
    for name in bundle.manifest["views"] if bundle.manifest else ():
        _read_view(bundle, name)
    return bundle


def hashes(row: Row) -> list[bytes]:
    """Give the hashes of a proof."""
    return [base64_bytes(each, "a hash", size=32) for each in row.values["hashes"]]


def _read_events(bundle: Bundle) -> None:
    for where, line, value in _values(bundle, "events", EVENTS):
        known = _attempt(bundle, "events", where, partial(read_leaf, line, value))
        if known is not None:
            leaf, stored = known
            bundle.leaves.append(leaf)
            event = _attempt(bundle, "events", leaf.where, partial(read_event, leaf, stored))
            if event is not None:
                bundle.events.append(event)


def _read_view(bundle: Bundle, name: str) -> None:
    folder = f"views/{name}"
    values = _attempt(
        bundle, "statements", f"{folder}/{VIEW}", lambda: _object(bundle.source, f"{folder}/{VIEW}", _VIEW)
    )
    credit_lines = _rows(bundle, "figures", f"{folder}/{CREDIT_LINES}", _CREDIT_LINE)
    rules = _rows(bundle, "figures", f"{folder}/{RULES}", _RULE)
    if values is not None:
        bundle.views.append(View(folder, values, credit_lines, rules))


def _object(source: Source, name: str, shape: Shape) -> dict[str, Any]:
    value = parse_json(read_small(source, name))
    shape(value, "")
    found: dict[str, Any] = value
    return found


def _rows(bundle: Bundle, check: str, name: str, shape: Shape) -> list[Row]:
    rows = list[Row]()
    for where, _, value in _values(bundle, check, name):
        try:
            shape(value, "")
        except Malformed as error:
            _note(bundle, check, where, error)
        else:
            rows.append(Row(where, value))
    return rows


def _values(bundle: Bundle, check: str, name: str) -> Iterator[tuple[str, int, Any]]:
    """Give the values of the lines of a file that can be read: where, the line's number, the value."""
    try:
        for line, data in lines(bundle.source, name):
            where = f"{name}:{line}"
            try:
                yield where, line, parse_json(data)
            except Malformed as error:
                _note(bundle, check, where, error)
    except Malformed as error:
        _note(bundle, check, name, error)


def _attempt(bundle: Bundle, check: str, where: str, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except Malformed as error:
        _note(bundle, check, where, error)
        return None


def _note(bundle: Bundle, check: str, where: str, error: Malformed) -> None:
    bundle.unreadable.append(Finding(check, False, error.what, error.where or where))
