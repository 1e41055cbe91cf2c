"""Reading for auditors: the report of the rulebook's changes, and the access log. Every reading is noted in the log."""

from typing import Any

from flask import Response
from msgspec import Struct

from api.access import READERS, allow
from api.answers import answer
from api.audit_answers import RuleChangesAudit, audit_answer, audit_tables
from api.exports import Kind, Table, asked_export, cells, columns
from api.queries import AccessQuery, AuditQuery, asked_days, asked_position, check_days, read_cursor, write_cursor
from api.routes import Routes
from api.values import Instant
from ledger.access_log import Access, Asked, last_number, read, read_all
from ledger.refusal import Code
from ledger.store import Store
from projections.audit import audit_report


class AccessEntry(Struct, frozen=True):
    """One entry of the access log; `times` is how many of the same it stands for.

    `outcome` is done, or the code of the refusal. `token_id` is of the token that was used, `principal` whose it is;
    of a wrong secret only the id is told, of a token that there is not, neither.
    """

    number: int
    at: Instant
    channel: str
    action: str
    outcome: str
    principal: str | None
    token_id: str | None
    subject: str
    request_id: str | None
    address: str | None
    times: int


class AccessAnswer(Struct, frozen=True):
    """Entries of the access log, oldest first; `next_cursor` asks for those behind."""

    entries: list[AccessEntry]
    next_cursor: str | None


_ACCESS = columns(
    number=Kind.integer,
    at=Kind.instant,
    channel=Kind.text,
    action=Kind.text,
    outcome=Kind.text,
    principal=Kind.text,
    token_id=Kind.text,
    subject=Kind.text,
    request_id=Kind.text,
    address=Kind.text,
    times=Kind.integer,
)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("audit", __name__, description="For auditors: reports, proofs, and who read what.")
    _add_report(routes, store)
    _add_access(routes, store)
    return routes


def _add_report(routes: Routes, store: Store) -> None:
    @routes.get("/audit/rule-changes")
    @routes.query(AuditQuery)
    @routes.answers(200, RuleChangesAudit)
    @routes.exports()
    @routes.refuses(Code.empty_range)
    @allow(*READERS)
    def get_rule_changes_audit(query: dict[str, Any]) -> Response:
        """Report which rules were in force on some days, and each change: who, why, when, what it moved, its proof.

        It has every rule change that was proposed or decided on these days or whose effect reaches into them, and every
        rule version whose days do. As a file (by Accept) it is whole, or one of its tables.
        """
        export = asked_export(query)
        days, position, start = asked_days(store, query), asked_position(store, query), 0
        if "cursor" in query:
            position, start = read_cursor(query["cursor"], 2)
        report = audit_report(store, days, position=position)
        known = report.view.position
        if export is not None:
            return export.answered(audit_tables(store, report), f"rule-changes-{days.name}", known)
        end = start + query["limit"]
        cursor = write_cursor(known, end) if end < len(report.changes) + len(report.versions) else None
        return answer(audit_answer(store, report, start=start, end=end, cursor=cursor))


def _add_access(routes: Routes, store: Store) -> None:
    @routes.get("/audit/access")
    @routes.query(AccessQuery)
    @routes.answers(200, AccessAnswer)
    @routes.exports()
    @routes.refuses(Code.empty_range)
    @allow("auditor", "admin")
    def get_access(query: dict[str, Any]) -> Response:
        """Give the access log: who signed in, made tokens, took data out, read audit data, and was refused.

        The days are business days. What was recorded in the ledger is in its events, which name their principal.
        """
        export, asked = asked_export(query), asked_entries(store, query)
        last, after = last_number(store.database), 0
        if export is not None:
            return export.answered([access_table(store, asked, last)], "access", last)
        if "cursor" in query:
            last, after = read_cursor(query["cursor"], 2)
        found = read(store.database, asked, after=after, last=last, limit=query["limit"])
        cursor = write_cursor(last, found[-1].number) if len(found) == query["limit"] else None
        return answer(AccessAnswer([access_entry(each) for each in found], cursor))


def asked_entries(store: Store, query: dict[str, Any]) -> Asked:
    """Give which entries are asked for: of the business days [from, to), a principal, an action.

    Errors: Refusal (empty_range).
    """
    start, end = query.get("start"), query.get("end")
    check_days(start, end)
    return Asked(
        since=store.begin_of(start) if start else None,
        until=store.begin_of(end) if end else None,
        principal=query.get("principal"),
        action=query.get("action"),
    )


def access_entry(access: Access) -> AccessEntry:
    """Tell an entry of the access log."""
    return AccessEntry(**{name: getattr(access, name) for name in AccessEntry.__struct_fields__})


def access_table(store: Store, asked: Asked, last: int) -> Table:
    """Give the entries asked for, up to a number, as a table."""
    return Table("access", _ACCESS, (cells(_ACCESS, each) for each in read_all(store.database, asked, last=last)))
