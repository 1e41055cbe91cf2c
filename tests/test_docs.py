"""The documents say what the code does: events and their fields, modules, and the README's commands."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ledger.database import Database
from ledger.events import (
    NAMES,
    TYPES,
    Adjustment,
    Alteration,
    Conditions,
    Envelope,
    FiscalYear,
    ImpactSeen,
    Line,
    Split,
    Statement,
    StatementFigure,
)
from ledger.refusal import Code

ROOT = Path(__file__).parent.parent
EVENTS = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
ERRORS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = [block.splitlines() for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)]


@pytest.mark.parametrize("name", TYPES)
def test_every_event_is_documented_with_exactly_its_fields(name: str) -> None:
    """A section per stored name; its table lists the type's fields, a ? where one may be left out."""
    event = TYPES[name]
    assert NAMES[event] == name
    section = re.split(r"\n\w+:\n", EVENTS.split(f"### `{name}` ({event.__name__})")[1].split("\n### ")[0])[0]
    documented = dict(re.findall(r"^\| `(\w+)`(\?)? \|", section.split("\nAn alteration is")[0], re.MULTILINE))
    if name == "order.returned":
        section = section.split("\nReturnedLine:")[0]
    fields = {field.name: "" if field.required else "?" for field in msgspec.structs.fields(event)}
    assert documented == fields


@pytest.mark.parametrize("part", [Line, Split, ImpactSeen, Statement, StatementFigure, Adjustment, FiscalYear])
def test_the_parts_of_an_event_are_documented(part: type[msgspec.Struct]) -> None:
    """What an event consists of has tables of its own."""
    table = EVENTS.split(f"\n{part.__name__}:\n")[1].strip().split("\n\n")[0]
    documented = dict(re.findall(r"^\| `(\w+)`(\?)? \|", table, re.MULTILINE))
    assert documented == {field.name: "" if field.required else "?" for field in msgspec.structs.fields(part)}


def test_the_envelope_the_alterations_and_the_conditions_are_documented() -> None:
    """Every field of the stored document, every action and every condition is named."""
    for field in Envelope.__struct_fields__:
        assert f"| `{field}` |" in EVENTS
    for alteration in Alteration.__args__:
        assert f"| `{alteration.__struct_config__.tag}` | {alteration.__name__} |" in EVENTS
        for field in alteration.__struct_fields__:
            assert f"`{field}`" in EVENTS
    for field in Conditions.__struct_fields__:
        assert f"`{field}`" in EVENTS


def test_every_refusal_is_documented_with_its_cause_and_remedy() -> None:
    """docs/errors.md is the table of ledger/refusal.py, a row for each code in its order."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.*) \| (.*) \|$", ERRORS, re.MULTILINE)
    assert rows == [(code.name, str(code.status), code.title, code.remedy) for code in Code]


def test_every_module_is_in_the_architecture() -> None:
    """A newcomer finds each module of ledger/, projections/ and verifier/ in the table."""
    for folder in ("ledger", "projections", "verifier"):
        for path in (ROOT / folder).glob("*.py"):
            name = path.stem.removesuffix("_launch")
            assert name == "__init__" or re.search(rf"\b{name}\b", ARCHITECTURE), path


def test_the_readme_names_files_that_exist() -> None:
    """Every path in the README's tables is there."""
    for path in re.findall(r"`((?:ledger|projections|verifier|tests|docs)/[\w/.]+)`", README):
        assert (ROOT / path).exists(), path


def test_the_readmes_console_shows_what_happens(new_database: Callable[[], Database], tmp_path: Path) -> None:
    """Each command of the README gives the output printed below it."""
    commands = {
        "orderledger": f"{sys.executable} -m api.cli",
        "orderledger-verify": f"{sys.executable} -m verifier.cli",
        "python": sys.executable,
    }
    for name, words in commands.items():
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ORDERLEDGER_DATABASE_URL": new_database().url,
        "ORDERLEDGER_DATA_DIR": str(tmp_path / "var"),
    }
    for block in CONSOLE:
        for command, expected in _commands(block):
            done = subprocess.run(
                ["sh", "-c", command], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
            )
            assert done.stdout.splitlines() == expected, f"{command}\n{done.stdout}\n{done.stderr}"


def _commands(lines: list[str]) -> list[tuple[str, list[str]]]:
    commands = list[tuple[str, list[str]]]()
    for line in lines:
        if line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            commands[-1][1].append(line)
    return commands
