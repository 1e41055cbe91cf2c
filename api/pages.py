"""Pages for people: where to begin, the API's reference, and one page for each error code."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, render_template

from api.access import public
from ledger.refusal import Code
from ledger.wording import say


def blueprint(document: Callable[[], dict[str, Any]]) -> Blueprint:
    """Make the pages; `document` gives the OpenAPI document."""
    pages = Blueprint("pages", __name__)

    @pages.get("/")
    @public
    def get_start() -> str:
        return render_template("start.html", operations=_operations(document()))

    @pages.get("/docs")
    @public
    def get_docs() -> str:
        described = document()
        return render_template(
            "docs.html",
            info=described["info"],
            tags=described["tags"],
            operations=_operations(described),
            **described["components"],
        )

    @pages.get("/openapi.json")
    @public
    def get_openapi() -> dict[str, Any]:
        return document()

    @pages.get("/errors")
    @public
    def get_errors() -> str:
        return render_template("errors.html", codes=list(Code))

    @pages.get("/errors/<name>")
    @public
    def get_error(name: str) -> str:
        if name not in Code.__members__:
            abort(404, say("there is no error code {name}: see /errors", name=name))
        return render_template("errors.html", codes=[Code[name]])

    return pages


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if isinstance(operation, dict)
    ]
