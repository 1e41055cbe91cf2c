"""Imports on the console: a file is uploaded, its reading decided, looked at, recorded; bad rows come back."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from api.client import Client
from api.shapes import ImportProfile
from tests.browser.conftest import Visitor
from tests.browser.test_board import FORMS

HEAD = "order_id,order_date,order_type,customer_id,salesperson_id,product_id,quantity,amount,currency\r\n"
GOOD = (
    HEAD
    + "IM-{0}-1,2026-09-05,standard,C-1001,S-01,P-1,2,168.00,EUR\r\nIM-{0}-2,2026-04-06,standard,C-1001,S-02,P-1,1,84.50,EUR\r\n"
)
BAD = (
    GOOD
    + "IM-{0}-3,2026-09-32,standard,C-1001,S-01,P-1,2,9.00,EUR\r\nIM-{0}-4,2026-09-07,unheard-of,C-1001,S-01,P-1,2,9.00,EUR\r\n"
)
EITHER = HEAD.replace(",", ";") + "IM-{0}-1;05/06/2026;standard;C-1001;S-01;P-1;2;1.234;EUR\r\n"


def upload(visitor: Visitor, name: str, text: str, **typed: str) -> None:
    """Choose a file on the page for it, and send it."""
    page = visitor.page
    visitor.open("/imports")
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/plain", "buffer": text.encode()})
    for field, value in typed.items():
        page.locator(f"#{field}").fill(value)
    page.get_by_role("button", name="Upload and look").click()


def import_id(page: Page) -> str:
    return page.url.partition("?")[0].rpartition("/")[2]


def counts(page: Page) -> dict[str, str]:
    """Give the counts of a page, by what they count."""
    return dict(
        zip(page.locator(".counts dt").all_inner_texts(), page.locator(".counts dd").all_inner_texts(), strict=True)
    )


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_pages_are_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    ingest = visit("ingest", **form)
    client = ingest.client("ingest")
    ingest.see("/imports")
    name = f"axe-{FORMS.index(form)}"
    for kind, text in (("either", EITHER), ("bad", BAD)):
        staged = client.stage_content(text.format(f"{name}-{kind}").encode(), "csv", f"{name}-{kind}")
        ingest.see(f"/imports/{staged.id}")
        visit("finance", **form).see(f"/imports/{staged.id}?rejected=yes")
    client.commit_import(staged.id, accept_good_rows=True)
    client.committed_import(staged.id)
    ingest.see(f"/imports/{staged.id}")
