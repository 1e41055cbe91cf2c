"""Imports over HTTP: a file is staged and told, committed once whatever is killed, and its bad rows come back."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import xlsxwriter
from werkzeug.test import TestResponse

from api.exports import MEDIA_TYPES
from ledger.database import Database
from ledger.refusal import Code
from tests.http_client import Service, placed, refused, serving

HEADERS = "订单号,下单日期,订单类型,客户编号,客户名称,业务员编号,业务员,产品编号,产品名称,类别,数量,金额,币种"
ROWS = (
    "SO-1,2026-03-05,standard,C-1,华光公司,ann,Ann Berg,P-1,传感器,传感,2,168.00,EUR",
    "SO-2,2026-03-06,standard,C-2,Müller AG,bob,Bob,P-1,传感器,传感,1,84.5,EUR",
    "SO-1,2026-03-05,standard,C-1,华光公司,ann,Ann Berg,P-2,驱动器,驱动,1,32.00,EUR",
)
CSV = "\r\n".join((HEADERS, *ROWS, "")).encode()
XLSX, NDJSON = MEDIA_TYPES["xlsx"], MEDIA_TYPES["ndjson"]


class Importing:
    """A service with an order type, and short ways to import."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def send(self, content: bytes, media_type: str = "text/csv", role: str = "ingest", **query: str) -> TestResponse:
        """Upload a file."""
        return self.service.ask(
            "POST", "/v1/imports", role, data=content, content_type=media_type, query_string={"name": "f", **query}
        )

    def staged(self, content: bytes, media_type: str = "text/csv", **query: str) -> Any:
        """Upload a file that can be staged."""
        response = self.send(content, media_type, **query)
        assert response.status_code == 201, response.text
        return response.json

    def act(self, method: str, told: Any, what: str, **options: Any) -> TestResponse:
        """Ask something of an import."""
        return self.service.ask(method, f"/v1/imports/{told['id']}/{what}", "ingest", **options)

    def commit(self, told: Any, accept: bool = False) -> Any:
        """Commit, and wait until it has ended."""
        response = self.act("POST", told, "commit", sent={"accept_good_rows": accept})
        assert response.status_code == 202, response.text
        self.service.app.imports.wait()
        return self.again(told)

    def again(self, told: Any) -> Any:
        """Read an import again."""
        return self.service.get(f"/v1/imports/{told['id']}", "finance")

    def profile(self, told: Any, **said: Any) -> Any:
        """Read it by another profile."""
        response = self.act("PUT", told, "profile", sent=said)
        assert response.status_code == 200, response.text
        return response.json


@pytest.fixture
def importing(database: Database) -> Iterator[Importing]:
    """Serve a ledger with one order type."""
    with serving(database) as service:
        service.define(standard="1")
        yield Importing(service)


def test_a_file_is_staged_told_and_committed_once(importing: Importing) -> None:
    before = importing.service.trace()
    told = importing.staged(CSV)
    assert (told["state"], told["errors"]) == ("staged", [])
    assert importing.service.trace() == before, "nothing is recorded yet"
    assert told["counts"] == {"rows": 3, "orders": 2, "rejected_orders": 0, "rejected_rows": 0, "problems": 0}
    assert all(decision["certain"] and decision["why"] for decision in told["decisions"])
    impact = told["impact"]
    assert impact["amounts"] == [
        {"period": "2026-Q1", "closed": False, "currency": "EUR", "orders": 2, "amount": "284.5"}
    ]
    assert (impact["new_customers"], impact["new_salespeople"], impact["closed_periods"]) == (2, 2, [])
    done = importing.commit(told)
    assert done["state"] == "committed"
    assert done["progress"] == {"done": 2, "orders": 2, "recorded": 2, "duplicates": 0, "refused": 0}
    importing.service.catch_up()
    assert importing.service.figures(period="2026-Q1") == {("ann", "EUR"): "200.00", ("bob", "EUR"): "84.50"}
    again = importing.staged(CSV)
    assert (again["impact"]["orders"], again["impact"]["duplicates"]) == (0, 2)
    head = importing.service.app.store.head()
    assert importing.commit(again)["progress"]["duplicates"] == 2
    assert importing.service.app.store.head() == head
