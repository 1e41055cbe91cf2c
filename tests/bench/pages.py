"""The console's pages over a loaded ledger: each against the answers of the API that it says it is made of.

Ours: the page, from the request to the last byte of its HTML, in process. Comparison: the JSON answers that its foot
links to, asked one after the other. Both take turns; medians are compared. What a page may take on top is a time, not a
ratio: nobody waits for a ratio.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from urllib.parse import quote

from flask.testing import FlaskClient

from api.app import Config, create_app
from api.rate_limits import Limits
from ledger.database import Database
from ledger.tokens import create_token
from tests.bench.clock import medians, seconds
from tests.bench.generator import salesperson_id
from tests.bench.loading import Progress
from tests.bench.report import Row

GOAL_SECONDS = 0.1
PERIOD = "2024-Q2"
RUNS = 5
PAGES = (
    ("board of a quarter", f"/console/board?period={PERIOD}"),
    ("salesperson's quarter", f"/console/salespeople/{quote(salesperson_id(1))}?period={PERIOD}"),
    ("periods", "/console/periods"),
    ("rulebook", "/console/rulebook"),
    ("audit", "/console/audit"),
)
_SOURCE = re.compile(r'<a href="(/v1/[^"]*)">JSON</a>')


def run(database: Database, progress: Progress) -> list[Row]:
    """Measure each page."""
    progress("pages")
    unlimited = Limits(requests_per_second_max=1_000_000)
    app = create_app(Config(database.url, limits=unlimited))
    token = create_token(database, "reader", ("auditor", "finance"), now=datetime.now(UTC))
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    try:
        return [_row(what, *_times(client, address)) for what, address in PAGES]
    finally:
        app.stop()


def _times(client: FlaskClient, address: str) -> tuple[float, float]:
    sources = [unescape(source) for source in _SOURCE.findall(_asked(client, address))]
    assert sources, f"{address} does not say what it is made of"

    def page() -> Iterator[float]:
        for _ in range(RUNS):
            yield seconds(_asked, client, address)

    def figures() -> Iterator[float]:
        for _ in range(RUNS):
            yield sum(seconds(_asked, client, source) for source in sources)

    return medians(page(), figures())


def _asked(client: FlaskClient, address: str) -> str:
    answered = client.get(address)
    assert answered.status_code == 200, (address, answered.text)
    return answered.text


def _row(what: str, page: float, figures: float) -> Row:
    more = page - figures
    return Row(
        f"page: {what} / the API's answers",
        f"{1000 * page:,.1f} ms",
        f"{1000 * figures:,.1f} ms",
        f"{1000 * more:+,.0f} ms",
        f"<= +{1000 * GOAL_SECONDS:g} ms",
        more <= GOAL_SECONDS,
    )
