"""A Chromium for the whole run; and for each test a visitor: a page, signed in as a role, that must stay clean.

A visitor's page may say nothing on its console, break no rule of its Content-Security-Policy, and load nothing that
fails: at the end of every test it is looked whether it did. `see` opens an address and lets axe look at it.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Response, sync_playwright

from api.client import Client
from tests.service_thread import Demo, serving_demo

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium"
VIEWPORT = {"width": 1280, "height": 900}
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser that goes on to another page leaves what it was being sent, which the service then forgets unclosed."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo(server_url: Callable[[str], str], template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Serve the demo ledger for a module of tests."""
    with serving_demo(server_url, template, tmp_path_factory.mktemp("keys") / "key") as demo:
        demo.service.catch_up()
        yield demo


def follow(leading: Locator) -> None:
    """Click what leads to another page, and wait until that one is there: a click alone may still find the old one."""
    with leading.page.expect_navigation():
        leading.click()


@dataclass
class Visitor:
    """Somebody who looks at the console with a role."""

    page: Page
    demo: Demo
    complaints: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    """The statuses that a test wants, such as of a refusal."""

    def sign_in(self, *roles: str, principal: str | None = None) -> None:
        """Sign in on the page for it, with a token of these roles."""
        token = self.demo.service.token(*roles, principal=principal)
        self.page.goto(f"{self.demo.url}/sign-in")
        self.page.get_by_label("token").or_(self.page.locator("#token")).first.fill(token)
        follow(self.page.locator("main button"))
        self.page.wait_for_url("**/console/**")

    def open(self, path: str, status: int = 200) -> None:
        """Open an address of the console, such as /board; it answers with that status."""
        self.expected.add(status)
        answered = self.page.goto(f"{self.demo.url}/console{path}")
        assert answered is not None
        assert answered.status == status, (path, answered.status, self.page.content())

    def see(self, path: str, status: int = 200) -> None:
        """Open an address, and let axe look at it."""
        self.open(path, status)
        self.look()

    def look(self) -> None:
        """Let axe look at the page, and see that it does not need to be scrolled sideways."""
        found = Axe().run(self.page, options=AXE).response["violations"]
        told = [(rule["id"], rule["help"], [node["html"] for node in rule["nodes"]][:3]) for rule in found]
        assert told == [], (self.page.url, told)
        wide: bool = self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, f"{self.page.url} is wider than the window"

    def amounts(self, selector: str = "td.num data") -> list[str]:
        """Give the amounts of a part of the page, as the API writes them."""
        return self.page.eval_on_selector_all(selector, "all => all.map(each => each.getAttribute('value'))")  # type: ignore[no-any-return]

    def client(self, *roles: str) -> Client:
        """Ask the API beside the page."""
        return self.demo.client(*roles)


@pytest.fixture
def visit(chromium: Browser, demo: Demo) -> Iterator[Callable[..., Visitor]]:
    """Make visitors; options are the browser context's, such as color_scheme, locale, viewport, java_script_enabled."""
    visitors: list[Visitor] = []

    def make(*roles: str, principal: str | None = None, **options: Any) -> Visitor:
        context = chromium.new_context(**{"viewport": VIEWPORT, "locale": "en-GB", **options})
        page = context.new_page()
        visitor = Visitor(page, demo)

        def failed(response: Response) -> None:
            if response.status >= 400 and response.status not in visitor.expected:
                visitor.complaints.append(f"{response.status} {response.url}")

        page.on("response", failed)
        page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        page.on("console", lambda message: _complain(visitor, message.type, message.text))
        visitors.append(visitor)
        if roles:
            visitor.sign_in(*roles, principal=principal)
        return visitor

    yield make
    for visitor in visitors:
        visitor.page.context.close()
        assert visitor.complaints == []


def _complain(visitor: Visitor, kind: str, text: str) -> None:
    """Note what the browser complains of; that a refused page was not loaded is no news where it was expected."""
    wanted = any(f"status of {status}" in text for status in visitor.expected if status >= 400)
    if kind in ("error", "warning") and not wanted:
        visitor.complaints.append(text)


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keep a screenshot where ORDERLEDGER_PICTURES names a folder, as README's are made."""
    folder = os.environ.get("ORDERLEDGER_PICTURES")

    def take(page: Page, name: str) -> None:
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png")

    return take
