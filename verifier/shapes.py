"""Reading JSON strictly, and the shapes that values must have.

Strict: UTF-8, no name twice in an object, integers only (no fractions, no exponents), no lone surrogates. A shape is a
function that takes a value and where it is, and raises Malformed unless the value has it.
"""

import base64
import binascii
import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, NoReturn

from verifier.findings import Malformed, shown

Shape = Callable[[Any, str], None]

INTEGER_MAX = 2**127
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z\Z", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)


def parse_json(data: bytes) -> Any:
    """Read one JSON value. Errors: Malformed."""
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_float=_no_fraction, parse_constant=_no_fraction
        )
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise Malformed("it is not text in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is not JSON: {shown(str(error))}") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {sys.intern(name): value for name, value in pairs}  # of a million objects, names are kept once
    if len(found) != len(pairs):
        raise Malformed("it is an object that has a name twice")
    return found


def _no_fraction(text: str) -> NoReturn:
    raise Malformed(f"{shown(text)} is not an integer: amounts are integers or decimal strings")


def text(value: Any, at: str) -> None:
    """Take a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise Malformed(f"{at} is {shown(value)}, which is no text")


def integer(value: Any, at: str) -> None:
    """Take an integer of any sign."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > INTEGER_MAX:
        raise Malformed(f"{at} is {shown(value)}, which is no integer in range")


def count(value: Any, at: str) -> None:
    """Take an integer of 0 or more."""
    integer(value, at)
    if value < 0:
        raise Malformed(f"{at} is {value}, below 0")


def number(value: Any, at: str) -> None:
    """Take an integer of 1 or more."""
    integer(value, at)
    if value < 1:
        raise Malformed(f"{at} is {value}, below 1")


def boolean(value: Any, at: str) -> None:
    """Take true or false."""
    if not isinstance(value, bool):
        raise Malformed(f"{at} is {shown(value)}, neither true nor false")


def day(value: Any, at: str) -> None:
    """Take a day as YYYY-MM-DD; such strings compare as the days do."""
    try:
        if isinstance(value, str) and _DAY.match(value):
            date.fromisoformat(value)
            return
    except ValueError:
        pass
    raise Malformed(f"{at} is {shown(value)}, which is no day")


def instant(value: Any, at: str) -> None:
    """Take an instant in UTC."""
    try:
        if isinstance(value, str) and _INSTANT.match(value):
            datetime.fromisoformat(value)
            return
    except ValueError:
        pass
    raise Malformed(f"{at} is {shown(value)}, which is no instant in UTC")


def matching(pattern: str, what: str) -> Shape:
    """Take strings that match a pattern whole."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Any, at: str) -> None:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise Malformed(f"{at} is {shown(value)}, which is no {what}")

    return check


def one_of(*values: str) -> Shape:
    """Take one of these strings."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, str) or value not in values:
            raise Malformed(f"{at} is {shown(value)}, which is none of {', '.join(values)}")

    return check


def nullable(shape: Shape) -> Shape:
    """Take null too."""

    def check(value: Any, at: str) -> None:
        if value is not None:
            shape(value, at)

    return check


def either(*shapes: Shape) -> Shape:
    """Take what one of the shapes takes; the complaint is the last one's."""

    def check(value: Any, at: str) -> None:
        for shape in shapes[:-1]:
            try:
                return shape(value, at)
            except Malformed:
                continue
        return shapes[-1](value, at)

    return check


def list_of(shape: Shape) -> Shape:
    """Take lists whose every element has a shape."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, list):
            raise Malformed(f"{at} is {shown(value)}, which is no list")
        for index, element in enumerate(value):
            shape(element, f"{at}/{index}")

    return check


def mapping_of(shape: Shape) -> Shape:
    """Take objects whose every value has a shape, whatever the names."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{at} is {shown(value)}, which is no object")
        for name, element in value.items():
            shape(element, f"{at}/{name}")

    return check


def object_of(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Take objects with exactly these names; what is optional may be left out, or null."""
    known = {**required, **{name: nullable(shape) for name, shape in (optional or {}).items()}}

    def check(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{at or 'it'} is {shown(value)}, which is no object")
        for name in required:
            if name not in value:
                raise Malformed(f"{at}/{name} is missing")
        for name, element in value.items():
            if name not in known:
                raise Malformed(f"{at}/{name[:80]} is not a field of this format that this verifier knows")
            known[name](element, f"{at}/{name}")

    return check


def tagged(tag: str, shapes: dict[str, Shape]) -> Shape:
    """Take objects that a field of theirs tells apart."""

    def check(value: Any, at: str) -> None:
        told = value.get(tag) if isinstance(value, dict) else None
        shape = shapes.get(told) if isinstance(told, str) else None
        if shape is None:
            raise Malformed(f"{at}/{tag} is {shown(told)}, which is none of {', '.join(shapes)}")
        shape(value, at)

    return check


def base64_bytes(value: Any, at: str, *, size: int | None = None) -> bytes:
    """Decode base64, in its one canonical writing. Errors: Malformed."""
    try:
        decoded = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except (ValueError, binascii.Error):
        decoded = None
    if decoded is None or base64.b64encode(decoded).decode() != value:
        raise Malformed(f"{at} is {shown(value)}, which is not base64")
    if size is not None and len(decoded) != size:
        raise Malformed(f"{at} is of {len(decoded)} bytes, not of {size}")
    return decoded


def hash_text(value: Any, at: str) -> None:
    """Take a SHA-256 hash in base64."""
    base64_bytes(value, at, size=32)
