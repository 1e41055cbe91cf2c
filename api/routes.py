"""Routes that document themselves: bodies and answers are described in OpenAPI from the very types that decode and
encode them, query parameters from the schemas that read them; flask-smorest keeps the document.

What follows from that (who is refused, what a body or a parameter may lack, examples) is added by api/openapi.py; a
route says with @refuses, @tells_header and @leads_to only what nobody could know from its shape.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ClassVar, NamedTuple, TypeVar, cast, get_args

import msgspec
from flask import request
from flask_smorest import Api, Blueprint
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser

from api.exports import MEDIA_TYPES
from api.library_words import recognised
from api.preferences import POSITION_HEADER, RETURN_PARAMETER, preferring
from ledger.refusal import Code, Problem, Refusal
from ledger.wording import Sentence, joined, say

View = TypeVar("View", bound=Callable[..., Any])
_TEMPLATE = "#/components/schemas/{name}"


class Link(NamedTuple):
    """An operation that an answer leads to: its view, and where in request or answer its parameters are."""

    status: int
    operation: str
    parameters: dict[str, str]


class _Parser(FlaskParser):
    """Reads query parameters; unknown ones are refused, nothing is ignored silently."""

    def __init__(self) -> None:
        super().__init__()
        self.DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}

    def handle_error(self, error: ValidationError, *_: Any, **__: Any) -> None:  # type: ignore[override]
        """Refuse with every parameter that is wrong."""
        messages = cast(dict[str, dict[str, list[str]]], error.messages).get("query", {})
        raise Refusal(
            tuple(
                Problem(Code.invalid_parameter, _sentence(name, told), f"/{name}")
                for name, told in sorted(messages.items())
            )
        )


def _sentence(name: str, told: list[str]) -> Sentence:
    """Tell what is wrong with a parameter; a library's texts end with a full stop, our own need not."""
    whole = joined([recognised(each) for each in told], " ")
    if whole.endswith("."):
        return say("{name}: {told} See /docs for the parameters.", name=name, told=whole)
    return say("{name}: {told}. See /docs for the parameters.", name=name, told=whole)


class Routes(Blueprint):  # type: ignore[misc]
    """A group of routes. Views make their answers themselves; the decorators read, check and document."""

    ARGUMENTS_PARSER = _Parser()
    documented: ClassVar[list[Any]] = []

    def get(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Route GET requests."""
        return cast(Callable[[View], View], super().get(rule, **options))

    def post(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Route POST requests."""
        return _preferring(super().post(rule, **options))

    def put(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Route PUT requests."""
        return _preferring(super().put(rule, **options))

    def delete(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Route DELETE requests."""
        return cast(Callable[[View], View], super().delete(rule, **options))

    def query(self, schema: type[Schema]) -> Callable[[View], View]:
        """Read the query parameters into the view's first argument; without any, there is nothing to parse."""
        read = self.arguments(schema, location="query")
        defaults = _defaults(schema)

        def decorate(view: View) -> View:
            reading = read(view)

            @wraps(reading)
            def run(*arguments: Any, **named: Any) -> Any:
                if defaults is None or request.query_string:
                    return reading(*arguments, **named)
                return view(*arguments, dict(defaults), **named)

            run.reads_query = True  # type: ignore[attr-defined]
            return cast(View, run)

        return decorate

    def takes(self, body: Any) -> Callable[[View], View]:
        """Document the JSON body that the view reads."""
        content = {"application/json": {"schema": self._reference(body)}}
        return cast(Callable[[View], View], self.doc(requestBody={"required": True, "content": content}))

    def takes_file(self, media_types: Iterable[str], description: str) -> Callable[[View], View]:
        """Document the file that the view reads."""
        content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
        body = {"required": True, "content": content, "description": description}
        return cast(Callable[[View], View], self.doc(requestBody=body))

    def refuses(self, *codes: Code) -> Callable[[View], View]:
        """Document with what the view refuses, beside what its roles, parameters and body say already."""
        return noting("refused_with", codes)

    def tells_header(self, name: str) -> Callable[[View], View]:
        """Document a header that good answers of the view carry; api/openapi.py describes it."""
        return noting("told_headers", (name,))

    def leads_to(self, status: int, operation: str, **parameters: str) -> Callable[[View], View]:
        """Document that an answer names what another view takes, by OpenAPI's runtime expressions."""
        return noting("leads", (Link(status, operation, parameters),))

    def answers(
        self, status: int, body: Any, description: str = "OK", media_type: str | None = None
    ) -> Callable[[View], View]:
        """Document an answer that the view gives; a tuple is of shapes that it may have."""
        shapes = [self._reference(shape) for shape in (body if isinstance(body, tuple) else (body,))]
        schema = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        documented = self.response(status, schema, description=description, content_type=media_type)
        return cast(Callable[[View], View], documented)

    def answers_nothing(self, description: str) -> Callable[[View], View]:
        """Document an answer without a body."""
        return cast(Callable[[View], View], self.response(204, description=description))

    def sends(self, media_type: str, description: str) -> Callable[[View], View]:
        """Document a file that the view answers with."""
        schema = {"type": "string", "format": "binary"}
        documented = cast(
            Callable[[View], View], self.response(200, schema, description=description, content_type=media_type)
        )
        return lambda view: documented(noting("told_headers", ("Content-Disposition",))(view))

    def exports(self, *only: str) -> Callable[[View], View]:
        """Document that the view also answers with a file, in the format (or only those) that Accept asks for."""
        documented = self.may_answer(*(only or MEDIA_TYPES.values()))
        return lambda view: documented(noting("told_headers", ("Content-Disposition", "Vary"))(view))

    def may_answer(self, *media_types: str) -> Callable[[View], View]:
        """Document other media types of a good answer, which the Accept header chooses from."""
        content = {
            media_type: {"schema": {"type": "string"} if media_type.startswith("text/") else {}}
            for media_type in media_types
        }
        return cast(Callable[[View], View], self.doc(responses={200: {"content": content}}))

    def _reference(self, body: Any) -> dict[str, Any]:
        self.documented.append(body)
        (schema,), _ = msgspec.json.schema_components([body], ref_template=_TEMPLATE)
        return schema


def _defaults(schema: type[Schema]) -> dict[str, Any] | None:
    """Give what a query without parameters says; None where it must say something."""
    try:
        return cast(dict[str, Any], schema().load({}))
    except ValidationError:
        return None


def noting(name: str, values: tuple[Any, ...]) -> Callable[[View], View]:
    """Note something about a view, for the document, beside what was noted before."""

    def note(view: View) -> View:
        setattr(view, name, (*getattr(view, name, ()), *values))
        return view

    return note


def _preferring(route: Callable[[View], View]) -> Callable[[View], View]:
    """Let what a view makes or records be answered as Prefer says, and document that."""

    def decorate(view: View) -> View:
        if getattr(view, "is_told_in_full", False):
            return route(view)
        told = noting("told_headers", (POSITION_HEADER, "Location"))(preferring(view))
        return route(noting("request_headers", (RETURN_PARAMETER,))(told))

    return decorate


def register_components(api: Api) -> None:
    """Add the schemas of all bodies and answers that the routes documented."""
    types = list(dict.fromkeys(member for body in Routes.documented for member in get_args(body) or (body,)))
    _, components = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    for name, schema in components.items():
        api.spec.components.schema(name, schema)
