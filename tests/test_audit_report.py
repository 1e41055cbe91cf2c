"""The audit report of the rulebook: what was in force, who asked and approved, how late, what it touched, its proof."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from api.audit_answers import audit_tables
from api.exports import written
from api.queries import AUDIT_TABLES
from ledger.database import Database
from ledger.events import DefineOrderType, LedgerOpened, PeriodClosed, RuleChangeProposed
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules
from ledger.settings import open_ledger
from ledger.store import Store
from projections.audit import AuditReport, assess, audit_report
from projections.projector import Projector
from tests.http_client import Service, fresh_database, person, placed, refused, serving
from tests.life import ALL_TIME, Life, ways
from tests.test_exports import read_parquet, read_xlsx

REPORT = "/v1/audit/rule-changes"
SPECIAL = {"order_type": "special"}
CSV, NDJSON, PARQUET = "text/csv", "application/x-ndjson", "application/vnd.apache.parquet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
NewStore = Callable[[], Store]


def rule(share: str, start: str, end: str | None = None, **conditions: str) -> dict[str, Any]:
    """An alteration that sets a rule, on special orders where no conditions are given."""
    days = {"effective_from": start} | ({"effective_to": end} if end else {})
    return {"action": "set_rule", "conditions": conditions or SPECIAL, "share": share, **days}


class Ledger:
    """A ledger whose clock the test sets: business dates are of Shanghai, eight hours ahead of UTC."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.now = datetime(2026, 1, 2, 12, tzinfo=UTC)
        store = service.app.store
        store.clock = store.sequencer._clock = lambda: self.now
        open_ledger(store, LedgerOpened("audited", time_zone="Asia/Shanghai", four_eyes=True), actor="admin")

    def on(self, day: str, at: str = "12:00") -> Service:
        """Go on at that time (UTC)."""
        self.now = datetime.fromisoformat(f"{day}T{at}+00:00")
        return self.service

    def changed(self, name: str, *alterations: dict[str, Any], **more: str) -> Any:
        """Make a rule change, proposed an hour before it is approved."""
        self.service.propose(*alterations, rule_change_id=name, **more)
        self.now += timedelta(hours=1)
        return self.service.decide(name, "approve", reason="seen")


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    """Give a ledger with a closed quarter and every kind of decision."""
    with serving(database) as service:
        ledger = Ledger(service)
        defined = [
            {"action": "define_order_type", "order_type": name, "share": share}
            for name, share in (("standard", "1"), ("special", "0.8"))
        ]
        ledger.changed("opening", *defined, rule("0", "2026-01-01"))
        for number, (order_type, day, who) in enumerate(
            [("standard", "2026-02-10", "ann"), ("special", "2026-02-11", "bob"), ("special", "2026-05-05", "ann")], 1
        ):
            order = placed(f"SO-{number}", f"{number}00.00", ordered_on=day, order_type=order_type)
            service.record(order | {"data": order["data"] | {"splits": [person(who)]}})
        service.catch_up()
        ledger.on("2026-04-10").post("/v1/periods/2026-Q1/close", {"reason": "complete"}, "finance")
        ledger.on("2026-05-09", "16:30")  # it is the 10th in Shanghai
        ledger.changed("late", rule("1", "2026-02-01"), reason_code="policy")
        ledger.on("2026-05-20").propose(rule("0.3", "2026-02-01", "2026-03-01"), rule_change_id="rejected")
        ledger.on("2026-05-21").decide("rejected", "reject", reason="not agreed")
        ledger.on("2026-05-22").propose(rule("0.2", "2026-06-01"), rule_change_id="withdrawn")
        ledger.on("2026-05-23").decide("withdrawn", "withdraw", "rules")
        ledger.on("2026-06-01")
        ledger.changed("narrower", rule("0.5", "2026-05-01", "2026-06-01"))
        ledger.on("2026-07-20")
        ledger.changed("ended", {"action": "end_rule", "conditions": SPECIAL, "effective_from": "2026-07-01"})
        ledger.on("2026-08-02").propose(rule("1", "2026-09-01", customer_id="C-1"), rule_change_id="waiting")
        service.catch_up()
        yield ledger


@pytest.fixture(scope="module")
def plain(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve a ledger of which bad questions are asked."""
    with fresh_database(server_url, template) as database, serving(database) as service:
        service.define(standard="1")
        yield service


def report(ledger: Ledger, role: str = "auditor", **asked: Any) -> Any:
    """Read a report."""
    asked = {name.rstrip("_"): value for name, value in asked.items()}
    return ledger.service.get(REPORT, role, **asked)


def by_name(told: Any) -> dict[str, Any]:
    """Give a report's changes by their ids."""
    return {each["rule_change_id"]: each for each in told["rule_changes"]}


def held(told: Any) -> list[tuple[Any, ...]]:
    """Tell a report's rules on special orders: change, share, stretches, superseded by."""
    return [
        (
            each["rule_change_id"],
            each["share"],
            [(part["start"], part["end"]) for part in each["stretches"]],
            each["superseded_by"],
        )
        for each in told["rules"]
        if each["conditions"] == SPECIAL
    ]


# ---- the scenario


def test_a_change_tells_its_people_reasons_and_times(ledger: Ledger) -> None:
    late = by_name(report(ledger, period="2026-Q2"))["late"]
    assert (late["state"], late["proposer"], late["reason"]) == ("approved", "rules-clerk", "as agreed")
    assert late["reason_code"] == "policy"
    assert late["proposed_at"] == "2026-05-09T16:30:00Z"
    decision = late["decision"]
    assert (decision["actor"], decision["reason"], decision["four_eyes"]) == ("approver-clerk", "seen", True)
    assert decision["recorded_at"] == "2026-05-09T17:30:00Z"


def test_days_back_dated_are_business_days_from_the_first_day_to_the_approval(ledger: Ledger) -> None:
    """In the ledger's zone: 17:30 UTC on the 9th is the 10th in Shanghai."""
    changes = by_name(report(ledger, period="FY2026"))
    late = changes["late"]
    assert late["days_back_dated"] == (date(2026, 5, 10) - date(2026, 2, 1)).days
    assert late["altered_days"] == [
        {"alteration": 0, "effective_from": "2026-02-01", "effective_to": None, "days_back_dated": 98}
    ]
    assert changes["waiting"]["days_back_dated"] == 0, "it is for days to come"
    assert [each["days_back_dated"] for each in changes["opening"]["altered_days"]] == [0, 0, 1]


def test_a_touched_closed_period_is_told(ledger: Ledger) -> None:
    changes = by_name(report(ledger, period="FY2026"))
    touched = {name: each["touched_closed_periods"] for name, each in changes.items()}
    both = [{"period": "2026-Q1", "statement_version": 1, "reached": True, "moved": True}]
    assert touched == {
        "opening": [],
        "late": both,
        "rejected": both,
        "withdrawn": [],
        "narrower": [],
        "ended": [],
        "waiting": [],
    }
    assert touched["opening"] == [], "the period was open when that was approved"


def test_a_period_is_reached_without_being_moved_and_moved_without_being_reached(ledger: Ledger) -> None:
    """A rule on days without orders; and a return in a later period of an order from before."""
    service = ledger.on("2026-08-03")
    service.record(
        {
            "type": "order.returned",
            "source": "shop",
            "event_id": "r",
            "order_id": "SO-3",
            "data": {"returned_on": "2026-07-02", "lines": [{"line_no": 1, "quantity": "1", "amount": "60.00"}]},
        }
    )
    service.catch_up()
    for name in ("2026-Q2", "2026-Q3"):
        ledger.on("2026-10-01" if name == "2026-Q3" else "2026-08-04")
        response = service.post(f"/v1/periods/{name}/close", {"reason": "complete"}, "finance")
        assert response.status_code == 201, response.text
        service.catch_up()
    ledger.changed("moving", rule("0.9", "2026-05-01", "2026-06-01"))
    ledger.changed("reaching", rule("0.7", "2026-08-01", "2026-08-02"))
    changes = by_name(report(ledger, from_="2026-10-01", to="2026-10-02"))
    assert {
        name: {each["period"]: (each["reached"], each["moved"]) for each in changes[name]["touched_closed_periods"]}
        for name in ("moving", "reaching")
    } == {"moving": {"2026-Q2": (True, True), "2026-Q3": (False, True)}, "reaching": {"2026-Q3": (True, False)}}


def test_the_impact_is_what_the_approver_saw(ledger: Ledger) -> None:
    late = by_name(report(ledger, period="2026-Q2"))["late"]
    impact = late["impact"]
    assert (late["impact_as"], late["impact_reproduced"]) == ("approved", True)
    assert (impact["position"], impact["digest"]) == tuple(late["decision"]["impact"].values())
    assert (impact["orders"], impact["people"], impact["closed_periods"]) == (2, 2, ["2026-Q1"])
    assert [
        (each["salesperson_id"], each["period"], each["currency"], each["before"], each["after"], each["change"])
        for each in impact["lines"]
    ] == [
        ("ann", "2026-Q2", "EUR", "0.00", "300.00", "300.00"),
        ("bob", "2026-Q1", "EUR", "0.00", "200.00", "200.00"),
    ]


def test_of_what_was_not_approved_the_impact_is_as_proposed(ledger: Ledger) -> None:
    changes = by_name(report(ledger, period="FY2026"))
    for name, outcome, actor in (
        ("rejected", "rejected", "approver-clerk"),
        ("withdrawn", "withdrawn", "rules-clerk"),
        ("waiting", "proposed", None),
    ):
        told = changes[name]
        assert (told["state"], told["impact_as"], told["impact_reproduced"]) == (outcome, "proposed", True)
        assert told["impact"]["digest"] == told["proposed_impact"]["digest"]
        assert (told["decision"] or {"actor": None})["actor"] == actor
        assert (told["decision_evidence"] is None) == (actor is None)
    assert changes["rejected"]["decision"]["reason"] == "not agreed"


def test_a_rule_version_tells_on_which_days_it_holds_and_what_superseded_it(ledger: Ledger) -> None:
    assert held(report(ledger, period="2026-Q2")) == [
        ("opening", "0.8", [], ["late", "narrower"]),
        ("opening", "0", [], ["late", "narrower"]),
        ("late", "1", [("2026-04-01", "2026-05-01"), ("2026-06-01", "2026-07-01")], ["narrower"]),
        ("narrower", "0.5", [("2026-05-01", "2026-06-01")], []),
    ]
    assert held(report(ledger, period="2026-01")) == [
        ("opening", "0.8", [], ["opening"]),
        ("opening", "0", [("2026-01-01", "2026-02-01")], []),
    ]


def test_where_a_rule_is_ended_the_version_that_ended_it_is_told(ledger: Ledger) -> None:
    told = held(report(ledger, from_="2026-06-30", to="2026-07-02"))
    assert told[-2:] == [
        ("late", "1", [("2026-06-30", "2026-07-01")], ["ended"]),
        ("ended", "0.8", [("2026-07-01", "2026-07-02")], []),
    ], "an order type's own rule, ended, gives the share it was defined with"


def test_the_ended_rule_of_other_conditions_has_no_share(ledger: Ledger) -> None:
    ledger.changed("house", rule("0", "2026-01-01", customer_id="C-1"))
    end = {"action": "end_rule", "conditions": {"customer_id": "C-1"}, "effective_from": "2026-08-01"}
    ledger.changed("house-ended", end)
    rules = [each for each in report(ledger, period="2026-08")["rules"] if each["conditions"] == {"customer_id": "C-1"}]
    assert [(each["share"], each["rule_change_id"], len(each["stretches"])) for each in rules] == [
        ("0", "house", 0),
        (None, "house-ended", 1),
    ]


@pytest.mark.parametrize(
    ("asked", "inside", "effect"),
    [
        # opening and late hold on every day from January and February; recorded inside is by business day
        ({"period": "2026-Q1"}, {"opening"}, {"opening", "late"}),
        ({"from": "2026-05-09", "to": "2026-05-10"}, set(), {"opening", "late", "narrower"}),
        ({"from": "2026-05-10", "to": "2026-05-11"}, {"late"}, {"opening", "late", "narrower"}),
        ({"from": "2026-05-20", "to": "2026-05-21"}, {"rejected"}, {"opening", "late", "narrower"}),
        ({"from": "2026-05-21", "to": "2026-05-22"}, {"rejected"}, {"opening", "late", "narrower"}),
        ({"from": "2026-08-02", "to": "2026-08-03"}, {"waiting"}, {"opening", "late", "ended"}),
        ({"from": "2026-12-01", "to": "2026-12-02"}, set(), {"opening", "late", "ended"}),
        ({"period": "FY2025"}, set(), {"opening"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_a_change_is_there_when_it_was_recorded_inside_or_is_in_force(
    ledger: Ledger, asked: dict[str, str], inside: set[str], effect: set[str]
) -> None:
    """What was rejected or withdrawn, or waits, is in force on no day."""
    changes = by_name(report(ledger, **asked))
    assert {name for name, each in changes.items() if each["recorded_inside"]} == inside
    assert {name for name, each in changes.items() if each["effect_inside"]} == effect
    assert set(changes) == inside | effect


def test_an_empty_report(database: Database) -> None:
    with serving(database) as service:
        service.catch_up()
        told = service.get(REPORT, period="2026-Q1")
        assert (told["rule_changes"], told["rules"], told["next_cursor"]) == ([], [], None)
        assert service.ask("GET", f"{REPORT}?period=2026-Q1", "auditor", headers={"Accept": CSV}).status_code == 200


def test_every_event_of_a_change_is_proved_by_its_leaf(ledger: Ledger) -> None:
    """SHA-256 of 0x00 and the stored bytes, as RFC 6962 has it, by another way than the report's."""
    with ledger.service.database.cursor() as cursor:
        cursor.execute("SELECT position, event_id, state FROM event")
        stored = {position: (event_id, state) for position, event_id, state in cursor}
    for told in report(ledger, period="FY2026")["rule_changes"]:
        found = [told["proposal_evidence"], *([told["decision_evidence"]] if told["decision"] else [])]
        assert found[-1]["position"] == told["position"]
        for evidence in found:
            event_id, state = stored[evidence["position"]]
            assert evidence["event_id"] == event_id
            assert evidence["event_id"].startswith(told["rule_change_id"])
            assert evidence["leaf_hash"] == sha256(b"\x00" + state.encode()).hexdigest()
            assert evidence["inclusion_proof"] == f"/v1/audit/proofs/inclusion?position={evidence['position']}"


def test_a_report_as_known_before_stays_as_it_was(ledger: Ledger) -> None:
    """Invariant 3: at a position, or at the instant, with the same digest, whatever is recorded since."""
    known = by_name(report(ledger, period="FY2026"))["late"]["decision"]["position"]
    then = report(ledger, period="FY2026", position=known)
    assert set(by_name(then)) == {"opening", "late"}
    ledger.on("2026-08-03").record(placed("SO-9", ordered_on="2026-02-12", order_type="special"))
    ledger.changed("again", rule("0.1", "2026-02-01"))
    assert report(ledger, period="FY2026", position=known) == then
    assert report(ledger, period="FY2026", known_at="2026-05-09T17:30:00Z") == then
    assert report(ledger, period="FY2026")["view"]["digest"] != then["view"]["digest"]
    waiting = by_name(report(ledger, period="FY2026", position=known - 1))["late"]
    assert (waiting["state"], waiting["decision"], waiting["impact_as"]) == ("proposed", None, "proposed")


def test_a_change_made_in_one_command_has_an_impact_that_nobody_recorded(database: Database) -> None:
    with serving(database) as service:
        opening = RuleChangeProposed("alone", (DefineOrderType("standard", "1"),), "to begin with")
        change_rules(service.app.store, opening, actor="me")
        service.catch_up()
        (told,) = service.get(REPORT, period="2026-Q1")["rule_changes"]
        assert (told["impact_reproduced"], told["decision"]["impact"], told["decision"]["four_eyes"]) == (
            *(None, None),
            False,
        )


def test_pages_are_the_whole(ledger: Ledger) -> None:
    """Changes first, then rules; the cursor pins the position."""
    whole = report(ledger, period="FY2026")
    for limit in (1, 3, 7, 100):
        changes, rules, cursor = list[Any](), list[Any](), None
        while True:
            page = report(ledger, period="FY2026", limit=limit, **({"cursor": cursor} if cursor else {}))
            assert len(page["rule_changes"]) + len(page["rules"]) <= limit
            assert page["view"] == whole["view"]
            changes += page["rule_changes"]
            rules += page["rules"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            if limit == 3 and len(changes) == 3:
                ledger.changed("in-between", rule("0.9", "2026-02-01"))
        assert (changes, rules) == (whole["rule_changes"], whole["rules"])
        if limit == 3:
            whole = report(ledger, period="FY2026")


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("", Code.invalid_parameter, "/period"),
        ("period=2026-Q1&from=2026-01-01&to=2026-02-01", Code.invalid_parameter, "/period"),
        ("from=2026-01-01", Code.invalid_parameter, "/period"),
        ("to=2026-01-01", Code.invalid_parameter, "/period"),
        ("period=2026-Q1&to=2026-01-01", Code.invalid_parameter, "/period"),
        ("period=2026-Q5", Code.invalid_period, "/period"),
        ("period=", Code.invalid_period, "/period"),
        ("from=2026-01-01&to=2026-01-01", Code.empty_range, "/to"),
        ("from=2026-02-01&to=2026-01-01", Code.empty_range, "/to"),
        ("from=2026-02-30&to=2026-03-01", Code.invalid_parameter, "/from"),
        ("from=yesterday&to=2026-03-01", Code.invalid_parameter, "/from"),
        ("period=2026-Q1&position=x", Code.invalid_parameter, "/position"),
        ("period=2026-Q1&position=99999", Code.position_ahead, "/position"),
        ("period=2026-Q1&position=1&known_at=2026-01-01T00:00:00Z", Code.invalid_parameter, "/known_at"),
        ("period=2026-Q1&cursor=x", Code.invalid_parameter, "/cursor"),
        ("period=2026-Q1&limit=0", Code.invalid_parameter, "/limit"),
        ("period=2026-Q1&bom=true", Code.invalid_parameter, "/bom"),
        ("period=2026-Q1&table=rules", Code.invalid_parameter, "/table"),
        ("period=2026-Q1&table=unheard", Code.invalid_parameter, "/table"),
        ("period=2026-Q1&unheard=1", Code.invalid_parameter, "/unheard"),
    ],
)
def test_bad_input_is_refused(plain: Service, query: str, code: Code, pointer: str) -> None:
    (error, *_) = refused(plain.ask("GET", f"{REPORT}?{query}", "auditor"), code)
    assert error["pointer"] == pointer


def test_a_position_ahead_is_refused_whoever_asks(new_store: NewStore) -> None:
    with pytest.raises(Refusal) as refusal:
        audit_report(new_store(), ALL_TIME, position=1)
    assert refusal.value.code is Code.position_ahead


def test_any_days_there_are_can_be_asked_for(ledger: Ledger) -> None:
    for days in ({"from": "0001-01-01", "to": "9999-12-31"}, {"from": "1900-01-01", "to": "1900-01-02"}):
        assert "opening" in by_name(report(ledger, **days))
        for accept in (CSV, NDJSON, XLSX):
            assert ledger.service.ask("GET", REPORT, "auditor", query_string=days, headers={"Accept": accept}).data


# ---- exports


def exported(ledger: Ledger, accept: str, **query: Any) -> bytes:
    """Export the year's report."""
    asked = {"period": "FY2026", **query}
    response = ledger.service.ask("GET", REPORT, "finance", query_string=asked, headers={"Accept": accept})
    assert (response.status_code, response.mimetype) == (200, accept)
    known = report(ledger, period="FY2026")["view"]["position"]
    table = f"{query['table']}-" if "table" in query else ""
    assert f'filename="rule-changes-FY2026-{table}{known}.' in response.headers["Content-Disposition"]
    data: bytes = response.data
    return data


def test_csv_has_the_whole_report(ledger: Ledger) -> None:
    told = report(ledger, period="FY2026")
    rows = list(csv.DictReader(io.StringIO(exported(ledger, CSV, limit=1).decode(), newline="")))
    tables = {name: [row for row in rows if row["table"] == name] for name in {row["table"] for row in rows}}
    assert set(tables) == {"about", "rule_changes", "alterations", "impact", "rules"}
    assert tables["about"][0]["digest"] == told["view"]["digest"]
    assert [row["rule_change_id"] for row in tables["rule_changes"]] == list(by_name(told))
    late = next(row for row in tables["rule_changes"] if row["rule_change_id"] == "late")
    change = by_name(told)["late"]
    assert late["days_back_dated"] == "98"
    assert (late["closed_periods_reached"], late["closed_periods_moved"]) == ("2026-Q1", "2026-Q1")
    assert (late["impact_digest"], late["impact_reproduced"]) == (change["impact"]["digest"], "true")
    assert late["decision_leaf_hash"] == change["decision_evidence"]["leaf_hash"]
    assert (late["proposed_at"], late["decided_by"]) == ("2026-05-09T16:30:00Z", "approver-clerk")
    assert len(tables["alterations"]) == sum(len(each["alterations"]) for each in told["rule_changes"])
    assert len(tables["impact"]) == sum(len(each["impact"]["lines"]) for each in told["rule_changes"])
    assert len(tables["rules"]) == sum(max(1, len(each["stretches"])) for each in told["rules"])
    moved = [row["change"] for row in tables["impact"] if row["rule_change_id"] == "late"]
    assert moved == [line["change"] for line in change["impact"]["lines"]]


def test_the_formats_agree(ledger: Ledger) -> None:
    """CSV, NDJSON and XLSX have the same rows; XLSX a sheet a table, with dates as dates and amounts as numbers."""
    lines = [json.loads(line) for line in exported(ledger, NDJSON).splitlines()]
    rows = list(csv.DictReader(io.StringIO(exported(ledger, CSV, bom="true").decode("utf-8-sig"), newline="")))
    assert [row["table"] for row in rows] == [line["table"] for line in lines]
    for row, line in zip(rows, lines, strict=True):
        for name, value in line.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert row[name] == ("" if value is None else text)
    sheets = read_xlsx(exported(ledger, XLSX))
    assert {name: len(cells) - 1 for name, cells in sheets.items()} == {
        name: sum(line["table"] == name for line in lines) for name in sheets
    }
    heads, *cells = sheets["impact"]
    late = dict(zip(heads, next(row for row in cells if row[0] == "late"), strict=True))
    assert (late["before"], late["change"], late["period"], late["orders"]) == (0.0, 300.0, "2026-Q2", 1.0)
    heads, *cells = sheets["alterations"]
    assert {type(row[heads.index("effective_from")]) for row in cells} <= {date, str}
    assert date(2026, 2, 1) in [row[heads.index("effective_from")] for row in cells]


@pytest.mark.parametrize("name", AUDIT_TABLES)
def test_one_table_is_exported_by_itself(ledger: Ledger, name: str) -> None:
    """The same rows, without a column that says so."""
    whole = [json.loads(line) for line in exported(ledger, NDJSON).splitlines()]
    response = ledger.service.ask("GET", f"{REPORT}?period=FY2026&table={name}", "rules", headers={"Accept": NDJSON})
    assert [{"table": name, **json.loads(line)} for line in response.data.splitlines()] == [
        line for line in whole if line["table"] == name
    ]
    assert f'filename="rule-changes-FY2026-{name}-' in response.headers["Content-Disposition"]


@pytest.mark.parametrize("name", AUDIT_TABLES)
def test_parquet_holds_one_table_of_the_report(ledger: Ledger, name: str) -> None:
    """With the rows that NDJSON has."""
    lines = exported(ledger, NDJSON, table=name).splitlines()
    _, found = read_parquet(exported(ledger, PARQUET, table=name))
    assert len(found) == len(lines)
    response = ledger.service.ask("GET", REPORT + "?period=FY2026", "finance", headers={"Accept": PARQUET})
    assert refused(response, Code.invalid_parameter)[0]["pointer"] == "/table"


def test_reasons_and_ids_are_no_formulas_in_exports(ledger: Ledger) -> None:
    ledger.on("2026-08-03").propose(rule("0.1", "2026-02-01"), rule_change_id="=1+1", reason="@SUM(1)")
    ledger.service.catch_up()
    rows = list(csv.DictReader(io.StringIO(exported(ledger, CSV).decode(), newline="")))
    (row,) = [row for row in rows if row["table"] == "rule_changes" and "1+1" in row["rule_change_id"]]
    assert (row["rule_change_id"], row["reason"]) == ("'=1+1", "'@SUM(1)")
    assert "=1+1" in [row[0] for row in read_xlsx(exported(ledger, XLSX))["rule_changes"]]


# ---- random lives


@pytest.mark.parametrize("seed", range(24))
def test_reports_of_lives(new_store: NewStore, seed: int) -> None:
    """Whatever happened: each change is there once, its impact is the recorded one, and what was reported stays."""
    life = Life(new_store(), seed)
    with ways(seed):
        life.live(8)
        life.projector.catch_up()
        before = audit_report(life.store, ALL_TIME)
        exported_before = export(life.store, before)
        life.live(8)
        life.projector.catch_up()
        again = audit_report(life.store, ALL_TIME, position=before.view.position)
        assert (again.view, export(life.store, again)) == (before.view, exported_before)
        found = audit_report(life.store, ALL_TIME)
        check_changes(life, found)
        check_versions(life, found)


def export(store: Store, report: AuditReport) -> bytes:
    """Export a report whole."""
    return b"".join(written(audit_tables(store, report), "ndjson"))


def check_changes(life: Life, found: AuditReport) -> None:
    """Every change exactly once, with the impact that was recorded and the periods that were closed then."""
    changes = list(life.store.rulebook().changes.values())
    assert [audited.change for audited in found.changes] == changes
    closed = {
        event.data.period: event.position
        for event in life.store.recorded_between(0, life.store.head(), ["period.closed"])
        if isinstance(event.data, PeriodClosed)
    }
    for audited in found.changes:
        change, assessment = audited.change, assess(life.store, audited.change)
        seen = change.approval.impact if change.approval else change.impact
        assert assessment.reproduced is True
        assert assessment.impact.seen == seen
        at = change.approval.position if change.approval else change.proposed_position
        moved = {line.period for line in assessment.impact.lines}
        assert {each.period for each in assessment.touched if each.moved} == {
            name for name, position in closed.items() if position < at and name in moved
        }
        assert {each.period for each in assessment.touched} <= {
            name for name, position in closed.items() if position < at
        }


def check_versions(life: Life, found: AuditReport) -> None:
    """On each day, the version that holds is the last one recorded of those of its rule that cover it."""
    versions = life.store.rulebook().versions
    assert len(found.versions) == len(versions)
    for _ in range(20):
        day = ALL_TIME.start + timedelta(life.random.randrange(900))
        latest = {
            version.conditions: number
            for number, version in enumerate(versions)
            if (version.effective_from or date.min) <= day < (version.effective_to or date.max)
        }
        holding = [
            audited.version
            for audited in found.versions
            if any(part.start <= day < part.end for part in audited.stretches)
        ]
        assert sorted(versions.index(version) for version in holding) == sorted(latest.values())


def test_a_report_of_a_day_is_what_the_report_of_all_time_says_of_it(new_store: NewStore) -> None:
    life = Life(new_store(), 7)
    life.live(20)
    Projector(life.store.database).catch_up()
    whole = audit_report(life.store, ALL_TIME)
    for number in range(0, 500, 25):
        start = date(2026, 1, 1) + timedelta(number)
        days = Period("day", start, start + timedelta(1))
        told = audit_report(life.store, days)
        names = [audited.change.rule_change_id for audited in told.changes]
        assert len(names) == len(set(names))
        approved = {audited.version.rule_change_id for audited in told.versions}
        assert approved <= set(names), "who asked for a rule in force is in the report"
        assert [audited.version for audited in told.versions if audited.stretches] == [
            audited.version
            for audited in whole.versions
            if any(part.start <= start < part.end for part in audited.stretches)
        ]
