"""If-Match: a command that records says which version it is about, and is refused where there is another by now."""

from collections.abc import Iterator
from typing import Any

import pytest

from ledger.database import Database
from ledger.refusal import Code
from tests.http_client import Service, placed, refused, serving

CHANGE, PERIOD = "/v1/rule-changes/RC-1", "/v1/periods/2024-Q1"
RULE = {"action": "set_rule", "conditions": {"product_id": "P-1"}, "share": "0.5", "effective_from": "2026-01-01"}
COMMANDS = {
    f"{CHANGE}/approve": ("approver", {}),
    f"{CHANGE}/reject": ("approver", {"reason": "no"}),
    f"{CHANGE}/withdraw": ("rules", {}),
    f"{PERIOD}/close": ("finance", {"reason": "complete"}),
    f"{PERIOD}/restate": ("finance", {"reason": "late"}),
    f"{PERIOD}/carry-forward": ("finance", {"reason": "late", "into_period": "2024-Q2"}),
}


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger with a proposal that waits and a quarter that is over."""
    with serving(database) as service:
        service.define(standard="1")
        service.propose(RULE, rule_change_id="RC-1")
        service.record(placed("SO-1", ordered_on="2024-02-10"))
        service.catch_up()
        yield service


def prepared(service: Service, path: str) -> str:
    """Make the ledger one in which the command can be; give the ETag of what it is about."""
    if path.endswith(("restate", "carry-forward")):
        done(service, f"{PERIOD}/close")
        service.record(placed("LATE", ordered_on="2024-02-11"))
        service.catch_up()
    etag = service.ask("GET", path.rpartition("/")[0], "auditor").headers["ETag"]
    assert not etag.startswith("W/")
    return etag


def act(service: Service, path: str, *, if_match: str | None = None, query: str = "", **more: Any) -> Any:
    """Give a command."""
    role, sent = COMMANDS[path]
    service.catch_up()
    return service.ask("POST", path + query, role, sent={**sent, **more}, headers={"If-Match": if_match})


def done(service: Service, path: str, **stated: Any) -> Any:
    """Give a command that must be possible."""
    response = act(service, path, **stated or {"if_match": "*"})
    assert response.status_code in {200, 201}, response.text
    return response


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_says_which_version_it_is_about(service: Service, path: str) -> None:
    """None: 428; another: 412 with both; the one that was read: done, and the answer has the next one."""
    etag = prepared(service, path)
    version, before = int(etag.strip('"')), service.trace()
    assert refused(act(service, path), Code.precondition_required)[0]["pointer"] == "/If-Match"
    for stated, pointer, expected in (
        ({"if_match": '"99"'}, "/If-Match", '"99"'),
        ({"if_match": '"99", "98"'}, "/If-Match", '"99", "98"'),
        ({"if_match": f"W/{etag}"}, "/If-Match", f"W/{etag}"),
        ({"if_match": '"RC-1"'}, "/If-Match", '"RC-1"'),
        ({"version": 99}, "/version", 99),
        ({"version": 99, "if_match": "*"}, "/version", 99),
    ):
        response = act(service, path, **stated)
        assert refused(response, Code.precondition_failed)[0]["pointer"] == pointer
        assert response.get_json()["facts"] == {"expected": expected, "actual": version}
    refused(act(service, path, if_match=etag, version=99), Code.invalid_value)
    for wrong in (str(version), "", '"1', '*, "1"', "w/" + etag):
        assert refused(act(service, path, if_match=wrong), Code.invalid_parameter)[0]["pointer"] == "/If-Match"
    assert service.trace() == before
    assert done(service, path, if_match=etag).headers["ETag"] == f'"{version + 1}"'


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.parametrize("how", ["*", "list", "body", "both"])
def test_a_version_is_stated_in_any_of_these_ways(service: Service, path: str, how: str) -> None:
    etag = prepared(service, path)
    version = int(etag.strip('"'))
    ways: dict[str, dict[str, Any]] = {
        "*": {"if_match": "*"},
        "list": {"if_match": f'W/"1" ,"x,y", {etag}'},
        "body": {"version": version},
        "both": {"if_match": etag, "version": version},
    }
    done(service, path, **ways[how])


@pytest.mark.parametrize("path", COMMANDS)
def test_a_dry_run_needs_no_version_but_is_held_to_the_one_it_states(service: Service, path: str) -> None:
    etag, before = prepared(service, path), service.trace()
    assert act(service, path, query="?dry_run=true").status_code == 200
    assert act(service, path, query="?dry_run=true", if_match=etag).status_code == 200
    refused(act(service, path, query="?dry_run=true", if_match='"99"'), Code.precondition_failed)
    assert service.trace() == before


def test_a_rule_change_has_a_version_that_its_decision_raises(service: Service) -> None:
    proposed = service.ask("GET", CHANGE, "auditor")
    assert (proposed.get_json()["version"], proposed.headers["ETag"]) == (1, '"1"')
    service.decide("RC-1", "reject", reason="no")
    decided = service.ask("GET", CHANGE, "auditor")
    assert (decided.get_json()["version"], decided.headers["ETag"]) == (2, '"2"')
    refused(act(service, f"{CHANGE}/approve", if_match="*"), Code.rule_change_decided)
    refused(act(service, f"{CHANGE}/approve", if_match='"1"'), Code.precondition_failed)


def test_what_is_not_there_is_not_found_before_its_version_is_asked_for(service: Service) -> None:
    refused(
        service.ask("POST", "/v1/rule-changes/NONE/approve", "approver", sent={}, headers={"If-Match": None}),
        Code.not_found,
    )
    sent = {"reason": "complete"}
    refused(
        service.ask("POST", "/v1/periods/2024-Q7/close", "finance", sent=sent, headers={"If-Match": None}),
        Code.invalid_period,
    )
