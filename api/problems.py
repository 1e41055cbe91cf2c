"""Refusals over HTTP: problem documents (RFC 9457), the same shape for everything that goes wrong.

{"type": "/errors/unknown_field", "title": …, "status": 422, "detail": …, "code": "unknown_field",
 "errors": [{"code": …, "detail": …, "pointer": "/data/lines/0/amount", "remedy": …}], "request_id": …}
"""

import logging
import re
from collections.abc import Callable

import msgspec
import psycopg2
from flask import Flask, Response, g, request
from gunicorn.http.errors import ParseException
from psycopg2.errors import QueryCanceled
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from api.languages import translated
from api.library_words import recognised
from api.shapes import ProblemDocument, ProblemError
from ledger.events import encode
from ledger.refusal import Code, Problem, Refusal
from ledger.wording import Sentence, say

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
DETAIL_CHARACTERS_MAX = 300
_HTTP_CODES = {
    400: Code.malformed_json,
    404: Code.not_found,
    405: Code.method_not_allowed,
    413: Code.body_too_large,
    415: Code.unsupported_media_type,
}
_VALIDATION = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>.*)`)?\Z", re.DOTALL)
_TYPE = re.compile(r"Expected `[^`]*`(?:, got `.*`)?", re.DOTALL)
_FIELD = re.compile(r"(?:missing required|unknown) field `(?P<name>.*)`", re.DOTALL)
_log = logging.getLogger("orderledger.api")


def problem_document(refusal: Refusal) -> ProblemDocument:
    """Write a refusal as a problem document, in the wanted language; its code is the same in all."""
    code = refusal.code
    return ProblemDocument(
        type=f"/errors/{code.name}",
        title=translated(code.title),
        status=code.status,
        detail=translated(refusal.problems[0].detail),
        code=code.name,
        errors=[problem_error(problem) for problem in refusal.problems],
        request_id=g.get("request_id", ""),
        facts=refusal.facts,
    )


def problem_error(problem: Problem) -> ProblemError:
    """Write one problem, with its remedy, in the wanted language."""
    return ProblemError(problem.code.name, translated(problem.detail), problem.pointer, translated(problem.code.remedy))


def problem_response(refusal: Refusal) -> Response:
    """Answer with a problem document."""
    document, code = problem_document(refusal), refusal.code
    g.refused_as = document.code
    response = Response(encode(document), status=document.status, mimetype=MEDIA_TYPE)
    if document.status == 503 or code is Code.idempotency_key_in_use:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if document.status == 429:
        g.rate_limited = refusal.facts["limit"]
        response.headers["Retry-After"] = str(refusal.facts["retry_after_seconds"])
    if document.status == 413:
        response.headers["Connection"] = "close"  # the rest of the body is not read
    if code is Code.unsupported_content_encoding:
        response.headers["Accept-Encoding"] = "identity"
    if document.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="orderledger"'
    return response


def sentence_too_large(bytes_max: int) -> Sentence:
    """Say that a body is larger than is taken."""
    return say("the body is larger than {mebibytes_max} MiB: split it", mebibytes_max=bytes_max // 2**20)


def validation_problem(error: msgspec.ValidationError) -> Problem:
    """Tell in our codes what a decoder found wrong, with a JSON pointer."""
    match = _VALIDATION.match(str(error))
    assert match is not None, "the pattern matches every text"
    what, pointer = match["what"], json_pointer(match["path"] or "")
    what = what if len(what) <= DETAIL_CHARACTERS_MAX else what[:DETAIL_CHARACTERS_MAX] + "…"
    pointer = pointer[:DETAIL_CHARACTERS_MAX]
    if field := _FIELD.search(what):
        code = Code.missing_field if "missing" in what else Code.unknown_field
        sentence = say("{what}: see the fields at /docs", what=recognised(what))
        return Problem(code, sentence, pointer + pointer_part(field["name"]))
    if "RFC3339 encoded datetime" in what:
        return Problem(
            Code.invalid_date,
            say("it is no instant: send one with its zone, such as '2026-03-31T12:00:00Z'"),
            pointer,
        )
    if "RFC3339 encoded date" in what:
        return Problem(
            Code.invalid_date,
            say("it is no date: send one that exists, such as '2026-03-31'"),
            pointer,
        )
    code = Code.wrong_type if _TYPE.fullmatch(what) else Code.invalid_value
    return Problem(code, say("{what}: see the field at /docs", what=recognised(what)), pointer)


def pointer_part(name: str) -> str:
    """Write a field's name as a part of a JSON pointer (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def json_pointer(path: str) -> str:
    """Turn a decoder's path, `$.data.lines[0].amount`, into a JSON pointer (RFC 6901)."""
    parts = re.findall(r"\.([^.\[\]]+)|\[([^\]]*)\]", path)
    return "".join(f"/{name or index}" for name, index in parts)


def register_problems(app: Flask, page: Callable[[Refusal], Answer | None]) -> None:
    """Answer every failure of the application with a problem document, or with a page where one was asked for."""

    @app.errorhandler(Refusal)
    def _refused(refusal: Refusal) -> Answer:
        return page(refusal) or problem_response(refusal)

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Answer:
        if error.code is None or error.code < 400:
            return Response(status=error.code, headers=dict(error.get_response().headers))
        code = _HTTP_CODES.get(error.code, Code.internal_error if error.code >= 500 else Code.invalid_value)
        detail = recognised(error.description or code.title)
        if code is Code.body_too_large and (request.content_length or 0) > (taken := request.max_content_length or 0):
            detail = sentence_too_large(taken)
        response = _refused(Refusal.of(code, detail))
        if error.code == 405 and (allow := error.get_response().headers.get("Allow")):
            response.headers["Allow"] = allow
        return response

    @app.errorhandler(ParseException)
    def _unreadable(_error: ParseException) -> Answer:
        sentence = say("the body can't be read, its chunks are none: send it whole, or in chunks as HTTP has them")
        return _refused(Refusal.of(Code.malformed_json, sentence))

    @app.errorhandler(QueryCanceled)
    def _took_too_long(error: QueryCanceled) -> Answer:
        _log.warning("request %s took too long: %s", g.get("request_id", ""), str(error).strip())
        return _refused(Refusal.of(Code.took_too_long, say("it took the database too long: ask for less at once")))

    @app.errorhandler(psycopg2.OperationalError)
    def _unreachable(error: psycopg2.OperationalError) -> Answer:
        _log.warning("the database does not answer: %s", str(error).strip())
        return _refused(Refusal.of(Code.storage_unavailable, say("the database does not answer: retry in a moment")))

    @app.errorhandler(Exception)
    def _failed(error: Exception) -> Answer:
        _log.error("request %s failed", g.get("request_id", ""), exc_info=error)
        return _refused(Refusal.of(Code.internal_error, say("something is wrong on our side: report the request id")))
