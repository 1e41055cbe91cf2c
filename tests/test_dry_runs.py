"""?dry_run=true on everything that records: judged as ever, answered with what would be, and nothing is recorded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from ledger import checkpoints
from ledger.database import Database, one
from ledger.refusal import Code
from ledger.signing import Signer
from tests.http_client import Service, event, placed, refused, serving
from tests.test_access import MAY
from tests.test_access_log import ASKED_ELSEWHERE, WRITES
from tests.test_checkpoints import witnessed

RULE = {"action": "set_rule", "conditions": {"product_id": "P-1"}, "share": "0.5", "effective_from": "2026-01-01"}
ORDERS, BULK, CLASS = "/v1/order-events", "/v1/order-events/bulk", "/v1/customers/C-1/class"
HOUSE = {"customer_class": "house-account", "effective_from": "2026-01-01"}
COSIGNATURES = "POST /v1/audit/checkpoints/<int:size>/cosignatures"
COMMIT = "POST /v1/imports/<import_id>/commit"
"""What staging a file tells is its dry run."""


@dataclass
class Trying:
    """A service, and the file in which its key remembers what it signed."""

    service: Service
    memory: Path

    def ask(self, route: str, path: str, sent: Any, *, dry_run: bool) -> TestResponse:
        """Make a request as somebody who may."""
        role, query = min(MAY[route]), {"dry_run": "true"} if dry_run else {}
        self.service.catch_up()
        return self.service.ask(route.partition(" ")[0], path, role, sent=sent, query_string=query)

    def trace(self) -> tuple[Any, ...]:
        """Give everything that a recording would change."""
        with self.service.database.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM idempotency")
            return (*self.service.trace(), one(cursor), self.memory.read_bytes())


@pytest.fixture
def trying(database: Database, tmp_path: Path) -> Iterator[Trying]:
    """Serve a ledger in which each of the requests of tests/test_access_log.py can be made."""
    signer = Signer(tmp_path / "signing-key")
    key = signer.create_key("test")
    with serving(database, signer.path) as service:
        checkpoints.introduce_key(service.app.store, key, actor="admin")
        service.define(standard="1")
        service.record(placed("SO-0", ordered_on="2024-02-10"))
        service.tokens["approver"] = service.token("approver", principal="approves")
        for name in ("approve", "reject", "withdraw"):
            service.propose({**RULE, "conditions": {"product_id": name}}, rule_change_id=f"RC-{name}")
        service.tokens["rules"] = service.token("rules")
        assert service.post("/v1/audit/checkpoints", {}, "finance").status_code == 201
        yield Trying(service, signer.memory)


def test_each_write_has_a_dry_run_after_which_it_is_made_as_before(trying: Trying) -> None:
    """All routes that record, as tests/test_access_log.py has them: 200, no trace, and then the same records."""
    note, witness = witnessed(trying.service.get("/v1/audit/checkpoint")["note"])
    size = trying.service.get("/v1/audit/checkpoint")["size"]
    writes = [(route, path, body(str(number))) for number, (route, (path, body)) in enumerate(WRITES.items())]
    writes.append((COSIGNATURES, f"/v1/audit/checkpoints/{size}/cosignatures", {"note": note, "witness": witness}))
    for number, (route, path, sent) in enumerate(writes):
        trying.service.record(placed(f"LATE-{number}", ordered_on="2024-02-10", amount="7.00"))
        before = trying.trace()
        tried = trying.ask(route, path, sent, dry_run=True)
        assert (tried.status_code, trying.trace()) == (200, before), (route, tried.text)
        made = trying.ask(route, path, sent, dry_run=False)
        assert made.status_code in {200, 201}, (route, made.text)
        assert trying.trace()[:2] != before[:2], route


def test_what_has_a_dry_run_is_all_that_records(trying: Trying) -> None:
    """As the document says it; a route that is new fails here until it is tried above."""
    having = {
        f"{method.upper()} {path}"
        for path, methods in trying.service.app.described()["paths"].items()
        for method, operation in methods.items()
        if any(parameter["name"] == "dry_run" for parameter in operation["parameters"])
    }
    recording = {*WRITES, *ASKED_ELSEWHERE} - {COMMIT}
    assert COSIGNATURES in recording
    assert having == {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route) for route in recording}


def test_an_order_event_is_judged_by_the_ledger_as_it_is(trying: Trying) -> None:
    """What is new has no position; what is there is a duplicate; what can't be is refused as ever."""
    service, before = trying.service, trying.trace()

    def tried(sent: Any) -> TestResponse:
        return service.ask("POST", ORDERS + "?dry_run=true", "ingest", sent=sent)

    assert tried(placed("NEW")).get_json() == {"position": None, "version": 1, "duplicate": False}
    cancelled = event("order.cancelled", "SO-0", cancelled_on="2026-04-01")
    assert tried(cancelled).get_json() == {"position": None, "version": 2, "duplicate": False}
    there = tried(placed("SO-0", ordered_on="2024-02-10")).get_json()
    assert (there["duplicate"], there["position"] is None) == (True, False)
    refused(tried(placed("SO-0", "5.00")), Code.event_id_conflict)
    refused(tried({**placed("SO-0"), "event_id": "another"}), Code.order_exists)
    refused(tried(placed("NEW", order_type="unheard-of")), Code.unknown_order_type)
    refused(tried({**cancelled, "expected_version": 7}), Code.version_conflict)
    assert trying.trace() == before


def test_a_batch_is_judged_event_by_event(trying: Trying) -> None:
    """An event may be about an order that the same batch would place."""
    service, before = trying.service, trying.trace()
    follows = event("order.cancelled", "NEW", cancelled_on="2026-04-01")
    bad = placed("BAD", order_type="unheard-of")

    def tried(mode: str, *events: Any) -> TestResponse:
        return service.ask("POST", BULK + "?dry_run=true", "ingest", sent={"mode": mode, "events": events})

    good = tried("atomic", placed("NEW"), follows)
    assert (good.status_code, good.get_json()["position"]) == (200, None)
    assert [each["recorded"]["version"] for each in good.get_json()["results"]] == [1, 2]
    mixed = tried("per_item", placed("NEW"), bad, placed("SO-0", ordered_on="2024-02-10"))
    assert (mixed.status_code, [each["status"] for each in mixed.get_json()["results"]]) == (207, [200, 422, 200])
    there = mixed.get_json()["results"][2]["recorded"]
    assert (there["duplicate"], mixed.get_json()["position"]) == (True, there["position"])
    nothing = tried("per_item", bad)
    assert (nothing.status_code, nothing.get_json()["position"]) == (422, None)
    assert (
        refused(tried("atomic", follows, placed("NEW"), bad), Code.atomic_batch_refused)[1]["pointer"]
        == "/events/0/order_id"
    )
    assert trying.trace() == before


def test_a_fact_that_is_known_is_told_where(trying: Trying) -> None:
    service = trying.service
    assert service.ask("PUT", CLASS + "?dry_run=true", "ingest", sent=HOUSE).get_json() == {"position": None}
    position = service.ask("PUT", CLASS, "ingest", sent=HOUSE).get_json()["position"]
    again = service.ask("PUT", CLASS + "?dry_run=true", "ingest", sent=HOUSE)
    assert (again.status_code, again.get_json()) == (200, {"position": position})
    bad = {**HOUSE, "effective_to": "2025-01-01"}
    refused(service.ask("PUT", CLASS + "?dry_run=true", "ingest", sent=bad), Code.empty_range)


def test_a_decision_is_judged_and_the_proposal_still_waits(trying: Trying) -> None:
    service, change = trying.service, "/v1/rule-changes/RC-approve"
    service.catch_up()
    tried = service.post(change + "/approve?dry_run=true", {}, "approver").get_json()
    assert (tried["state"], tried["impact_as"], tried["decision"]) == ("proposed", "now", None)
    refused(service.post(change + "/approve?dry_run=true", {"accepted_digest": "x"}, "approver"), Code.impact_moved)
    service.decide("RC-approve", "approve")
    refused(service.post(change + "/reject?dry_run=true", {"reason": "no"}, "approver"), Code.rule_change_decided)


def test_a_checkpoint_is_told_and_not_signed(trying: Trying) -> None:
    """The key remembers nothing of it either."""
    before, head = trying.trace(), trying.service.app.store.tree.head()
    tried = trying.service.post("/v1/audit/checkpoints?dry_run=true", {}, "finance").get_json()
    assert (set(tried), tried["size"]) == ({"size", "root"}, head[0])
    assert trying.trace() == before
