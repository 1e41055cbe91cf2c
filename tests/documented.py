"""Every answer that a test is given is held to the OpenAPI document: its status, code, media type, headers and body.

So a route, a refusal or a field that the document does not tell is found by whichever test meets it first. Validators
are compiled once; an answer takes some hundred microseconds.
"""

from functools import cache
from typing import Any

import jsonschema_rs
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from api.app import Config, Orderledger, create_app
from api.openapi import path_of

BODY_BYTES_MAX = 256 * 1024
"""A longer body is of the same shape as a shorter one."""


@cache
def document() -> dict[str, Any]:
    """Give the document; it needs no database."""
    return create_app(Config("postgresql://127.0.0.1:1/none")).described()


@cache
def validator(method: str, path: str, status: str, media_type: str) -> jsonschema_rs.Draft202012Validator:
    """Compile the schema of an answer."""
    content = document()["paths"][path][method]["responses"][status]["content"]
    whole = {**content[media_type].get("schema", {}), "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def hold(app: Orderledger, method: str, path: str, response: TestResponse) -> None:
    """Fail where an answer is not as the document says; what is no operation (a page, no such address) is let be."""
    if (found := template(app, method, path)) is None:
        return
    answers, status = document()["paths"][found][method.lower()]["responses"], str(response.status_code)
    where = f"{method} {found} {status}"
    assert status in answers, f"{where} is not documented: {response.text[:300]}"
    told = answers[status]
    missing = [name for name in _required(told) if name not in response.headers]
    assert not missing, f"{where}: {missing} is documented and not there"
    if "content" not in told:
        assert (response.data, response.mimetype) == (b"", None), f"{where} has a body, or says of what type"
        return
    if response.headers.get("Preference-Applied") == "return=minimal":
        assert "Preference-Applied" in told["headers"], f"{where} may not be without a body"
        assert (response.data, response.mimetype) == (b"", None), f"{where} has a body"
        return
    assert response.mimetype in told["content"], f"{where}: {response.mimetype} is not documented"
    if not (response.mimetype or "").endswith("json") or len(response.data) > BODY_BYTES_MAX:
        return
    body = response.get_json()
    errors = [
        f"{error.instance_path}: {error.message}"
        for error in validator(method.lower(), found, status, response.mimetype).iter_errors(body)
    ]
    assert not errors, f"{where}: {errors[:3]}"
    if response.mimetype == "application/problem+json":
        code = body["code"]
        assert code in told["content"][response.mimetype]["examples"], (
            f"{where}: add @routes.refuses(Code.{code}) to the view"
        )


def template(app: Orderledger, method: str, path: str) -> str | None:
    """Give the document's path of a request; None for what is no operation."""
    try:
        rule, _ = app.url_map.bind("localhost").match(path.split("?", maxsplit=1)[0], method, return_rule=True)
    except HTTPException:
        return None
    found = path_of(rule)
    return found if method.lower() in document()["paths"].get(found, {}) else None


def _required(told: dict[str, Any]) -> list[str]:
    headers = document()["components"]["headers"]
    return [name for name in told.get("headers", {}) if headers[name].get("required")]
