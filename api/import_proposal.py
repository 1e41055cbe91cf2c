"""The proposal of how a file is to be read: each decision with why it was taken, and whether it is certain.

What the profile says is taken from it. What it does not say is decided where the content leaves one answer, and where
it leaves several the decision is not certain, and nothing of the file is recorded until a profile says which.
Source: design, section 7 ("never guess silently").
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import BinaryIO, Final, get_args

import msgspec

from api.import_encodings import decide_encoding
from api.import_headers import BY_NAMES, HeaderSearch
from api.import_profiles import IDENTIFIERS, REQUIRED, is_known, is_of_either, propose_columns
from api.import_tables import TOO_MANY_COLUMNS, RawRow, RawTable, read_csv, read_objects, read_workbook, sheet_names
from api.import_values import ADDED_COLUMNS, Number, date_fits, decimal_fits, is_error, see_all, text_of
from api.shapes import DateFormat, DecimalFormat, Decision, Delimiter, Encoding, Field, Form, ImportProfile, SeenColumn
from ledger.checks import shown
from ledger.refusal import Code, Problem, Refusal
from ledger.wording import joined, say

SAMPLES_MAX: Final = 3
SAMPLE_CHARACTERS_MAX: Final = 80
VALUES_COMPARED_MAX: Final = 1_000
"""Of a column that may hold ids or names, so many different values are looked up in the ledger."""
_DELIMITERS: Final[tuple[Delimiter, ...]] = get_args(Delimiter)
DELIMITER_NAMES: Final = {",": say("a comma"), ";": say("a semicolon"), "\t": say("a tab"), "|": say("a vertical bar")}
_DECIMALS: Final[tuple[Field, ...]] = ("quantity", "amount", "share")
_NAMED: Final[tuple[tuple[Field, Field], ...]] = (
    ("customer_id", "customer_name"),
    ("salesperson_id", "salesperson_name"),
    ("product_id", "product_name"),
)


@dataclass(frozen=True)
class KnownIds:
    """What a ledger knows of some values: which are ids there, and which the name of one id alone.

    Shape: `has_any` says whether it knows any id of that kind at all.
    """

    has_any: bool = False
    ids: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)


def knows_nothing(_kind: str, _values: set[str]) -> KnownIds:
    """Know as much as a ledger without orders."""
    return KnownIds()


LookUp = Callable[[str, set[str]], KnownIds]
"""Looks values up among the customers, salespeople or products (kind: customer …) that a ledger knows."""


@dataclass(frozen=True)
class Access:
    """How the file is opened, also while it is not certain: without it there would be nothing to show."""

    form: Form
    encoding: Encoding | None = None
    delimiter: Delimiter | None = None
    sheet: str | None = None
    header: HeaderSearch = BY_NAMES

    def table(self, file: BinaryIO) -> RawTable:
        """Open the file as a table. Errors: Refusal (invalid_csv, invalid_workbook)."""
        match self.form:
            case "csv":
                return read_csv(file, self.encoding or "utf-8", self.delimiter or ",", self.header)
            case "xlsx":
                return read_workbook(file, self.sheet, self.header)
            case "ndjson":
                return read_objects(file, self.encoding or "utf-8")


@dataclass(frozen=True)
class Proposal:
    """How a file is to be read, as far as it is decided."""

    profile: ImportProfile
    decisions: list[Decision]
    columns: list[SeenColumn]
    access: Access
    rows: int

    @property
    def is_certain(self) -> bool:
        """Say whether nothing is left to be said."""
        return all(decision.certain for decision in self.decisions)

    def problems(self) -> list[Problem]:
        """Give what the profile has to say, as problems with pointers into it."""
        return [_undecided(decision) for decision in self.decisions if not decision.certain]


def _undecided(decision: Decision) -> Problem:
    choices = joined(list(map(repr, decision.candidates[:20])), say(" or "))
    hint = say("say in the profile which: {choices}", choices=choices) if choices else say("say it in the profile")
    if len(set(decision.candidates)) < len(decision.candidates):
        hint = say("rename all but one of them in the file")
    if decision.name == "numeric_ids":
        code = Code.damaged_identifier
    elif decision.name == "encoding":
        code = Code.unknown_encoding
    elif decision.name.startswith("columns/"):
        code = Code.unmapped_column
    else:
        code = Code.ambiguous_value
    return Problem(
        code,
        say("{part}: {why}; {hint}", part=decision.name.removeprefix("columns/"), why=decision.why, hint=hint),
        f"/{decision.name}",
    )


def propose(file: BinaryIO, form: Form, given: ImportProfile, look_up: LookUp = knows_nothing) -> Proposal:
    """Propose how a file is to be read.

    Errors: Refusal (unknown_encoding, invalid_csv, invalid_workbook) for a file that can't be read at all.
    """
    access, decisions = _accessed(file, form, given)
    table = access.table(file)
    decisions += [table.decision] if table.decision else []
    columns, of_columns = propose_columns(table.headers, given.columns)
    decisions += of_columns
    decisions += [each for each in _missing(table.headers, columns, given) if not _is_among(each, of_columns)]
    seen = _Seen(table.headers, columns, _may_be_names(columns, given))
    rows = seen.see(table.rows)
    if not rows:
        raise Refusal.of(
            Code.invalid_csv, say("there is no row under the header: give a file with at least one order line")
        )
    decisions += seen.decide(given)
    decided_by_values = {each.name: each for each in seen.decide_ids(look_up)}
    decisions = [decided_by_values.get(each.name, each) for each in decisions]
    values = {decision.name: decision.value for decision in decisions if decision.certain}
    profile = msgspec.structs.replace(
        given,
        encoding=values.get("encoding"),
        delimiter=values.get("delimiter"),
        sheet=values.get("sheet"),
        header=values.get("header"),
        columns={name: header for name, header in columns.items() if f"columns/{name}" in values},
        date_format=values.get("date_format"),
        decimal_format=values.get("decimal_format"),
        numeric_ids=given.numeric_ids,
    )
    return Proposal(profile, decisions, seen.columns(), access, rows)


def _accessed(file: BinaryIO, form: Form, given: ImportProfile) -> tuple[Access, list[Decision]]:
    if form == "xlsx":
        decision = _decide_sheet(file, given)
        names = [decision.value or decision.candidates[0]]
        return Access(form, sheet=names[0], header=HeaderSearch.by(given)), [decision]
    decided, encoding = decide_encoding(file, given.encoding)
    if form == "ndjson":
        return Access(form, encoding), [decided]
    delimiters, delimiter = _decide_delimiter(file, encoding, given)
    return Access(form, encoding, delimiter, header=HeaderSearch.by(given)), [decided, delimiters]


def _decide_sheet(file: BinaryIO, given: ImportProfile) -> Decision:
    names = sheet_names(file)
    if given.sheet is not None and given.sheet in names:
        return Decision("sheet", given.sheet, True, say("the profile says so"))
    if given.sheet is None and len(names) == 1:
        return Decision("sheet", names[0], True, say("the workbook has no other"))
    if not names:
        raise Refusal.of(Code.invalid_workbook, say("the workbook shows no sheet: give one with the orders"))
    if given.sheet is not None:
        why = say("the profile says {sheet}, and the workbook has no sheet of that name", sheet=shown(given.sheet))
        return Decision("sheet", None, False, why, names)
    return Decision("sheet", None, False, say("the workbook has {names_count} sheets", names_count=len(names)), names)


def _decide_delimiter(file: BinaryIO, encoding: Encoding, given: ImportProfile) -> tuple[Decision, Delimiter]:
    if given.delimiter is not None:
        return Decision("delimiter", given.delimiter, True, say("the profile says so")), given.delimiter
    fitting, too_wide = list[tuple[int, int, Delimiter]](), None
    for delimiter in _DELIMITERS:
        try:
            headers = read_csv(file, encoding, delimiter, HeaderSearch.by(given)).headers
        except Refusal as refusal:
            too_wide = refusal if refusal.problems[0].detail == TOO_MANY_COLUMNS else too_wide
            continue
        fitting.append((sum(map(is_known, headers)), len(headers), delimiter))
    known, count, delimiter = max(fitting, default=(0, 0, _DELIMITERS[0]))
    if too_wide is not None and not known:
        raise too_wide
    others = [each for each in fitting if each[2] != delimiter and (each[0] >= known if known else each[1] > 1)]
    if others:
        candidates: list[str] = [delimiter, *(each[2] for each in others)]
        return Decision(
            "delimiter", None, False, say("the header can be divided in several ways"), candidates
        ), delimiter
    why = say("it divides the header into {count} columns, of which {known} are known", count=count, known=known)
    return Decision(
        "delimiter", delimiter, True, say("{name}: {why}", name=DELIMITER_NAMES[delimiter], why=why)
    ), delimiter


def _is_among(decision: Decision, others: list[Decision]) -> bool:
    return any(decision.name == other.name for other in others)


def _missing(headers: list[str], columns: dict[Field, str], given: ImportProfile) -> list[Decision]:
    """Give the decisions on the fields that an order needs, and that no column is called."""
    taken = {*columns.values(), *ADDED_COLUMNS}
    free = [header for header in headers if header.strip() and header not in taken]
    decisions = list[Decision]()
    has = {*columns, *given.defaults}
    for name in REQUIRED:
        if name not in has and name not in given.columns:
            also = [columns[other] for identifier, other in _NAMED if identifier == name and other in columns]
            sentence = say(
                "no column is called so, and there is no default: its header is one of {free_count} others",
                free_count=len(free),
            )
            decisions.append(Decision(f"columns/{name}", None, False, sentence, also + free))
    if "salesperson_name" in columns and "salesperson_id" not in has:
        sentence = say("there are names of salespeople and no ids, so that nobody would be credited")
        candidates = [columns["salesperson_name"], *free]
        decisions.append(Decision("columns/salesperson_id", None, False, sentence, candidates))
    return decisions


def _may_be_names(columns: dict[Field, str], given: ImportProfile) -> list[Field]:
    """Give the fields of ids whose column was found by a header that names the thing alone."""
    return [
        name for name in IDENTIFIERS if name in columns and name not in given.columns and is_of_either(columns[name])
    ]


@dataclass
class _Seen:
    """What the rows of a file show of its columns; of those that may hold names their values."""

    headers: list[str]
    fields: dict[Field, str]
    may_be_names: list[Field]
    samples: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.samples = [[] for _ in self.headers]
        self._dates, self._decimals = date_fits(), decimal_fits()
        self._numbers = dict[str, str]()
        at = {name: self.headers.index(header) for name, header in self.fields.items()}
        self._date_at = at.get("order_date")
        self._decimals_at = [at[name] for name in _DECIMALS if name in at]
        self._ids_at = {name: at[name] for name in IDENTIFIERS if name in at}
        self._values = [(at[name], set[str]()) for name in self.may_be_names]

    def see(self, rows: Iterable[RawRow]) -> int:
        """Look at all rows; give how many there are."""
        count = 0
        for row in rows:
            count += 1
            if row.fault is not None:
                continue
            if self._date_at is not None:
                see_all(self._dates, (row.cells[self._date_at],))
            see_all(self._decimals, (row.cells[at] for at in self._decimals_at))
            for name, at in self._ids_at.items():
                if isinstance(row.cells[at], Number):
                    self._numbers.setdefault(name, text_of(row.cells[at]))
            for at, values in self._values:
                text = text_of(row.cells[at])
                if len(values) < VALUES_COMPARED_MAX and text and not is_error(text):
                    values.add(text)
            if count <= 1_000:
                self._sample(row)
        return count

    def _sample(self, row: RawRow) -> None:
        for samples, cell in zip(self.samples, row.cells, strict=True):
            text = text_of(cell)[:SAMPLE_CHARACTERS_MAX]
            if text and len(samples) < SAMPLES_MAX and text not in samples:
                samples.append(text)

    def decide(self, given: ImportProfile) -> list[Decision]:
        """Decide on the formats, and on ids that are numbers."""
        decisions = [
            _given("date_format", given.date_format) or self._dates.decide("date_format"),
            _given("decimal_format", given.decimal_format) or self._decimals.decide("decimal_format"),
        ]
        if self._numbers:
            name, example = next(iter(self._numbers.items()))
            why = say(
                "cells of {name} are numbers, such as {example}: a number keeps no leading zeros",
                name=name,
                example=example,
            )
            certain = given.numeric_ids is not None
            value = None if given.numeric_ids is None else str(given.numeric_ids).lower()
            candidates = [] if certain else ["true", "false"]
            decisions.append(Decision("numeric_ids", value, certain, why, candidates))
        return decisions

    def decide_ids(self, look_up: LookUp) -> list[Decision]:
        """Decide whether the columns that may hold names hold ids: at least half of the values are, or all are new."""
        return [
            self._decide_id(name, values, look_up)
            for name, (_, values) in zip(self.may_be_names, self._values, strict=True)
            if values
        ]

    def _decide_id(self, name: Field, values: set[str], look_up: LookUp) -> Decision:
        header, known = self.fields[name], look_up(name.removesuffix("_id"), values)
        if not known.has_any:
            why = say("the header is called so, and the ledger knows none yet: what it has is taken as ids")
            return Decision(f"columns/{name}", header, True, why)
        is_certain = 2 * len(known.ids) >= len(values)
        compared = say(
            "{known_count:,} of its {values_count:,} values are ids that the ledger knows",
            known_count=len(known.ids),
            values_count=len(values),
        )
        if is_certain:
            why = say("the header is called so, and {compared}", compared=compared)
            return Decision(f"columns/{name}", header, True, why)
        example = min(known.names.keys() - known.ids, default=None)
        if example is None:
            example = min(values - known.ids)
            why = say(
                "the header may mean ids or names, and {compared}, not {example}",
                compared=compared,
                example=shown(example),
            )
        else:
            why = say(
                "the header may mean ids or names, and {compared}; {example} is the name of {identifier}",
                compared=compared,
                example=shown(example),
                identifier=shown(known.names[example]),
            )
        free = [each for each in self.headers if each.strip() and each not in {*self.fields.values(), *ADDED_COLUMNS}]
        return Decision(f"columns/{name}", None, False, why, [header, *free])

    def columns(self) -> list[SeenColumn]:
        """Tell the columns."""
        return [
            SeenColumn(header, [name for name, of in self.fields.items() if of == header], samples)
            for header, samples in zip(self.headers, self.samples, strict=True)
        ]


def _given(name: str, value: DateFormat | DecimalFormat | None) -> Decision | None:
    return Decision(name, value, True, say("the profile says so")) if value is not None else None
