"""Imports: a file of orders is uploaded, shown as it is understood and why, recorded; its bad rows come back."""

from contextlib import suppress
from pathlib import PurePath
from typing import Any, Final, get_args

import msgspec
from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as Answer

from api.access import READERS, allow
from api.bodies import decode_body
from api.client import FORMS
from api.console.import_choices import TITLES, choices
from api.console.reading import reading
from api.console.shell import Form, Source, client, page, seen_roles, sent_form, told_done
from api.import_profiles import FIELDS
from api.imports import READ_BY
from api.shapes import DefaultField, ImportAnswer, ImportProfile
from api.staged_imports import FILE_BYTES_MAX
from api.transport import Refused
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.wording import Sentence, say

PREVIEW_ROWS: Final = 50
STATES: Final[dict[str, Sentence]] = {
    "needs_profile": say("waits for a decision"),
    "staged": say("ready to be recorded"),
    "committing": say("being recorded"),
    "committed": say("recorded"),
    "discarded": say("discarded"),
}
DEFAULTS: Final[tuple[DefaultField, ...]] = get_args(DefaultField)
_FORM_BYTES: Final = 64 * 1024
"""What a form may add to the file."""
_PROFILE: Final = msgspec.json.Decoder(ImportProfile)


def add_imports(console: Blueprint) -> None:
    """Add the pages."""
    _add_list(console)
    _add_import(console)
    _add_commands(console)


def _add_list(console: Blueprint) -> None:
    @console.get("/imports")
    @reading("before")
    @allow(*READ_BY)
    def get_imports() -> Response:
        return _list_page(Form())

    @console.post("/imports")
    @allow("ingest")
    def post_imports() -> Answer:
        request.max_content_length = FILE_BYTES_MAX + _FORM_BYTES
        try:
            return _to_import(_staged())
        except RequestEntityTooLarge:
            raise Refusal.of(
                Code.body_too_large,
                say("the file is larger than {file_bytes_max:,} bytes: split it", file_bytes_max=FILE_BYTES_MAX),
            ) from None
        except (Refused, Refusal) as refused:
            return _list_page(sent_form(refused))


def _add_import(console: Blueprint) -> None:
    @console.get("/imports/<import_id>")
    @reading("after", "rejected", "done")
    @allow(*READ_BY)
    def get_import(import_id: str) -> Response:
        return _import_page(client().import_(import_id), Form())


def _add_commands(console: Blueprint) -> None:
    @console.post("/imports/<import_id>/profile")
    @allow("ingest")
    def post_import_profile(import_id: str) -> Answer:
        try:
            told = client().set_import_profile(import_id, _said_profile())
            if name := request.form.get("save_as", "").strip():
                saved = msgspec.structs.replace(told.profile, source=told.given.source)
                client().save_import_profile(name, saved)
        except (Refused, Refusal) as refused:
            return _refused_import(import_id, refused)
        return _to_import(told)

    @console.post("/imports/<import_id>/commit")
    @allow("ingest")
    def post_import_commit(import_id: str) -> Answer:
        try:
            told = client().commit_import(import_id, accept_good_rows=request.form.get("rows") == "good")
        except Refused as refused:
            return _refused_import(import_id, refused)
        return redirect(url_for("console.get_import", import_id=told.id, done="recorded"), 303)

    @console.post("/imports/<import_id>/discard")
    @allow("ingest")
    def post_import_discard(import_id: str) -> Answer:
        try:
            return _to_import(client().discard_import(import_id))
        except Refused as refused:
            return _refused_import(import_id, refused)


# ---- what is sent


def _staged() -> ImportAnswer:
    """Stage the file of the form."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise Refusal.of(Code.missing_field, say("no file was chosen: choose one"), "/file")
    form = FORMS.get(PurePath(file.filename).suffix.lower())
    if form is None:
        sentence = say(
            "{name} is none of {forms}: save the file as one of them, named so",
            name=shown(file.filename),
            forms=", ".join(FORMS),
        )
        raise Refusal.of(Code.unsupported_media_type, sentence, "/file")
    name = request.form.get("name", "").strip() or file.filename
    return client().stage_content(file.read(), form, name, profile=request.form.get("profile") or None)


def _said_profile() -> ImportProfile:
    """Read what the form says of how the file is to be read. Errors: Refusal of what no form of ours sends."""
    said = {name: request.form.get(name, "") for name in ("encoding", "delimiter", "sheet")}
    said |= {name: request.form.get(name, "") for name in ("date_format", "decimal_format")}
    said["source"] = request.form.get("source", "").strip()
    flags = {name: request.form.get(name) == "true" for name in ("numeric_ids", "date_ids") if request.form.get(name)}
    columns = {name: header for name in FIELDS if (header := request.form.get(f"columns/{name}"))}
    defaults = {name: text for name in DEFAULTS if (text := request.form.get(f"defaults/{name}", "").strip())}
    whole = {**{name: text for name, text in said.items() if text}, **flags, "columns": columns, "defaults": defaults}
    return decode_body(_PROFILE, msgspec.json.encode(whole))


def _line(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Refusal.of(
            Code.invalid_parameter, say("{after} is no line of the file: write a number", after=shown(text)), "/after"
        )
    return int(text)


# ---- what is shown


def _to_import(told: ImportAnswer) -> Answer:
    return redirect(url_for("console.get_import", import_id=told.id), 303)


def _list_page(form: Form) -> Response:
    before = request.args.get("before")
    listed = client().imports_page(before)
    return page(
        "imports.html",
        form=form,
        status=form.status,
        imports=listed.imports,
        following=listed.next,
        before=before,
        profiles=list(client().import_profiles()) if "ingest" in seen_roles() else [],
        suffixes=",".join(FORMS),
        states=STATES,
        sources=[
            Source(say("Imports"), "/v1/imports", {"before": before}),
            Source(say("Saved profiles"), "/v1/import-profiles"),
        ],
    )


def _refused_import(import_id: str, refused: Refused | Refusal) -> Response:
    """Show the import again, with what was typed and why it was refused; a missing one is refused as such."""
    with suppress(Refused):
        return _import_page(client().import_(import_id), sent_form(refused))
    raise refused


def _import_page(told: ImportAnswer, form: Form) -> Response:
    address = f"/v1/imports/{told.id}"
    rejected = request.args.get("rejected", "") not in ("", "no")
    after = _line(request.args.get("after", ""))
    is_open = told.state in ("needs_profile", "staged")
    decided = [] if told.state == "discarded" else choices(told)
    return page(
        "import.html",
        form=form,
        status=form.status,
        told=told,
        recorded=_recorded(told) if request.method == "GET" else None,
        states=STATES,
        is_open=is_open,
        acts=is_open and "ingest" in seen_roles(),
        reads_figures=bool(seen_roles() & set(READERS)),
        open_choices=[choice for choice in decided if not choice.is_certain],
        choices=[choice for choice in decided if choice.is_certain],
        defaults=DEFAULTS,
        titles=TITLES,
        preview=client().preview_page(told.id, after=after, limit=PREVIEW_ROWS, rejected=rejected),
        rejected=rejected,
        after=after,
        sources=_sources(address, rejected=rejected),
    )


def _recorded(told: ImportAnswer) -> Sentence | None:
    """Say that an import was recorded, if it just was."""
    if told.state != "committed":
        return None
    recorded = say(
        "{name} was recorded: {recorded} new orders, {duplicates} that were in the ledger before.",
        name=told.name,
        recorded=told.progress.recorded,
        duplicates=told.progress.duplicates,
    )
    return told_done(recorded=recorded)


def _sources(address: str, *, rejected: bool) -> list[Source]:
    query: dict[str, Any] = {"rejected": True} if rejected else {}
    return [
        Source(say("Import"), address, files=False),
        Source(say("Rows as they are read"), f"{address}/preview", query),
    ]
