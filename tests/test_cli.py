"""The command line: the same ledger without HTTP; what it prints, where, and the exit status.

0 done, 1 a check failed or the command was refused, 2 usage, 3 the database can't be reached. What programs read is on
stdout; progress and complaints are on stderr.
"""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli import main
from api.commands import actor
from api.import_files import LINE_COLUMNS, ORDER_COLUMNS
from ledger import __version__
from ledger.database import Database
from ledger.refusal import Code
from ledger.store import Store
from ledger.tokens import ROLES, find_token
from tests.http_client import Service, fresh_database, serving

ORDERS = (
    ",".join(ORDER_COLUMNS)
    + """
SO-1,2026-01-05,standard,C-1,Hollmann GmbH,ann,Anna Berg,EUR,,
SO-2,2026-02-06,sample,C-2,"上海华光, Ltd",li,李娜,EUR,,
SO-3,2026-03-07,standard,C-1,,,,USD,,
"""
)
LINES = (
    ",".join(LINE_COLUMNS)
    + """
SO-1,1,P-1,Sensor,sensors,2,50,0,100
SO-1,2,P-2,Drive,drives,1,,,68.005
SO-2,1,P-1,Sensor,sensors,1,,,50.5
SO-3,1,P-2,,,1,,,9.00
"""
)
UNREACHABLE = "postgresql://127.0.0.1:1/none?connect_timeout=2"


class CommandLine:
    """Runs commands on one ledger, in a folder of their own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.settings = {"ORDERLEDGER_DATABASE_URL": url, "ORDERLEDGER_DATA_DIR": str(folder / "data")}
        self.folder = folder

    def run(self, *words: str) -> Result:
        """Run a command whatever becomes of it."""
        return CliRunner().invoke(main, words, env=self.settings)

    def done(self, *words: str) -> str:
        """Run a command that must be done; give what it prints."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def rows(self, *words: str) -> Any:
        """Run a command that must be done; give the rows it prints as JSON."""
        return json.loads(self.done(*words, "--format", "json"))

    def folder_of(self, orders: str = ORDERS, lines: str = LINES) -> str:
        """Make a folder to import."""
        folder = self.folder / "erp"
        folder.mkdir(exist_ok=True)
        (folder / "orders.csv").write_text(orders, encoding="utf-8")
        (folder / "lines.csv").write_text(lines, encoding="utf-8")
        return str(folder)


@pytest.fixture
def fresh(database: Database, tmp_path: Path) -> CommandLine:
    """Give a command line on a database in which nothing is recorded."""
    return CommandLine(database.url, tmp_path)


@pytest.fixture
def ledger(fresh: CommandLine) -> CommandLine:
    """Give a command line on a ledger of one person, with two order types; samples do not count."""
    fresh.done("init", "--no-four-eyes")
    fresh.done("rules", "define", "standard", "--reason", "to begin with", "--name", "Standard")
    fresh.done("rules", "define", "sample", "--share", "0", "--reason", "to begin with")
    return fresh


@pytest.fixture(scope="module")
def served(
    server_url: Callable[[str], str], template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Serve an initialised ledger on which commands are refused."""
    with fresh_database(server_url, template) as database, serving(database) as service:
        CommandLine(database.url, tmp_path_factory.mktemp("served")).done("init")
        service.define(standard="1")
        yield service


def refused(result: Result, code: Code) -> None:
    """See that a command was refused with this code, told with its remedy on stderr, and exit 1."""
    assert result.exit_code == 1, result.output
    assert code.name in result.stderr
    assert result.stdout == ""


# ---- init and tokens


def test_init_records_the_settings_once_and_shows_an_admin_token(fresh: CommandLine, database: Database) -> None:
    words = ("init", "--name", "Hollmann", "--fiscal-year-starts-in", "4", "--time-zone", "Asia/Shanghai")
    shown = fresh.done(*words).split()[-1]
    token = find_token(database, shown)
    assert token is not None
    assert token.roles == ("admin",)
    refused(fresh.run(*words), Code.ledger_initialised)
    fresh.done("performance", "2026-Q1")


def test_init_records_the_calendar_what_is_closed_and_four_eyes(
    fresh: CommandLine, database: Database, tmp_path: Path
) -> None:
    """A table of fiscal years comes from a file; rule changes need a second person unless that is turned off."""
    starts = [f"2026-{month:02}-01" for month in range(1, 13)]
    year = {"name": "FY2026", "months_start": ["2025-12-29", *starts[1:]], "end": "2027-01-04"}
    table = tmp_path / "calendar.json"
    table.write_text(json.dumps([year]), encoding="utf-8")
    fresh.done("init", "--closes", "month", "--calendar", str(table), "--no-four-eyes")
    settings = Store(database).settings()
    assert settings is not None
    assert (settings.closes, settings.four_eyes) == ("month", False)
    assert settings.calendar[0].months_start[0] == date(2025, 12, 29)
    fresh.done("performance", "2026-P01")


def test_init_demands_four_eyes_and_closes_quarters_by_itself(fresh: CommandLine, database: Database) -> None:
    fresh.done("init")
    settings = Store(database).settings()
    assert settings is not None
    assert (settings.closes, settings.four_eyes, settings.calendar) == ("quarter", True, ())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[", Code.malformed_json),
        ("\xff", Code.malformed_json),
        ("{}", Code.invalid_calendar),
        ('[{"name": "FY2026"}]', Code.invalid_calendar),
        ('[{"name": "FY2026", "months_start": [], "end": "2027-01-01"}]', Code.invalid_calendar),
    ],
)
def test_init_refuses_a_calendar_that_is_none(fresh: CommandLine, tmp_path: Path, text: str, code: Code) -> None:
    table = tmp_path / "calendar.json"
    table.write_bytes(text.encode("latin-1"))
    refused(fresh.run("init", "--calendar", str(table)), code)
    fresh.done("init")


@pytest.mark.parametrize("bad", [("--time-zone", "Mars/Olympus"), ("--name", "")])
def test_init_refuses_settings_that_are_none(fresh: CommandLine, bad: tuple[str, str]) -> None:
    refused(fresh.run("init", *bad), Code.invalid_value)
    fresh.done("init")


def test_a_token_is_made_shown_once_listed_and_revoked(ledger: CommandLine, database: Database) -> None:
    text = ledger.done("token", "create", "ann", "--role", "sales", "--role", "ingest", "--expires", "2027-01-01")
    token = find_token(database, text.strip())
    assert token is not None
    assert (token.principal, token.roles) == ("ann", ("sales", "ingest"))
    (listed,) = [row for row in ledger.rows("token", "list") if row["principal"] == "ann"]
    assert (listed["id"], listed["roles"], listed["expires"]) == (token.id, "sales ingest", "2027-01-01T00:00:00Z")
    assert text.strip().split("_")[2] not in ledger.done("token", "list")
    assert ledger.done("token", "revoke", token.id) == f"revoked {token.id}\n"
    assert [row["revoked"] != "" for row in ledger.rows("token", "list")] == [False, True]
    refused(ledger.run("token", "revoke", token.id), Code.not_found)


# ---- rules


def test_rules_are_defined_set_ended_and_listed(ledger: CommandLine) -> None:
    types = ledger.rows("rules", "types")
    assert [(row["order_type"], row["name"], row["share"]) for row in types] == [
        ("standard", "Standard", "1"),
        ("sample", "", "0"),
    ]
    house = ("--customer-class", "house-account")
    told = ledger.done("rules", "set", *house, "--share", "0", "--from", "2026-01-01", "--reason", "served by us")
    assert told.startswith("rule change ")
    assert told.rstrip().endswith("since position 8")
    ledger.done("rules", "end", *house, "--from", "2026-03-01", "--to", "2026-04-01", "--reason", "not in March")
    rules = ledger.rows("rules", "list")
    assert [(row["customer_class"], row["from"], row["to"], row["share"]) for row in rules[:2]] == [
        ("house-account", "2026-01-01", "2026-03-01", "0"),
        ("house-account", "2026-04-01", "", "0"),
    ]
    assert len(ledger.rows("rules", "list", "--on", "2026-03-15")) == 2
    assert len(ledger.rows("rules", "list", "--position", "6")) == 2
    assert ledger.done("rules") == ledger.done("rules", "list")


REFUSED = [
    (("rules", "define", "standard", "--reason", "again"), Code.order_type_exists),
    (("rules", "define", "other", "--share", "11", "--reason", "too much"), Code.invalid_share),
    (("rules", "set", "--share", "1", "--from", "2026-01-01", "--reason", "for nobody"), Code.invalid_value),
    (
        ("rules", "set", "--order-type", "x", "--share", "1", "--from", "2026-01-01", "--reason", "r"),
        Code.unknown_order_type,
    ),
    (("rules", "end", "--product-id", "P", "--from", "2026-01-01", "--reason", "r"), Code.unknown_rule),
    (("performance", "2026-13"), Code.invalid_period),
    (("performance", "2026-Q1", "--group-by", "moon"), Code.invalid_parameter),
    (("performance", "2026-Q1", "--position", "1000000"), Code.position_ahead),
    (("init",), Code.ledger_initialised),
]


@pytest.mark.parametrize(
    ("words", "code"), REFUSED, ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else ""
)
def test_a_command_that_is_refused_says_why_and_records_nothing(
    served: Service, tmp_path: Path, words: tuple[str, ...], code: Code
) -> None:
    before = served.trace()
    refused(CommandLine(served.database.url, tmp_path).run(*words), code)
    assert served.trace() == before


@pytest.mark.parametrize("words", [("serve", "--port", "65535"), ("import", "."), ("demo",)], ids=" ".join)
def test_a_ledger_without_settings_takes_no_imports_and_is_not_served(
    fresh: CommandLine, database: Database, words: tuple[str, ...]
) -> None:
    with serving(database) as service:
        service.define(standard="1")
        before = service.trace()
        refused(fresh.run(*words), Code.ledger_not_initialised)
        assert service.trace() == before


USAGE = [
    ("bogus",),
    ("performance",),
    ("performance", "2026-Q1", "--position", "-1"),
    ("performance", "2026-Q1", "--position", "one"),
    ("performance", "2026-Q1", "--known-at", "yesterday"),
    ("performance", "2026-Q1", "--format", "xml"),
    ("rules", "set", "--share", "1", "--from", "2026-02-30", "--reason", "no such day"),
    ("rules", "define", "other"),
    ("token", "create", "ann"),
    ("token", "create", "ann", "--role", "king"),
    ("init", "--fiscal-year-starts-in", "13"),
    ("init", "--closes", "week"),
    ("init", "--calendar", "no-such-file.json"),
    ("serve", "--port", "0"),
    ("propose", "no-such-file.json"),
    ("approve",),
    ("reject", "RC-1"),
    ("simulate",),
    ("simulate", "2026-Q1", "--position", "-1"),
    ("movement", "2026-Q1"),
    ("movement", "2026-Q1", "--from-position", "0", "--from-statement", "1"),
    ("movement", "2026-Q1", "--from-position", "0", "--to-position", "1", "--to-known-at", "2026-01-01"),
    ("movement", "2026-Q1", "--from-known-at", "yesterday"),
    ("movement", "2026-Q1", "--from-position", "0", "--kind", "weather"),
    ("facts", "class", "C-1", "--from", "2026-01-01"),
    ("facts", "class", "C-1", "house", "--none", "--from", "2026-01-01"),
    ("facts", "team", "ann", "north"),
    ("facts", "quota", "ann", "2026-Q1", "400"),
    ("rebuild", "--processes", "0"),
]


@pytest.mark.parametrize("words", USAGE, ids=" ".join)
def test_wrong_usage_is_told_on_stderr_with_exit_2(served: Service, tmp_path: Path, words: tuple[str, ...]) -> None:
    before = served.trace()
    result = CommandLine(served.database.url, tmp_path).run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage:" in result.stderr
    assert served.trace() == before


@pytest.mark.parametrize("words", [("init",), ("rules",), ("performance", "2026-Q1"), ("token", "list"), ("serve",)])
def test_a_database_that_cannot_be_reached_is_exit_3(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = CommandLine(UNREACHABLE, tmp_path).run(*words)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "the database can't be used" in result.stderr


# ---- rule changes by two people, facts, simulation and movement


@pytest.fixture
def watched(fresh: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Give a command line on a ledger of four eyes with three orders; samples do not count. Ann types."""
    typed_by(monkeypatch, "ann")
    fresh.done("init")
    for order_type, share in (("standard", "1"), ("sample", "0")):
        told = fresh.done("rules", "define", order_type, "--share", share, "--reason", "to begin with")
        approved_by(monkeypatch, "bob", fresh, told.split()[2])
    fresh.done("import", fresh.folder_of())
    return fresh


def typed_by(patch: pytest.MonkeyPatch, person: str) -> None:
    """Let the system say that this person types."""
    patch.setattr("api.commands.pwd.getpwuid", lambda _user: SimpleNamespace(pw_name=person))


def test_who_types_is_not_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four eyes would be two with one variable."""
    known = actor()
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    assert actor() == known


def approved_by(
    monkeypatch: pytest.MonkeyPatch, person: str, ledger: CommandLine, rule_change_id: str, *more: str
) -> Result:
    """Let somebody else approve."""
    with monkeypatch.context() as other:
        typed_by(other, person)
        return ledger.run("approve", rule_change_id, *more, "--format", "json")


def proposal(ledger: CommandLine, share: str = "1", **more: str) -> str:
    """Write a file that lets samples count."""
    rule = {"action": "set_rule", "conditions": {"order_type": "sample"}, "effective_from": "2026-01-01"}
    path = ledger.folder / "proposal.json"
    sent = {"alterations": [{**rule, "share": share}], "reason": "agreed", "rule_change_id": "RC-1", **more}
    path.write_text(json.dumps(sent), encoding="utf-8")
    return str(path)


def test_with_four_eyes_a_rule_waits_for_somebody_else(fresh: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    typed_by(monkeypatch, "ann")
    fresh.done("init")
    told = fresh.done("rules", "define", "standard", "--reason", "to begin with")
    rule_change_id = told.split()[2]
    waits = f"rule change {rule_change_id} waits for approval by somebody else: orderledger approve {rule_change_id}\n"
    assert told == waits
    assert fresh.rows("rules", "types") == []
    refused(fresh.run("approve", rule_change_id), Code.own_proposal)
    assert approved_by(monkeypatch, "bob", fresh, rule_change_id).exit_code == 0
    assert [row["order_type"] for row in fresh.rows("rules", "types")] == ["standard"]
    assert [(row["proposer"], row["decided_by"]) for row in fresh.rows("rules", "history")] == [("cli:ann", "cli:bob")]


def test_a_rule_change_is_tried_proposed_shown_and_approved(
    watched: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The impact is on stdout; what is to be done with it on stderr."""
    tried = watched.run("propose", proposal(watched), "--dry-run", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(tried.stdout))
    assert (row["salesperson"], row["period"], row["before"], row["after"]) == ("li", "2026-Q1", "0.00", "50.50")
    assert "nothing is recorded" in tried.stderr
    assert len(watched.rows("rules", "history")) == 2
    proposed = watched.run("propose", proposal(watched))
    assert "50.50" in proposed.stdout
    assert "orderledger approve RC-1" in proposed.stderr
    assert watched.run("propose", proposal(watched)).exit_code == 0, "again is the same"
    assert "50.50" in watched.run("propose", proposal(watched), "--dry-run").stdout, "also where it is tried"
    assert watched.rows("rules", "show", "RC-1")["impact_as"] == "now"
    result = approved_by(monkeypatch, "bob", watched, "RC-1", "--reason", "seen")
    told = json.loads(result.stdout)
    assert (told["state"], told["decision"]["actor"], told["decision"]["reason"]) == ("approved", "cli:bob", "seen")
    refused(approved_by(monkeypatch, "bob", watched, "RC-1"), Code.rule_change_decided)
    assert [row["credited"] for row in watched.rows("performance", "2026-Q1")] == ["9.00", "168.01", "50.50"]


def test_an_impact_that_moved_is_approved_by_its_digest(watched: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.done("propose", proposal(watched))
    more = "SO-4,2026-02-07,sample,C-2,,li,,EUR,,\n", "SO-4,1,P-1,,,1,,,10\n"
    watched.done("import", watched.folder_of(ORDERS + more[0], LINES + more[1]))
    moved = approved_by(monkeypatch, "bob", watched, "RC-1")
    refused(moved, Code.impact_moved)
    digest = watched.rows("rules", "show", "RC-1")["impact"]["digest"]
    assert f"orderledger approve RC-1 --accept {digest}" in moved.stderr
    assert approved_by(monkeypatch, "bob", watched, "RC-1", "--accept", digest).exit_code == 0


def test_a_proposal_is_rejected_or_withdrawn(watched: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for rule_change_id in ("RC-1", "RC-2"):
        watched.done("propose", proposal(watched, rule_change_id=rule_change_id))
    refused(watched.run("reject", "RC-1", "--reason", "no"), Code.own_proposal)
    assert watched.done("withdraw", "RC-1").startswith("rule change RC-1 is withdrawn at position ")
    typed_by(monkeypatch, "bob")
    refused(watched.run("withdraw", "RC-2"), Code.not_the_proposer)
    assert watched.done("reject", "RC-2", "--reason", "no").startswith("rule change RC-2 is rejected at position ")
    refused(watched.run("approve", "NOT-THERE"), Code.not_found)


def test_a_proposal_may_come_from_stdin(watched: CommandLine) -> None:
    text = Path(proposal(watched)).read_text(encoding="utf-8")
    result = CliRunner().invoke(main, ["propose", "-", "--dry-run"], env=watched.settings, input=text)
    assert (result.exit_code, "50.50" in result.stdout) == (0, True)
    bad = CliRunner().invoke(main, ["propose", "-"], env=watched.settings, input="{")
    refused(bad, Code.malformed_json)


def test_an_import_does_not_define_order_types_where_four_eyes_are_asked_for(
    watched: CommandLine, database: Database
) -> None:
    """Nothing is recorded, and it says what to do; where none is missing, it is as ever."""
    before = Store(database).head()
    more = "SO-4,2026-02-07,gift,C-2,,li,,EUR,,\n", "SO-4,1,P-1,,,1,,,10\n"
    folder = watched.folder_of(ORDERS + more[0], LINES + more[1])
    result = watched.run("import", folder, "--define-order-types")
    refused(result, Code.own_proposal)
    assert "'gift'" in result.stderr
    assert "import again" in result.stderr
    assert Store(database).head() == before
    watched.done("import", watched.folder_of(), "--define-order-types")


def test_figures_are_simulated(watched: CommandLine, database: Database) -> None:
    """By a file of alterations or one that can be proposed, and with changes left out; nothing is recorded."""
    before = Store(database).head()
    alterations = watched.folder / "alterations.json"
    alterations.write_text(json.dumps(json.loads(Path(proposal(watched)).read_text())["alterations"]))
    by_list = watched.rows("simulate", "2026-Q1", "2026-03", "--alterations", str(alterations))
    assert [(row["period"], row["salesperson"], row["actual"], row["simulated"]) for row in by_list] == [
        ("2026-Q1", "(none)", "9.00", "9.00"),
        ("2026-Q1", "ann", "168.01", "168.01"),
        ("2026-Q1", "li", "0.00", "50.50"),
        ("2026-03", "(none)", "9.00", "9.00"),
    ]
    assert watched.rows("simulate", "2026-Q1", "2026-03", "--alterations", proposal(watched)) == by_list
    for form, told in (("table", "（无）"), ("csv", "(none)"), ("json", "(none)")):
        arguments = ["simulate", "2026-Q1", "--alterations", str(alterations), "--format", form]
        result = CliRunner().invoke(main, arguments, env={**watched.settings, "LC_ALL": "zh_CN.UTF-8"})
        assert told in result.stdout, "a word for people, and the same for programs in every language"
    refused(watched.run("simulate", "2026-Q1", "--without", "NOT-THERE"), Code.not_found)
    refused(watched.run("simulate", "2026-Q1"), Code.invalid_value)
    assert Store(database).head() == before


def test_facts_are_recorded_and_a_movement_tells_what_they_moved(watched: CommandLine, database: Database) -> None:
    before = Store(database).head()
    house = ("facts", "class", "C-1", "house", "--from", "2026-01-01")
    assert watched.done(*house) == f"recorded at position {before + 1}\n"
    assert watched.done(*house) == "it is so already: nothing is recorded\n"
    watched.done("facts", "category", "P-1", "fans", "--from", "2026-01-01", "--reason", "was wrong")
    watched.done("facts", "team", "ann", "--none", "--from", "2026-01-01", "--to", "2026-02-01")
    watched.done("facts", "quota", "ann", "2026-Q1", "400", "--currency", "EUR")
    rows = watched.rows("movement", "2026-Q1", "--from-position", "0")
    assert [(row["type"], row["credited"], row["quota"]) for row in rows] == [
        ("order.placed", "168.01", "0.00"),
        ("order.placed", "0.00", "0.00"),
        ("order.placed", "9.00", "0.00"),
        ("salesperson.quota_set", "0.00", "400.00"),
    ]
    only = watched.rows("movement", "2026-Q1", "--from-known-at", "2001-01-01", "--kind", "reference_fact")
    assert only == rows[3:]
    assert watched.rows("movement", "2026-Q1", "--from-position", "0", "--after-close") == []
    refused(watched.run("movement", "2026-Q1", "--from-statement", "1"), Code.period_open)
    refused(watched.run("movement", "2026-Q1", "--from-position", "2", "--to-position", "1"), Code.invalid_parameter)


# ---- import and performance


def test_a_folder_is_imported_once_and_its_figures_are_read(ledger: CommandLine) -> None:
    for recorded, before in ((3, 0), (0, 3)):
        result = ledger.run("import", ledger.folder_of())
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(f"3 orders, 4 lines: {recorded} recorded, {before} recorded before, 0 rejected")
    figures = ledger.rows("performance", "FY2026")
    assert [(row["salesperson"], row["name"], row["currency"], row["credited"], row["gross"]) for row in figures] == [
        ("(none)", "", "USD", "9.00", "9.00"),
        ("ann", "Anna Berg", "EUR", "168.01", "168.01"),
        ("li", "李娜", "EUR", "0.00", "50.50"),
    ]


def test_performance_is_read_at_a_position_and_an_instant_in_three_forms(ledger: CommandLine) -> None:
    ledger.done("import", ledger.folder_of())
    before = ledger.run("performance", "2026-Q1", "--format", "json")
    position = int(before.stderr.split("position ")[1].split(",")[0])
    ledger.done(
        "rules", "set", "--order-type", "sample", "--share", "1", "--from", "2026-01-01", "--reason", "count them"
    )
    after = ledger.rows("performance", "2026-Q1")
    assert [row["credited"] for row in after] == ["9.00", "168.01", "50.50"]
    then = ledger.run("performance", "2026-Q1", "--position", str(position), "--format", "json")
    assert (then.stdout, then.stderr) == (before.stdout, before.stderr)
    assert ledger.rows("performance", "2026-Q1", "--known-at", "2099-01-01T00:00:00Z") == after
    assert ledger.rows("performance", "2026-Q1", "--known-at", "2001-01-01") == []
    as_csv = list(csv.DictReader(io.StringIO(ledger.done("performance", "2026-Q1", "--format", "csv"))))
    assert as_csv == [{name: str(value) for name, value in row.items()} for row in after]
    table = ledger.done("performance", "2026-Q1").splitlines()
    assert table[0].split() == list(after[0])
    assert len(table) == len(after) + 2
    assert table[-1].split()[-5:] == ["50.50", "50.50", "1", "1", "1"]


def test_performance_is_grouped(ledger: CommandLine) -> None:
    ledger.done("import", ledger.folder_of())
    rows = ledger.rows("performance", "FY2026", "--group-by", "month,order_type")
    assert [(row["month"], row["order_type"], row["gross"]) for row in rows] == [
        ("2026-01", "standard", "168.01"),
        ("2026-02", "sample", "50.50"),
        ("2026-03", "standard", "9.00"),
    ]


BAD_FOLDERS = {
    Code.invalid_amount: ("", "SO-3,2,P-9,,,1,,,12.3456789\n"),
    Code.orphan_line: ("", "SO-9,1,P-1,,,1,,,1\n"),
    Code.invalid_date: ("SO-9,2026-02-30,standard,C-1,,,,EUR,,\n", "SO-9,1,P-1,,,1,,,1\n"),
    Code.unknown_order_type: ("SO-9,2026-02-03,gift,C-1,,,,EUR,,\n", "SO-9,1,P-1,,,1,,,1\n"),
}


@pytest.mark.parametrize("code", BAD_FOLDERS, ids=lambda code: code.name)
def test_nothing_of_a_bad_folder_is_recorded(ledger: CommandLine, code: Code) -> None:
    """The row, its line and its remedy are on stderr, exit 1; the good orders are recorded only when asked for."""
    orders, lines = BAD_FOLDERS[code]
    folder = ledger.folder_of(ORDERS + orders, LINES + lines)
    result = ledger.run("import", folder)
    assert result.exit_code == 1
    assert code.name in result.stderr
    assert code.remedy in result.stderr
    assert "Nothing was recorded" in result.stderr
    assert ledger.rows("performance", "FY2026") == []
    accepted = ledger.run("import", folder, "--accept-good-rows")
    assert accepted.exit_code == 1, "what was rejected is still told"
    assert ledger.rows("performance", "FY2026") != []


def test_a_folder_that_is_none_is_told(ledger: CommandLine) -> None:
    missing = ledger.run("import", str(ledger.folder / "nowhere"))
    assert (missing.exit_code, Code.file_not_found.name in missing.stderr) == (1, True)
    for options in ((), ("--dry-run",), ("--profile", "erp")):
        misspelt = ledger.run("import", "nosuch.csv", *options)
        assert misspelt.exit_code == 1
        assert "'nosuch.csv' does not exist" in misspelt.stderr
        assert "orders.csv can't be read" not in misspelt.stderr
    header = ledger.run("import", ledger.folder_of("order,date\n1,2\n"))
    assert (header.exit_code, Code.invalid_csv.name in header.stderr) == (1, True)


# ---- rebuild, demo, the program


def test_a_rebuild_gives_the_same_figures(ledger: CommandLine) -> None:
    ledger.done("import", ledger.folder_of())
    before = ledger.run("performance", "FY2026")
    told = ledger.done("rebuild", "--processes", "1")
    assert told.startswith("generation 2 serves at position 9: 4 credit lines in ")
    after = ledger.run("performance", "FY2026")
    assert (after.stdout, after.stderr) == (before.stdout, before.stderr)


def test_the_demo_is_loaded_once_and_its_tokens_are_kept(fresh: CommandLine, database: Database) -> None:
    first, second = fresh.done("demo"), fresh.done("demo")
    tokens = dict(line.split() for line in first.splitlines() if "olk_" in line)
    assert set(tokens) == set(ROLES)
    assert dict(line.split() for line in second.splitlines() if "olk_" in line) == tokens
    for role, text in tokens.items():
        token = find_token(database, text)
        assert token is not None
        assert token.roles == (role,)
    assert oct((fresh.folder / "data" / "demo-tokens").stat().st_mode)[-3:] == "600"
    assert len(fresh.rows("performance", "2026-Q2")) >= 12


def test_the_program_itself_runs(ledger: CommandLine) -> None:
    """As people call it: a process of its own, figures on stdout, the position on stderr."""
    ledger.done("import", ledger.folder_of())
    for words, status, output in (
        (["--version"], 0, f"orderledger, version {__version__}"),
        (["performance", "2026-Q1", "--format", "csv"], 0, "ann,Anna Berg,EUR,168.01"),
        (["performance", "2026-Q9"], 1, ""),
        (["performance"], 2, ""),
    ):
        program = [sys.executable, "-c", "from api.cli import main; main(prog_name='orderledger')", *words]
        root = Path(__file__).parent.parent
        ended = subprocess.run(
            program, check=False, capture_output=True, env={**os.environ, **ledger.settings}, cwd=root, encoding="utf-8"
        )
        assert (ended.returncode, output in ended.stdout) == (status, True), ended.stderr
        assert (ended.stderr != "") == ("--version" not in words)


# ---- a flat file

FLAT = "order;date;type;customer;sales rep;product;qty;amount;currency\n"
FLAT_ROW = "SO-1;{};standard;C-1;ann;P-1;1;5,50;EUR\n"


def test_a_flat_file_is_shown_and_imported_once(ledger: CommandLine, tmp_path: Path) -> None:
    """A dry run records nothing; what is ambiguous is asked for; a profile says it; the same again adds nothing."""
    file, profile = tmp_path / "export.csv", tmp_path / "erp.json"
    file.write_text(FLAT + FLAT_ROW.format("01-03-2026"), encoding="utf-8")
    asked = ledger.run("import", str(file))
    assert asked.exit_code == 1
    assert "date_format = ?" in asked.stderr
    assert "[ambiguous_value]" in asked.stderr
    assert "Nothing was recorded" in asked.stderr
    profile.write_text('{"date_format": "DD-MM-YYYY"}', encoding="utf-8")
    dry = ledger.run("import", str(file), "--profile", str(profile), "--dry-run")
    assert "1 rows, 1 orders: 0 recorded" in dry.stdout
    done = ledger.run("import", str(file), "--profile", str(profile))
    assert "1 rows, 1 orders: 1 recorded, 0 recorded before, 0 rejected" in done.stdout
    assert "2026-Q1: 1 orders, 5.5 EUR" in done.stderr
    again = ledger.run("import", str(file), "--profile", str(profile))
    assert "0 recorded, 1 recorded before" in again.stdout


def test_a_flat_files_bad_rows_are_told_and_left_out_where_asked(ledger: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    rows = FLAT_ROW.format("2026-03-01") + FLAT_ROW.format("2026-03-32").replace("SO-1", "SO-2")
    file.write_text(FLAT + rows, encoding="utf-8")
    refused = ledger.run("import", str(file))
    assert refused.exit_code == 1
    assert "export.csv:3:date: order 'SO-2': '2026-03-32' is not a date" in refused.stderr
    assert "0 recorded" in refused.stdout
    accepted = ledger.run("import", str(file), "--accept-good-rows")
    assert accepted.exit_code == 1, "a bad row is told also then"
    assert "1 recorded, 0 recorded before, 1 rejected" in accepted.stdout


def test_options_of_a_file_and_of_a_folder_are_told_apart(ledger: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "export.pdf"
    file.write_bytes(b"x")
    assert ledger.run("import", str(file)).exit_code == 2
    assert ledger.run("import", str(file), "--define-order-types").exit_code == 2
    assert ledger.run("import", str(tmp_path), "--dry-run").exit_code == 2
    unknown = ledger.run("import", str(file), "--profile", "nobody's")
    assert "import_not_found" in unknown.stderr
