"""The command line asking a service: the same bytes as on the ledger's machine, the same decisions, other exits."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli import main
from tests.http_client import placed
from tests.service_thread import Demo, serving_demo
from tests.test_imports import CSV

PROPOSAL: dict[str, Any] = {
    "rule_change_id": "remote-1",
    "reason": "As agreed.",
    "alterations": [
        {"action": "set_rule", "conditions": {"order_type": "repeat"}, "share": "1", "effective_from": "2026-07-01"}
    ],
}
UNKNOWN = "olk_1_secret"
READING = [
    "performance 2026-Q2",
    "performance 2026-Q3",
    "performance FY2026 --group-by salesperson,order_type",
    "performance 2026-Q2 --group-by order_type --position 602",
    "performance 2026-Q2 --group-by customer --known-at 2026-07-31T12:00:00Z",
    "movement 2026-Q2 --from-statement 1",
    "movement 2026-Q2 --from-known-at 2026-07-31T12:00:00 --to-position 700 --kind rule_change --after-close",
    "explain SO-4711",
    "explain SO-4711 --position 600",
    "review",
    "review --known-at 2026-07-31T12:00:00Z",
    "simulate 2026-Q2 2026-Q3 --without 2026-08-special-orders",
    "simulate 2026-Q2 --alterations FILE --group-by order_type --position 700",
    "rules",
    "rules list --on 2026-05-15",
    "rules list --position 602",
    "rules types",
    "rules history",
    "rules show 2026-08-special-orders",
    "rules show 2026-10-repeat-orders",
    "periods",
    "periods --position 602",
    "period 2026-Q2",
    "period 2026-Q1 --known-at 2026-07-31T12:00:00Z",
    "propose FILE --dry-run",
    "restate 2026-Q2 --reason Shown. --dry-run",
    "carry-forward 2026-Q2 --into 2026-Q3 --booked-on 2026-09-30 --reason Later. --dry-run",
]
REFUSED = [
    "performance 2026-Q9",
    "performance 2026-Q2 --group-by colour",
    "explain NONE",
    "rules show none",
    "movement 2026-Q2 --from-statement 9",
    "movement 2026-Q4 --from-statement 1",
    "period 2026-03",
    "restate 2026-Q4 --reason Why. --dry-run",
    "simulate 2026-Q2 --without none",
]
ON_THE_MACHINE = [
    "init",
    "serve",
    "demo",
    "rebuild",
    "verify",
    "key list",
    "key rotate",
    "token list",
    "database true",
    "import .",
    "audit rule-changes --period 2026-Q2",
    "rules define x --reason y",
    "restore .",
    "export --whole none",
]


class Console:
    """The command line on the ledger's machine, and elsewhere."""

    def __init__(self, demo: Demo, folder: Path) -> None:
        self.demo = demo
        self.proposal = folder / "proposal.json"
        self.proposal.write_text(json.dumps(PROPOSAL), encoding="utf-8")
        self.folder = folder

    def local(self, line: str) -> Result:
        """Run a command on the ledger itself."""
        key = str(self.demo.signing_key)
        return self._run(line, ORDERLEDGER_DATABASE_URL=self.demo.service.database.url, ORDERLEDGER_SIGNING_KEY=key)

    def remote(self, line: str, *roles: str) -> Result:
        """Run a command for the service, with a token of these roles."""
        token = self.demo.service.token(*(roles or ("ingest", "rules", "finance", "auditor")))
        result = self._run(line, ORDERLEDGER_URL=self.demo.url, ORDERLEDGER_TOKEN=token)
        assert token not in result.output
        return result

    def _run(self, line: str, **settings: str) -> Result:
        words = [str(self.proposal) if word == "FILE" else word for word in line.split()]
        env = {"ORDERLEDGER_URL": None, "ORDERLEDGER_TOKEN": None, "ORDERLEDGER_DATA_DIR": str(self.folder), **settings}
        return CliRunner().invoke(main, words, env=env)


@pytest.fixture(scope="module")
def demo(server_url: Callable[[str], str], template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Serve a demo ledger, in which nothing is recorded."""
    with serving_demo(server_url, template, tmp_path_factory.mktemp("key") / "signing-key") as demo:
        yield demo


@pytest.fixture(scope="module")
def written(
    server_url: Callable[[str], str], template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """Serve a demo ledger, in which the tests record."""
    with serving_demo(server_url, template, tmp_path_factory.mktemp("key") / "signing-key") as demo:
        yield demo


def told(result: Result) -> tuple[int, bytes, str]:
    """Give what a command's user sees."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout_bytes, result.stderr


# ---- the same as on the ledger's machine


@pytest.mark.parametrize("form", ["table", "json", "csv"])
@pytest.mark.parametrize("line", READING)
def test_what_is_read_elsewhere_is_the_same(demo: Demo, tmp_path: Path, line: str, form: str) -> None:
    """Byte for byte, in each format, and what is said beside it."""
    console = Console(demo, tmp_path)
    command = line if line == "rules" else f"{line} --format {form}"
    here = told(console.local(command))
    assert told(console.remote(command)) == here
    assert here[0] == 0
    assert here[1]


@pytest.mark.parametrize("line", ["explain SO-4711", "review", "performance 2026-Q9", "explain NONE"])
def test_elsewhere_is_told_in_the_language_of_who_types(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """The service is asked in the language of the environment's locale."""
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    console = Console(demo, tmp_path)
    here = told(console.local(line))
    assert told(console.remote(line)) == here
    assert re.search("[一-鿿]", here[1].decode() + here[2])


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused_elsewhere_is_refused_in_the_same_words(demo: Demo, tmp_path: Path, line: str) -> None:
    """With exit status 1."""
    console = Console(demo, tmp_path)
    here = told(console.local(line))
    assert told(console.remote(line)) == here
    assert here[0] == 1


# ---- recording


def test_a_rule_change_is_proposed_and_decided_on_elsewhere(written: Demo, tmp_path: Path) -> None:
    console = Console(written, tmp_path)
    proposed = console.remote("propose FILE --format csv", "rules")
    assert proposed.exit_code == 0, proposed.output
    assert "it waits for a decision" in proposed.stderr
    assert console.remote("approve remote-1", "auditor").exit_code == 1
    with written.client("ingest") as client:
        order = placed("MOVES", order_type="repeat", ordered_on="2026-07-02")
        client.record(order)
    written.service.catch_up()
    moved = console.remote("approve remote-1", "approver")
    assert (moved.exit_code, "orderledger approve remote-1 --accept " in moved.stderr) == (1, True)
    digest = moved.stderr.partition("--accept ")[2].split()[0]
    approved = console.remote(f"approve remote-1 --accept {digest} --reason Fine.", "approver")
    assert (approved.exit_code, "remote-1 is approved" in approved.stderr) == (0, True)
    assert console.local("rules show remote-1").stdout == approved.stdout


def test_a_proposal_is_withdrawn_or_rejected_elsewhere(written: Demo, tmp_path: Path) -> None:
    console = Console(written, tmp_path)
    alteration = {**PROPOSAL["alterations"][0], "share": "0.4"}
    for name in ("remote-2", "remote-3"):
        proposal = {"rule_change_id": name, "reason": "As agreed.", "alterations": [alteration]}
        console.proposal.write_text(json.dumps(proposal), encoding="utf-8")
        assert console.remote("propose FILE").exit_code == 0
    withdrawn = console.remote("withdraw remote-2")
    assert withdrawn.stdout.startswith("rule change remote-2 is withdrawn at position ")
    assert console.remote("reject remote-3 --reason No.", "approver").stdout.startswith(
        "rule change remote-3 is rejected"
    )


def test_periods_are_restated_and_closed_elsewhere(written: Demo, tmp_path: Path) -> None:
    console = Console(written, tmp_path)
    restated = console.remote("restate 2026-Q2 --reason Counts.", "finance")
    assert (restated.exit_code, "2026-Q2 is closed, statement 2" in restated.stderr) == (0, True)
    assert "recorded at position" in restated.stderr
    assert console.remote("close 2026-Q3 --reason Done.", "finance").exit_code == 0
    assert console.remote("close 2026-Q3 --reason Done.", "auditor").exit_code == 1


def test_facts_and_checkpoints_are_recorded_elsewhere(written: Demo, tmp_path: Path) -> None:
    console = Console(written, tmp_path)
    for line in (
        "facts class C-1 house-account --from 2026-03-01",
        "facts category P-1 --none --from 2026-03-01 --to 2026-04-01 --reason why",
        "facts team S-01 south --from 2026-03-01",
        "facts quota S-01 2026-Q4 1000 --currency EUR",
    ):
        assert console.remote(line).stdout.startswith("recorded at position "), line
        assert console.remote(line).stdout == "it is so already: nothing is recorded\n"
        assert console.local(line).stdout == "it is so already: nothing is recorded\n"
    signed = console.remote(f"checkpoint --output {tmp_path / 'note'}")
    assert (tmp_path / "note").read_text(encoding="utf-8") == signed.stdout
    assert console.local("checkpoint").stdout == signed.stdout


def test_a_bundle_is_fetched_into_a_folder_that_is_empty(written: Demo, tmp_path: Path) -> None:
    """With the same files as on the ledger's machine."""
    console = Console(written, tmp_path)
    there = console.remote(f"export --period 2026-Q1 {tmp_path / 'there'}")
    here = console.local(f"export --period 2026-Q1 {tmp_path / 'here'}")
    assert here.exit_code == there.exit_code == 0, there.output
    assert there.stdout.replace("there:", "here:") == here.stdout
    for path in (tmp_path / "here").rglob("*"):
        twin = tmp_path / "there" / path.relative_to(tmp_path / "here")
        assert twin.exists()
        if path.suffix == ".ndjson" or path.name == "checkpoint":
            assert twin.read_bytes() == path.read_bytes(), path
    again = console.remote(f"export --period 2026-Q1 {tmp_path / 'there'}")
    assert (again.exit_code, "is not empty" in again.stderr) == (1, True)
    assert console.remote(f"export --period 2026-13 {tmp_path / 'none'}").exit_code == 1
    assert not (tmp_path / "none" / "README.md").exists()


BAD = b"SO-9,2026-03-05,standard,C-1,x,ann,A,P-1,x,x,many,1,EUR\r\n"


def test_what_a_file_has_is_told_elsewhere_as_here(demo: Demo, tmp_path: Path) -> None:
    """What is read, why, every bad row, and the end; nothing stays of what is not recorded."""
    console = Console(demo, tmp_path)
    file, bad, profile = tmp_path / "good.csv", tmp_path / "bad.csv", tmp_path / "profile.json"
    file.write_bytes(CSV)
    bad.write_bytes(CSV + BAD)
    profile.write_text('{"date_format": "YYYY-MM-DD", "defaults": {"quantity": "1"}}', encoding="utf-8")
    unclear = tmp_path / "unclear.csv"
    unclear.write_bytes(CSV.replace(b"2026-03-05", b"03/05/2026").replace(b"2026-03-06", b"03/06/2026"))
    for line, status in (
        (f"import {file} --dry-run", 0),
        (f"import {file} --dry-run --profile {profile} --source x", 0),
        (f"import {bad}", 1),
        (f"import {unclear}", 1),
        (f"import {file} --profile none", 1),
        (f"import {tmp_path / 'proposal.json'}", 2),
        (f"import {file} --define-order-types", 2),
    ):
        here, there = told(console.local(line)), told(console.remote(line, "ingest"))
        assert (there, there[0]) == (here, status), line
    assert console.remote(f"import {file}", "auditor").exit_code == 1
    with demo.client("ingest") as client:
        assert {each.state for each in client.imports()} == {"discarded"}


def test_a_file_is_recorded_elsewhere_once(written: Demo, tmp_path: Path) -> None:
    """Its good rows, as a profile says that only the command has; again, here or there, nothing."""
    console = Console(written, tmp_path)
    file, profile = tmp_path / "erp.csv", tmp_path / "profile.json"
    file.write_bytes(CSV + BAD)
    profile.write_text('{"source": "erp"}', encoding="utf-8")
    line = f"import {file} --accept-good-rows --profile {profile}"
    first = told(console.remote(line, "ingest"))
    head = written.service.app.store.head()
    end = "{} recorded before, 1 rejected; the ledger is at position " + f"{head}\n"
    assert first[1].decode() == "4 rows, 3 orders: 2 recorded, " + end.format(0)
    here, there = told(console.local(line)), told(console.remote(line, "ingest"))
    assert there == here
    assert (here[0], here[1].decode()) == (1, "4 rows, 3 orders: 0 recorded, " + end.format(2))
    with written.client("ingest") as client:
        assert client.order_events("SO-1")[0].source == "erp"
        assert {each.state for each in client.imports()} == {"committed"}
    with written.service.database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM import_profile")
        assert cursor.fetchone() == (0,)


# ---- what it can't do


@pytest.mark.parametrize("line", ON_THE_MACHINE)
def test_what_needs_the_machine_says_so(demo: Demo, tmp_path: Path, line: str) -> None:
    """Exit status 2; nothing is done here instead."""
    refused = Console(demo, tmp_path).remote(line)
    assert refused.exit_code == 2
    assert "own machine" in refused.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["proposal.json"]


def ask(*words: str, url: str | None = None, token: str | None = None) -> Result:
    """Run a command in an environment."""
    return CliRunner().invoke(main, words, env={"ORDERLEDGER_URL": url, "ORDERLEDGER_TOKEN": token})


def test_the_token_is_in_a_file_or_in_the_environment(demo: Demo, tmp_path: Path) -> None:
    """There is no option that would show it in the list of processes; the file goes first."""
    token = tmp_path / "token"
    token.write_text(demo.service.tokens["auditor"] + "\n", encoding="utf-8")
    for words in (("--url", demo.url, "--token-file", str(token)), ("--token-file", str(token))):
        asked = ask(*words, "rules", "types", url=demo.url, token=UNKNOWN)
        assert asked.exit_code == 0, asked.output
    missing = ask("--url", demo.url, "rules", "types")
    assert (missing.exit_code, "--token-file FILE, or set ORDERLEDGER_TOKEN" in missing.stderr) == (2, True)
    assert ask("--token-file", str(token), "rules", "types").exit_code == 2
    wrong = ask("--url", demo.url, "rules", "types", token=UNKNOWN)
    assert (wrong.exit_code, "secret" in wrong.output) == (1, False)
    odd = ask("--url", demo.url, "rules", "types", token=f"{UNKNOWN} two")
    assert (odd.exit_code, "secret" in odd.output) == (2, False)
    assert ask("--url", "demo", "rules", "types", token=UNKNOWN).exit_code == 2


def test_a_service_that_does_not_answer_is_exit_status_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.ledgers.REMOTE_ATTEMPTS_MAX", 1)
    gone = ask("--url", "http://127.0.0.1:1", "performance", "2026-Q1", token=UNKNOWN)
    assert (gone.exit_code, gone.stdout) == (3, "")
    assert gone.stderr.startswith("http://127.0.0.1:1 does not answer")
    assert "secret" not in gone.stderr
