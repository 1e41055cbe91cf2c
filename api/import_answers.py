"""Imports as they are told, over HTTP and on the command line: how a file is read, what it has, what is wrong.

What is told is in the language that is asked for.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from api.exports import Kind, Table, cells, columns
from api.languages import translated
from api.shapes import Impact, ImportAnswer, ImportCounts, ImportProblem, ImportProgress, ImportSummary
from api.staged_imports import given_profile, told
from ledger import staging
from ledger.database import Cursor, one
from ledger.refusal import Code
from ledger.staging import Import, SavedProfile, StagedProblem
from ledger.store import Store
from ledger.wording import say

ERRORS_MAX: Final = 100
_UNREAD: Final = Code.import_not_ready
_UNREAD_SENTENCE: Final = say(
    "the file is not read to its end: if it is still so in a while, that was interrupted; send its profile again, or"
    " discard it"
)
"""Told of what waits for a profile and has nothing undecided: it is being read, or the process ended meanwhile."""
_IMPORTS: Final = columns(
    id=Kind.text,
    name=Kind.text,
    form=Kind.text,
    state=Kind.text,
    actor=Kind.text,
    sha256=Kind.text,
    size=Kind.integer,
    created_at=Kind.instant,
    changed_at=Kind.instant,
)
_PROGRESS: Final = columns(**dict.fromkeys(ImportProgress.__struct_fields__, Kind.integer))
_PROFILES: Final = columns(name=Kind.text, actor=Kind.text, saved_at=Kind.instant)


def _progress(staged: Import) -> ImportProgress:
    impact = told(staged).impact or Impact()
    return ImportProgress(
        staged.done, impact.orders + impact.duplicates, staged.recorded, staged.duplicates, staged.refused
    )


def import_summary(staged: Import) -> ImportSummary:
    """Tell an import as the list has it."""
    return ImportSummary(**_described(staged))


def imports_table(imports: Iterable[ImportSummary]) -> Table:
    """Give imports as a table."""
    rows = ((*cells(_IMPORTS, each), *cells(_PROGRESS, each.progress)) for each in imports)
    return Table("imports", (*_IMPORTS, *_PROGRESS), rows)


def profiles_table(profiles: Iterable[SavedProfile]) -> Table:
    """Give saved profiles as a table."""
    return Table("import_profiles", _PROFILES, (cells(_PROFILES, each) for each in profiles))


def _described(staged: Import) -> dict[str, Any]:
    names = ("id", "name", "form", "state", "actor", "sha256", "size", "created_at", "changed_at")
    return {**{name: getattr(staged, name) for name in names}, "progress": _progress(staged)}


def told_import(store: Store, staged: Import) -> ImportAnswer:
    """Tell an import, and where the ledger is."""
    with store.database.cursor() as cursor:
        return import_answer(cursor, staged)


def import_answer(cursor: Cursor, staged: Import) -> ImportAnswer:
    """Tell an import as the caller's transaction sees it."""
    known = told(staged)
    cursor.execute("SELECT position FROM head")
    (position,) = one(cursor)
    problems = staging.problems(cursor, staged.id, lines=None, limit=ERRORS_MAX)
    undecided = [
        ImportProblem(None, None, code, translated(detail), translated(Code[code].remedy), pointer)
        for code, detail, pointer in known.undecided
    ]
    if staged.state == staging.NEEDS_PROFILE and not undecided:
        undecided = [ImportProblem(None, None, _UNREAD.name, translated(_UNREAD_SENTENCE), translated(_UNREAD.remedy))]
    return ImportAnswer(
        **_described(staged),
        profile=known.profile,
        given=given_profile(staged),
        decisions=[msgspec.structs.replace(each, why=translated(each.why)) for each in known.decisions],
        columns=known.columns,
        counts=ImportCounts(
            known.rows, known.orders, known.rejected_orders, known.rejected_rows, known.problems + len(undecided)
        ),
        impact=known.impact,
        position=position,
        errors=[*undecided, *map(import_problem, problems)][:ERRORS_MAX],
    )


def import_problem(problem: StagedProblem) -> ImportProblem:
    """Tell what is wrong with a row."""
    detail, remedy = translated(problem.detail), translated(Code[problem.code].remedy)
    return ImportProblem(problem.line, problem.column, problem.code, detail, remedy)
