"""Verifying the ledger: POST begins what `orderledger verify` does, in the background, and GET tells how far it is.

One verification at a time goes on per ledger, in a thread of the process that was asked; what it finds is told by every
process, and its verdict is noted as the command's is. Its addresses are not under /v1/audit/: whoever waits asks again
and again, and a verdict is no audit data, whose readings are noted.
"""

import base64
import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
from flask import Response
from msgspec import Struct

from api.access import READERS, allow, principal
from api.answers import answer
from api.idempotency import keyed, note_key
from api.languages import translated
from api.routes import Routes
from api.shapes import VerdictAnswer, VerificationAnswer, VerificationFinding, VerificationRun
from ledger import verification_log, verification_runs
from ledger.database import Connection, Cursor, Database
from ledger.store import Store
from ledger.verification_log import Verification
from ledger.verification_runs import Run
from ledger.wording import kept, remembered
from projections.verification import VerifiedLedger, verify

_log = logging.getLogger("orderledger.verifications")


class Told(Struct, frozen=True):
    """What was verified, as it is kept with its run; sentences are kept so that they can be told in any language."""

    size: int
    root: bytes
    checkpoints: int
    statements: int
    projected_position: int | None
    credit_lines: int | None
    findings: list[VerificationFinding]
    notices: list[str]


_TOLD: Final = msgspec.json.Decoder(Told)


def verdict_of(found: VerifiedLedger, by: str, started: datetime, finished: datetime) -> Verification:
    """Give the verdict that is noted beside the ledger."""
    return Verification(
        finished_at=finished,
        principal=by,
        size=found.ledger.size,
        root=found.ledger.root,
        findings=len(found.ledger.findings),
        milliseconds=(finished - started) // timedelta(milliseconds=1),
    )


class _StoppingError(BaseException):
    """The service stops, and with it what it verifies: no Exception, of which verifying would make a finding."""


class Verifications:
    """The verification that this process has under way, in a thread."""

    def __init__(self, store: Store, unhurried: Database, is_stopping: Callable[[], bool]) -> None:
        self._store = store
        self._unhurried = unhurried
        self._is_stopping = is_stopping
        self._thread: threading.Thread | None = None

    def start(self, run: Run, held: Connection) -> None:
        """Verify in the background; what is held is let go at the end."""
        self._thread = threading.Thread(target=self._run, args=(run, held), name="verification", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until it has ended, or stopped."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, run: Run, held: Connection) -> None:
        store = Store(self._unhurried, clock=self._store.clock, signer=self._store.signer)
        try:
            found = verify(store, signer=store.signer, progress=lambda *steps: self._advance(run, *steps))
            self._finish(run, found)
        except _StoppingError:
            pass
        except Exception:  # noqa: BLE001 - the run says that it stopped, and the log why
            _log.exception("the verification stopped")
        finally:
            verification_runs.release(held)

    def _advance(self, run: Run, done: int, total: int) -> None:
        if self._is_stopping():
            raise _StoppingError
        with self._unhurried.cursor() as cursor:
            verification_runs.advance(cursor, run.number, done, total)

    def _finish(self, run: Run, found: VerifiedLedger) -> None:
        finished = self._store.clock()
        with self._unhurried.transaction() as cursor:
            verification_log.append(cursor, verdict_of(found, run.principal, run.started_at, finished))
            verification_runs.finish(cursor, run.number, msgspec.json.encode(_told(found)).decode(), finished)


def blueprint(store: Store, verifications: Verifications) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("verifications", __name__, description="Verifying the whole ledger.")

    @routes.post("/verifications")
    @routes.answers(202, VerificationAnswer, "It is under way, or one that was begun before is: ask how far.")
    @keyed(store)
    @allow("auditor", "finance", "admin")
    def post_verification() -> Response:
        """Begin to verify the ledger in the background: every byte, hash, checkpoint, statement and projected row.

        One goes on at a time: where one does, it is told, and none begins.
        """
        with ExitStack() as undone:
            with store.database.transaction() as cursor:
                verification_runs.claim(cursor)
                held = verification_runs.hold(store.database)
                if held is not None:
                    undone.callback(verification_runs.release, held)
                    run = verification_runs.begin(cursor, principal(), store.clock())
                response = answer(verification_answer(cursor), 202)
                note_key(cursor, response)
            if held is not None:
                undone.pop_all()
                verifications.start(run, held)
        return response

    @routes.get("/verifications/latest")
    @routes.answers(200, VerificationAnswer)
    @allow(*READERS, "admin")
    def get_latest_verification() -> Response:
        """Tell how far the verification is that was begun last, or what it found; and the last verdict of any."""
        with store.database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
            return answer(verification_answer(cursor))

    return routes


def verification_answer(cursor: Cursor) -> VerificationAnswer:
    """Tell the verification that was begun last, and the last verdict."""
    run, verdict = verification_runs.last(cursor), verification_log.last(cursor)
    return VerificationAnswer(
        run=None if run is None else _run_answer(run),
        last_verdict=None
        if verdict is None
        else VerdictAnswer(
            finished_at=verdict.finished_at,
            principal=verdict.principal,
            size=verdict.size,
            root=base64.b64encode(verdict.root).decode(),
            is_sound=verdict.is_sound,
            findings_count=verdict.findings,
            milliseconds=verdict.milliseconds,
        ),
    )


def _run_answer(run: Run) -> VerificationRun:
    told = None if run.told is None else _TOLD.decode(run.told)
    return VerificationRun(
        number=run.number,
        state=_state(run, told),
        principal=run.principal,
        started_at=run.started_at,
        finished_at=run.finished_at,
        done=run.done,
        total=run.total,
        size=told.size if told else None,
        root=base64.b64encode(told.root).decode() if told else None,
        checkpoints=told.checkpoints if told else None,
        statements=told.statements if told else None,
        projected_position=told.projected_position if told else None,
        credit_lines=told.credit_lines if told else None,
        findings=[
            VerificationFinding(each.part, translated(remembered(each.where)), translated(remembered(each.what)))
            for each in (told.findings if told else ())
        ],
        notices=[translated(remembered(notice)) for notice in (told.notices if told else ())],
    )


def _state(run: Run, told: Told | None) -> Literal["running", "sound", "unsound", "stopped"]:
    if told is None:
        return "running" if run.goes_on else "stopped"
    return "unsound" if told.findings else "sound"


def _told(found: VerifiedLedger) -> Told:
    ledger = found.ledger
    return Told(
        size=ledger.size,
        root=ledger.root,
        checkpoints=ledger.checkpoints,
        statements=found.statements,
        projected_position=found.projected_position,
        credit_lines=found.credit_lines,
        findings=[VerificationFinding(each.part, kept(each.where), kept(each.what)) for each in ledger.findings],
        notices=[kept(notice) for notice in ledger.notices],
    )
