"""Tokens, help and signing out, as people do it in a browser."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from api.client import Client, Refused
from tests.browser.conftest import Visitor, follow
from tests.browser.test_board import FORMS


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_pages_are_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    visitor = visit("admin", **form)
    visitor.see("/tokens")
    visitor.see("/help")
    visitor.page.goto(f"{visitor.demo.url}/sign-in")
    visitor.look()
    follow(visitor.page.locator("main button"))
    visitor.look()


def make(visitor: Visitor, principal: str, *roles: str) -> str:
    """Make a token on the page; give its text."""
    visitor.open("/tokens")
    visitor.page.locator("#principal").fill(principal)
    for role in roles:
        visitor.page.locator(f"input[value={role}]").check()
    follow(visitor.page.get_by_role("button", name="Make the token"))
    return visitor.page.locator(".secret").inner_text()


def test_a_token_is_made_shown_once_and_revoked(visit: Callable[..., Visitor]) -> None:
    """Without JavaScript, too."""
    visitor = visit("admin", java_script_enabled=False)
    page = visitor.page
    text = make(visitor, "mara", "finance", "approver")
    client = Client(visitor.demo.url, text)
    assert client.periods().periods
    visitor.open("/tokens")
    assert text not in page.content()
    row = page.get_by_role("row", name="mara")
    assert "approver, finance" in row.inner_text()
    row.locator("summary").click()
    follow(row.get_by_role("button", name="Revoke"))
    assert "revoked" in page.get_by_role("row", name="mara").inner_text()
    with pytest.raises(Refused, match="unauthenticated"):
        client.periods()


def test_a_form_that_is_sent_twice_makes_one_token(visit: Callable[..., Visitor]) -> None:
    """The second answer says so, and has no text."""
    visitor = visit("admin")
    visitor.open("/tokens")
    visitor.page.locator("#principal").fill("twice")
    visitor.page.locator("input[value=auditor]").check()
    first, second = visitor.page.evaluate(
        """async () => {
            const form = document.querySelector("main form"), sent = new URLSearchParams(new FormData(form));
            const ask = async () => (await fetch(form.action, { method: "POST", body: sent })).text();
            return [await ask(), await ask()];
        }"""
    )
    assert 'class="secret"' in first
    assert 'class="secret"' not in second
    assert "was made before" in second
    make(visitor, "looked-at", "monitor")
    visitor.look()
    assert [token.principal for token in visitor.client("admin").tokens()].count("twice") == 1


def test_what_is_refused_is_told_at_its_field_and_what_was_typed_stays(visit: Callable[..., Visitor]) -> None:
    visitor = visit("admin")
    page = visitor.page
    visitor.expected.add(422)
    visitor.open("/tokens")
    page.locator("#principal").fill("carl")
    follow(page.get_by_role("button", name="Make the token"))
    assert "it needs a role" in page.locator("#roles-problem").inner_text()
    assert page.locator("#principal").input_value() == "carl"
    visitor.look()
    page.locator("input[value=finance]").check()
    page.locator("#last_day").fill("2020-01-31")
    follow(page.get_by_role("button", name="Make the token"))
    assert "2020-01-3" in page.locator("#last_day-problem").inner_text()
    assert page.locator("input[value=finance]").is_checked()
    page.locator("#last_day").fill("2099-12-31")
    follow(page.get_by_role("button", name="Make the token"))
    [made] = [token for token in visitor.client("admin").tokens() if token.principal == "carl"]
    assert made.expires_at == visitor.demo.service.app.store.begin_of(datetime(2100, 1, 1, tzinfo=UTC).date())


def test_only_an_admin_sees_tokens(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    visitor.open("/tokens", 403)
    assert "admin" in visitor.page.get_by_role("alert").inner_text()


@pytest.mark.parametrize(("role", "page_named"), [("finance", "Periods"), ("admin", "Tokens"), ("sales", "Board")])
def test_help_names_the_pages_of_a_role(visit: Callable[..., Visitor], role: str, page_named: str) -> None:
    visitor = visit(role)
    visitor.open("/help")
    row = visitor.page.get_by_role("row", name=role).filter(has_text="yours")
    assert row.get_by_role("link", name=page_named).count() == 1


@pytest.mark.parametrize("scripts", [True, False])
def test_signing_out_from_the_menu_ends_the_session_and_says_so(visit: Callable[..., Visitor], scripts: bool) -> None:
    visitor = visit("auditor", java_script_enabled=scripts)
    visitor.open("/help")
    follow(visitor.page.get_by_role("navigation", name="Main").get_by_role("button", name="Sign out"))
    assert "You have signed out" in visitor.page.get_by_role("status").inner_text()
    visitor.page.goto(f"{visitor.demo.url}/console/help")
    assert visitor.page.locator("#token").count() == 1
