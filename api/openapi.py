"""The OpenAPI document: what the routes say of themselves, completed with all that follows from it.

Who must be let in can be refused, what has a body can be sent the wrong one, what names something can name nothing: so
the refusals of an operation, their headers and their examples (real problem documents, from the table of codes) are
derived here, and a new route has them without saying anything. A route adds what only it knows by @refuses.

Accept chooses the format of an answer, as its media types say; OpenAPI keeps Accept, Content-Type and Authorization out
of the parameters. What concerns no operation alone (404 and 405 of addresses that there are not) is told in `info`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from typing import Any, Final, NamedTuple

from flask import Flask
from flask_smorest import Api
from msgspec import structs, to_builtins
from werkzeug.routing import Rule

from api import examples
from api.access import SESSION_COOKIE, allowed_roles
from api.problems import MEDIA_TYPE, problem_document
from api.routes import Link
from ledger.refusal import Code, Refusal

REQUEST_ID: Final = "0198c0de-0000-7000-8000-000000000001"
_DESCRIPTION: Final = """\
An event-sourced order ledger: change a rule for the past, and explain every cent of the difference.

Requests and answers are JSON. A field that is twice in one object is refused; of a bulk request, where looking for it
would cost too much, the last one holds. Money, quantities and shares are decimal strings ("12.50"), never numbers;
ranges of days are half-open; instants are RFC 3339 in UTC. Every refusal is a problem document (RFC 9457) with a stable
code, see /errors; so is the 404 of an address that there is not, and the 405 of a method that an address does not take,
with the header Allow. A list is answered as a file where Accept asks for one of its other media types. What makes or
records something is answered without a body where Prefer: return=minimal asks for that (RFC 7240); preferences that are
not known are ignored."""
_BODY: Final = (
    Code.malformed_json,
    Code.body_too_large,
    Code.unsupported_media_type,
    Code.unsupported_content_encoding,
    Code.unknown_field,
    Code.duplicate_field,
    Code.missing_field,
    Code.wrong_type,
    Code.invalid_value,
)
_STORED: Final = (Code.storage_unavailable, Code.took_too_long, Code.internal_error)
_FILE: Final = (Code.body_too_large, Code.unsupported_media_type, Code.unsupported_content_encoding)
_ROLES: Final = (
    Code.unauthenticated,
    Code.forbidden,
    Code.rate_limited,
    Code.invalid_parameter,
)
_PARAMETERS: Final = {
    "position": (Code.position_ahead, Code.not_yet_projected),
    "known_at": (Code.not_yet_projected,),
    "from_position": (Code.position_ahead, Code.not_yet_projected),
    "from_known_at": (Code.not_yet_projected,),
    "period": (Code.invalid_period,),
    "period_id": (Code.invalid_period, Code.not_a_closing_period),
    "webhook_id": (Code.webhook_not_found,),
    "import_id": (Code.import_not_found,),
    "Idempotency-Key": (Code.idempotency_key_malformed, Code.idempotency_key_reused, Code.idempotency_key_in_use),
    "If-Match": (Code.precondition_required, Code.precondition_failed, Code.invalid_parameter, Code.invalid_value),
}
"""What a parameter of that name can be refused with, beside not being valid."""
_FIELDS: Final = {
    "amount": Code.invalid_amount,
    "currency": Code.unknown_currency,
    "effective_from": Code.invalid_date,
    "effective_to": Code.empty_range,
    "share": Code.invalid_share,
}
"""What a field of that name, wherever in a body, can be refused with, beside being of the wrong type."""
_PATH: Final = {
    "order_id": "The order, as its events name it.",
    "customer_id": "The customer, as orders name it.",
    "product_id": "The product, as order lines name it.",
    "salesperson_id": "The salesperson, as splits name it.",
    "rule_change_id": "The rule change, as it was proposed.",
    "period": "A fiscal month, quarter or year: 2026-P03, 2026-Q1 or FY2026.",
    "period_id": "The closing period, of the kind that the ledger closes: 2026-P03, 2026-Q1 or FY2026.",
    "version": "The statement's number, from 1.",
    "size": "The checkpoint's number of events.",
    "event_position": "The event's place in the one order, from 1.",
    "token_id": "The token, by its id: what follows olk_ in its text, up to the next underscore.",
    "webhook_id": "The webhook, by the id that it was given.",
    "import_id": "The import, by the id that it was given.",
    "profile_name": "What the profile is called.",
}
"""What the parameters in addresses are; one that is called otherwise says so in its own name."""
_DECIMAL: Final = {"type": "string", "pattern": "^[0-9]+$"}
_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-Id": {
        "description": "Names the request in the service's log.",
        "required": True,
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "The version that was looked at, for If-Match.",
        "schema": {"type": "string", "examples": ['"3"']},
    },
    "Idempotency-Replayed": {
        "description": "true: a request with this Idempotency-Key was answered so before, and nothing was done again.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "RateLimit-Policy": {
        "description": "How many requests (q) the token may make in how many seconds (w).",
        "schema": {"type": "string", "examples": ['"token";q=20000;w=10']},
    },
    "RateLimit": {
        "description": "How many requests (r) are left to the token, and in how many seconds (t) all are again.",
        "schema": {"type": "string", "examples": ['"token";r=19999;t=1']},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {**_DECIMAL, "examples": ["1"]},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"type": "string", "examples": ['Bearer realm="orderledger"']},
    },
    "Preference-Applied": {
        "description": "What of Prefer was done.",
        "schema": {"type": "string", "examples": ["return=minimal"]},
    },
    "Ledger-Position": {
        "description": "Of an answer without its body: the position that it would have told, to read one's own write.",
        "schema": {**_DECIMAL, "examples": ["723"]},
    },
    "Location": {
        "description": "Of an answer without its body: where what was made can be read.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Content-Disposition": {
        "description": "Of a file: what it is called, after what it is of and the position it is pinned to.",
        "schema": {"type": "string", "examples": ['attachment; filename="performance-2026-Q1-723.csv"']},
    },
    "Vary": {"description": "What it was chosen by: Accept, Accept-Language.", "schema": {"type": "string"}},
    "Allow": {"description": "The methods that the address takes.", "schema": {"type": "string"}},
}
_STATUS_HEADERS: Final = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}
_CODE_HEADERS: Final = {Code.idempotency_key_in_use: ("Retry-After",)}
_PARAMETER_HEADERS: Final = {
    "If-Match": ("ETag",),
    "Idempotency-Key": ("Idempotency-Replayed",),
    "Prefer": ("Preference-Applied",),
}
"""What good answers carry where a request may carry such a header."""
_RATE: Final = ("RateLimit-Policy", "RateLimit")
_SECURITY: Final[dict[str, dict[str, Any]]] = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "olk_…"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "A browser's session: /sign-in takes a token once and sets the cookie, which acts as the token.",
    },
}


class Operation(NamedTuple):
    """An operation of the document, the view that answers it, and where it is."""

    method: str
    path: str
    view: Any
    roles: tuple[str, ...]
    told: dict[str, Any]

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters."""
        return [parameter["name"] for parameter in self.told.get("parameters", ())]


def document(app: Flask, api: Api) -> dict[str, Any]:
    """Give the whole document."""
    told: dict[str, Any] = api.spec.to_dict()
    schemas = told["components"]["schemas"]
    for name in ("Error", "PaginationMetadata"):
        schemas.pop(name, None)
    for schema in schemas.values():
        schema["description"] = cleandoc(schema.get("description", ""))
    used = set[Code]()
    for operation in _operations(app, told):
        refused = sorted(set(refusals(operation, schemas)), key=list(Code).index)
        used |= set(refused)
        _complete(operation, refused, schemas)
    told["info"]["description"] = _DESCRIPTION
    told["components"] = {
        "schemas": schemas,
        "headers": _HEADERS,
        "examples": {code.name: {"value": _problem(app, code)} for code in Code if code in used},
        "responses": {"MethodNotAllowed": refused_answer((Code.method_not_allowed,))},
        "securitySchemes": _SECURITY,
    }
    told["components"]["examples"]["method_not_allowed"] = {"value": _problem(app, Code.method_not_allowed)}
    return told


def path_of(rule: Rule) -> str:
    """Give the document's path of a route."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule))


def refusals(operation: Operation, schemas: dict[str, Any]) -> Iterator[Code]:
    """Give the codes that an operation can be refused with; `schemas` are the document's."""
    if operation.roles:
        yield from (*_ROLES, *_STORED)
        if operation.method != "get":
            yield Code.cross_site_request
    if "requestBody" in operation.told:
        yield from _BODY if "application/json" in operation.told["requestBody"]["content"] else _FILE
        fields = set(_fields(operation.told["requestBody"], schemas))
        yield from (code for name, code in _FIELDS.items() if name in fields)
    if "{" in operation.path:
        yield Code.not_found
    for name in operation.parameters:
        yield from _PARAMETERS.get(name, ())
    yield from getattr(operation.view, "refused_with", ())


def _fields(node: Any, schemas: dict[str, Any]) -> Iterator[str]:
    """Name the fields of a body, at any depth."""
    if isinstance(node, dict):
        yield from node.get("properties", ())
        if "$ref" in node:
            yield from _fields(schemas[node["$ref"].rsplit("/", 1)[1]], schemas)
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _fields(part, schemas)


def refused_answer(codes: Iterable[Code], *, is_counted: bool = False) -> dict[str, Any]:
    """Describe the refusals of one status; `is_counted`: requests of a token, whose standing is told."""
    codes = list(codes)
    headers = ["X-Request-Id", *_STATUS_HEADERS.get(codes[0].status, ())]
    headers += [name for code in codes for name in _CODE_HEADERS.get(code, ())]
    headers += _RATE if is_counted and codes[0] is not Code.unauthenticated else ()
    return {
        "description": f"Refused: {'; '.join(f'{code.title} ({code.name})' for code in codes)}.",
        "headers": {name: _header(name) for name in headers},
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemDocument"},
                "examples": {code.name: {"$ref": f"#/components/examples/{code.name}"} for code in codes},
            }
        },
    }


def _operations(app: Flask, told: dict[str, Any]) -> Iterator[Operation]:
    """Give the operations, each with the parameters of its path among its own."""
    for rule in app.url_map.iter_rules():
        methods = told["paths"].get(path := path_of(rule), {})
        in_path = methods.get("parameters", ())
        for method in sorted(set(methods) & {each.lower() for each in rule.methods or ()}):
            operation, view = methods[method], app.view_functions[rule.endpoint]
            own = (*in_path, *operation.get("parameters", ()), *getattr(view, "request_headers", ()))
            operation["parameters"] = [_parameter(dict(each)) for each in own]
            yield Operation(method, path, view, allowed_roles(app, rule.endpoint) or (), operation)
    for methods in told["paths"].values():
        methods.pop("parameters", None)


def _parameter(told: dict[str, Any]) -> dict[str, Any]:
    """Describe a parameter, with an example."""
    name, schema = told["name"], told["schema"]
    if told["in"] == "path":
        told["description"] = _PATH.get(name, name.replace("_", " ").capitalize() + ".")
    if "example" not in told and (shown := _shown(name, schema)) is not None:
        told["example"] = shown
    return told


def _shown(name: str, schema: dict[str, Any]) -> Any:
    if "default" in schema:
        return schema["default"]
    return examples.example(schema, {}, name)


def _complete(operation: Operation, refused: list[Code], schemas: dict[str, Any]) -> None:
    told, name = operation.told, operation.view.__name__
    told["operationId"] = name
    told["x-roles"] = list(operation.roles)
    told["security"] = [{name: []} for name in _SECURITY] if operation.roles else []
    for media_type, content in told.get("requestBody", {}).get("content", {}).items():
        is_file = content["schema"].get("format") == "binary"
        shown = examples.files(media_type) if is_file else examples.bodies(name, content["schema"], schemas)
        content.update({"examples": shown} if shown else {})
    answers = told["responses"]
    answers.pop("default", None)
    if "UnprocessableEntity" in str(answers.get("422")) or "$ref" in answers.get("422", {}):
        answers.pop("422")
    if "Prefer" in operation.parameters and operation.method != "get" and "200" in answers:
        answers["204"] = {"description": "As 200, without its body (Prefer: return=minimal)."}
    for status, answer in answers.items():
        _complete_answer(operation, answer, schemas, is_good=status < "300")
    _add_links(getattr(operation.view, "leads", ()), answers)
    for status, codes in _by_status(refused).items():
        refusal = refused_answer(codes, is_counted=bool(operation.roles))
        if status in answers:
            refusal["content"].update(answers[status]["content"])
            refusal["description"] = f"{answers[status]['description']} {refusal['description']}"
        answers[status] = refusal
    told["responses"] = dict(sorted(answers.items()))


def _complete_answer(operation: Operation, answer: dict[str, Any], schemas: dict[str, Any], *, is_good: bool) -> None:
    names = ["X-Request-Id", *(_RATE if operation.roles else ())]
    if is_good:
        names += getattr(operation.view, "told_headers", ())
        names += [each for name in operation.parameters for each in _PARAMETER_HEADERS.get(name, ())]
    answer["headers"] = {name: _header(name) for name in names}
    for content in answer.get("content", {}).values():
        if content.get("schema", {}).keys() - {"type"}:
            content["examples"] = {"example": {"value": examples.example(content["schema"], schemas)}}


def _add_links(links: Iterable[Link], answers: dict[str, Any]) -> None:
    for link in links:
        told = {"operationId": link.operation, "parameters": link.parameters}
        answers[str(link.status)].setdefault("links", {})[link.operation] = told


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _by_status(codes: Iterable[Code]) -> dict[str, list[Code]]:
    found = defaultdict[str, list[Code]](list)
    for code in codes:
        found[str(code.status)].append(code)
    return found


def _problem(app: Flask, code: Code) -> Any:
    """Give the document that a code is answered with."""
    with app.test_request_context():
        made = problem_document(Refusal.of(code, f"{code.title}."))
    return to_builtins(structs.replace(made, request_id=REQUEST_ID))
