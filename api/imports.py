"""Imports over HTTP: a file is uploaded, shown as it is understood, committed in the background; bad rows come back."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import msgspec
from flask import Response, g, request

from api.access import allow, path_identifier, principal
from api.answers import answer
from api.bodies import decode_body, read_body, refuse_coding
from api.exports import MEDIA_TYPES, asked_export, asked_format, attached, exported
from api.idempotency import keyed, note_key
from api.import_answers import import_answer, import_problem, import_summary, imports_table, profiles_table, told_import
from api.import_orders import Understanding, unpacked
from api.import_profiles import check_profile
from api.import_rejected import rejected_csv, rejected_table, rows_table
from api.import_values import text_of
from api.queries import (
    IMPORT_NAME,
    PAGE_MAX,
    ImportQuery,
    ImportsQuery,
    PreviewQuery,
    RejectedQuery,
    SavedProfilesQuery,
)
from api.routes import Routes
from api.shapes import (
    CommitRequest,
    Form,
    ImportAnswer,
    ImportList,
    ImportProfile,
    ImportSummary,
    PreviewAnswer,
    PreviewRow,
    SavedProfile,
    SavedProfileList,
)
from api.staged_imports import FILE_BYTES_MAX, Watch, begin, discard, found, read_upload, run, stage, told, use_profile
from ledger import staging
from ledger.checks import shown
from ledger.database import Cursor
from ledger.refusal import Code, Refusal
from ledger.staging import Import
from ledger.store import Store
from ledger.wording import say

FORMS: Final[dict[str, Form]] = {
    MEDIA_TYPES["csv"]: "csv",
    MEDIA_TYPES["xlsx"]: "xlsx",
    MEDIA_TYPES["ndjson"]: "ndjson",
}
READ_BY: Final = ("ingest", "finance")
_CHUNK_BYTES = 64 * 1024
_SPOOLED_BYTES = 4 * 1024 * 1024
_log = logging.getLogger("orderledger.imports")


_UNREADABLE: Final = (Code.invalid_csv, Code.events_not_rows, Code.invalid_workbook, Code.unknown_encoding)
_PROFILE = msgspec.json.Decoder(ImportProfile)
_COMMIT = msgspec.json.Decoder(CommitRequest)


class Commits:
    """The commits that this process has under way, each in a thread."""

    def __init__(self, store: Store, is_stopping: Callable[[], bool]) -> None:
        self._store = store
        self._is_stopping = is_stopping
        self._threads = dict[str, threading.Thread]()
        self._lock = threading.Lock()

    def start(self, import_id: str) -> None:
        """Go on with a commit, unless this process does already; another process that does keeps it."""
        with self._lock:
            self._threads = {each: thread for each, thread in self._threads.items() if thread.is_alive()}
            if import_id not in self._threads and not self._is_stopping():
                thread = threading.Thread(target=self._run, args=(import_id,), name=f"import {import_id}", daemon=True)
                self._threads[import_id] = thread
                thread.start()

    def take_over(self) -> None:
        """Go on with the commits that a process left; the database need not answer yet."""
        threading.Thread(target=self._take_over, name="imports left", daemon=True).start()

    def wait(self) -> None:
        """Wait until the commits of this process have ended, or stopped."""
        for thread in list(self._threads.values()):
            thread.join()

    def _take_over(self) -> None:
        try:
            with self._store.database.cursor() as cursor:
                left = staging.committing(cursor)
        except Exception:  # noqa: BLE001 - whoever asks for one of them goes on with it
            _log.warning("imports that were left can't be looked up: the database does not answer")
            return
        for import_id in left:
            self.start(import_id)

    def _run(self, import_id: str) -> None:
        try:
            run(self._store, import_id, self._is_stopping)
        except Exception:  # noqa: BLE001 - the state says that it is not done, and the log why
            _log.exception("import %s stopped; whoever asks for it goes on with it", import_id)


def blueprint(store: Store, commits: Commits) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("imports", __name__, description="Files of orders: staged, previewed, committed.")
    _upload_routes(routes, store)
    _import_routes(routes, store, commits)
    _row_routes(routes, store)
    _profile_routes(routes, store)
    return routes


def _upload_routes(routes: Routes, store: Store) -> None:
    @routes.post("/imports")
    @routes.takes_file(FORMS, "The file, up to 64 MiB.")
    @routes.query(ImportQuery)
    @routes.answers(201, ImportAnswer, "The file is staged; nothing of it is recorded.")
    @routes.refuses(*_UNREADABLE, Code.import_not_found, Code.invalid_value)
    @routes.leads_to(201, "get_import", import_id="$response.body#/id")
    @routes.leads_to(201, "get_import_preview", import_id="$response.body#/id")
    @routes.leads_to(201, "get_import_rejected", import_id="$response.body#/id")
    @routes.leads_to(201, "put_import_profile", import_id="$response.body#/id")
    @routes.leads_to(201, "post_import_commit", import_id="$response.body#/id")
    @routes.leads_to(201, "post_import_discard", import_id="$response.body#/id")
    @keyed(store, body=_uploaded)
    @allow("ingest")
    def post_import(query: dict[str, Any]) -> Response:
        """Stage a file of order lines (CSV, XLSX, or a JSON object a line), and tell how it is understood.

        The answer proposes a profile and says for each decision why it was taken and whether it is certain.
        """
        given = _saved(store, query["profile"]) if "profile" in query else ImportProfile()
        responses = list[Response]()

        def note(cursor: Cursor, staged: Import) -> None:
            responses.append(answer(import_answer(cursor, staged), 201))
            note_key(cursor, responses[0])

        with ExitStack() as files:
            if "upload" not in g:
                files.enter_context(_uploaded())
            stage(store, g.upload, given, actor=principal(), watch=Watch(staged=note))
        return responses[0]

    @routes.get("/imports")
    @routes.query(ImportsQuery)
    @routes.answers(200, ImportList)
    @routes.exports()
    @allow(*READ_BY)
    def get_imports(query: dict[str, Any]) -> Response:
        """List the imports, the latest first. As a file (by Accept) they are whole."""
        export, before = asked_export(query), query.get("before")
        if export is not None:
            return export.answered([imports_table(_all_imports(store))], "imports", store.head())
        with store.database.cursor() as cursor:
            listed = staging.find_all(cursor, before=before and _plain(before), limit=query["limit"])
        following = listed[-1].id if len(listed) == query["limit"] else None
        return answer(ImportList([import_summary(each) for each in listed], following))


def _all_imports(store: Store) -> Iterator[ImportSummary]:
    before: str | None = None
    while True:
        with store.database.cursor() as cursor:
            listed = staging.find_all(cursor, before=before, limit=PAGE_MAX)
        if not listed:
            return
        yield from map(import_summary, listed)
        before = listed[-1].id


def _all_profiles(store: Store) -> Iterator[staging.SavedProfile]:
    after = ""
    while True:
        with store.database.cursor() as cursor:
            listed = staging.find_profiles(cursor, after=after, limit=PAGE_MAX)
        if not listed:
            return
        yield from listed
        after = listed[-1].name


def _import_routes(routes: Routes, store: Store, commits: Commits) -> None:
    @routes.get("/imports/<import_id>")
    @routes.answers(200, ImportAnswer)
    @allow(*READ_BY)
    def get_import(import_id: str) -> Response:
        """Give an import: its state and progress, how it is read, its errors, and what committing would record."""
        staged = _found(store, import_id)
        if staged.state == staging.COMMITTING:
            commits.start(staged.id)
        return answer(told_import(store, staged))

    @routes.put("/imports/<import_id>/profile")
    @routes.takes(ImportProfile)
    @routes.answers(200, ImportAnswer)
    @routes.refuses(*_UNREADABLE, Code.import_not_ready)
    @allow("ingest")
    def put_import_profile(import_id: str) -> Response:
        """Read the file again by this profile, and judge its rows again; what it does not say is proposed."""
        profile = read_body(_PROFILE)
        staged = use_profile(store, _found(store, import_id).id, profile)
        return answer(told_import(store, staged))

    @routes.post("/imports/<import_id>/commit")
    @routes.takes(CommitRequest)
    @routes.answers(202, ImportAnswer, "It is under way, or done: ask for the import to see how far.")
    @routes.refuses(Code.import_not_ready)
    @routes.leads_to(202, "get_import", import_id="$request.path.import_id")
    @keyed(store)
    @allow("ingest")
    def post_import_commit(import_id: str) -> Response:
        """Record the orders of the file, each once, in the background; all or nothing unless good rows are accepted.

        Up to 5,000 orders are one transaction. More are recorded in batches after all were judged good; what somebody
        else's orders or rules forbid in between is rejected and told.
        """
        asked = read_body(_COMMIT)
        staged = begin(store, _found(store, import_id).id, accept_good_rows=asked.accept_good_rows, actor=principal())
        if staged.state == staging.COMMITTING:
            commits.start(staged.id)
        return answer(told_import(store, staged), 202)

    @routes.post("/imports/<import_id>/discard")
    @routes.answers(200, ImportAnswer)
    @routes.refuses(Code.import_not_ready)
    @keyed(store)
    @allow("ingest")
    def post_import_discard(import_id: str) -> Response:
        """Drop a staged file with its rows."""
        return answer(told_import(store, discard(store, _found(store, import_id).id)))


def _row_routes(routes: Routes, store: Store) -> None:
    @routes.get("/imports/<import_id>/preview")
    @routes.query(PreviewQuery)
    @routes.answers(200, PreviewAnswer)
    @routes.exports()
    @allow(*READ_BY)
    def get_import_preview(query: dict[str, Any], import_id: str) -> Response:
        """Give rows as the file has them, beside what they are understood as and everything wrong with them.

        As a file (by Accept) they are whole, as they are understood.
        """
        export, staged = asked_export(query), _found(store, import_id)
        if export is not None:
            table = rows_table(store.database, staged.id, told(staged), rejected=query["rejected"])
            return export.answered([table], f"rows-{staged.name}", store.head())
        return answer(_preview(store, staged, query))

    @routes.get("/imports/<import_id>/rejected")
    @routes.query(RejectedQuery)
    @routes.sends(MEDIA_TYPES["csv"], "The rejected rows in the file's columns, with what is wrong behind them.")
    @routes.exports(MEDIA_TYPES["xlsx"])
    @allow(*READ_BY)
    def get_import_rejected(_query: dict[str, Any], import_id: str) -> Response:
        """Give the rejected rows as a CSV, or a workbook, to be corrected and uploaded again."""
        staged = _found(store, import_id)
        known = told(staged)
        name = f"rejected-{staged.name}"
        if asked_format() == "xlsx":
            return exported([rejected_table(store.database, staged.id, known)], "xlsx", name)
        response = attached(rejected_csv(store.database, staged.id, known), "csv", name)
        response.headers["Content-Type"] = f"text/csv; charset={known.encoding or 'utf-8'}"
        return response


def _profile_routes(routes: Routes, store: Store) -> None:
    @routes.get("/import-profiles")
    @routes.query(SavedProfilesQuery)
    @routes.answers(200, SavedProfileList)
    @routes.exports()
    @allow(*READ_BY)
    def get_saved_profiles(query: dict[str, Any]) -> Response:
        """List the saved profiles by name, with who saved each, and when. As a file (by Accept) they are whole."""
        export = asked_export(query)
        if export is not None:
            return export.answered([profiles_table(_all_profiles(store))], "import-profiles", store.head())
        after, limit = query.get("after", ""), query["limit"]
        with store.database.cursor() as cursor:
            listed = staging.find_profiles(cursor, after=_plain(after), limit=limit)
        following = listed[-1].name if len(listed) == limit else None
        return answer(
            SavedProfileList([SavedProfile(each.name, each.actor, each.saved_at) for each in listed], following)
        )

    @routes.get("/import-profiles/<profile_name>")
    @routes.answers(200, ImportProfile)
    @routes.refuses(Code.import_not_found)
    @allow(*READ_BY)
    def get_saved_profile(profile_name: str) -> Response:
        """Give a saved profile."""
        return answer(_saved(store, profile_name))

    @routes.put("/import-profiles/<profile_name>")
    @routes.takes(ImportProfile)
    @routes.answers(200, ImportProfile, "It is saved in the place of another.")
    @routes.answers(201, ImportProfile, "It is saved.")
    @routes.leads_to(201, "get_saved_profile", profile_name="$request.path.profile_name")
    @routes.leads_to(201, "delete_saved_profile", profile_name="$request.path.profile_name")
    @allow("ingest")
    def put_saved_profile(profile_name: str) -> Response:
        """Save a profile under a name, for the files to come."""
        profile = read_body(_PROFILE)
        check_profile(profile)
        text = msgspec.json.encode(profile).decode()
        with store.database.transaction() as cursor:
            is_new = staging.keep_profile(
                cursor, path_identifier(profile_name), text, actor=principal(), now=store.clock()
            )
        return answer(profile, 201 if is_new else 200)

    @routes.delete("/import-profiles/<profile_name>")
    @routes.answers(200, ImportProfile, "It is dropped; this is what it was.")
    @routes.refuses(Code.import_not_found)
    @allow("ingest")
    def delete_saved_profile(profile_name: str) -> Response:
        """Drop a saved profile; imports that were read by it stay as they are."""
        profile = _saved(store, profile_name)
        with store.database.transaction() as cursor:
            staging.drop_profile(cursor, profile_name)
        return answer(profile)


# ---- what is asked


def _form() -> Form:
    form = FORMS.get(request.mimetype)
    if form is None:
        raise Refusal.of(
            Code.unsupported_media_type,
            say(
                "the file is {mimetype}: send Content-Type {forms}",
                mimetype=request.mimetype or say("of no stated type"),
                forms=", ".join(FORMS),
            ),
        )
    refuse_coding()
    return form


def _body() -> Iterator[bytes]:
    """Read the body in chunks; it may be larger here than elsewhere."""
    request.max_content_length = FILE_BYTES_MAX + 1
    return iter(lambda: request.stream.read(_CHUNK_BYTES), b"")


@contextmanager
def _uploaded() -> Iterator[bytes]:
    """Read the file to where the view finds it (g.upload); give what tells it from others."""
    with SpooledTemporaryFile(_SPOOLED_BYTES) as file:
        form = _form()
        g.upload = read_upload(request.args.get("name", IMPORT_NAME), form, _body(), file)
        yield f"{form} {g.upload.sha256}".encode()


def _found(store: Store, import_id: str) -> Import:
    return found(store, path_identifier(import_id))


def _plain(behind: str) -> str:
    """Give what a page goes on behind without what the database takes in no text."""
    return behind.replace("\x00", "")


def _saved(store: Store, name: str) -> ImportProfile:
    with store.database.cursor() as cursor:
        text = None if "\x00" in name else staging.find_profile(cursor, name)
    if text is None:
        raise Refusal.of(
            Code.import_not_found,
            say("there is no profile {name}: see the list of profiles, or save it first", name=shown(name)),
            "/profile",
        )
    return decode_body(_PROFILE, text)


# ---- what is answered


def _preview(store: Store, staged: Import, query: dict[str, Any]) -> PreviewAnswer:
    known = told(staged)
    headers = [column.header for column in known.columns]
    understanding = Understanding(headers, known.profile)
    after, limit = query["after"], query["limit"]
    with store.database.cursor() as cursor:
        rows = staging.rows(cursor, staged.id, after=after, limit=limit, rejected=query["rejected"])
        of_line = staging.problems_of(cursor, staged.id, rows)
    told_rows = list[PreviewRow]()
    for each in rows:
        row = unpacked(each.line, each.cells)
        raw = [cell if isinstance(cell, str) else text_of(cell) for cell in row.cells]
        if row.text is not None:
            raw[0] = row.text
        understood = {} if row.fault else understanding.understood(row)
        errors = [import_problem(problem) for problem in of_line[row.line]]
        told_rows.append(PreviewRow(row.line, raw, understood, each.rejected, errors))
    return PreviewAnswer(headers, told_rows, rows[-1].line if len(rows) == limit else None)
