"""A short run of `make fuzz`: schemathesis finds nothing, and would find what is not as documented."""

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.everything import serving_everything
from tests.fuzz import UNLIMITED, fuzz
from tests.http_client import Service, fresh_database

CASES = 450
SEED = 20260331
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""schemathesis reads answers and does not close them, so that a bundle's file is closed when it is forgotten."""


@pytest.fixture
def service(server_url: Callable[[str], str], template: str, tmp_path: Path) -> Iterator[Service]:
    """Serve a ledger that has something of everything."""
    with (
        fresh_database(server_url, template) as database,
        serving_everything(database, tmp_path / "signing-key", limits=UNLIMITED) as service,
    ):
        yield service


def test_schemathesis_finds_nothing(service: Service) -> None:
    """Examples, made-up cases and walks along the links, with every check."""
    found = fuzz(service, seed=SEED, cases=CASES, examples=2, covering=False)
    assert found.failures == {}, found.summary()
    assert found.cases >= CASES
    assert {"examples", "fuzzing"} <= set(found.phases)
    assert len(found.operations) == sum(len(methods) for methods in service.app.described()["paths"].values())


def test_what_is_not_as_documented_is_found(service: Service) -> None:
    """The control: an answer whose status the document leaves out fails the run."""
    operation = service.app.described()["paths"]["/v1/order-events"]["post"]
    with patch.dict(operation, responses={"418": {"description": "Not given."}}):
        found = fuzz(service, seed=SEED, cases=200, examples=1, covering=False)
    assert [name for name in found.failures if name.startswith("status_code_conformance: POST /v1/order-events:")]
