"""Verifying the ledger over HTTP: begun in the background, one at a time, told by every process, and noted."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from api import verifications
from ledger import verification_log, verification_runs
from ledger.database import Database
from ledger.findings import Verified
from projections.verification import VerifiedLedger
from tests.http_client import Service, placed, serving

LATEST = "/v1/verifications/latest"


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger of one order."""
    with serving(database) as service:
        service.define(standard="1")
        service.record(placed("SO-1"))
        service.catch_up()
        yield service


class Paused:
    """A verification that waits until it is let go on."""

    def __init__(self) -> None:
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        self.count = 0

    def __call__(self, *_: Any, progress: Any, **__: Any) -> VerifiedLedger:
        """Wait, half done."""
        self.count += 1
        progress(3, 8)
        self.begun.set()
        assert self.may_go_on.wait(60)
        progress(4, 8)
        return VerifiedLedger(Verified(size=4, root=b"r"), None, None, 0)


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Iterator[Paused]:
    """Let verifications wait."""
    paused = Paused()
    monkeypatch.setattr(verifications, "verify", paused)
    yield paused
    paused.may_go_on.set()


def begin(service: Service, role: str = "auditor", **headers: str) -> Any:
    """Begin one; give the run that is told."""
    response = service.ask("POST", "/v1/verifications", role, headers=headers)
    assert response.status_code == 202, response.text
    return response.get_json()["run"]


def ended(service: Service) -> Any:
    """Wait until it has ended; give what is told then."""
    service.app.verifications.wait()
    return service.get(LATEST)


def test_nothing_is_told_before_the_first(service: Service) -> None:
    assert service.get(LATEST) == {"run": None, "last_verdict": None}


def test_a_sound_ledger_is_found_sound_and_that_is_noted(service: Service) -> None:
    """And nothing is recorded."""
    before = service.trace()
    assert begin(service)["state"] in {"running", "sound"}
    told = ended(service)
    run, verdict = told["run"], told["last_verdict"]
    assert (run["state"], run["principal"], run["size"], run["findings"]) == ("sound", "auditor-clerk", 3, [])
    assert run["done"] == run["total"] == 6
    assert run["finished_at"] == verdict["finished_at"]
    assert (verdict["is_sound"], verdict["size"], verdict["root"]) == (True, 3, run["root"])
    with service.database.cursor() as cursor:
        noted = verification_log.last(cursor)
    assert noted is not None
    assert (noted.principal, noted.root) == ("auditor-clerk", service.app.store.tree.root_at(3))
    assert service.trace() == before


def test_what_was_changed_is_found_and_told_in_any_language(service: Service) -> None:
    with service.database.administration() as cursor:
        cursor.execute("ALTER TABLE event DISABLE TRIGGER ALL")
        cursor.execute("UPDATE event SET actor = 'somebody' WHERE position = 3")
    begin(service, "finance")
    told = ended(service)
    finding, *_ = told["run"]["findings"]
    assert told["run"]["state"] == "unsound"
    assert (finding["part"], finding["where"]) == ("event", "position 3")
    assert told["last_verdict"]["findings_count"] == len(told["run"]["findings"])
    chinese = service.ask("GET", LATEST, "auditor", headers={"Accept-Language": "zh"}).get_json()["run"]["findings"]
    assert chinese[0]["what"] != finding["what"]


def test_one_goes_on_at_a_time_and_every_process_tells_it(service: Service, paused: Paused) -> None:
    first = begin(service)
    assert paused.begun.wait(60)
    with serving(service.database) as other:
        other.tokens = service.tokens
        again = begin(other, "finance")
        assert (again["number"], again["principal"]) == (first["number"], "auditor-clerk")
        run = other.get(LATEST)["run"]
        assert (run["state"], run["done"], run["total"], run["size"]) == ("running", 3, 8, None)
    paused.may_go_on.set()
    assert ended(service)["run"]["state"] == "sound"
    assert paused.count == 1
    assert begin(service)["number"] != first["number"]
    ended(service)


def test_a_repeated_request_begins_no_other(service: Service, paused: Paused) -> None:
    paused.may_go_on.set()
    first = begin(service, **{"Idempotency-Key": "once"})
    ended(service)
    assert begin(service, **{"Idempotency-Key": "once"}) == first
    assert paused.count == 1


def test_one_whose_process_ended_has_stopped_and_another_can_begin(service: Service) -> None:
    with service.database.transaction() as cursor:
        left = verification_runs.begin(cursor, "auditor", service.app.store.clock())
    assert service.get(LATEST)["run"]["state"] == "stopped"
    assert begin(service)["number"] != left.number
    assert ended(service)["run"]["state"] == "sound"


def test_one_that_fails_has_stopped(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> VerifiedLedger:
        raise RuntimeError("broken")

    with monkeypatch.context() as broken:
        broken.setattr(verifications, "verify", fail)
        begin(service)
        assert ended(service)["run"]["state"] == "stopped"
    begin(service)
    assert ended(service)["run"]["state"] == "sound"


def test_a_service_that_stops_does_not_wait_for_its_end(database: Database, paused: Paused) -> None:
    with serving(database) as service:
        begin(service)
        assert paused.begun.wait(60)
        service.app.is_stopping = lambda: True
        paused.may_go_on.set()
        assert ended(service)["run"]["state"] == "stopped"
    with database.cursor() as cursor:
        assert verification_log.last(cursor) is None
