"""A client of the service for Python: typed, thin and patient; it needs msgspec and urllib3, no Flask, no psycopg2.

    with Client("https://orders.example.com", token) as client:
        client.record({"type": "order.placed", "source": "shop", "event_id": "e-1", "order_id": "SO-1", "data": {…}})
        client.performance("2026-Q2", group_by=("salesperson",)).figures

Answers are the service's own types (api/shapes); where a body may be a mapping, the service judges its fields. What is
sent twice takes effect once: order events have source and event_id, facts are what they are, and every other request
that records carries an Idempotency-Key, kept while it is repeated. A command about a rule change or a period says by
`if_match` which version was looked at: the `etag` of what was read, or ANY. Errors: Refused, with what the service
says; Unreachable, where nobody answers; ValueError for an address or a token that is none. Threads may share a client.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct
from urllib3 import BaseHTTPResponse

from api.shapes import (
    Approval,
    BulkAnswer,
    BulkResult,
    CarryForwardRequest,
    CheckpointAnswer,
    CheckpointsAnswer,
    ClosingPeriodAnswer,
    CommitRequest,
    ConsistencyAnswer,
    Cosignature,
    CreditAnswer,
    CreditsAnswer,
    Deliveries,
    DeliveryAnswer,
    ExplanationAnswer,
    FactAnswer,
    Form,
    ImpactAnswer,
    ImpactOrdersAnswer,
    ImpactPreview,
    ImportAnswer,
    ImportList,
    ImportProfile,
    ImportSummary,
    InclusionAnswer,
    MovementAnswer,
    NewTokenAnswer,
    OptionsAnswer,
    OrderAnswer,
    OrderTypes,
    PerformanceAnswer,
    PeriodsAnswer,
    PreviewAnswer,
    PreviewRow,
    QuotaRequest,
    Recorded,
    RecordedEvent,
    Rejection,
    ReplayRequest,
    ResolvedAnswer,
    ResolveRequest,
    ReviewAnswer,
    RuleChangeDetail,
    RuleChangeRequest,
    RuleHistory,
    Rules,
    SavedProfile,
    SavedProfileList,
    SimulatedOrdersRequest,
    SimulationAnswer,
    SimulationRequest,
    StatementAnswer,
    TimelineAnswer,
    TokenAnswer,
    TokenRequest,
    TokensAnswer,
    TouchedOrdersAnswer,
    VerificationAnswer,
    WebhookAnswer,
    WebhookRequest,
    Webhooks,
    WebhookSecret,
    Withdrawal,
)
from api.transport import ATTEMPTS_MAX, TIMEOUT_SECONDS, Patience, Refused, Request, Transport, Unreachable, Way
from api.values import UNASSIGNED
from ledger.events import CustomerClassified, ProductCategorised, SalespersonTeamed

if TYPE_CHECKING:  # a client is typed by it, and does not need what it imports
    from ledger.intake import OrderSubmission

__all__ = [
    "ANY",
    "UNASSIGNED",
    "AtStatement",
    "Client",
    "Document",
    "Page",
    "Patience",
    "Read",
    "Refused",
    "Stated",
    "Unreachable",
    "Wanted",
]

T = TypeVar("T")
Known = int | datetime | None
"""A point of the ledger's history: a position, an instant, or the latest."""
ANY: Final = "*"
"""Whatever version it is at now."""
EVENTS_MAX: Final = 5_000
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
PAGE_MAX: Final = 5_000
WAIT_SECONDS: Final = 20
PAUSE_SECONDS: Final = 1.0
"""After an answer without events, which comes at once where many wait at the service already."""
IMPORT_SECONDS: Final = 1_800
"""A file is read and judged whole before it is answered."""
IMPORT_POLL_SECONDS: Final = 0.5
PREVIEW_MAX: Final = 1_000
FORMS: Final[dict[str, Form]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "xlsx",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
"""What a file's name says of its form."""
MEDIA_TYPES: Final[dict[Form, str]] = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ndjson": "application/x-ndjson",
}
BUNDLE_SECONDS: Final = 1_800
"""A bundle is made whole before its first byte is sent."""
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Read(Generic[T]):
    """What was read, and its ETag for a command that is about just this; ANY where the service gave none."""

    answer: T
    etag: str


@dataclass(frozen=True)
class AtStatement:
    """The point of the ledger's history that a statement of the closed period tells."""

    version: int


@dataclass(frozen=True)
class Page:
    """A page of a list: at most so many, behind where the page before it ended (its next_cursor)."""

    limit: int
    cursor: str | None = None


@dataclass(frozen=True)
class Stated:
    """A fact is in the ledger, at this position or before it; `duplicate`: it was so already."""

    position: int
    duplicate: bool


@dataclass(frozen=True)
class Document:
    """An event, and its bytes as they were recorded."""

    event: RecordedEvent
    recorded: bytes


@dataclass(frozen=True)
class Wanted:
    """Which entries of the timeline: recorded on the business days [start, end), of these kinds (any), by an actor.

    Shape: `back_dated` and `after_close`: only what was recorded after the first day that it is about, or after the
    close of a period whose days it is about.
    """

    kinds: tuple[str, ...] = ()
    actor: str | None = None
    start: date | None = None
    end: date | None = None
    back_dated: bool = False
    after_close: bool = False

    @property
    def query(self) -> dict[str, object]:
        """Give it as the parameters of the API."""
        asked = {
            "kind": self.kinds,
            "actor": self.actor,
            "from": self.start,
            "to": self.end,
            "back_dated": self.back_dated,
            "after_close": self.after_close,
        }
        return {name: value for name, value in asked.items() if value}


class Client:
    """The service at an address, for the holder of a token."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        attempts_max: int = ATTEMPTS_MAX,
        patience: Patience | None = None,
    ) -> None:
        limits: dict[str, Any] = {"timeout_seconds": timeout_seconds, "attempts_max": attempts_max}
        self._transport: Way = Transport(url, token, **limits, patience=patience or Patience())

    @classmethod
    def over(cls, way: Way) -> Self:
        """Make a client that asks another way than over a network."""
        client = cls.__new__(cls)
        client._transport = way
        return client

    def __repr__(self) -> str:
        return f"Client({self._transport.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def ask_in(self, language: str) -> None:
        """Ask for the service's sentences in a language from here on, such as "zh"; else it chooses, as English."""
        self._transport.language = language

    def close(self) -> None:
        """Close the connections; the client may be used again."""
        self._transport.close()

    # ---- orders

    def record(self, event: "OrderSubmission | Mapping[str, Any]") -> Recorded:
        """Record an order event, a mapping as docs/events.md describes it or the service's own type."""
        return self._post("/v1/order-events", event, Recorded, repeatable=True)

    def record_all(
        self, events: "Iterable[OrderSubmission | Mapping[str, Any]]", *, mode: Literal["atomic", "per_item"] = "atomic"
    ) -> Iterator[BulkResult]:
        """Record events in batches, as the answers are asked for; give what became of each, by its index among all.

        Shape: atomic: each batch all or none, and the first that is refused ends it (Refused; its pointers count from
        the first event of all, what was answered before stays recorded). per_item: each event that can be. Memory holds
        a batch. Send the same again after a failure: what is recorded is answered as a duplicate.
        """
        first = 0
        for batch, count in _batches(events):
            body = b'{"mode":"%s","events":[%s]}' % (mode.encode(), batch)
            request = Request("POST", "/v1/order-events/bulk", body=body)
            try:
                results = self._transport.ask(request, _reading(BulkAnswer)).results
            except Refused as refused:
                raise refused.counted_from(first) from None
            for result in results:
                yield msgspec.structs.replace(result, index=result.index + first)
            first += count

    def order(self, order_id: str, known: Known = None) -> OrderAnswer:
        """Give an order as its events left it."""
        return self._get(f"/v1/orders/{_segment(order_id)}", OrderAnswer, _known(known))

    def order_events(self, order_id: str, known: Known = None) -> list[RecordedEvent]:
        """Give an order's events as recorded, oldest first."""
        return self._get(f"/v1/orders/{_segment(order_id)}/events", _OrderEvents, _known(known)).events

    def explanation(self, order_id: str, known: Known = None) -> ExplanationAnswer:
        """Give why an order counts, or does not, for whom, and what would make it count."""
        return self._get(f"/v1/orders/{_segment(order_id)}/explanation", ExplanationAnswer, _known(known))

    # ---- figures

    def performance(
        self,
        period: str,
        *,
        group_by: tuple[str, ...] = ("salesperson",),
        whose: str | None = None,
        known: Known = None,
    ) -> PerformanceAnswer:
        """Give performance of a period, whole, however many pages it has.

        Shape: `whose` leaves the figures of a salesperson, UNASSIGNED those of nobody.
        """
        query = {"period": period, "group_by": group_by, "salesperson_id": whose, "limit": PAGE_MAX, **_known(known)}
        pages = list(self._pages("/v1/performance", PerformanceAnswer, query))
        figures = [figure for page in pages for figure in page.figures]
        adjustments = [adjustment for page in pages for adjustment in page.adjustments]
        return msgspec.structs.replace(pages[0], figures=figures, adjustments=adjustments, next_cursor=None)

    def credits(self, period: str, salesperson_id: str | None, *, known: Known = None) -> Iterator[CreditAnswer]:
        """Give the credit lines behind a salesperson's figure, or nobody's (None), as they are read."""
        query = {"period": period, "limit": PAGE_MAX, **_known(known)}
        for page in self._pages(f"/v1/performance/{_person(salesperson_id)}/credits", CreditsAnswer, query):
            yield from page.credits

    def credits_page(
        self, period: str, salesperson_id: str | None, page: Page, *, known: Known = None, counts: bool | None = None
    ) -> CreditsAnswer:
        """Give a page of the credit lines behind a figure; of `counts` those that do, or those that do not."""
        query = {"period": period, "limit": page.limit, "cursor": page.cursor, "counts": counts, **_known(known)}
        return self._get(f"/v1/performance/{_person(salesperson_id)}/credits", CreditsAnswer, query)

    def movements(
        self,
        period: str,
        since: int | datetime | AtStatement,
        until: Known | AtStatement = None,
        *,
        kinds: Iterable[str] = (),
        after_close: bool = False,
    ) -> MovementAnswer:
        """Break the difference of a period's figures between two points into its causes; whole."""
        query = {
            "period": period,
            **history_point("from", since),
            **history_point("to", until),
            "kind": tuple(kinds) or None,
            "after_close": after_close,
            "limit": PAGE_MAX,
        }
        pages = list(self._pages("/v1/movements", MovementAnswer, query))
        lines = [line for page in pages for line in page.lines]
        return msgspec.structs.replace(pages[0], lines=lines, next_cursor=None)

    def largest_movements(
        self,
        period: str,
        since: int | datetime | AtStatement,
        until: Known | AtStatement = None,
        *,
        whose: str | None = None,
        limit: int,
    ) -> MovementAnswer:
        """Give so many lines of a movement, of the causes that move most first; the totals are of all of them.

        Shape: `whose` leaves those of a salesperson, UNASSIGNED those of nobody.
        """
        points = {**history_point("from", since), **history_point("to", until)}
        query = {"period": period, **points, "salesperson_id": whose, "sort": "size", "limit": limit}
        return self._get("/v1/movements", MovementAnswer, query)

    def simulate(self, request: SimulationRequest | Mapping[str, Any]) -> SimulationAnswer:
        """Give periods as they are beside what they would be under other rules; nothing is recorded."""
        return self._post("/v1/simulations", request, SimulationAnswer, repeatable=True)

    def simulated_orders(self, request: SimulatedOrdersRequest | Mapping[str, Any], page: Page) -> TouchedOrdersAnswer:
        """Give a page of the orders that altered rules, or rule changes left out, would touch."""
        query = {"limit": page.limit, "cursor": page.cursor}
        return self._post("/v1/simulations/orders", request, TouchedOrdersAnswer, query=query, repeatable=True)

    def export(
        self, path: str, into: Path, *, media_type: str = "text/csv", query: Mapping[str, object] | None = None
    ) -> Path:
        """Write a list that has exports, such as /v1/performance, into a file, whole or not at all."""
        return self._download(Request("GET", path, query or {}, accept=media_type), into)

    # ---- the rulebook

    def order_types(self, known: Known = None) -> OrderTypes:
        """List the order types."""
        return self._get("/v1/order-types", OrderTypes, _known(known))

    def rules(self, on: date | None = None, *, known: Known = None) -> Rules:
        """List the counting rules in precedence order; of a business day, those that hold on it."""
        return self._get("/v1/rules", Rules, {"on": on, **_known(known)})

    def rules_history(self, known: Known = None) -> RuleHistory:
        """List all rule changes, oldest first."""
        return self._get("/v1/rules/history", RuleHistory, _known(known))

    def review(self, known: Known = None, *, examples: int | None = None) -> ReviewAnswer:
        """Review the rulebook: what in it does nothing, and where orders and their types do not fit.

        Shape: so many orders at most are named as examples of a finding.
        """
        return self._get("/v1/rules/review", ReviewAnswer, {**_known(known), "examples": examples})

    def propose(self, request: RuleChangeRequest | Mapping[str, Any]) -> Read[RuleChangeDetail]:
        """Propose to change the rulebook, also for the past; give the proposal with its impact."""
        asked = Request("POST", "/v1/rule-changes", body=msgspec.json.encode(request), repeatable=False)
        return self._transport.ask(asked, _reading_version(RuleChangeDetail))

    def preview(self, request: RuleChangeRequest | Mapping[str, Any]) -> ImpactAnswer:
        """Give the impact that a proposal would have; nothing is recorded."""
        query = {"dry_run": True}
        return self._post("/v1/rule-changes", request, ImpactPreview, query=query, repeatable=True).impact

    def rule_change(
        self, rule_change_id: str, *, impact_as: Literal["proposed"] | None = None
    ) -> Read[RuleChangeDetail]:
        """Give a rule change with its impact and the decision on it; `impact_as`: the one that its proposer saw."""
        request = Request("GET", f"/v1/rule-changes/{_segment(rule_change_id)}", {"impact_as": impact_as})
        return self._transport.ask(request, _reading_version(RuleChangeDetail))

    def impact_orders(
        self,
        rule_change_id: str,
        page: Page,
        *,
        impact_as: Literal["proposed"] | None = None,
        period: str | None = None,
        whose: str | None = None,
    ) -> ImpactOrdersAnswer:
        """Give a page of the orders that a rule change's impact is made of.

        Shape: of the days of a period, or all; `whose` leaves those of a salesperson, UNASSIGNED those of nobody.
        """
        query = {
            "impact_as": impact_as,
            "period": period,
            "salesperson_id": whose,
            "limit": page.limit,
            "cursor": page.cursor,
        }
        return self._get(f"/v1/rule-changes/{_segment(rule_change_id)}/orders", ImpactOrdersAnswer, query)

    def approve(
        self, rule_change_id: str, *, if_match: str, reason: str | None = None, accepted_digest: str | None = None
    ) -> RuleChangeDetail:
        """Approve a proposal; where its impact has moved since, the digest of the new one accepts that.

        Errors: Refused, with code impact_moved and facts["impact"], where it has moved and was not accepted.
        """
        return self._decide(rule_change_id, "approve", Approval(reason, accepted_digest), if_match)

    def reject(self, rule_change_id: str, reason: str, *, if_match: str) -> RuleChangeDetail:
        """Reject a proposal."""
        return self._decide(rule_change_id, "reject", Rejection(reason), if_match)

    def withdraw(self, rule_change_id: str, reason: str | None = None, *, if_match: str) -> RuleChangeDetail:
        """Withdraw one's own proposal."""
        return self._decide(rule_change_id, "withdraw", Withdrawal(reason), if_match)

    # ---- periods

    def periods(self, known: Known = None) -> PeriodsAnswer:
        """List the closing periods."""
        return self._get("/v1/periods", PeriodsAnswer, _known(known))

    def period(self, period: str, known: Known = None) -> Read[ClosingPeriodAnswer]:
        """Give a closing period: its statements, its drift since the last one, and its adjustments."""
        request = Request("GET", f"/v1/periods/{_segment(period)}", _known(known))
        return self._transport.ask(request, _reading_version(ClosingPeriodAnswer))

    def statement(self, period: str, version: int | str) -> StatementAnswer:
        """Give a statement as it was issued."""
        return self._get(f"/v1/periods/{_segment(period)}/statements/{_segment(str(version))}", StatementAnswer)

    def options(self, period: str, into: str | None = None) -> Read[OptionsAnswer]:
        """Give both ways of resolving a closed period's drift: restate, or carry forward."""
        request = Request("GET", f"/v1/periods/{_segment(period)}/options", {"into": into})
        return self._transport.ask(request, _reading_version(OptionsAnswer))

    def close_period(self, period: str, reason: str, *, if_match: str, dry_run: bool = False) -> ResolvedAnswer:
        """Close a period: freeze its figures as statement 1."""
        return self._resolve(period, "close", ResolveRequest(reason), if_match, dry_run=dry_run)

    def restate(self, period: str, reason: str, *, if_match: str, dry_run: bool = False) -> ResolvedAnswer:
        """Give a closed period its next statement, which takes its drift in."""
        return self._resolve(period, "restate", ResolveRequest(reason), if_match, dry_run=dry_run)

    def carry_forward(
        self, period: str, request: CarryForwardRequest | Mapping[str, Any], *, if_match: str, dry_run: bool = False
    ) -> ResolvedAnswer:
        """Book a closed period's drift into an open one, as adjustments."""
        return self._resolve(period, "carry-forward", request, if_match, dry_run=dry_run)

    # ---- facts

    def set_customer_class(self, customer_id: str, fact: CustomerClassified) -> Stated:
        """Record the class of a customer for a range of days, also for the past."""
        return self._state(f"/v1/customers/{_segment(customer_id)}/class", fact)

    def set_product_category(self, product_id: str, fact: ProductCategorised) -> Stated:
        """Record the category of a product; it goes before the order lines' own."""
        return self._state(f"/v1/products/{_segment(product_id)}/category", fact)

    def set_salesperson_team(self, salesperson_id: str, fact: SalespersonTeamed) -> Stated:
        """Record the team of a salesperson."""
        return self._state(f"/v1/salespeople/{_segment(salesperson_id)}/team", fact)

    def set_quota(self, salesperson_id: str, period: str, quota: QuotaRequest) -> Stated:
        """Record what a salesperson is to reach in a fiscal month, quarter or year."""
        return self._state(f"/v1/salespeople/{_segment(salesperson_id)}/quotas/{_segment(period)}", quota)

    # ---- the feed, and what an auditor keeps

    def events(self, after: int = 0, *, limit: int = 1_000) -> Iterator[RecordedEvent]:
        """Give every event behind a position, none left out and none twice; then wait for the next, without end."""
        while True:
            query = {"after": after, "limit": limit, "wait": WAIT_SECONDS}
            request = Request(
                "GET", "/v1/events", query, accept="application/cloudevents-batch+json", waits_seconds=WAIT_SECONDS
            )
            events = self._transport.ask(request, _reading(list[RecordedEvent]))
            for event in events:
                yield event
                after = event.position
            if not events:
                self._transport.pause(PAUSE_SECONDS)

    def event(self, position: int) -> "Document":
        """Give the event at a position, and the bytes that were recorded and that proofs are of."""
        return self._transport.ask(Request("GET", f"/v1/events/{position}"), _document)

    def timeline(
        self, wanted: "Wanted | None" = None, *, limit: int | None = None, cursor: str | None = None
    ) -> TimelineAnswer:
        """Give a page of what was done to the ledger, newest first; its `next_cursor` asks for what is older."""
        query = {**(wanted or Wanted()).query, "limit": limit, "cursor": cursor}
        return self._get("/v1/audit/timeline", TimelineAnswer, query)

    def verify(self) -> VerificationAnswer:
        """Begin to verify the whole ledger, in the background; where a verification goes on, that is told."""
        return self._post("/v1/verifications", None, VerificationAnswer)

    def verification(self) -> VerificationAnswer:
        """Tell how far the last verification is, or what it found, and the last verdict of any."""
        return self._get("/v1/verifications/latest", VerificationAnswer)

    def checkpoint(self, size: int | None = None) -> CheckpointAnswer:
        """Give the signed checkpoint of so many events; the last one without a size."""
        return self._get("/v1/audit/checkpoint", CheckpointAnswer, {"size": size})

    def checkpoints(self) -> CheckpointsAnswer:
        """List the checkpoints, and the keys that sign them."""
        return self._get("/v1/audit/checkpoints", CheckpointsAnswer)

    def issue_checkpoint(self) -> CheckpointAnswer:
        """Sign the ledger as it is now; the last checkpoint where nothing came since."""
        return self._post("/v1/audit/checkpoints", None, CheckpointAnswer)

    def cosign(self, size: int, cosignature: Cosignature) -> CheckpointAnswer:
        """Record a witness's cosignature of a checkpoint."""
        return self._post(f"/v1/audit/checkpoints/{size}/cosignatures", cosignature, CheckpointAnswer)

    def inclusion(self, position: int, size: int | None = None) -> InclusionAnswer:
        """Give the proof that an event is in the ledger; it is for orderledger-verify, or your own, to check."""
        return self._get("/v1/audit/proofs/inclusion", InclusionAnswer, {"position": position, "size": size})

    def consistency(self, old_size: int, size: int | None = None) -> ConsistencyAnswer:
        """Give the proof that an older ledger is the beginning of a newer one."""
        return self._get("/v1/audit/proofs/consistency", ConsistencyAnswer, {"from": old_size, "to": size})

    def bundle(self, period: str, into: Path) -> Path:
        """Write the bundle of a closing period, a zip that an auditor verifies without us, into a file."""
        asked, zipped = {"period": period}, "application/zip"
        request = Request("GET", "/v1/audit/bundle", asked, accept=zipped, waits_seconds=BUNDLE_SECONDS)
        return self._download(request, into)

    # ---- imports of files

    def stage_import(
        self, file: Path, *, form: Form | None = None, name: str | None = None, profile: str | None = None
    ) -> ImportAnswer:
        """Stage a file of order lines, of the form that its name says: csv, xlsx or ndjson; nothing is recorded yet.

        Shape: `name` is the file's, for the import's source; `profile` a saved one by which it is read.
        Errors: ValueError for a file whose name does not say its form.
        """
        known = form or FORMS.get(file.suffix.lower())
        if known is None:
            raise ValueError(f"{file.name} is none of {', '.join(FORMS)}: say its form")
        return self.stage_content(file.read_bytes(), known, file.name if name is None else name, profile=profile)

    def stage_content(self, content: bytes, form: Form, name: str, *, profile: str | None = None) -> ImportAnswer:
        """Stage what is in a file, where there is no file."""
        request = Request(
            "POST",
            "/v1/imports",
            {"name": name, "profile": profile},
            content,
            repeatable=False,
            waits_seconds=IMPORT_SECONDS,
            content_type=MEDIA_TYPES[form],
        )
        return self._transport.ask(request, _reading(ImportAnswer))

    def imports(self) -> Iterator[ImportSummary]:
        """List the imports, the latest first."""
        before: str | None = None
        while True:
            page = self.imports_page(before)
            yield from page.imports
            before = page.next
            if before is None:
                return

    def imports_page(self, before: str | None = None) -> ImportList:
        """List the first imports, or those behind one (`next` of the page before)."""
        return self._get("/v1/imports", ImportList, {"before": before})

    def import_(self, import_id: str) -> ImportAnswer:
        """Give an import: its state and progress, how it is read, what it has, and what is wrong."""
        return self._get(f"/v1/imports/{_segment(import_id)}", ImportAnswer)

    def set_import_profile(self, import_id: str, profile: ImportProfile) -> ImportAnswer:
        """Read the file again by this profile, and judge its rows again."""
        path, body = f"/v1/imports/{_segment(import_id)}/profile", msgspec.json.encode(profile)
        return self._transport.ask(
            Request("PUT", path, body=body, waits_seconds=IMPORT_SECONDS), _reading(ImportAnswer)
        )

    def preview_import(self, import_id: str, *, rejected: bool = False) -> Iterator[PreviewRow]:
        """Give the file's rows as they are read, each beside what it is understood as; of `rejected` only those."""
        after = 0
        while True:
            page = self.preview_page(import_id, after=after, rejected=rejected)
            yield from page.rows
            if page.next is None:
                return
            after = page.next

    def preview_page(
        self, import_id: str, *, after: int = 0, limit: int = PREVIEW_MAX, rejected: bool = False
    ) -> PreviewAnswer:
        """Give the file's first rows, or those behind a line (`next` of the page before), with the file's headers."""
        query = {"after": after, "limit": limit, "rejected": rejected}
        return self._get(f"/v1/imports/{_segment(import_id)}/preview", PreviewAnswer, query)

    def commit_import(self, import_id: str, *, accept_good_rows: bool = False) -> ImportAnswer:
        """Begin to record a file's orders: all or none, unless the good rows are accepted; it goes on by itself."""
        return self._post(f"/v1/imports/{_segment(import_id)}/commit", CommitRequest(accept_good_rows), ImportAnswer)

    def committed_import(self, import_id: str, progress: Callable[[int, int], None] | None = None) -> ImportAnswer:
        """Wait until an import's commit has ended, committed or staged again; told how many orders are done, of all."""
        while True:
            told = self.import_(import_id)
            if progress is not None:
                progress(told.progress.done, told.progress.orders)
            if told.state != "committing":
                return told
            self._transport.pause(IMPORT_POLL_SECONDS)

    def discard_import(self, import_id: str) -> ImportAnswer:
        """Drop a staged file with its rows."""
        return self._post(f"/v1/imports/{_segment(import_id)}/discard", None, ImportAnswer)

    def rejected_rows(self, import_id: str, into: Path, *, media_type: str = "text/csv") -> Path:
        """Write the rejected rows into a file, in the file's columns and with what is wrong, to be corrected."""
        path = f"/v1/imports/{_segment(import_id)}/rejected"
        return self._download(Request("GET", path, accept=media_type), into)

    def import_profiles(self) -> Iterator[SavedProfile]:
        """List the saved profiles by name, with who saved each, and when."""
        after: str | None = None
        while True:
            page = self._get("/v1/import-profiles", SavedProfileList, {"after": after})
            yield from page.profiles
            after = page.next
            if after is None:
                return

    def import_profile(self, name: str) -> ImportProfile:
        """Give a saved profile."""
        return self._get(f"/v1/import-profiles/{_segment(name)}", ImportProfile)

    def save_import_profile(self, name: str, profile: ImportProfile) -> ImportProfile:
        """Save a profile under a name, for the files to come."""
        request = Request("PUT", f"/v1/import-profiles/{_segment(name)}", body=msgspec.json.encode(profile))
        return self._transport.ask(request, _reading(ImportProfile))

    def drop_import_profile(self, name: str) -> None:
        """Drop a saved profile."""
        self._transport.ask(Request("DELETE", f"/v1/import-profiles/{_segment(name)}"), lambda _: None)

    # ---- tokens and webhooks, for admins

    def create_token(self, request: TokenRequest) -> NewTokenAnswer:
        """Make a token; its text is told this once: None where the first answer was lost; then revoke it."""
        return self._post("/v1/tokens", request, NewTokenAnswer)

    def tokens(self) -> Iterator[TokenAnswer]:
        """List the tokens, without their secrets."""
        for page in self._pages("/v1/tokens", TokensAnswer, {}):
            yield from page.tokens

    def revoke_token(self, token_id: str) -> TokenAnswer:
        """Revoke a token at once; one that is revoked stays as it is."""
        return self._post(f"/v1/tokens/{_segment(token_id)}/revoke", None, TokenAnswer, repeatable=True)

    def create_webhook(self, request: WebhookRequest) -> WebhookSecret:
        """Make a webhook; its secret is told this once, and None where the first answer was lost: rotate it."""
        return self._post("/v1/webhooks", request, WebhookSecret)

    def webhooks(self) -> Webhooks:
        """List the webhooks, each with its state and how far it is."""
        return self._get("/v1/webhooks", Webhooks)

    def webhook(self, webhook_id: str) -> WebhookAnswer:
        """Give a webhook."""
        return self._get(_webhook(webhook_id), WebhookAnswer)

    def deliveries(self, webhook_id: str) -> Iterator[DeliveryAnswer]:
        """Give a webhook's attempts that are kept, the last one first."""
        for page in self._pages(_webhook(webhook_id, "deliveries"), Deliveries, {}):
            yield from page.deliveries

    def enable_webhook(self, webhook_id: str) -> WebhookAnswer:
        """Let a webhook go on where it stopped."""
        return self._post(_webhook(webhook_id, "enable"), None, WebhookAnswer, repeatable=True)

    def disable_webhook(self, webhook_id: str) -> WebhookAnswer:
        """Let a webhook stop where it is."""
        return self._post(_webhook(webhook_id, "disable"), None, WebhookAnswer, repeatable=True)

    def test_webhook(self, webhook_id: str) -> DeliveryAnswer:
        """Send a webhook.test at once, and give what became of it."""
        return self._post(_webhook(webhook_id, "test"), None, DeliveryAnswer)

    def replay_webhook(self, webhook_id: str, request: ReplayRequest) -> WebhookAnswer:
        """Deliver events again that were delivered before."""
        return self._post(_webhook(webhook_id, "replay"), request, WebhookAnswer)

    def rotate_webhook_secret(self, webhook_id: str) -> WebhookSecret:
        """Give a webhook another secret, told this once: None where the first answer was lost; rotate again then."""
        return self._post(_webhook(webhook_id, "rotate-secret"), None, WebhookSecret)

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook."""
        self._transport.ask(Request("DELETE", _webhook(webhook_id)), lambda _: None)

    # ---- what they share

    def _get(self, path: str, shape: type[T], query: Mapping[str, object] | None = None) -> T:
        return self._transport.ask(Request("GET", path, query or {}), _reading(shape))

    def _post(
        self,
        path: str,
        body: object,
        shape: type[T],
        *,
        query: Mapping[str, object] | None = None,
        repeatable: bool = False,
    ) -> T:
        encoded = None if body is None else msgspec.json.encode(body)
        request = Request("POST", path, query or {}, encoded, repeatable=repeatable)
        return self._transport.ask(request, _reading(shape))

    def _pages(self, path: str, shape: "type[_Page]", query: Mapping[str, object]) -> "Iterator[_Page]":
        """Give the pages of a list; the cursor pins the first one's position."""
        cursor: str | None = None
        while True:
            pinned = {} if cursor is None else {"cursor": cursor}
            page = self._get(path, shape, {**query, **pinned})
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def _decide(self, rule_change_id: str, decision: str, body: Struct, if_match: str) -> RuleChangeDetail:
        path = f"/v1/rule-changes/{_segment(rule_change_id)}/{decision}"
        request = Request("POST", path, body=msgspec.json.encode(body), if_match=if_match, repeatable=False)
        return self._transport.ask(request, _reading(RuleChangeDetail))

    def _resolve(self, period: str, command: str, body: object, if_match: str, *, dry_run: bool) -> ResolvedAnswer:
        request = Request(
            "POST",
            f"/v1/periods/{_segment(period)}/{command}",
            {"dry_run": dry_run},
            msgspec.json.encode(body),
            if_match=if_match,
            repeatable=dry_run,
        )
        return self._transport.ask(request, _reading(ResolvedAnswer))

    def _state(self, path: str, fact: Struct) -> Stated:
        return self._transport.ask(Request("PUT", path, body=msgspec.json.encode(fact)), _stated)

    def _download(self, request: Request, into: Path) -> Path:
        """Write an answer into a file beside the wanted one, which it then becomes."""
        partly = into.with_name(f".{into.name}.{os.getpid()}.part")
        try:
            self._transport.ask(request, lambda response: _write(response, partly))
            partly.replace(into)
        finally:
            with suppress(FileNotFoundError):
                partly.unlink()
        return into


class _OrderEvents(Struct, frozen=True):
    events: list[RecordedEvent]


_Page = TypeVar("_Page", PerformanceAnswer, CreditsAnswer, MovementAnswer, TokensAnswer, Deliveries)


def _reading(shape: type[T]) -> Callable[[BaseHTTPResponse], T]:
    decoder = msgspec.json.Decoder(shape)
    return lambda response: decoder.decode(response.data)


def _reading_version(shape: type[T]) -> Callable[[BaseHTTPResponse], Read[T]]:
    decoder = msgspec.json.Decoder(shape)
    return lambda response: Read(decoder.decode(response.data), response.headers.get("ETag", ANY))


def _document(response: BaseHTTPResponse) -> Document:
    event = msgspec.json.decode(response.data, type=RecordedEvent)
    return Document(event, response.data.removesuffix(f',"sequence":"{event.position}"}}'.encode()) + b"}")


def _stated(response: BaseHTTPResponse) -> Stated:
    position = msgspec.json.decode(response.data, type=FactAnswer).position
    assert position is not None, "a fact that is recorded has a position"
    return Stated(position, duplicate=response.status == 200)


def _write(response: BaseHTTPResponse, path: Path) -> None:
    with path.open("wb") as file:
        for chunk in response.stream(_CHUNK_BYTES):
            file.write(chunk)


def _known(known: Known) -> dict[str, object]:
    if known is None:
        return {}
    return {"known_at" if isinstance(known, datetime) else "position": known}


def history_point(prefix: str, point: Known | AtStatement) -> dict[str, Any]:
    """Name a point of the ledger's history as a movement is asked for; nothing for the latest."""
    if isinstance(point, AtStatement):
        return {f"{prefix}_statement": point.version}
    return {f"{prefix}_{name}": value for name, value in _known(point).items()}


def _webhook(webhook_id: str, what: str = "") -> str:
    return f"/v1/webhooks/{_segment(webhook_id)}" + (f"/{what}" if what else "")


def _segment(identifier: str) -> str:
    """Write an identifier as one segment of a path; dots alone would be taken for folders."""
    quoted = quote(identifier, safe="")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted


def _person(salesperson_id: str | None) -> str:
    return UNASSIGNED if salesperson_id is None else _segment(salesperson_id)


def _batches(events: Iterable[object]) -> Iterator[tuple[bytes, int]]:
    """Give events as JSON, in batches of as many as a request takes, and how many they are."""
    batch, size = list[bytes](), 0
    for event in events:
        encoded = msgspec.json.encode(event)
        if len(batch) == EVENTS_MAX or (batch and size + len(encoded) > BATCH_BYTES_MAX):
            yield b",".join(batch), len(batch)
            batch, size = [], 0
        batch.append(encoded)
        size += len(encoded) + 1
    if batch:
        yield b",".join(batch), len(batch)
