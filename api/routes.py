"""Routes that document themselves: bodies and answers are described in OpenAPI from the very types that decode and
encode them, query parameters from the schemas that read them; flask-smorest keeps the document.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast, get_args

import msgspec
from flask_smorest import Api, Blueprint
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser

from api.exports import MEDIA_TYPES
from api.library_words import recognised
from ledger.refusal import Code, Problem, Refusal
from ledger.wording import joined, say

View = TypeVar("View", bound=Callable[..., Any])
_TEMPLATE = "#/components/schemas/{name}"


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
                Problem(
                    Code.invalid_parameter,
                    say(
                        "{name}: {told} See /docs for the parameters.",
                        name=name,
                        told=joined([recognised(each) for each in told], " "),
                    ),
                    f"/{name}",
                )
                for name, told in sorted(messages.items())
            )
        )


class Routes(Blueprint):  # type: ignore[misc]
    """A group of routes. Views make their answers themselves; the decorators read, check and document."""

    ARGUMENTS_PARSER = _Parser()
    documented: ClassVar[list[Any]] = []

    def get(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Route GET requests."""
        return cast(Callable[[View], View], super().get(rule, **options))

    def post(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Route POST requests."""
        return cast(Callable[[View], View], super().post(rule, **options))

    def put(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Route PUT requests."""
        return cast(Callable[[View], View], super().put(rule, **options))

    def query(self, schema: type[Schema]) -> Callable[[View], View]:
        """Read the query parameters into the view's first argument."""
        read = self.arguments(schema, location="query")

        def decorate(view: View) -> View:
            reading = read(view)
            reading.reads_query = True
            return cast(View, reading)

        return decorate

    def takes(self, body: Any) -> Callable[[View], View]:
        """Document the JSON body that the view reads."""
        content = {"application/json": {"schema": self._reference(body)}}
        return cast(Callable[[View], View], self.doc(requestBody={"required": True, "content": content}))

    def answers(
        self, status: int, body: Any, description: str = "OK", media_type: str | None = None
    ) -> Callable[[View], View]:
        """Document an answer that the view gives; a tuple is of shapes that it may have."""
        shapes = [self._reference(shape) for shape in (body if isinstance(body, tuple) else (body,))]
        schema = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        documented = self.response(status, schema, description=description, content_type=media_type)
        return cast(Callable[[View], View], documented)

    def sends(self, media_type: str, description: str) -> Callable[[View], View]:
        """Document a file that the view answers with."""
        schema = {"type": "string", "format": "binary"}
        return cast(
            Callable[[View], View], self.response(200, schema, description=description, content_type=media_type)
        )

    def exports(self) -> Callable[[View], View]:
        """Document that the view also answers with a file, in the format that the Accept header asks for."""
        content = {
            media_type: {"schema": {"type": "string"} if media_type.startswith("text/") else {}}
            for media_type in MEDIA_TYPES.values()
        }
        return cast(Callable[[View], View], self.doc(responses={200: {"content": content}}))

    def _reference(self, body: Any) -> dict[str, Any]:
        self.documented.append(body)
        (schema,), _ = msgspec.json.schema_components([body], ref_template=_TEMPLATE)
        return schema


def register_components(api: Api) -> None:
    """Add the schemas of all bodies and answers that the routes documented."""
    types = list(dict.fromkeys(member for body in Routes.documented for member in get_args(body) or (body,)))
    _, components = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    for name, schema in components.items():
        api.spec.components.schema(name, schema)
