"""The audit: what was done and how late, verifying it now, checkpoints and bundles, and an event with its proof."""

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.sync_api import expect

from api.client import Wanted
from api.shapes import TimelineEntry
from ledger.database import one
from tests.browser.conftest import Visitor, follow
from tests.browser.test_board import FORMS

ROWS = "#timeline tbody tr"


def shown_positions(visitor: Visitor) -> list[int]:
    """Give the positions of the timeline's rows."""
    return [int(text) for text in visitor.page.locator(f"{ROWS} td:first-child").all_inner_texts()]


def told(visitor: Visitor, wanted: Wanted | None = None) -> list[TimelineEntry]:
    """Give the timeline's first page by the API."""
    return visitor.client("auditor").timeline(wanted, limit=50).entries


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_pages_are_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    visitor = visit("auditor", **form)
    for path in ("/audit?late=back_dated", "/audit/events/604", "/audit/verification"):
        visitor.see(path)


def test_an_auditor_finds_what_came_late(visit: Callable[..., Visitor]) -> None:
    """Newest first, with the days; what was recorded after a close but effective before it; all in the URL."""
    visitor = visit("auditor")
    visitor.open("/audit")
    assert shown_positions(visitor) == [each.position for each in told(visitor)]
    visitor.page.get_by_label("Only those").select_option("after_close")
    follow(visitor.page.locator("#timeline").get_by_role("button", name="Look"))
    late = told(visitor, Wanted(after_close=True))
    assert "late=after_close" in visitor.page.url
    assert shown_positions(visitor) == [each.position for each in late]
    (special,) = [each for each in late if each.type == "rule_change.approved" and each.days_back_dated > 100]
    row = visitor.page.locator(ROWS, has_text=str(special.position)).first
    assert f"back-dated {special.days_back_dated} days" in row.inner_text()
    assert all(name in row.inner_text() for name in special.closed_periods)
    visitor.open(f"/audit?kind=rule_change&who={special.actor}&from=2026-08-01&to=2026-09-01")
    wanted = told(visitor, Wanted(kinds=("rule_change",), actor=special.actor))
    assert shown_positions(visitor) == [each.position for each in wanted if f"{each.recorded_at:%Y-%m}" == "2026-08"]
    visitor.open("/audit?from=spring", 422)
    assert "spring" in visitor.page.locator("#from-problem").inner_text()
    visitor.look()
    visitor.open("/audit?kind=hocus", 422)


def test_the_timeline_is_turned_page_by_page(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance", java_script_enabled=False)
    visitor.open("/audit?kind=reference_fact")
    found = shown_positions(visitor)
    while visitor.page.get_by_role("link", name="Older").count():
        follow(visitor.page.get_by_role("link", name="Older"))
        found += shown_positions(visitor)
    client = visitor.client("auditor")
    assert found == [each.position for each in client.timeline(Wanted(kinds=("reference_fact",)), limit=1_000).entries]


@pytest.mark.parametrize("has_script", [True, False], ids=["live", "without JavaScript"])
def test_verify_now_shows_its_verdict(visit: Callable[..., Visitor], *, has_script: bool) -> None:
    visitor = visit("auditor", java_script_enabled=has_script)
    visitor.open("/audit")
    follow(visitor.page.get_by_role("button", name="Verify now"))
    visitor.page.wait_for_url("**/audit/verification")
    if not has_script:
        while "Nothing was found." not in visitor.page.locator("#verification").inner_text():
            follow(visitor.page.get_by_role("link", name="Look again"))
    expect(visitor.page.locator("#verification")).to_contain_text("Nothing was found.", timeout=60_000)
    run = visitor.client("finance").verification().run
    assert run is not None
    assert run.state == "sound"
    assert run.root
    assert run.root in visitor.page.locator("#verification").inner_text()
    assert run.principal == "auditor-clerk"


def test_a_double_click_signs_once(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    """Finance signs the ledger; the bundle of a period is a download."""
    visitor = visit("finance")
    visitor.open("/audit")
    before = visitor.demo.service.app.store.head()
    visitor.page.get_by_role("button", name="Sign the ledger as it is now").dblclick()
    visitor.page.wait_for_url("**/audit?done=signed")
    assert visitor.demo.service.app.store.head() - before <= 1
    checkpoint = visitor.client("auditor").checkpoint()
    assert checkpoint.root in visitor.page.locator("#checkpoint").inner_text()
    with visitor.page.expect_download(timeout=120_000) as downloading:
        visitor.page.get_by_role("combobox", name="Period").select_option("2026-Q1")
        visitor.page.get_by_role("button", name="Download the bundle").click()
    downloading.value.save_as(tmp_path / "bundle.zip")
    assert "manifest.json" in ZipFile(tmp_path / "bundle.zip").namelist()


def test_an_event_is_proved_on_its_page(visit: Callable[..., Visitor]) -> None:
    """The bytes shown hash to the leaf shown, and the path leads to the root of the signed note."""
    visitor = visit("auditor")
    visitor.client("finance").issue_checkpoint()
    visitor.open("/audit/events/604")
    client = visitor.client("auditor")
    proof = client.inclusion(604, client.checkpoint().size)
    recorded = visitor.page.locator("pre").nth(1).text_content() or ""
    assert base64.b64encode(hashlib.sha256(b"\0" + recorded.encode()).digest()).decode() == proof.leaf_hash
    text = visitor.page.locator("main").text_content() or ""
    assert all(each in text for each in (proof.leaf_hash, proof.root, *proof.hashes))
    assert proof.root in (visitor.page.locator("pre").nth(2).text_content() or "")
    follow(visitor.page.get_by_role("link", name="605"))
    assert visitor.page.locator("h1").inner_text() == "Event 605"
    visitor.open("/audit/events/999999", 404)
    assert "no event at 999999" in visitor.page.locator("[role=alert]").inner_text()


def test_who_may_not_is_not_offered_it_and_refused(visit: Callable[..., Visitor]) -> None:
    """Rules reads and neither signs, verifies nor takes away; only the auditor is led to the access log."""
    visitor = visit("rules")
    visitor.open("/audit")
    assert visitor.page.get_by_role("button", name=re.compile("Verify now|Sign the ledger|Download")).count() == 0
    assert visitor.page.get_by_role("heading", name="Access log").count() == 0
    visitor.expected.add(403)
    with visitor.demo.service.database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM verification")
        before = one(cursor)[0]
    status = visitor.page.evaluate(
        "fetch('/console/audit/verification', {method: 'POST'}).then(answer => answer.status)"
    )
    assert status == 403
    with visitor.demo.service.database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM verification")
        assert one(cursor)[0] == before
    auditor = visit("auditor")
    auditor.open("/audit")
    assert auditor.page.get_by_role("heading", name="Access log").count() == 1
    assert auditor.page.get_by_role("button", name="Sign the ledger as it is now").count() == 0
