"""Imports of flat files: staged, judged against the ledger, and committed in batches that a kill can't make twice.

A commit is taken up where it was left: each order is the event `order_id` of the import's source, so that what is
recorded is recorded once, whoever goes on. What is done is kept after each batch; one process at a time
holds an import.
Nothing here knows click or Flask.
Source: design, section 7.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, Final, cast

import msgspec
from msgspec import Struct

from api.import_files import RowProblem
from api.import_judging import judge_all
from api.import_orders import FlatOrder, Row, Understanding, packed, sentence_error, unpacked
from api.import_profiles import check_profile
from api.import_proposal import KnownIds, Proposal, propose
from api.import_tables import RawRow
from api.shapes import Decision, Form, Impact, ImportProfile, PeriodAmount, SeenColumn
from ledger import staging
from ledger.checks import Checks, is_identifier, shown
from ledger.database import Cursor
from ledger.ids import uuid7
from ledger.intake import EVENTS_MAX, Accepted, SubmitPlaced, record_all, record_each
from ledger.money import micros_of, micros_text
from ledger.progress import Progress, no_progress
from ledger.refusal import Code, Problem, Refusal
from ledger.staging import Import, StagedProblem, StagedRow
from ledger.store import Store
from ledger.wording import kept, remembered, say
from projections.generation import serving_generation, use_generation
from projections.terms import known_values, knows_any, named_so

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
NAME_CHARACTERS_MAX: Final = 100
BATCH_ORDERS: Final = 1_000
NEW_TYPES_TOLD_MAX: Final = 100
_SPOOLED_BYTES = 4 * 1024 * 1024
_READ_ROWS = 1_000


class Told(Struct, frozen=True):
    """What is known of an import's file: how it is read, and what judging found."""

    profile: ImportProfile = ImportProfile()
    decisions: list[Decision] = []
    columns: list[SeenColumn] = []
    encoding: str | None = None
    delimiter: str | None = None
    rows: int = 0
    orders: int = 0
    rejected_orders: int = 0
    rejected_rows: int = 0
    problems: int = 0
    impact: Impact | None = None
    undecided: list[tuple[str, str, str]] = []
    """What the profile has to say: code, sentence, pointer."""


_TOLD = msgspec.json.Decoder(Told)
_PROFILE = msgspec.json.Decoder(ImportProfile)


def told(staged: Import) -> Told:
    """Give what is known of an import's file."""
    return _with_sentences(_TOLD.decode(staged.told), remembered)


def given_profile(staged: Import) -> ImportProfile:
    """Give what was said of how an import's file is to be read."""
    return _PROFILE.decode(staged.given)


def _told_text(known: Told) -> str:
    return _encoded(_with_sentences(known, kept))


def _with_sentences(known: Told, change: Callable[[str], str]) -> Told:
    """Change the sentences into texts that can be kept, or back."""
    return msgspec.structs.replace(
        known,
        decisions=[msgspec.structs.replace(each, why=change(each.why)) for each in known.decisions],
        undecided=[(code, change(detail), pointer) for code, detail, pointer in known.undecided],
    )


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


# ---- staging


@dataclass(frozen=True)
class Upload:
    """A file as it was handed over; `file` can be read from its beginning again."""

    name: str
    form: Form
    file: BinaryIO
    size: int
    sha256: str

    def source(self) -> str:
        """Name who numbers its orders, where the profile does not say."""
        return f"import:{self.name}"


def read_upload(name: str, form: Form, chunks: Iterator[bytes], into: IO[bytes]) -> Upload:
    """Write what is handed over into a file.

    Errors: Refusal (invalid_value) for a name that is none, body_too_large beyond 64 MiB, invalid_csv where it
    is empty.
    """
    checks = Checks("the import's name")
    if not is_identifier(name) or len(name) > NAME_CHARACTERS_MAX:
        checks.note(
            Code.invalid_value,
            say(
                "{value} is not a name for it: it takes 1 to {name_characters_max} printable characters without control"
                " characters or spaces at either end",
                value=shown(name),
                name_characters_max=NAME_CHARACTERS_MAX,
            ),
            "/name",
        )
    checks.refuse_if_any()
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > FILE_BYTES_MAX:
            raise Refusal.of(
                Code.body_too_large,
                say("the file is larger than {file_bytes_max:,} bytes: split it", file_bytes_max=FILE_BYTES_MAX),
            )
        digest.update(chunk)
        into.write(chunk)
    if not size:
        raise Refusal.of(Code.invalid_csv, say("the file is empty: send one with a header and at least one row"))
    return Upload(name, form, cast(BinaryIO, into), size, digest.hexdigest())


def note_nothing(_cursor: Cursor, _staged: Import) -> None:
    """Note nothing about what was staged."""


@dataclass(frozen=True)
class Watch:
    """What whoever stages a file is told: how far it is, and, in the transaction in which it is staged, what it is."""

    progress: Progress = no_progress
    staged: Callable[[Cursor, Import], None] = note_nothing


def stage(store: Store, upload: Upload, given: ImportProfile, *, actor: str, watch: Watch = Watch()) -> Import:
    """Stage a file: propose how it is read, keep its rows, and judge them where nothing is ambiguous.

    Where the process ends before it is staged, what is kept of it has no columns and is never committed.
    Errors: Refusal of a file that can't be read at all; nothing is kept of it then.
    """
    check_profile(given)
    proposal = propose(upload.file, upload.form, given, _looking_up(store))
    import_id = str(uuid7())
    new = {
        "id": import_id,
        "name": upload.name,
        "form": upload.form,
        "actor": actor,
        "state": staging.NEEDS_PROFILE,
        "sha256": upload.sha256,
        "size": upload.size,
        "given": _encoded(given),
    }
    with store.database.transaction() as cursor:
        staging.forget_old(cursor, store.clock())
        staging.create(cursor, new, upload.file, store.clock())
    _validate(store, import_id, upload, proposal, watch)
    return found(store, import_id)


def _looking_up(store: Store) -> Callable[[str, set[str]], KnownIds]:
    """Look values up among the ids and names that the projected orders and facts have."""

    def look_up(kind: str, values: set[str]) -> KnownIds:
        with store.database.transaction("READ ONLY") as cursor:
            if (generation := serving_generation(cursor)) is None:
                return KnownIds()
            use_generation(cursor, generation)
            known, names = known_values(cursor, kind, values), named_so(cursor, kind, values)
            return KnownIds(knows_any(cursor, kind), known, names)

    return look_up


def found(store: Store, import_id: str) -> Import:
    """Give an import. Errors: Refusal (import_not_found)."""
    with store.database.cursor() as cursor:
        return _existing(cursor, import_id)


def _existing(cursor: Cursor, import_id: str, *, lock: bool = False) -> Import:
    staged = staging.find(cursor, import_id, lock=lock)
    if staged is None:
        raise Refusal.of(
            Code.import_not_found,
            say("there is no import {import_id}: see the list of imports", import_id=shown(import_id)),
        )
    return staged


def use_profile(store: Store, import_id: str, given: ImportProfile) -> Import:
    """Read a staged file again by another profile, and judge it again.

    Errors: Refusal (import_not_found, import_not_ready, or what is wrong with the file read so).
    """
    check_profile(given)
    with staging.held(store.database, import_id) as is_held:
        if not is_held:
            raise Refusal.of(Code.import_not_ready, say("somebody else is at the import: look at it again in a moment"))
        with store.database.transaction() as cursor:
            staged = _changeable(cursor, import_id)
        with _kept_file(store, staged) as upload:
            proposal = propose(upload.file, upload.form, given, _looking_up(store))
            with store.database.transaction() as cursor:
                _changeable(cursor, import_id)
                staging.change(cursor, import_id, store.clock(), given=_encoded(given), state=staging.NEEDS_PROFILE)
            _validate(store, import_id, upload, proposal, Watch())
    return found(store, import_id)


def _changeable(cursor: Cursor, import_id: str) -> Import:
    staged = _existing(cursor, import_id, lock=True)
    if staged.state not in (staging.STAGED, staging.NEEDS_PROFILE):
        raise Refusal.of(
            Code.import_not_ready,
            say("the import is {staged_state}: nothing about it changes any more", staged_state=staged.state),
        )
    return staged


@contextmanager
def _kept_file(store: Store, staged: Import) -> Iterator[Upload]:
    with SpooledTemporaryFile(_SPOOLED_BYTES) as file:
        with store.database.cursor() as cursor:
            staging.copy_file(cursor, staged.id, file)
        yield Upload(staged.name, cast(Form, staged.form), cast(BinaryIO, file), staged.size, staged.sha256)


def _validate(store: Store, import_id: str, upload: Upload, proposal: Proposal, watch: Watch) -> None:
    """Keep the rows of a file as they are read by a proposal, and judge them where it is certain."""
    profile = proposal.profile
    if profile.source is None:
        profile = msgspec.structs.replace(profile, source=upload.source())
    check_profile(profile)
    table = proposal.access.table(upload.file)
    understanding = Understanding(table.headers, profile)
    with store.database.transaction() as cursor:
        staging.forget_rows(cursor, import_id)
        read = 0
        while chunk := list(islice(table.rows, _READ_ROWS)):
            _add_rows(cursor, import_id, chunk, understanding)
            read += len(chunk)
            watch.progress(read, 2 * proposal.rows)
    known = Told(
        profile=profile,
        decisions=proposal.decisions,
        columns=proposal.columns,
        encoding=proposal.access.encoding,
        delimiter=proposal.access.delimiter,
        rows=proposal.rows,
        undecided=[(each.code.name, each.detail, each.pointer) for each in proposal.problems()],
    )
    head = store.head()
    if proposal.is_certain:
        known = _Judging(store, import_id, known).run(
            lambda done: watch.progress(proposal.rows + done, 2 * proposal.rows)
        )
    state = staging.STAGED if proposal.is_certain else staging.NEEDS_PROFILE
    with store.database.transaction() as cursor:
        staging.change(cursor, import_id, store.clock(), told=_told_text(known), state=state, judged_at=head)
        watch.staged(cursor, _existing(cursor, import_id))
    watch.progress(1, 1)


def _add_rows(cursor: Cursor, import_id: str, chunk: Sequence[RawRow], understanding: Understanding) -> None:
    """Keep rows; one that names no order is wrong by itself."""
    kept, problems = list[StagedRow](), list[StagedProblem]()
    for raw in chunk:
        row = unpacked(raw.line, text := packed(raw))
        order_id = understanding.order_id(row) if understanding.has("order_id") else None
        is_nobodys = understanding.has("order_id") and order_id is None
        kept.append(StagedRow(raw.line, order_id, text, is_nobodys))
        if is_nobodys:
            problems.append(_nobodys(raw, row, understanding))
    staging.add_rows(cursor, import_id, kept)
    staging.add_problems(cursor, import_id, problems)


def _nobodys(raw: RawRow, row: Row, understanding: Understanding) -> StagedProblem:
    """Say why a row is of no order."""
    column = understanding.column("order_id")
    if raw.fault is not None:
        return StagedProblem(raw.line, None, Code.invalid_csv.name, raw.fault)
    if "order_id" in understanding.errors(row):
        sentence = sentence_error(understanding, row, "order_id")
        return StagedProblem(raw.line, column, Code.spreadsheet_error.name, sentence)
    if written := understanding.text(row, "order_id"):
        checks = Checks("order", written)
        checks.identifier(written, "/order_id")
        return StagedProblem(raw.line, column, checks.problems[0].code.name, checks.problems[0].detail)
    sentence = say("{column} is empty: say which order the row is of", column=column)
    return StagedProblem(raw.line, column, Code.missing_field.name, sentence)


def _batches(store: Store, import_id: str, known: Told, *, after: int = 0) -> Iterator[tuple[int, list[FlatOrder]]]:
    """Give the orders that are not rejected in batches, each with the line on which its last order begins."""
    understanding = Understanding([column.header for column in known.columns], known.profile)
    source = known.profile.source
    assert source is not None, "a staged import has a source"
    with store.database.transaction("READ ONLY") as cursor:
        found_orders = staging.orders(cursor, import_id, after=after)
        while batch := list(islice(found_orders, BATCH_ORDERS)):
            made = [
                FlatOrder(source, [unpacked(row.line, row.cells) for row in rows], understanding) for _, rows in batch
            ]
            yield batch[-1][0], made


# ---- judging


@dataclass
class _Judging:
    """The judging of a staged file: its bad orders are rejected and told, the good ones added up."""

    store: Store
    import_id: str
    known: Told
    good: Counter[str] = field(default_factory=Counter)
    sums: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    new_types: set[str] = field(default_factory=set)
    customers: set[str] = field(default_factory=set)
    salespeople: set[str] = field(default_factory=set)

    def run(self, step: Callable[[int], None]) -> Told:
        """Judge everything."""
        order_types = dict(self.store.rulebook().order_types)
        calendar = self.store.calendar()
        rows = 0
        for _, batch in _batches(self.store, self.import_id, self.known):
            self.good["all"] += len(batch)
            duplicates = judge_all(self.store, batch, order_types)
            self._note([judged for judged in batch if judged.bad])
            for judged in batch:
                if judged.lacks_its_type and len(self.new_types) < NEW_TYPES_TOLD_MAX:
                    self.new_types.add(judged.submission.data.order_type)
                if not judged.bad:
                    self._add(judged, judged.order_id in duplicates, calendar.closing_period_of)
            rows += sum(len(judged.rows) for judged in batch)
            step(rows)
        return self._told()

    def _note(self, bad: Sequence[FlatOrder]) -> None:
        if bad:
            with self.store.database.transaction() as cursor:
                note(cursor, self.import_id, bad)

    def _add(self, judged: FlatOrder, is_duplicate: bool, period_of: Callable[[date], Any]) -> None:
        placed = judged.submission.data
        if is_duplicate:
            self.good["duplicates"] += 1
            return
        self.good["orders"] += 1
        self.good["lines"] += len(placed.lines)
        period = period_of(placed.ordered_on)
        key = (period.start.isoformat(), period.name, placed.currency)
        self.sums[key] += sum(micros_of(line.amount) for line in placed.lines)
        self.counts[key] += 1
        self.customers.add(placed.customer_id)
        self.salespeople.update(split.salesperson_id for split in placed.splits)

    def _told(self) -> Told:
        closed = set(self.store.closings().statements)
        amounts = [
            PeriodAmount(key[1], key[1] in closed, key[2], self.counts[key], micros_text(self.sums[key]))
            for key in sorted(self.counts)
        ]
        impact = Impact(
            orders=self.good["orders"],
            lines=self.good["lines"],
            duplicates=self.good["duplicates"],
            amounts=amounts,
            closed_periods=list(dict.fromkeys(each.period for each in amounts if each.closed)),
            new_order_types=sorted(self.new_types),
            new_customers=self._count_new("customer", self.customers),
            new_salespeople=self._count_new("salesperson", self.salespeople),
        )
        with self.store.database.cursor() as cursor:
            known = _counted(cursor, self.import_id, self.known)
        return msgspec.structs.replace(known, orders=self.good["all"], impact=impact)

    def _count_new(self, kind: str, values: set[str]) -> int:
        """Count the values that no projected order has."""
        with self.store.database.transaction("READ ONLY") as cursor:
            generation = serving_generation(cursor)
            if generation is None:
                return len(values)
            use_generation(cursor, generation)
            return len(values) - len(known_values(cursor, kind, values))


def note(cursor: Cursor, import_id: str, bad: Sequence[FlatOrder]) -> None:
    """Reject orders, and keep what is wrong with them."""
    staging.reject(cursor, import_id, [judged.order_id for judged in bad])
    staging.add_problems(cursor, import_id, [_kept(problem) for judged in bad for problem in judged.problems()])


def _counted(cursor: Cursor, import_id: str, known: Told) -> Told:
    """Count what is rejected, and what is wrong."""
    rejected_rows, rejected_orders = staging.count_rejected(cursor, import_id)
    return msgspec.structs.replace(
        known,
        rejected_rows=rejected_rows,
        rejected_orders=rejected_orders,
        problems=staging.count_problems(cursor, import_id),
    )


def _kept(problem: RowProblem) -> StagedProblem:
    assert problem.line is not None, "a problem of an order is on one of its rows"
    return StagedProblem(problem.line, problem.column, problem.code_name, problem.detail)


# ---- committing


def begin(store: Store, import_id: str, *, accept_good_rows: bool, actor: str) -> Import:
    """Begin to commit; where it was begun, or is done, that stays as it is.

    Errors: Refusal (import_not_found, import_not_ready). What was recorded since the rows were judged is seen to first.
    """
    staged = found(store, import_id)
    if staged.state in (staging.COMMITTING, staging.COMMITTED):
        return staged
    _check_ready(staged)
    if store.head() != staged.judged_at:
        staged = use_profile(store, import_id, given_profile(staged))
    known = told(staged)
    if known.problems and not accept_good_rows:
        raise Refusal(
            (
                Problem(
                    Code.import_not_ready,
                    say(
                        "{rejected_rows:,} of its {rows:,} rows are of orders with something wrong: correct the"
                        " file, or accept the good rows",
                        rejected_rows=known.rejected_rows,
                        rows=known.rows,
                    ),
                    "/accept_good_rows",
                ),
            ),
            {"rejected_rows": known.rejected_rows, "problems": known.problems},
        )
    with store.database.transaction() as cursor:
        staged = _changeable(cursor, import_id)
        _check_ready(staged)
        staging.change(
            cursor,
            import_id,
            store.clock(),
            state=staging.COMMITTING,
            is_partial=accept_good_rows,
            begun_at=store.head(),
            done_line=-1,
            actor=actor,
        )
    return found(store, import_id)


def _check_ready(staged: Import) -> None:
    if staged.state == staging.STAGED:
        return
    if staged.state == staging.NEEDS_PROFILE:
        undecided = tuple(Problem(Code[code], detail, pointer) for code, detail, pointer in told(staged).undecided)
        lead = Problem(
            Code.import_not_ready, say("the file can be read in several ways: say in its profile which is meant")
        )
        raise Refusal((lead, *undecided))
    raise Refusal.of(
        Code.import_not_ready, say("the import is {staged_state}: upload the file again", staged_state=staged.state)
    )


def never() -> bool:
    """Say that nobody wants to stop."""
    return False


def run(
    store: Store, import_id: str, is_stopping: Callable[[], bool] = never, progress: Progress = no_progress
) -> bool:
    """Commit what has begun, from where it was left; False where somebody else does, or it was asked to stop."""
    with staging.held(store.database, import_id) as is_held:
        if not is_held:
            return False
        staged = found(store, import_id)
        if staged.state != staging.COMMITTING:
            return True
        return _Commit(store, staged, progress).run(is_stopping)


class _Commit:
    """A commit under way, held by this process."""

    def __init__(self, store: Store, staged: Import, progress: Progress) -> None:
        self._store = store
        self._staged = staged
        self._known = told(staged)
        self._progress = progress
        self._done = staged.done
        self._recorded, self._duplicates, self._refused = staged.recorded, staged.duplicates, staged.refused
        self._follows_another = staged.done_line >= 0
        """Whether the next batch may be in the ledger by this very import, whose process ended before it said so."""

    @property
    def _orders(self) -> int:
        impact = self._known.impact or Impact()
        return impact.orders + impact.duplicates

    def run(self, is_stopping: Callable[[], bool]) -> bool:
        """Record batch by batch; False when it stops before the end."""
        if not self._follows_another:
            with self._store.database.transaction() as cursor:
                staging.change(cursor, self._staged.id, self._store.clock(), done_line=0)
        if not self._staged.is_partial and self._orders <= EVENTS_MAX and not self._staged.done:
            return self._at_once()
        batches = _batches(self._store, self._staged.id, self._known, after=max(self._staged.done_line, 0))
        for last_line, batch in batches:
            if is_stopping():
                return False
            submissions = [judged.submission for judged in batch]
            outcomes = record_each(self._store, submissions, actor=self._staged.actor)
            self._keep(last_line, batch, outcomes)
        self._finish()
        return True

    def _at_once(self) -> bool:
        """Record all orders in one transaction, or none: where one is refused meanwhile, the import is staged again."""
        batches = list(_batches(self._store, self._staged.id, self._known))
        every = [judged for _, batch in batches for judged in batch]
        submissions: list[SubmitPlaced] = [judged.submission for judged in every]
        try:
            outcomes = record_all(self._store, submissions, actor=self._staged.actor) if every else []
        except Refusal as refusal:
            refused = _refused_in(refusal, every)
            with self._store.database.transaction() as cursor:
                note(cursor, self._staged.id, refused)
                counted = _told_text(_counted(cursor, self._staged.id, self._known))
                staging.change(cursor, self._staged.id, self._store.clock(), state=staging.STAGED, told=counted)
            return True
        if batches:
            self._keep(batches[-1][0], every, outcomes)
        self._finish()
        return True

    def _keep(self, last_line: int, batch: Sequence[FlatOrder], outcomes: Sequence[Accepted | Refusal]) -> None:
        """Keep what became of a batch.

        The first batch behind a process that ended may be its work; since the commit began nobody else is supposed to
        have recorded these orders from this source.
        """
        refused = list[FlatOrder]()
        for judged, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                judged.note_refusal(outcome)  # somebody recorded it, or changed the rules, since it was judged
                refused.append(judged)
            elif outcome.duplicate and not (self._follows_another and outcome.position > self._staged.begun_at):
                self._duplicates += 1
            else:
                self._recorded += 1
        self._follows_another = False
        self._refused += len(refused)
        self._done += len(batch)
        with self._store.database.transaction() as cursor:
            if refused:
                note(cursor, self._staged.id, refused)
            staging.change(
                cursor,
                self._staged.id,
                self._store.clock(),
                done_line=last_line,
                done=self._done,
                recorded=self._recorded,
                duplicates=self._duplicates,
                refused=self._refused,
            )
        self._progress(self._done, self._orders)

    def _finish(self) -> None:
        with self._store.database.transaction() as cursor:
            staging.change(cursor, self._staged.id, self._store.clock(), state=staging.COMMITTED)


def _refused_in(refusal: Refusal, every: Sequence[FlatOrder]) -> list[FlatOrder]:
    """Give the orders that a refusal of all is about, each with what is wrong."""
    refused = dict[int, FlatOrder]()
    for problem in refusal.problems:
        _, _, rest = problem.pointer.partition("/events/")
        index, slash, pointer = rest.partition("/")
        if index.isdigit():
            judged = refused.setdefault(int(index), every[int(index)])
            judged.note_refusal(Refusal((Problem(problem.code, problem.detail, slash + pointer),)))
    return list(refused.values())


def discard(store: Store, import_id: str) -> Import:
    """Drop a staged file; what was discarded stays so. Errors: Refusal (import_not_found, import_not_ready)."""
    with store.database.transaction() as cursor:
        if _existing(cursor, import_id, lock=True).state != staging.DISCARDED:
            _changeable(cursor, import_id)
            staging.forget_file(cursor, import_id)
            staging.change(cursor, import_id, store.clock(), state=staging.DISCARDED)
    return found(store, import_id)
