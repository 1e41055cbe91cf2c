"""Periods, explanations, the review and the demo on the command line: the same as over HTTP."""

import json
from pathlib import Path

import pytest

from api.demo import EXPLAINED_ORDER, WAITING_RULE_CHANGE
from ledger.database import Database
from ledger.refusal import Code
from tests.http_client import serving
from tests.test_cli import LINES, ORDERS, CommandLine, refused

LATE_ORDERS = ORDERS.splitlines()[0] + "\nLATE-1,2025-02-06,sample,C-2,Hollmann GmbH,li,李娜,EUR,,\n"
LATE_LINES = LINES.splitlines()[0] + "\nLATE-1,1,P-1,Sensor,sensors,1,,,50.005\n"


@pytest.fixture
def closed(database: Database, tmp_path: Path) -> CommandLine:
    """Give a ledger of one person with a closed quarter, and a late order in it."""
    cli = CommandLine(database.url, tmp_path)
    cli.done("init", "--no-four-eyes")
    folder = cli.folder_of(ORDERS.replace("2026-", "2025-"))
    cli.done("import", folder, "--define-order-types", "--source", "erp")
    cli.done("close", "2025-Q1", "--reason", "complete")
    cli.done("import", cli.folder_of(LATE_ORDERS, LATE_LINES), "--source", "erp")
    return cli


def head(cli: CommandLine) -> str:
    """Tell at which position the ledger is."""
    return cli.run("periods").stderr + cli.run("period", "2025-Q1").stderr


def test_periods_are_listed_with_their_drift(closed: CommandLine) -> None:
    first, second = closed.rows("periods")[:2]
    assert (first["period"], first["state"], first["statement"], first["drift"]) == ("2025-Q1", "closed", 1, "yes")
    assert (second["period"], second["state"], second["statement"], second["drift"]) == ("2025-Q2", "open", "", "")
    assert closed.rows("periods", "--position", "0") == []
    shown = closed.done("period", "2025-Q1")
    assert "2025-Q1 (2025-01-01 to 2025-04-01, half-open) is closed." in shown
    assert ": complete" in shown
    drift = closed.done("period", "2025-Q1", "--format", "csv").splitlines()
    assert drift == [
        "salesperson,name,currency,settled,current,drift",
        "li,李娜,EUR,50.50,100.51,50.01",
        "(total),,EUR,50.50,100.51,50.01",
    ]
    told = closed.rows("period", "2025-Q1")
    assert told["drift"][0]["drift_exact"] == "50.005"
    assert [issued["reason"] for issued in told["statements"]] == ["complete"]


def test_a_drift_is_shown_both_ways_and_restated(closed: CommandLine) -> None:
    before = head(closed)
    carried = closed.rows("carry-forward", "2025-Q1", "--into", "2025-Q2", "--reason", "late", "--dry-run")
    assert [(each["into"], each["salesperson"], each["amount"]) for each in carried] == [("2025-Q2", "li", "50.01")]
    would = closed.rows("restate", "2025-Q1", "--reason", "late", "--dry-run")
    assert head(closed) == before
    result = closed.run("restate", "2025-Q1", "--reason", "late", "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, would)
    assert "2025-Q1 is closed, statement 2" in result.stderr
    assert {each["salesperson"]: each["total"] for each in would if each["currency"] == "EUR"} == {
        "ann": "168.01",
        "li": "100.51",
        "(total)": "268.51",
    }
    assert closed.rows("period", "2025-Q1")["drift"] == []


def test_an_adjustment_is_told_with_the_figures_of_the_days_it_is_booked_into(closed: CommandLine) -> None:
    words = ("carry-forward", "2025-Q1", "--into", "2025-Q2", "--booked-on", "2025-04-15", "--reason", "late")
    assert "li" in closed.done(*words)
    (row,) = closed.rows("performance", "2025-04")
    assert (row["salesperson"], row["name"], row["credited"]) == ("li", "李娜", "0.00")
    assert (row["adjustments"], row["total"]) == ("50.01", "50.01")
    assert closed.rows("performance", "2025-05") == []
    assert "total" not in closed.rows("performance", "2025-02")[0]
    (row,) = (each for each in closed.rows("performance", "2025-Q1") if each["salesperson"] == "li")
    assert (row["credited"], row["adjustments"], row["total"]) == ("100.51", "-50.01", "50.50"), "as its statement says"
    assert "Carried out of it" in closed.done("period", "2025-Q1")
    assert "Booked into it" in closed.done("period", "2025-Q2")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("close", "2025-Q1", "--reason", "again"), Code.period_closed),
        (("close", "2025-Q3", "--reason", "too soon"), Code.period_out_of_order),
        (("close", "2025-Q5", "--reason", "none"), Code.invalid_period),
        (("restate", "2025-Q2", "--reason", "open"), Code.period_open),
        (("carry-forward", "2025-Q1", "--into", "2025-Q1", "--reason", "itself"), Code.carry_not_forward),
        (("carry-forward", "2025-Q1", "--into", "2025-Q2", "--reason", " "), Code.invalid_value),
        (("period", "2025-01"), Code.not_a_closing_period),
        (("explain", "NONE"), Code.order_not_found),
    ],
    ids=lambda value: value if isinstance(value, Code) else " ".join(value),
)
def test_what_can_not_be_is_refused(closed: CommandLine, words: tuple[str, ...], code: Code) -> None:
    before = head(closed)
    refused(closed.run(*words), code)
    assert head(closed) == before


def test_an_order_is_explained_in_sentences_or_as_data(closed: CommandLine) -> None:
    (sentence,) = closed.done("explain", "SO-2").splitlines()
    assert sentence.startswith("Order SO-2 of 6 February 2025 is credited to 李娜 (li) with 50.50 EUR")
    assert closed.rows("explain", "SO-2")["sentences"] == [sentence]
    assert closed.done("explain", "SO-1", "--format", "csv").count("\n") == 3
    refused(closed.run("explain", "SO-2", "--known-at", "2001-01-01"), Code.order_not_found)


def test_the_rulebook_is_reviewed(closed: CommandLine) -> None:
    closed.done("rules", "define", "unheard-of", "--reason", "to see")
    found = closed.rows("review")["findings"]
    assert ["unheard-of"] in [each["order_types"] for each in found]
    assert "No order is of type unheard-of." in closed.done("review")


def test_a_visitor_of_the_demo_approves_proposes_and_resolves_as_different_people(
    database: Database, tmp_path: Path
) -> None:
    """The tokens that the demo shows are of one principal each, so that four eyes can be tried out."""
    shown = CommandLine(database.url, tmp_path).done("demo")
    tokens = dict(line.split() for line in shown.splitlines() if line.startswith("  "))
    rule = {"action": "set_rule", "conditions": {"order_type": "sample"}, "share": "1", "effective_from": "2026-09-01"}
    change, waiting = "/v1/rule-changes", f"/v1/rule-changes/{WAITING_RULE_CHANGE}/approve"
    with serving(database) as service:
        for path, sent, role, status in (
            (waiting, {}, "rules", 403),
            (waiting, {}, "approver", 200),
            (change, {"alterations": [rule], "reason": "to try", "rule_change_id": "RC-1"}, "rules", 201),
            (f"{change}/RC-1/approve", {}, "approver", 200),
            ("/v1/periods/2026-Q2/restate", {"reason": "special orders count"}, "finance", 201),
        ):
            service.catch_up()
            response = service.post(path, sent, tokens[role])
            assert response.status_code == status, response.text
        explanation = service.get(f"/v1/orders/{EXPLAINED_ORDER}/explanation", tokens["sales"])
        assert "house account" in explanation["sentences"][0]
