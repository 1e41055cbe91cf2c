"""Reading request bodies: JSON of one of our types, or a refusal that says where it is wrong."""

from typing import Any, TypeVar

import msgspec
from flask import request

from api.library_words import recognised
from api.problems import sentence_too_large, validation_problem
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.wording import say

T = TypeVar("T")
BODY_BYTES_MAX = 16 * 1024 * 1024


def read_body(decoder: "msgspec.json.Decoder[T]") -> T:
    """Read the request's JSON body.

    Errors: Refusal - unsupported_media_type, unsupported_content_encoding, body_too_large (by Flask), malformed_json,
    or what the type says.
    """
    return decode_body(decoder, read_json_text())


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
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal((validation_problem(error),)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal.of(
            Code.malformed_json,
            say("the body is not JSON ({error}): send one UTF-8 JSON document", error=recognised(str(error))),
        ) from None
