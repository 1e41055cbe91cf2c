"""docs/operations.md and its examples say what is: options, variables, figures, states; the examples can be used."""

import re
import shlex
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from api.app import Config
from api.cli import main
from api.server import GRACEFUL_SECONDS, STALL_SECONDS, TIMEOUT_SECONDS
from ledger.database import Database
from ledger.embedded import FAST_SHUTDOWN_SECONDS
from ledger.verification_log import Verification, append
from tests.http_client import serving

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
UNIT = ROOT / "docs" / "operations" / "orderledger.service"
COMPOSE = ROOT / "docs" / "operations" / "compose.yaml"
STOP_SECONDS_MIN = GRACEFUL_SECONDS + FAST_SHUTDOWN_SECONDS
SERVE = main.commands["serve"]


def served(words: list[str]) -> dict[str, Any]:
    """Read the words behind `orderledger` as the command line would, without running anything."""
    assert words[0] == "serve"
    return SERVE.make_context("serve", words[1:]).params


def test_every_option_of_serve_is_in_the_document_with_its_default() -> None:
    documented = dict(re.findall(r"^\| `(--[a-z-]+)` \| (\w+) \|", DOCUMENT, re.MULTILINE))
    documented |= {"--host": "127.0.0.1", "--port": "8000"}
    assert "| `--host`, `--port` | 127.0.0.1, 8000 |" in DOCUMENT
    options = [option for option in SERVE.params if isinstance(option, click.Option) and option.name != "demo"]
    assert documented == {option.opts[0]: str(option.default) for option in options}


def test_the_fixed_limits_are_those_of_the_server() -> None:
    for told in (
        f"{Config.threads} threads",
        f"at most {Config.threads // 2} requests of a process wait",
        f"does not breathe for {TIMEOUT_SECONDS} s",
        f"at most {GRACEFUL_SECONDS} s",
        f"dropped after {STALL_SECONDS} s",
    ):
        assert told in re.sub(r"\s+", " ", DOCUMENT)


def test_every_variable_is_read_by_the_commands() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "api").glob("cli*.py"))
    code += (ROOT / "api" / "commands.py").read_text(encoding="utf-8")
    named = set(re.findall(r"ORDERLEDGER_\w+", DOCUMENT + UNIT.read_text("utf-8") + COMPOSE.read_text("utf-8")))
    assert all(f'"{name}"' in code for name in named), named


def test_every_figure_and_state_is_in_the_document(database: Database) -> None:
    with serving(database) as service:
        with database.cursor() as cursor:
            append(cursor, Verification(service.app.store.clock(), "cli:root", 0, bytes(32), 0, 1))
        service.ask("GET", "/v1/rules", None)
        names = set(re.findall(r"^# TYPE (\w+) ", service.ask("GET", "/metrics", None).text, re.MULTILINE))
    documented = set(re.findall(r"`(orderledger_[a-z_]+)", DOCUMENT))
    documented |= {f"orderledger_last_verification_{name}" for name in re.findall(r"`…_(\w+)`", DOCUMENT)}
    assert {name for name in names if not name.endswith("_created")} == documented
    health = (ROOT / "api" / "health.py").read_text(encoding="utf-8")
    for state in set(re.findall(r'Health\("([a-z ]+)", (?:head|reason)', health)) - {"ready"}:
        assert f"`{state}`" in DOCUMENT, state


@pytest.mark.parametrize("command", re.findall(r"^orderledger (\w+)", DOCUMENT, re.MULTILINE))
def test_every_command_is_one(command: str) -> None:
    assert command in main.commands


def test_the_systemd_unit_starts_the_service_and_lets_it_end() -> None:
    """Well formed, with words that the command line takes, and more time to end than ending may take."""
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text(encoding="utf-8"))
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert Path(program).name == "orderledger"
    assert served(words)["log_format"] == "json"
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) >= STOP_SECONDS_MIN
    assert service["User"] not in {"", "root"}


def test_the_compose_file_starts_the_service_behind_its_database() -> None:
    composed = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert set(composed) == {"services", "secrets", "volumes"}
    service, database = composed["services"]["service"], composed["services"]["database"]
    assert served(service["command"])["host"] == "0.0.0.0"  # noqa: S104 - inside the container
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert service["stop_signal"] == "SIGTERM"
    assert int(service["stop_grace_period"].removesuffix("m")) * 60 >= STOP_SECONDS_MIN
    assert "/readyz" in " ".join(service["healthcheck"]["test"])
    assert "PASSWORD" not in " ".join(service["environment"])
    for part in (service, database):
        assert {volume.split(":")[0] for volume in part["volumes"]} <= set(composed["volumes"])
    for copied in re.findall(r"^COPY (.*) /source", service["build"]["dockerfile_inline"], re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())
