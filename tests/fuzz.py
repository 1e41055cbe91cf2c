"""`python -m tests.fuzz`: schemathesis asks the API made-up things by its own document, 20,000 or until one fails.

In process, against the WSGI application on a real PostgreSQL, with a ledger that has something of everything and tokens
for the roles of each operation. All of schemathesis' checks are on; where one can't hold, EXCEPTIONS says for which
operation and why. Every round goes through all phases (examples, coverage, fuzzing, and stateful along the document's
links) with the next seed, so that the same seed asks the same.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import schemathesis
from schemathesis.auths import AuthContext, AuthProvider
from schemathesis.checks import load_all_checks
from schemathesis.config import (
    ChecksConfig,
    CoveragePhaseConfig,
    GenerationConfig,
    OperationConfig,
    OperationsConfig,
    PhasesConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.config._checks import NEGATIVE_DATA_REJECTION_EXPECTED_STATUSES
from schemathesis.engine import events, from_schema
from schemathesis.schemas import BaseSchema
from schemathesis.transport.wsgi import WSGITransport

from api.imports import FORMS
from api.rate_limits import Limits
from ledger.database import Database, migrate
from ledger.embedded import EmbeddedServer
from tests.everything import serving_everything
from tests.http_client import Service

CASES: Final = 20_000
WAIT_MILLISECONDS: Final = 50
UNLIMITED: Final = Limits(requests_per_second_max=1_000_000, failures_per_minute_max=1_000_000)
"""So that what is asked is answered, however quickly: tests/test_rate_limits.py is about limits."""
EXAMPLES: Final = 60
"""Cases of an operation in a round, beside examples and coverage."""
JUDGED: Final = ["2xx", "403", "404", "409", "412", "413", "422", "428", "503"]
"""What is written as the document says may still be refused for what it says: a schema knows no order and no rule, and
a position that is not projected yet is answered 503 with Retry-After. If-Match is asked for where something would be
recorded, and is that of what was read. 401 is none of them: every case has a token that is valid.
"""
CHECKS: Final = {
    "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
    "positive_data_acceptance": {"expected-statuses": JUDGED},
    "negative_data_rejection": {"expected-statuses": [*NEGATIVE_DATA_REJECTION_EXPECTED_STATUSES, "412", "413"]},
}
SOCKET_SETTINGS: Final = ("max_redirects", "verify", "cert", "proxies")
_IN_AN_ID: Final = "an id may have a slash: the address is also that of a rule change, which takes GET"
_DECISIONS: Final = ("post_approval", "post_rejection", "post_withdrawal")
EXCEPTIONS: Final[dict[str, dict[str, str]]] = {
    "allow_header_conformance": dict.fromkeys(_DECISIONS, _IN_AN_ID),
    "unsupported_method": dict.fromkeys(_DECISIONS, _IN_AN_ID),
}
"""Checks that are off for an operation: why, by check and operationId."""
OF_A_BODY: Final = ("content_type_conformance", "response_schema_conformance")
"""Checks that are not held against an answer without a body where Prefer: return=minimal asked for none: OpenAPI can't
say that of a status which has one otherwise."""


@dataclass
class Found:
    """What a run found: its cases by phase and status, and each failure once, with what was asked."""

    phases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        """How many cases were asked."""
        return self.phases.total()

    def summary(self) -> str:
        """Tell it in a few lines."""
        phases = ", ".join(f"{phase} {count:,}" for phase, count in self.phases.items())
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        return f"{self.cases:,} cases of {len(self.operations)} operations ({phases})\nanswered {statuses}"


def configured(seed: int, examples: int, *, covering: bool) -> SchemathesisConfig:
    """Give schemathesis' configuration: every check on but for the exceptions, and nothing remembered between runs."""
    excepted = [
        OperationConfig.from_dict({"include-operation-id": operation, "checks": {check: {"enabled": False}}})
        for check, operations in EXCEPTIONS.items()
        for operation in operations
    ]
    project = ProjectConfig(
        checks=ChecksConfig.from_dict(CHECKS),
        generation=GenerationConfig(max_examples=examples, database="none", no_shrink=True),
        phases=PhasesConfig(coverage=CoveragePhaseConfig(enabled=covering)),
        operations=OperationsConfig(operations=excepted),
    )
    return SchemathesisConfig(seed=seed, projects=ProjectsConfig(default=project))


def loaded(service: Service, seed: int, examples: int, *, covering: bool) -> BaseSchema:
    """Load the document from the service, with the tokens that its operations take."""
    load_all_checks()
    schemathesis.serializer.alias(list(FORMS), "application/octet-stream")
    config = configured(seed, examples, covering=covering)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", service.app, config=config)

    @schema.auth(refresh_interval=None)
    class _Token(AuthProvider[str]):
        def get(self, case: schemathesis.Case[Any], context: AuthContext, /) -> str | None:
            roles = case.operation.definition.raw["x-roles"]
            return service.token(roles[0]) if roles else None  # its own: a case before may have revoked another

        def set(self, case: schemathesis.Case[Any], data: str, context: AuthContext, /) -> None:
            if data:
                case.headers["Authorization"] = f"Bearer {data}"

    return schema


def fuzz(service: Service, *, seed: int, cases: int, examples: int = EXAMPLES, covering: bool = True) -> Found:
    """Ask so many cases or a few more, in rounds; `covering` every bound of every schema, some thousand cases."""
    found = Found()
    service.app.start_projector()
    with hurried(service), without_sockets():
        while found.cases < cases and not found.failures:
            for event in _round(loaded(service, seed, examples, covering=covering)):
                _note(event, found)
                if found.cases >= cases:
                    break
            seed += 1
    return found


@contextmanager
def without_sockets() -> Iterator[None]:
    """Keep settings of sockets from the application: schemathesis 4.32 hands them to it with ignored_auth's probes."""
    send = WSGITransport.send

    def sent(transport: WSGITransport, case: schemathesis.Case[Any], **options: Any) -> Any:
        given = {name: value for name, value in options.items() if name not in SOCKET_SETTINGS}
        return send(transport, case, **given)

    with patch.object(WSGITransport, "send", sent):
        yield


@contextmanager
def hurried(service: Service) -> Iterator[None]:
    """Let the service wait for what does not come as ever, but for milliseconds instead of seconds."""
    soon = service.app.store.documents_soon

    def sooner(after: int, limit: int, *, milliseconds: int, **others: Any) -> Any:
        return soon(after, limit, milliseconds=min(milliseconds, WAIT_MILLISECONDS), **others)

    with (
        patch("api.queries.POSITION_WAIT_MILLISECONDS", WAIT_MILLISECONDS),
        patch.object(service.app.store, "documents_soon", sooner),
    ):
        yield


def _round(schema: BaseSchema) -> Iterator[events.EngineEvent]:
    stream = from_schema(schema).execute()
    try:
        yield from stream
    finally:
        stream.stop()
        for _ in stream:
            pass


def _note(event: events.EngineEvent, found: Found) -> None:
    if isinstance(event, events.NonFatalError | events.FatalError):
        problem = event.info.format() if isinstance(event, events.NonFatalError) else repr(event.exception)
        found.failures[problem[:200]] = problem
    if not isinstance(event, events.ScenarioFinished):
        return
    recorder = event.recorder
    for case_id, node in recorder.cases.items():
        found.phases[event.phase.value] += 1
        found.operations[node.value.operation.label] += 1
        if (response := recorder.find_response(case_id=case_id)) is not None:
            found.statuses[response.status_code] += 1
            if response.status_code == 503 and response.json()["code"] != "not_yet_projected":
                found.failures[f"unavailable: {node.value.operation.label}"] = response.text
    for case_id, checks in recorder.checks.items():
        is_minimal = _is_minimal(recorder.find_response(case_id=case_id))
        for check in checks:
            if check.failure_info is not None and not (is_minimal and check.name in OF_A_BODY):
                failure = check.failure_info.failure
                operation = recorder.cases[case_id].value.operation.label
                told = f"{failure.message}\n{check.failure_info.code_sample}"
                found.failures.setdefault(f"{check.name}: {operation}: {failure.title}", told)


def _is_minimal(response: Any) -> bool:
    """Say whether an answer has no body because the request preferred none."""
    applied = response.headers.get("preference-applied", ()) if response is not None else ()
    return list(applied) == ["return=minimal"] and not response.content


def main() -> None:
    """Fuzz a ledger on an embedded server."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="cases in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1_000_000, help="the first (default: now)")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of an operation in a round")
    arguments = parser.parse_args()
    print(f"the seed is {arguments.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="orderledger-fuzz-") as folder,
        EmbeddedServer(Path(folder) / "postgres", settings={"fsync": "off", "synchronous_commit": "off"}) as server,
    ):
        database = Database(server.url("postgres"))
        migrate(database)
        with serving_everything(database, Path(folder) / "signing-key", limits=UNLIMITED) as service:
            found = fuzz(service, seed=arguments.seed, cases=arguments.cases, examples=arguments.examples)
        database.close()
    for name, told in found.failures.items():
        print(f"\n{name}\n{told}")
    print(found.summary())
    if found.failures:
        sys.exit(f"{len(found.failures)} failures; the seed is {arguments.seed}")


if __name__ == "__main__":
    main()
