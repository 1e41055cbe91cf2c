"""Pages for people: where to begin, the API's reference, and one page for each error code."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from api.access import public
from api.languages import LANGUAGE_COOKIE, LANGUAGES
from api.same_site import check_same_site
from ledger.refusal import Code
from ledger.wording import say


def blueprint(document: Callable[[], dict[str, Any]]) -> Blueprint:
    """Make the pages; `document` gives the OpenAPI document."""
    pages = Blueprint("pages", __name__)
    pages.record_once(lambda state: state.app.jinja_env.globals.update(this_page=this_page))

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

    @pages.post("/language")
    @public
    def post_language() -> Answer:
        check_same_site()
        given = request.form.get("next", "")
        answer = redirect(given if is_address_here(given) else url_for("pages.get_start"), 303)
        if (language := request.form.get("language", "")) in LANGUAGES:
            answer.set_cookie(LANGUAGE_COOKIE, language, max_age=31536000, httponly=True, samesite="Lax")
        return answer

    return pages


def this_page() -> str:
    """Give the address of the page that is shown; of what a form was sent to, the page that has the form."""
    if request.method == "GET":
        return request.full_path.rstrip("?")
    adapter, path = current_app.url_map.bind(""), request.path
    while path and not adapter.test(path, method="GET"):
        path = path.rpartition("/")[0]
    return path or url_for("pages.get_start")


def is_address_here(address: str) -> bool:
    """Say whether an address is a page of ours, and not another site's."""
    return address.startswith("/") and not address.startswith("//") and address.isprintable() and "\\" not in address


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if isinstance(operation, dict)
    ]
