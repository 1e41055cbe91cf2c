"""Reading request bodies: JSON of one of our types, or a refusal that says where it is wrong."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from flask import request

from api.library_words import recognised
from api.problems import pointer_part, sentence_too_large, validation_problem
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.wording import say

T = TypeVar("T")
BODY_BYTES_MAX = 16 * 1024 * 1024
_TRUNCATED = "Input data was truncated"
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)


def read_body(decoder: "msgspec.json.Decoder[T]") -> T:
    """Read the request's JSON body.

    Errors: Refusal - unsupported_media_type, unsupported_content_encoding, body_too_large (by Flask), malformed_json,
    duplicate_field, or what the type says.
    """
    body = read_json_text()
    decoded = decode_body(decoder, body)
    _refuse_repeated(body)
    return decoded


class _Repeated(str):
    """The name of a field that an object has twice, in the place of that object."""


def _refuse_repeated(body: bytes) -> None:
    """Refuse a document that was decoded, where an object of it has a field twice; the decoder takes the last.

    Not of a bulk request, where it takes more than twice as long as decoding.
    """
    repeated = list[_Repeated]()

    def once(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        (name, _), *_ = (Counter(name for name, _ in pairs) - Counter(found.keys())).most_common(1)
        repeated.append(_Repeated(name))
        return repeated[-1]

    document = json.loads(body, object_pairs_hook=once, parse_int=str, parse_float=str)
    if repeated:
        name, pointer = next(_places(document))
        raise Refusal.of(
            Code.duplicate_field, say("the field {name} is there twice: send it once", name=shown(name)), pointer
        )


def _places(node: Any) -> Iterator[tuple[str, str]]:
    """Give each field that is repeated, with its JSON pointer."""
    if isinstance(node, _Repeated):
        yield node, pointer_part(node)
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, part in inner:
        for found, rest in _places(part):
            yield found, f"{pointer_part(str(name))}{rest}"


def read_json_text() -> bytes:
    """Read the bytes of the request's body, which says that it is JSON."""
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise Refusal.of(
            Code.unsupported_media_type,
            say(
                "the body is {mimetype}: send Content-Type application/json",
                mimetype=request.mimetype or say("of no stated type"),
            ),
        )
    refuse_coding()
    body = request.get_data(cache=False)
    if request.content_length is None and len(body) >= BODY_BYTES_MAX:  # a chunked body is cut there, not refused
        raise Refusal.of(Code.body_too_large, sentence_too_large(BODY_BYTES_MAX))
    return body


def refuse_coding() -> None:
    """Refuse a body that is compressed, or coded otherwise. Errors: Refusal (unsupported_content_encoding)."""
    coding = request.headers.get("Content-Encoding", "").strip()
    if coding.lower() not in ("", "identity"):
        raise Refusal.of(
            Code.unsupported_content_encoding,
            say("the body has the Content-Encoding {coding}: send it without compression", coding=shown(coding)),
        )


def decode_body(decoder: "msgspec.json.Decoder[T]", body: Any) -> T:
    """Decode JSON text."""
    try:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            _SYNTAX.decode(body)  # what ends too early is no JSON, whatever is wrong before
            raise Refusal((validation_problem(error),)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = recognised(str(error))
        if fault == _TRUNCATED and _is_complete(body):
            fault = say("half a surrogate pair stands alone")
        raise Refusal.of(
            Code.malformed_json, say("the body is not JSON ({error}): send one UTF-8 JSON document", error=fault)
        ) from None


def _is_complete(body: Any) -> bool:
    """Say whether what the decoder calls truncated is whole for Python, which takes half a surrogate pair."""
    try:
        json.loads(body if isinstance(body, str) else bytes(body).decode())
    except (ValueError, RecursionError):
        return False
    return True
