"""Lists and reports as files: every cell is what the JSON answer says, in every format; a file's name has the position
that gives it again; a sales token gets its own figures only.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest
from werkzeug.test import TestResponse

from api import performance
from api.app import Config, create_app
from api.exports import MEDIA_TYPES, is_number
from ledger.events import Conditions
from ledger.refusal import Code
from ledger.store import Store
from projections.performance import credits_behind
from tests.http_client import Service, event, fresh_database, line, part, person, placed, refused, serving
from tests.test_exports import read_xlsx

HUGE = "8876543210123.456789"
RULE = {"action": "set_rule", "conditions": {"product_id": "P-1"}, "share": "0.3333", "effective_from": "2026-01-01"}
FORMULA = "=1+1"
FORMATS = tuple(MEDIA_TYPES)
Rows = list[dict[str, Any]]


class Listed(NamedTuple):
    """A list: where it is, what its file is called before the position, and its tables made of the JSON answer."""

    path: str
    name: str
    tables: Callable[[Any], dict[str, Rows]]


def without(told: dict[str, Any], *names: str) -> dict[str, Any]:
    """Leave some members out."""
    return {name: value for name, value in told.items() if name not in names}


def conditions(told: dict[str, str] | None, prefix: str = "") -> dict[str, str | None]:
    """Tell conditions flat."""
    return {prefix + name: (told or {}).get(name) for name in Conditions.__struct_fields__}


def figures(answered: Any) -> dict[str, Rows]:
    """Tell a performance flat; what is of salespeople alone is told of nothing else."""
    beside = ("quota", "attainment", "adjustments", "adjustments_exact", "total", "total_exact")
    alone = answered["group_by"] == ["salesperson"]
    left_out = () if alone else beside
    assert all(figure[name] is None for figure in answered["figures"] for name in left_out)
    assert alone or not any(figure["quota_positions"] for figure in answered["figures"])
    rows = [
        {
            **figure["group"],
            **{f"{group}_name": name for group, name in figure["names"].items()},
            **without(figure, "group", "names", "quota_positions", *left_out),
            **({"quota_positions": ", ".join(map(str, figure["quota_positions"])) or None} if alone else {}),
        }
        for figure in answered["figures"]
    ]
    return {"performance": rows}


def credit_lines(answered: Any) -> dict[str, Rows]:
    """Tell credit lines flat."""
    rows = [
        {
            "salesperson_id": answered["salesperson_id"],
            **without(credit, "rule"),
            **conditions(credit["rule"], "rule_"),
        }
        for credit in answered["credits"]
    ]
    return {"credits": rows}


def movements(answered: Any) -> dict[str, Rows]:
    """Tell the lines of a movement flat."""
    return {"movements": [{**line["cause"], **without(line, "cause")} for line in answered["lines"]]}


def periods(answered: Any) -> dict[str, Rows]:
    """Tell closing periods, and their sums of adjustments."""
    listed = answered["periods"]
    sums = [{"period": each["period"], **amount} for each in listed for amount in each["adjustments"]]
    return {"periods": [without(each, "adjustments") for each in listed], "adjustments": sums}


def period(answered: Any) -> dict[str, Rows]:
    """Tell a closing period."""
    adjustments = answered["adjustments_in"] + answered["adjustments_out"]
    return {"statements": answered["statements"], "drift": answered["drift"], "adjustments": adjustments}


def options(answered: Any) -> dict[str, Rows]:
    """Tell a drift, and both ways of resolving it."""
    version = answered["restatement"]["version"]
    return {
        "drift": answered["drift"],
        "restatement": [{"version": version, **each} for each in answered["restatement"]["figures"]],
        "carry_forward": answered["carry_forward"]["adjustments"],
    }


def rules(answered: Any) -> dict[str, Rows]:
    """Tell rules, a row for each stretch."""
    rows = [
        {"precedence": number, **conditions(rule["conditions"]), **stretch}
        for number, rule in enumerate(answered["rules"], 1)
        for stretch in rule["stretches"]
    ]
    return {"rules": rows}


def history(answered: Any) -> dict[str, Rows]:
    """Tell rule changes and their alterations."""
    return {
        "rule_changes": [change_row(change) for change in answered["rule_changes"]],
        "alterations": [
            {
                "rule_change_id": change["rule_change_id"],
                "alteration": number,
                **{name: made.get(name) for name in ("action", "name", "share", "effective_from", "effective_to")},
                **conditions(made.get("conditions", {"order_type": made.get("order_type")})),
            }
            for change in answered["rule_changes"]
            for number, made in enumerate(change["alterations"])
        ],
    }


def change_row(change: Any) -> dict[str, Any]:
    """Tell a rule change flat."""
    decision = change["decision"] or {}
    seen = {"proposed": change["proposed_impact"] or {}, "decision": decision.get("impact") or {}}
    return {
        **without(change, "alterations", "proposed_impact", "decision"),
        "decided_by": decision.get("actor"),
        "decided_at": decision.get("recorded_at"),
        "decision_position": decision.get("position"),
        "decision_reason": decision.get("reason"),
        "four_eyes": decision.get("four_eyes"),
        **{f"{who}_impact_{name}": impact.get(name) for who, impact in seen.items() for name in ("position", "digest")},
    }


def rule_change(answered: Any) -> dict[str, Rows]:
    """Tell a rule change, its alterations, and its impact flat."""
    impact = answered["impact"]
    change = without(answered, "version", "impact_as", "impact", "obstacles")
    return {
        **history({"rule_changes": [change]}),
        "impact": impact["lines"],
        "shadows": [{**without(each, "conditions"), **conditions(each["conditions"])} for each in impact["shadows"]],
    }


def events(answered: Any) -> dict[str, Rows]:
    """Tell events; their position is a number."""
    return {"events": [{**each, "sequence": int(each["sequence"])} for each in answered["events"]]}


def explained(answered: Any) -> dict[str, Rows]:
    """Tell the credit lines of an explanation."""
    return {"lines": [{"order_id": answered["order_id"], **explained_line(each)} for each in answered["lines"]]}


def explained_line(told: Any) -> dict[str, Any]:
    """Tell a credit line flat, with the rule that decides."""
    (rule,) = [each for each in told["rules"] if each["standing"] == "decides"] or [dict[str, Any]()]
    of_rule = ("reason", "reason_code", "effective_from", "effective_to")
    return {
        **without(told, "rules", "alternatives"),
        **{name: told[name]["value"] for name in ("category", "customer_class", "team")},
        "rule_change_id": rule.get("rule_change_id"),
        **{f"rule_{name}": rule.get(name) for name in of_rule},
        **conditions(rule.get("conditions"), "rule_"),
    }


def findings(answered: Any) -> dict[str, Rows]:
    """Tell findings, and their amounts."""
    numbered = list(enumerate(answered["findings"], 1))
    return {
        "findings": [
            {"finding": number, **without(each, "conditions", "amounts"), **conditions(each["conditions"])}
            for number, each in numbered
        ],
        "amounts": [
            {"finding": number, "kind": each["kind"], **amount}
            for number, each in numbered
            for amount in each["amounts"]
        ],
    }


OPTIONS = Listed("/v1/periods/2026-Q1/options", "options-2026-Q1-into-2026-Q2", options)
"""The one list that is always of now."""
LISTS = [
    OPTIONS,
    Listed("/v1/performance?period=2026-Q2", "performance-2026-Q2", figures),
    Listed(
        "/v1/performance?period=FY2026&group_by=salesperson,month,customer",
        "performance-FY2026-by-salesperson-month-customer",
        figures,
    ),
    Listed("/v1/performance?period=2031-Q1", "performance-2031-Q1", figures),
    Listed("/v1/performance/ann/credits?period=FY2026", "credits-FY2026-ann", credit_lines),
    Listed("/v1/performance/ann/credits?period=FY2026&counts=true", "credits-counting-FY2026-ann", credit_lines),
    Listed("/v1/performance/~unassigned/credits?period=FY2026", "credits-FY2026-unassigned", credit_lines),
    Listed("/v1/movements?period=FY2026&from_position=0", "movements-FY2026-0", movements),
    Listed("/v1/periods", "periods", periods),
    Listed("/v1/periods/2026-Q1", "period-2026-Q1", period),
    Listed("/v1/periods/2026-Q2", "period-2026-Q2", period),
    Listed(
        "/v1/periods/2026-Q1/statements/1",
        "statement-2026-Q1-1",
        lambda answered: {"statement": answered["statement"]["figures"]},
    ),
    Listed("/v1/rules", "rules", rules),
    Listed("/v1/rules?on=2026-03-01", "rules-2026-03-01", rules),
    Listed("/v1/rules/history", "rule-history", history),
    Listed("/v1/rules/review", "review", findings),
    Listed("/v1/rule-changes/RC-1", "rule-change-RC-1", rule_change),
    Listed("/v1/rule-changes/RC-1/orders", "impact-RC-1", lambda answered: {"orders": answered["orders"]}),
    Listed("/v1/order-types", "order-types", lambda answered: {"order_types": answered["order_types"]}),
    Listed(f"/v1/orders/{FORMULA}/events", "order-events-_1_1", events),
    Listed("/v1/orders/SO-3/events", "order-events-SO-3", events),
    Listed(f"/v1/orders/{FORMULA}/explanation", "explanation-_1_1", explained),
    Listed("/v1/orders/SO-2/explanation", "explanation-SO-2", explained),
    Listed("/v1/orders/SO-3/explanation", "explanation-SO-3", explained),
]
AMOUNT = re.compile(
    r"(credited|gross|adjustments|total|current|settled|drift|quota|carried_out|amount|before|after|change)(_exact)?"
)
ALSO_AMOUNTS = {"quantity", "gross_quantity", "attainment", "share"}
every_list = pytest.mark.parametrize("listed", LISTS, ids=lambda listed: listed.path)


@pytest.fixture(scope="module")
def service(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve a ledger that has something of everything, an amount that no spreadsheet keeps, and a formula for an id."""
    with fresh_database(server_url, template) as database, serving(database) as service:
        service.define(standard="1", sample="0", unused="0.5")
        service.change(RULE, rule_change_id="RC-1", reason=FORMULA, reason_code="policy")
        service.record(placed(FORMULA, lines=[line(1, amount=HUGE), line(2, amount="0.000001", quantity="0.5")]))
        service.record(placed("SO-2", splits=[], customer_name="Müller, “Köln” 🙂"))
        service.record(placed("SO-3", splits=[person("ann", "0.5"), person("bob", "0.5")], currency="JPY"))
        service.record(placed("SO-4", order_type="sample", ordered_on="2026-05-05"))
        service.catch_up()
        assert service.post("/v1/periods/2026-Q1/close", {"reason": "done"}, "finance").status_code == 201
        put(service, "/v1/salespeople/ann/team", team="north", effective_from="2026-02-01")
        put(service, "/v1/salespeople/ann/quotas/2026-Q2", currency="EUR", amount="300.000001")
        service.record(placed("LATE", amount="-70.05"))
        service.catch_up()
        carried = {"reason": "late", "into_period": "2026-Q2"}
        assert service.post("/v1/periods/2026-Q1/carry-forward", carried, "finance").status_code == 201
        service.record(event("order.returned", "SO-3", returned_on="2026-05-01", lines=[part()]))
        service.record(placed("LATER", amount="11.11", splits=[person("bob", "0.3"), person("ann", "0.7")]))
        service.propose({**RULE, "share": "0", "conditions": {"customer_class": "house"}}, rule_change_id="RC-2")
        service.decide("RC-2", "reject", reason="no")
        service.change({"action": "retire_order_type", "order_type": "sample", "effective_from": "2027-01-01"})
        service.propose({**RULE, "conditions": {"product_id": "P-9"}}, rule_change_id="RC-3")
        service.catch_up()
        yield service


def put(service: Service, path: str, **sent: str) -> None:
    """Record a fact."""
    response = service.ask("PUT", path, "ingest", sent=sent)
    assert response.status_code == 201, response.text


def ask(service: Service, path: str, form: str, role: str = "finance", **query: str) -> TestResponse:
    """Ask for a file."""
    more = "".join(f"&{name}={value}" for name, value in query.items())
    address = path + (more if "?" in path else more.replace("&", "?", 1))
    return service.ask("GET", address, role, headers={"Accept": MEDIA_TYPES[form]})


def export(service: Service, path: str, form: str, role: str = "finance", **query: str) -> bytes:
    """Get a file."""
    response = ask(service, path, form, role, **query)
    assert (response.status_code, response.mimetype) == (200, MEDIA_TYPES[form]), response.text
    data: bytes = response.data
    return data


def position_named(response: TestResponse, listed: Listed, form: str) -> str:
    """Read the position from the file's name."""
    pattern = rf'attachment; filename="{re.escape(listed.name)}-(\d+)\.{form}"'
    found = re.fullmatch(pattern, response.headers["Content-Disposition"])
    assert found, response.headers["Content-Disposition"]
    return found[1]


# ---- reading files with other programs


def by_table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Rows]:
    """Sort rows by the table they say they are of; of one table they say nothing."""
    if len(names) == 1:
        return {names[0]: list(rows)}
    return {name: [without(row, "table") for row in rows if row["table"] == name] for name in names}


def read(service: Service, path: str, form: str, tables: dict[str, Rows], folder: Path) -> dict[str, Rows]:
    """Read the tables of an export; Parquet's are asked for one by one."""
    names = list(tables)
    if form == "parquet":
        asked = {name: {"table": name} if len(names) > 1 else {} for name in names}
        return {name: read_parquet(export(service, path, form, **asked[name]), folder) for name in names}
    data = export(service, path, form)
    if form == "csv":
        found = by_table(list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True)), names)
        return {
            name: [{each: row[each] for each in columns_of(tables, name, row)} for row in found[name]] for name in names
        }
    if form == "ndjson":
        return by_table([json.loads(row) for row in data.splitlines()], names)
    return {
        name: [dict(zip(heads, row, strict=True)) for row in rows] for name, (heads, *rows) in read_xlsx(data).items()
    }


def columns_of(tables: dict[str, Rows], name: str, row: dict[str, Any]) -> Sequence[str]:
    """Name a table's columns: a CSV has those of all tables, and they are empty elsewhere."""
    own = list(tables[name][0])
    assert not any(row[each] for each in row if each not in own)
    return own


def read_parquet(data: bytes, folder: Path) -> Rows:
    """Read a Parquet file; each of its amounts is a decimal."""
    path = folder / "table.parquet"
    path.write_bytes(data)
    with duckdb.connect() as engine:
        table = engine.read_parquet(str(path))
        for name, kind in zip(table.columns, table.types, strict=True):
            assert (str(kind) == "DECIMAL(38,10)") == is_amount(name), name
        texts = [
            f'CAST("{name}" AS VARCHAR) AS "{name}"' if "TIME ZONE" in str(kind) else f'"{name}"'
            for name, kind in zip(table.columns, table.types, strict=True)
        ]
        return [dict(zip(table.columns, row, strict=True)) for row in table.project(", ".join(texts)).fetchall()]


def is_amount(name: str) -> bool:
    """Say whether a column holds amounts."""
    return AMOUNT.fullmatch(name) is not None or name in ALSO_AMOUNTS


def same(found: Any, told: Any) -> bool:
    """Say whether a cell, in whatever type it came back, is exactly what the JSON says."""
    if isinstance(found, bool) or isinstance(told, bool):
        return str(found).lower() == str(told).lower()
    if told is None:
        return found in (None, "")
    if isinstance(told, list | dict):
        read_back: object = json.loads(found) if isinstance(found, str) else found
        return read_back == told
    if isinstance(found, float | Decimal):
        return Decimal(str(found)) == Decimal(told)
    if isinstance(found, datetime):  # a spreadsheet keeps milliseconds
        seconds: float = abs(found.replace(tzinfo=UTC) - datetime.fromisoformat(told)).total_seconds()
        return seconds < 0.001
    if isinstance(found, date):
        return date.fromisoformat(told) == found
    text = str(told)
    return str(found) in (text, f"'{text}") or is_same_instant(str(found), text)


def is_same_instant(found: str, told: str) -> bool:
    """Say whether two texts are the same instant."""
    try:
        return datetime.fromisoformat(found) == datetime.fromisoformat(told)
    except (ValueError, TypeError):
        return False


# ---- every list in every format


@pytest.mark.parametrize("form", FORMATS)
@every_list
def test_a_file_says_what_the_json_says(service: Service, tmp_path: Path, listed: Listed, form: str) -> None:
    """The same rows in the same order, of the same columns, and each cell exactly."""
    answered = service.ask("GET", listed.path, "finance")
    assert answered.vary.as_set() == {"accept", "accept-language"}
    tables = listed.tables(answered.get_json())
    found = read(service, listed.path, form, tables, tmp_path)
    assert list(found) == list(tables)
    assert form != "ndjson" or found == tables
    for name, rows in tables.items():
        for row, told in zip(found[name], rows, strict=True):
            assert set(row) == set(told)
            for column, cell in row.items():
                assert same(cell, told[column]), (name, column, cell, told[column])


@pytest.mark.parametrize("listed", [each for each in LISTS if each != OPTIONS], ids=lambda listed: listed.path)
def test_a_file_is_named_after_the_position_that_gives_it_again(service: Service, listed: Listed) -> None:
    """Whatever is recorded after it."""
    first = ask(service, listed.path, "csv")
    position = position_named(first, listed, "csv")
    for form in FORMATS:
        table = next(iter(listed.tables(service.get(listed.path, "finance"))))
        query = {"table": table} if form == "parquet" and "&table" not in listed.path and has_tables(listed) else {}
        told = listed._replace(name=f"{listed.name}-{table}") if query else listed
        assert position_named(ask(service, listed.path, form, **query), told, form) == position
    for order, kind in ((order, kind) for order in ("SO-3", FORMULA) for kind in ("unused", "standard")):
        service.record(event("order.reclassified", order, order_type=kind))
    service.record(placed(f"NEW-{LISTS.index(listed)}", amount="1.23"))
    service.change({**RULE, "share": f"0.5{LISTS.index(listed) + 1:02}", "effective_to": "2026-02-01"})
    service.catch_up()
    name = "to_position" if "movements" in listed.path else "position"
    query = {} if "statements" in listed.path or "rule-changes" in listed.path else {name: position}
    again = ask(service, listed.path, "csv", **query)
    assert again.data == first.data
    assert position_named(again, listed, "csv") == position


def test_both_ways_of_a_drift_are_named_after_the_position_that_they_are_of(service: Service) -> None:
    """And after where the drift would be carried to; they are of now, as what may be done is."""
    now = service.get(OPTIONS.path, "finance")["view"]["position"]
    assert position_named(ask(service, OPTIONS.path, "csv"), OPTIONS, "csv") == str(now)
    service.record(placed("BEFORE-IT-IS-RESOLVED", amount="0.01"))
    service.catch_up()
    assert position_named(ask(service, OPTIONS.path, "xlsx"), OPTIONS, "xlsx") == str(now + 1)
    refused(ask(service, OPTIONS.path, "csv", into="2025-Q4"), Code.carry_not_forward)


def has_tables(listed: Listed) -> bool:
    """Say whether the list is of several tables."""
    return listed.tables in (periods, period, options, history, findings, rule_change)


@every_list
def test_parquet_holds_one_table(service: Service, listed: Listed) -> None:
    """Of several, one is to be named; a table that there is not is refused."""
    if has_tables(listed):
        (error,) = refused(ask(service, listed.path, "parquet"), Code.invalid_parameter)
        assert error["pointer"] == "/table"
        refused(ask(service, listed.path, "csv", table="nothing"), Code.invalid_parameter)
        name = next(iter(listed.tables(service.get(listed.path, "finance"))))
        refused(service.ask("GET", f"{listed.path}?table={name}", "finance"), Code.invalid_parameter)
    else:
        export(service, listed.path, "parquet")


@every_list
def test_a_byte_order_mark_is_written_on_request(service: Service, listed: Listed) -> None:
    """Into CSV alone."""
    assert export(service, listed.path, "csv", bom="true") == b"\xef\xbb\xbf" + export(service, listed.path, "csv")
    refused(ask(service, listed.path, "xlsx", bom="true"), Code.invalid_parameter)


def test_what_nothing_is_in_has_its_columns(service: Service, tmp_path: Path) -> None:
    """In every format that says them."""
    path, empty = "/v1/performance/nobody/credits?period=FY2026", {"credits": [dict[str, Any]()]}
    assert export(service, path, "csv").startswith(b"salesperson_id,position,")
    assert export(service, path, "ndjson") == b""
    assert read_parquet(export(service, path, "parquet"), tmp_path) == []
    assert read(service, path, "xlsx", empty, tmp_path) == {"credits": []}


def test_an_amount_beyond_what_a_spreadsheet_keeps_is_whole(service: Service) -> None:
    """It is a text there, and every other amount a number."""
    (rows,) = read_xlsx(export(service, "/v1/performance/ann/credits?period=FY2026", "xlsx")).values()
    gross = rows[0].index("gross")
    texts = {row[gross].lstrip("-") for row in rows[1:] if not isinstance(row[gross], float)}
    assert texts == {HUGE}
    assert not is_number(HUGE)


def test_the_documents_say_which_lists_are_files(service: Service) -> None:
    """And in which formats."""
    document = create_app(Config("postgresql://127.0.0.1:1/none")).test_client().get("/openapi.json").get_json()
    documented = set[str]()
    for path, methods in document["paths"].items():
        content = methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if set(MEDIA_TYPES.values()) <= set(content):
            assert {parameter["name"] for parameter in methods["get"]["parameters"]} >= {"bom"}
            documented.add(path)
    adapter = service.app.url_map.bind("localhost")
    rules_asked = {str(adapter.match(each.path.split("?")[0], return_rule=True)[0]) for each in LISTS}
    asked = {re.sub("<(?:path:)?(.*?)>", r"{\1}", rule) for rule in rules_asked}
    elsewhere = {"/v1/audit/rule-changes", "/v1/audit/access", "/v1/audit/timeline", "/v1/tokens"}
    assert documented == asked | elsewhere | {"/v1/imports", "/v1/import-profiles", "/v1/imports/{import_id}/preview"}


# ---- pages


def test_long_lists_are_read_page_by_page(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same result, whatever `limit` says, which is of JSON pages."""
    for path in ("/v1/performance/ann/credits?period=FY2026", "/v1/performance?period=FY2026"):
        whole = export(service, path, "csv")
        assert export(service, path, "csv", limit="1") == whole
        monkeypatch.setattr(performance, "PAGE_MAX", 1)
        assert export(service, path, "csv") == whole
        monkeypatch.undo()
        assert whole.count(b"\r\n") > 2


def test_every_page_is_of_the_first_ones_position(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where something is recorded while a file is sent."""
    monkeypatch.setattr(performance, "PAGE_MAX", 1)
    store = Store(service.database)
    year = store.calendar().period("FY2026")
    before, first = credits_behind(store, "ann", year)[0], credits_behind(store, "ann", year, limit=1)
    rows = iter(performance.credits_table("ann", first, partial(credits_behind, store, "ann", year)).rows)
    taken = [next(rows)]
    service.record(placed("MEANWHILE"))
    service.catch_up()
    taken += rows
    assert [row[1] for row in taken] == [credit.position for credit in before]
    assert len(credits_behind(store, "ann", year)[0]) == len(before) + 1, "the control"
    store.close()


def test_a_cursor_pins_the_position_of_a_file(service: Service) -> None:
    page = service.get("/v1/performance/ann/credits", "finance", period="FY2026", limit=1)
    before = export(service, "/v1/performance/ann/credits?period=FY2026", "csv")
    service.record(placed("BEHIND"))
    service.catch_up()
    path = f"/v1/performance/ann/credits?period=FY2026&cursor={page['next_cursor']}"
    assert export(service, path, "csv") == before


# ---- sales


@pytest.mark.parametrize("form", FORMATS)
def test_a_sales_token_gets_its_own_figures_only(service: Service, tmp_path: Path, form: str) -> None:
    """In every format; and nothing else than its own figures and the order types."""
    for path, role in (("/v1/performance?period=2026-Q1", "ann"), (LISTS[1].path, "ann"), (LISTS[1].path, "bob")):
        token = service.token("sales", principal=role)
        answered = service.get(path, token)
        tables = figures(answered)
        response = ask(service, path, form, token)
        assert response.status_code == 200
        for other in ("bob", "ann"):
            assert (other in told_people(response.data, form, tmp_path)) == (other == role)
        assert told_people(response.data, form, tmp_path) == [row["salesperson"] for row in tables["performance"]]
    for path in ("/v1/performance/bob/credits?period=FY2026", "/v1/performance?period=FY2026&group_by=customer"):
        refused(ask(service, path, form, "sales"), Code.forbidden)
    export(service, "/v1/performance/ann/credits?period=FY2026", form, "sales")
    allowed = {each.path for each in LISTS if ask(service, each.path, form, "sales").status_code != 403}
    assert allowed == {path for path in (each.path for each in LISTS) if is_for_sales(path)}


@pytest.mark.parametrize("form", FORMATS)
def test_a_sales_token_gets_its_own_lines_of_an_order_only(service: Service, tmp_path: Path, form: str) -> None:
    """In every format, as its JSON has them; of others' orders there is no file."""
    path = "/v1/orders/SO-3/explanation"

    def people(role: str) -> list[Any]:
        return told_people(export(service, path, form, role), form, tmp_path, "salesperson_id")

    for name in ("ann", "bob"):
        own = [each for each in people("finance") if each == name]
        assert people(service.token("sales", principal=name)) == own != []
    refused(ask(service, path, form, service.token("sales", principal="carl")), Code.order_not_found)


def is_for_sales(path: str) -> bool:
    """Say whether a sales token of ann's may read a list."""
    return path.startswith(("/v1/performance?", "/v1/performance/ann/", "/v1/order-types")) or "/explanation" in path


def told_people(data: bytes, form: str, folder: Path, column: str = "salesperson") -> list[Any]:
    """Name the salespeople of an exported table."""
    match form:
        case "csv":
            return [row[column] for row in csv.DictReader(io.StringIO(data.decode(), newline=""))]
        case "ndjson":
            return [json.loads(row)[column] for row in data.splitlines()]
        case "xlsx":
            ((heads, *rows),) = read_xlsx(data).values()
            return [row[heads.index(column)] for row in rows]
        case _:
            return [row[column] for row in read_parquet(data, folder)]
